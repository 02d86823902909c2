"""What an evaluation prints at its end: a short table."""

from collections.abc import Mapping, Sequence
from typing import Any

from accfm.evals.probes.describe import OF_RATES
from accfm.evals.probes.found import Target, find_targets
from accfm.evals.results import marks, notes, verdict, words
from accfm.evals.results.figures import CHANCE, TESTED, Figure, Figures

# The columns, from the left, where something has them.
COLUMNS = (TESTED, "mean", "features", "traced", "harmonic", "demographics",
           "envelope", "identity", CHANCE, "untrained")
CEILING = "ceiling"


def make_lines(figures: Figures, facts: dict[str, Any]) -> list[str]:
  """What was found, beside what needs no learning.

  Args:
    figures: of the evaluation.
    facts: `facts.describe_run`; `split`, `windows`, `people` and
      the marks (`marks.MARKS`).

  Returns:
    Lines of text.
  """
  split, told = facts["split"], marks.describe(marks.count(facts), "people")
  targets = find_targets(figures, "probe", "direct")
  outside = [
      one["row"] for one in facts.get("outside") or ()
      if one["row"] != facts.get("row")
  ]
  student, teacher = facts["student"], facts["teacher"]
  pair = student, teacher
  recalls, scores = _Lines(), _Lines()
  for a, b in (pair, pair[::-1]) if teacher else ():
    for pool in (*facts["pools"], "all"):
      about = Figure(split, "retrieval", measure="recall@1", pool=pool)
      recalls.add(f"recall@1 {a}->{b}, pool {pool}", {c: figures.value(
          about, encoder=c, subject="" if c == CHANCE else f"{a}2{b}",
      ) for c in (COLUMNS[0], *outside, *COLUMNS[1:])}, 3)
  for t in targets:
    rows = {CEILING if e == teacher else e: e for e in t.scores}
    scores.add(_title(t, figures), {
        column: t.scores[row].value for column, row in rows.items()}, 2)
    for measure, (title, unit) in OF_RATES.items():
      scores.add(f"  {words.in_brackets(title, unit)}", {
          column: figures.value(
              t.about, encoder=row, measure=measure, unit=unit)
          for column, row in rows.items()
      } if t.about.unit == "bpm" else {}, 2)
  order = (COLUMNS[0], *outside, *COLUMNS[1:], CEILING)
  has_ceiling = any(teacher in t.scores for t in targets)
  lines = [
      f"{split}: {facts['windows'][split]} windows of "
      f"{facts['people'][split]} "
      + (f"people ({told.upper()})" if told else
         "people" if facts.get("kind") == "outside" else "unseen people"),
      *(f"{fact}: {follows}" for fact, follows in notes.describe_rest(facts)),
      *recalls.table(order), *scores.table(order),
  ]
  if targets and not has_ceiling:
    lines.append(f"no ceiling: {notes.no_ceiling(facts)}")
  found = verdict.find_verdicts(figures, pair)
  lines += [f"{v.title}: {verdict.say(v)}" for v in found
            if v.score.share == 1.0]
  if found:
    lines.append(verdict.CHOICE)
  if figures.value(Figure(split, "health"), measure="collapsed"):
    lines.append("THE EMBEDDING HAS COLLAPSED: it uses next to no dimensions")
  missing = figures.missing()
  if missing:
    lines.append(
        f"not evaluable: {len(missing)} figures, e.g. "
        f"{missing[0]['key']}: {missing[0]['reason']}"
    )
  return lines


class _Lines:
  """Lines of a table whose columns are those that some line has."""

  def __init__(self):
    self._lines: list[tuple[str, dict[str, float], int]] = []

  def add(
      self, name: str, values: Mapping[str, float | None], digits: int
  ) -> None:
    """Adds a line, unless it has no value."""
    known = {c: v for c, v in values.items() if v is not None}
    if known:
      self._lines.append((name, known, digits))

  def table(self, order: Sequence[str]) -> list[str]:
    """The lines as text under their columns' names; [] without any."""
    there = {column for _, known, _ in self._lines for column in known}
    columns = [c for c in order if c in there]
    if not columns:
      return []
    rows = [("", columns), *(
        (name, [_number(known.get(c), digits) for c in columns])
        for name, known, digits in self._lines
    )]
    widths = [max(2 + len(c), 8) for c in columns]
    return [f"{name:42}" + "".join(
        f"{text:>{width}}" for text, width in zip(texts, widths, strict=True)
    ) for name, texts in rows]


def _title(target: Target, figures: Figures) -> str:
  """`HR error, bpm (n=36)`, `sex AUC`."""
  name = f"{target.title} {target.scale}"
  if target.about.measure == "mae":
    name = f"{target.title} error" + (
        f", {target.scale}" if target.scale else "")
  count = figures.value(target.about, measure="windows", unit="")
  return name + (f" (n={count:.0f})" if count is not None else "")


def _number(value: float | None, digits: int) -> str:
  """A value for a table: a dash where there is none."""
  return words.DASH if value is None else f"{value:.{digits}f}"
