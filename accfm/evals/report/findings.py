"""The first section of the report: what was found, rivals beside it."""

from collections.abc import Mapping, Sequence
from typing import Any

from accfm.evals.results import notes, verdict, words
from accfm.evals.results.figures import Figures
from accfm.evals.results.section import (
  Cell,
  Folded,
  Line,
  Section,
  Sentences,
  Table,
  number_cell,
)
from accfm.evals.results.verdict import Verdict


def describe(figures: Figures, facts: Mapping[str, Any]) -> list[Section]:
  """The section "What this shows", [] where nothing was compared.

  Args:
    figures: of the evaluation.
    facts: of the run (`facts.describe_run`).
  """
  found = verdict.find_verdicts(figures, (facts["student"], facts["teacher"]))
  if not found:
    return []
  whole = [v for v in found if v.score.share == 1.0]
  return [Section("What this shows", (
      "Each score beside the best row that learns no encoder and, where it is "
      "another one, the best baseline of all. Differences are paired: both "
      f"are scored on the same people. {verdict.CHOICE}" + (
          "" if any(v.ceiling is not None for v in found) else
          f" There is no ceiling to compare with: {notes.no_ceiling(facts)}.")
  ), [
      Sentences([(v.title, verdict.say(v), verdict.look(v)) for v in whole]),
      Folded("The figures of these differences", [
          _tabulate(found, any(v.ceiling is not None for v in found))]),
  ])]


def _tabulate(found: Sequence[Verdict], ceilings: bool) -> Table:
  """Scores, rivals and paired differences; positive ones are better."""
  kinds = [k for k in verdict.RANK if any(k in v.differences for v in found)]
  lines = []
  for v in found:
    cells = [Cell(words.in_brackets(v.title, v.scale)),
             number_cell(v.score, v.digits, own=True)]
    for kind in kinds:
      one = v.differences.get(kind)
      if one is None:
        cells += [Cell(words.DASH)] * 2
        continue
      value, low, high = verdict.better_by(one)
      cells += [
          Cell(words.number(verdict.rival_score(v, kind), v.digits),
               words.encoder(one.rival)),
          Cell(words.number(value, v.digits),
               words.interval(low, high, v.digits)),
      ]
    if ceilings:
      cells.append(number_cell(v.ceiling, v.digits))
    lines.append(Line(cells))
  heads = [x for kind in kinds for x in (verdict.RANK[kind], "better by")]
  return Table(
      ["", "this encoder", *heads, *(["ceiling"] if ceilings else [])], lines)
