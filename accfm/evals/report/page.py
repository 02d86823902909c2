"""Assembles `report.html`: one self-contained page, no scripts, no links."""

import json
import os
from collections.abc import Sequence
from typing import Any

from accfm.base import files
from accfm.evals.report import draw, findings
from accfm.evals.results import marks, notes, words
from accfm.evals.results.figures import Figures
from accfm.evals.results.section import Notice, Section

MOST_CARDS = 4


def draw_report(
    path: str | os.PathLike, facts: dict[str, Any], figures: Figures,
    sections: Sequence[Section], taught: bool,
) -> None:
  """Writes the page.

  Args:
    path: the file.
    facts: of the run (`facts.describe_run`).
    figures: all of them, for the list at the end.
    sections: what the evaluators describe, in order.
    taught: whether the checkpoint holds the encoder that taught this one.
  """
  what = f"{words.signal(facts['student'])} encoder"
  what = what[0].upper() + what[1:]
  if taught:
    what += f", taught by {words.signal(facts['teacher'])}"
  notices = [n for section in sections for n in section.notices]
  told = marks.describe(marks.count(facts))
  notices = [
      *(Notice(fact, f": {follows}.")
        for fact, follows in notes.describe(facts)),
      *notices,
  ]
  missing: dict[str, list[str]] = {}
  for item in figures.missing():
    missing.setdefault(item["reason"], []).append(item["key"])
  split = facts["split"]
  files.write_atomic(path, draw.fill(
      "report.html", title=f"accfm: {facts['dataset']} / {split}",
      heading=what, facts=facts, windows=facts["windows"][split],
      people=facts["people"][split], notices=notices,
      unseen=not told and facts.get("kind") != "outside",
      cards=[c for s in sections for c in s.cards][:MOST_CARDS],
      sections=[
          *findings.describe(figures, facts),
          *sections], reasons=missing,
      missing=sum(map(len, missing.values())), values=figures.flat(),
      run=json.dumps(facts, indent=1),
  ))
