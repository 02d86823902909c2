"""docs/extend.md works: its files and edits in a copy, its commands run there.

A block titled with a path is that file; a `diff` block adds its lines behind
the line that stands before them; a `console` block's commands must succeed.
"""

import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest

from accfm import pretrain
from accfm.configs import ppg_contrastive
from tests import installs

DOC = pathlib.Path(__file__).parents[1] / "docs" / "extend.md"
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```', re.S | re.M)
# What each section says of the files it touches inside the package.
INSIDE = {"A preset": 0, "An encoder family, outside the package": 0,
          "An encoder family, inside the package": 1,
          "A loss of distillation": 2, "A self-supervised objective": 3,
          "An evaluator": 2}


def sections():
  """{title: [(language, path, text)]} of the page."""
  out = {}
  for part in re.split(r"^## ", DOC.read_text(), flags=re.M)[1:]:
    title, _, text = part.partition("\n")
    out[title] = BLOCK.findall(text)
  return out


def add_lines(text, diff):
  """`text` with the added lines of a diff, each behind the one before it."""
  before = None
  for line in diff.splitlines():
    if line == "...":
      before = None
    elif line.startswith("+"):
      assert before is not None, line
      assert text.count(f"\n{before}\n") == 1, before
      text = text.replace(f"\n{before}\n", f"\n{before}\n{line[1:]}\n")
      before = line[1:]
    else:
      before = line[1:]
  return text


@pytest.fixture(scope="module")
def clone(simulated, tmp_path_factory):
  """A copy of the sources with prepared data and a tiny teacher."""
  root = installs.copy_sources(tmp_path_factory.mktemp("extend") / "accfm")
  (root / "data").symlink_to(simulated)
  config = ppg_contrastive.get_config("tiny")
  config.data_dir = simulated
  pretrain.run(config, str(root / "runs" / "teacher"))
  return root


def started(command, clone):
  words = shlex.split(command)
  assert words[0] == "accfm"
  return subprocess.run(
      [sys.executable, "-m", *words], cwd=clone, capture_output=True,
      text=True, check=False, env={
          **os.environ, "PYTHONPATH": installs.SITE,
          "PYTHONDONTWRITEBYTECODE": "1",
      },
  )


@pytest.mark.parametrize("title", [
    pytest.param(name, marks=() if name == "A preset" else pytest.mark.full)
    for name in sections()
])
def test_an_example_works(clone, title):
  touched = set()
  for language, path, text in sections()[title]:
    if language == "console":
      for line in text.splitlines():
        done = started(line.removeprefix("$ "), clone)
        assert done.returncode == 0, done.stdout + done.stderr
    elif path:
      file = clone / path
      if language == "diff":
        text = add_lines(file.read_text(), text)
      else:
        assert not file.exists()
      file.write_text(text)
      if path.startswith(("accfm/", "configs/")):
        touched.add(path)
  assert len(touched) == INSIDE[title]
  if "outside" in title:
    check_refusal(clone)


def check_refusal(clone):
  """A checkpoint of a plug-in is refused by whoever does not name it."""
  done = started(
      "accfm evaluate --config=evaluate:tiny --checkpoint=runs/conv "
      "--workdir=runs/refused", clone,
  )
  assert done.returncode == 2 and done.stderr.count("\n") == 1
  start = "error: encoder family: got './nets.py:ConvNet'"
  assert done.stderr.startswith(start)
  assert "--plugins=./nets.py:ConvNet" in done.stderr


def test_the_page_counts_what_it_shows():
  text = DOC.read_text()
  for words, count in (
      ("a preset, a variant of a config", 0), ("an encoder family", 1),
      ("a loss of distillation", 2), ("a self-supervised objective", 3),
      ("an evaluator with its section of the report", 2),
  ):
    assert f"| {words} | {count} |" in text


def test_lines_are_added_where_they_belong():
  text = "\na\nb\nc\n"
  assert add_lines(text, " a\n+x\n+y\n...\n c\n+z") == "\na\nx\ny\nb\nc\nz\n"
  with pytest.raises(AssertionError):
    add_lines(text, " q\n+x")
