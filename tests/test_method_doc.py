"""docs/method.md explains every mark that code and configs use."""

import pathlib
import re

ROOT = pathlib.Path(__file__).parents[1]
PAGE = (ROOT / "docs/method.md").read_text()
ONE = r"(?:D2?|L2?|r|o)"
MARKED = re.compile(rf"\[({ONE}(?:, {ONE})*)\]")
PLACES = ("configs", "accfm/models", "accfm/signals")


def marks(text):
  """The marks of a file's comments and docstrings."""
  out = set()
  for line in text.splitlines():
    # "[L] tokens" is a mark; "positions: [D] float32" is a shape.
    for found in MARKED.finditer(line):
      if not line[found.end():].startswith(" float"):
        out |= set(found[1].split(", "))
  return out


def test_each_mark_is_explained():
  used = set()
  for folder in PLACES:
    for path in (ROOT / folder).rglob("*.py"):
      used |= marks(path.read_text())
  assert {"L", "L2", "r", "o"} <= used
  assert not [mark for mark in used if f"**[{mark}]**" not in PAGE]


def test_the_page_names_its_sources_and_configs():
  assert "arXiv 2412.11276" in PAGE and "arXiv 2312.05409" in PAGE
  assert "docs/method.md" in (ROOT / "configs/common.py").read_text()
  for name in re.findall(r"`((?:acc|ppg)_\w+)`", PAGE):
    assert (ROOT / f"configs/{name}.py").exists(), name
