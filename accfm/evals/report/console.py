"""What an evaluation prints at its end: a short table."""

from collections.abc import Sequence
from typing import Any

from accfm.evals.probes.describe import Target, find_targets
from accfm.evals.results import marks, words
from accfm.evals.results.figures import CHANCE, TESTED, Figure, Figures

# The columns, from the left; demographics where a probe was given them.
COLUMNS = (TESTED, "mean", "untrained", "features", "demographics",
           "envelope", CHANCE)


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
  columns = [c for c in COLUMNS if c != "demographics" or any(
      "demographics" in t.scores for t in targets)]
  width = 2 + max(map(len, columns))
  lines = [
      f"{split}: {facts['windows'][split]} windows of "
      f"{facts['people'][split]} "
      + (f"people ({told.upper()})" if told else "unseen people"),
      f"{'':42}" + "".join(f"{c:>{width}}" for c in columns),
  ]

  def line(name: str, values: Sequence[float | None], digits: int) -> None:
    if any(value is not None for value in values):
      lines.append(f"{name:42}" + "".join(
          f"{_number(v, digits):>{width}}" for v in values))

  pair = facts["student"], facts["teacher"]
  for a, b in (pair, pair[::-1]) if facts["teacher"] else ():
    for pool in (*facts["pools"], "all"):
      about = Figure(split, "retrieval", measure="recall@1", pool=pool)
      line(f"recall@1 {a}->{b}, pool {pool}", [figures.value(
          about, encoder=c, subject="" if c == CHANCE else f"{a}2{b}",
      ) for c in columns], 3)
  for t in targets:
    line(_title(t, figures), [
        None if (f := t.scores.get(c)) is None else f.value
        for c in columns if c != CHANCE
    ], 2)
  if figures.value(Figure(split, "health"), measure="collapsed"):
    lines.append("THE EMBEDDING HAS COLLAPSED: it uses next to no dimensions")
  missing = figures.missing()
  if missing:
    lines.append(
        f"not evaluable: {len(missing)} figures, e.g. "
        f"{missing[0]['key']}: {missing[0]['reason']}"
    )
  return lines


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
