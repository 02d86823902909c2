"""docs/augmentations.md tells the presets, and its figure can be drawn."""

import pathlib
import re
import runpy

import pytest

from accfm.signals import augment

DOCS = pathlib.Path(__file__).parents[2] / "docs"


def test_the_table_is_that_of_the_presets():
  lines = (DOCS / "augmentations.md").read_text().splitlines()
  table = {
      cells[1].strip(" `"): cells[3:7]
      for cells in (line.split("|") for line in lines) if len(cells) == 8
  }
  for name, fields in augment.FIELDS.items():
    strength, *probs = table[name]
    told = dict(re.findall(r"`(\w+)=([\d./]+)", strength))
    for field, value in told.items():
      number, _, divisor = value.partition("/")
      assert float(number) / float(divisor or 1) == fields[field]
    assert set(told) == set(fields) - {"together", "relative"}
    for kind, cell in zip(("ppg", "ecg", "acc"), probs, strict=True):
      prob = augment.PRESETS[kind][name]["prob"]
      assert float(cell.split()[0].replace("–", "0")) == prob


@pytest.mark.full
def test_the_figure_shows_every_operation(tmp_path):
  script = runpy.run_path(str(DOCS / "augmentations.py"))
  assert set(script["ROWS"]) == set(augment.OPERATIONS)
  script["draw_all"](tmp_path / "figure.png")
  assert (tmp_path / "figure.png").stat().st_size > 100_000
