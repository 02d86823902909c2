"""What an evaluation prints at its end: a short table."""

from collections.abc import Sequence
from typing import Any

from accfm.evals.probes.describe import OF_RATES
from accfm.evals.probes.found import Target, find_targets
from accfm.evals.results import marks, notes, verdict, words
from accfm.evals.results.figures import CHANCE, TESTED, Figure, Figures

# The columns, from the left; demographics where a probe was given them.
COLUMNS = (TESTED, "mean", "features", "traced", "harmonic", "demographics",
           "envelope", "identity", CHANCE, "untrained")
# Where something has them.
OPTIONAL = ("traced", "harmonic", "demographics", "identity")
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
  there = {f.encoder for f in figures}
  columns = [c for c in (COLUMNS[0], *outside, *COLUMNS[1:])
             if c not in OPTIONAL or c in there]
  student, teacher = facts["student"], facts["teacher"]
  has_ceiling = any(teacher in t.scores for t in targets)
  heads = [*columns, *([CEILING] if has_ceiling else [])]
  widths = [max(2 + len(head), 8) for head in heads]
  lines = [
      f"{split}: {facts['windows'][split]} windows of "
      f"{facts['people'][split]} "
      + (f"people ({told.upper()})" if told else
         "people" if facts.get("kind") == "outside" else "unseen people"),
      *(f"{fact}: {follows}" for fact, follows in notes.describe_rest(facts)),
      f"{'':42}" + _in_columns(heads, widths),
  ]

  def line(name: str, values: Sequence[float | None], digits: int) -> None:
    if any(value is not None for value in values):
      lines.append(f"{name:42}" + _in_columns(
          [_number(v, digits) for v in values], widths))

  pair = student, teacher
  for a, b in (pair, pair[::-1]) if teacher else ():
    for pool in (*facts["pools"], "all"):
      about = Figure(split, "retrieval", measure="recall@1", pool=pool)
      line(f"recall@1 {a}->{b}, pool {pool}", [figures.value(
          about, encoder=c, subject="" if c == CHANCE else f"{a}2{b}",
      ) for c in columns], 3)
  for t in targets:
    rows = [teacher if c == CEILING else c for c in heads]
    line(_title(t, figures), [
        None if (f := t.scores.get(row)) is None else f.value for row in rows
    ], 2)
    for measure, (title, unit) in OF_RATES.items():
      line(f"  {words.in_brackets(title, unit)}", [
          figures.value(t.about, encoder=row, measure=measure, unit=unit)
          if row != CHANCE else None for row in rows
      ] if t.about.unit == "bpm" else (), 2)
  if targets and not has_ceiling:
    lines.append("no ceiling: the checkpoint has no encoder of another signal "
                 "to probe")
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


def _in_columns(texts: Sequence[str], widths: Sequence[int]) -> str:
  """Texts at the right of columns; there may be fewer than columns."""
  return "".join(
      f"{text:>{width}}" for text, width in zip(texts, widths, strict=False))


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
