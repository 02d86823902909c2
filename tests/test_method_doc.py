"""docs/method.md explains every mark that code and configs use."""

import pathlib
import re

from accfm.configs import ablations

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
  assert {"D", "D2", "L", "L2", "r", "o"} <= used
  assert not [mark for mark in used if f"**[{mark}]**" not in PAGE]


def test_what_is_second_hand_is_marked_so():
  """A claim in the ablations has the mark that the page gives the result."""
  results = PAGE[PAGE.index("## What the paper reports"):]
  marked = dict(re.findall(r"^\| (.*?) \| \[(\w+)\] \|$", results, re.M))
  told = {
      "0.992": "99.2 %", "23 to 49 %": "23 to 49 %", "45 %": "45 %",
      "95 %": "95 %", "5 times smaller": "five times smaller",
      "works": "it works with a teacher",
  }
  for claim in ablations.CLAIMS.values():
    for part in re.findall(r"[^;\[]+(?:;[^;\[]+)*\[\w+\]", claim):
      (mark,) = re.findall(r"\[(\w+)\]", part)
      (words,) = [page for code, page in told.items() if code in part]
      (there,) = {m for text, m in marked.items() if words in text}
      assert mark == there, part


def test_what_is_ours_or_not_known_is_said():
  readme = (ROOT / "README.md").read_text()
  for text in (PAGE, readme):
    assert "neither paper names" in text.lower()
    for words in ("heads", "filters", "probes", "share of the labels"):
      assert words in text[text.lower().index("not known") if text is PAGE
                           else text.index("Not published"):], words
  assert "pool size" in readme[readme.index("Not published"):]


def test_the_page_names_its_sources_and_configs():
  assert "arXiv 2412.11276" in PAGE and "arXiv 2312.05409" in PAGE
  assert "docs/method.md" in (ROOT / "configs/common.py").read_text()
  for name in re.findall(r"`((?:acc|ppg)_\w+)`", PAGE):
    assert (ROOT / f"configs/{name}.py").exists(), name
