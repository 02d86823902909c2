"""`comparison.html`: several encoders on the same people, side by side.

Two intervals that overlap may hide a clear difference. So beside the scores
stand the differences, both encoders scored on the same people.
"""

import itertools
import os
from collections.abc import Mapping, Sequence
from typing import Any

from accfm.base import files
from accfm.evals.probes import describe_shares
from accfm.evals.report import draw, plots
from accfm.evals.results import marks, verdict, words
from accfm.evals.results.section import (
  Cell,
  Folded,
  Line,
  Notice,
  Plot,
  Section,
  Sentences,
  Table,
  find_best,
  number_cell,
)
from accfm.evals.stats.people import Estimate

MOST_PAIRS = 6  # in a drawing; tables have all
DIRECT = ", direct"
NO_RIVAL = (
    "A ceiling reads another signal than the distilled run and is no rival."
)
Facts = Mapping[str, Mapping[str, Any]]


def draw_comparison(
    path: str | os.PathLike, comparison: Mapping[str, Any]
) -> None:
  """Writes the page.

  Args:
    path: the file.
    comparison: as `checkpoints.tabulate_runs`. A run that lacks a task is
      left out of it; an end of an interval that could not be evaluated is
      None. A run's facts may hold its "label_fraction".
  """
  runs, facts = comparison["runs"], comparison["facts"]
  colors = {
      run: plots.PALETTE[i % len(plots.PALETTE)] for i, run in enumerate(runs)
  }
  tasks = [_Task(part, runs) for part in comparison["tasks"].values()]
  tasks = [t for t in tasks if t.scores]
  whole = [t for t in tasks if t.share == 1.0]
  recalls = [_Recall(part, runs) for part in comparison["retrieval"].values()]
  recalls = [r for r in recalls if r.scores]
  found = [*recalls, *whole]
  notices = _seen(facts)
  if not found:
    notices.append(Notice(
        "Nothing could be compared", ": the metrics.json of each run says "
        "why.", loud=False))
  sections = [
      *_overview(found, runs, find_ceilings(facts)),
      *_verdicts(comparison.get("verdicts") or {}),
      *_drawn("Retrieval", (
          "From one signal of a minute, find the other signal of the same "
          "minute: the share found first."), _first_pool(recalls), runs,
          colors),
      *_drawn("Labels", (
          "One linear model on each frozen embedding: left each encoder's "
          "score, right the difference of two."), whole, runs, colors),
      *_labels(tasks, facts, colors),
      *_differences([*recalls, *tasks], runs),
  ]
  heading = f"{len(runs)} encoders compared"
  files.write_atomic(path, draw.fill(
      "comparison.html", title=f"accfm: {heading}", heading=heading,
      **_whose(facts), notices=notices, sections=sections, runs=_runs(facts),
  ))


def find_ceilings(facts: Facts) -> list[str]:
  """Runs of another signal than distilled runs: no rivals, they see more."""
  distilled = {
      about.get("student") for about in facts.values()
      if about.get("kind") == "distill"
  }
  return [run for run, about in facts.items()
          if distilled and about.get("student") not in distilled]


def _verdicts(
    verdicts: Mapping[str, Sequence[Sequence[str]]]
) -> list[Section]:
  """What each run shows beside its own rivals."""
  told = {run: one for run, one in verdicts.items() if one}
  return [Section(f"What {run} shows", verdict.CHOICE, [
      Sentences([(title, said, look) for title, said, look in one])
  ]) for run, one in told.items()]


class _Part:
  """What runs are compared by: a task, or a direction and pool of retrieval.

  Attributes:
    title: text.
    scale: what the scores are in.
    axis: what an axis of scores is called.
    better: 1 where more is better, else -1.
    digits: to print.
    scores: run -> score; differences: (run, run) -> score.
  """

  title = scale = axis = ""
  better = 1
  digits = 2

  def __init__(self, part: Mapping[str, Any], runs: Sequence[str]):
    self.scores = {
        run: Estimate(*part["errors"][run]) for run in runs
        if part["errors"].get(run) and part["errors"][run][0] is not None
    }
    given = part["differences"]
    self.differences = {
        (a, b): Estimate(*given[f"{a} minus {b}"])
        for a, b in itertools.permutations(runs, 2)
        if given.get(f"{a} minus {b}")
        and given[f"{a} minus {b}"][0] is not None
    }

  @property
  def name(self) -> str:
    """The title with what the scores are in."""
    return words.in_brackets(self.title, self.scale)

  def drawn(self, runs: Sequence[str]) -> dict[tuple[str, str], Estimate]:
    """The differences to draw: all; where there are many, to the first run."""
    if len(self.differences) <= MOST_PAIRS:
      return self.differences
    return {p: s for p, s in self.differences.items() if runs[0] in p}


class _Task(_Part):
  """A target, predicted by probes or directly, on a share of the labels."""

  def __init__(self, part: Mapping[str, Any], runs: Sequence[str]):
    super().__init__(part, runs)
    self.target, self.share = part["target"], part["share"]
    self.direct = part["evaluator"] == "direct"
    self.scale = words.scale(part["measure"], part["unit"])
    self.title = words.target(self.target, self.scale, self.share)
    if self.direct:
      self.title += verdict.DIRECTLY
    self.axis = self.scale
    if part["measure"] == "mae":
      self.better, self.axis = -1, words.in_brackets("error", self.scale)


class _Recall(_Part):
  """One direction and pool of retrieval."""

  digits = 3

  def __init__(self, part: Mapping[str, Any], runs: Sequence[str]):
    super().__init__(part, runs)
    self.pool, self.axis = part["pool"], part["measure"]
    arrow = words.arrow((part["query"], part["answer"]))
    self.title = f"{arrow}, {words.among(self.pool)}"


def _whose(facts: Facts) -> dict[str, str]:
  """Whose minutes these are, for the head of the page."""
  about = next(iter(facts.values()), {})
  split = about.get("split", "")
  counts = [about.get(k, {}).get(split) for k in ("windows", "people")]
  known = all(isinstance(c, int) for c in counts)
  return {
      "counts": f"{counts[0]:,} windows of {counts[1]:,} people" if (
          known) else "",
      "where": f"{about['dataset']} / {split}" if "dataset" in about else "",
  }


def _seen(facts: Facts) -> list[Notice]:
  """A warning of people who may have shaped the encoders."""
  note = marks.note({run: marks.count(about) for run, about in facts.items()})
  return [] if note is None else [Notice(note[0], f": {note[1]}.")]


def _overview(
    parts: Sequence[_Part], runs: Sequence[str], ceilings: Sequence[str]
) -> list[Section]:
  """All scores: what was measured by runs, the best of each in bold."""
  if not parts:
    return []
  runs = [r for r in runs if any(r in p.scores for p in parts)]
  lines = []
  for p in parts:
    best = find_best(p.scores, p.better < 0, ceilings)
    lines.append(Line([
        Cell(p.name), *(number_cell(p.scores.get(r), p.digits, main=r in best)
                        for r in runs)]))
  return [Section("Scores", (
      "Of retrieval the share found first, of numbers the mean absolute "
      "error, of classes the area under the ROC curve unless said otherwise. "
      f"The best of each line is bold. {NO_RIVAL}"
  ), [Table(["", *(
      f"{r} (ceiling)" if r in ceilings else r for r in runs)], lines)])]


def _drawn(
    title: str, text: str, parts: Sequence[_Part], runs: Sequence[str],
    colors: Mapping[str, str],
) -> list[Section]:
  """A forest plot for each part."""
  out = []
  for part in parts:
    shown = part.drawn(runs)
    less = len(part.differences) - len(shown)
    out.append(Plot("forest", {
        "title": part.title, "scores": part.scores, "differences": shown,
        "axis": part.axis, "better": part.better, "colors": colors,
    }, f"Differences to {runs[0]}; the table has {less} more." if less else "",
        title=part.title))
  return [Section(title, (
      text + " A filled point in the colour of the better encoder: the "
      "interval leaves out 0. Hollow and grey: no difference was shown."
  ), out)] if out else []


def _first_pool(parts: Sequence[_Recall]) -> list[_Recall]:
  """Of retrieval, the parts of the first pool size that is a number."""
  sizes = [p.pool for p in parts if p.pool != "all"] or ["all"]
  return [p for p in parts if p.pool == sizes[0]]


def _labels(
    tasks: Sequence[_Task], facts: Facts, colors: Mapping[str, str]
) -> list[Section]:
  """Errors by share of labelled people, one line a run.

  What a supervised run predicts directly is a point, at the share of people
  that it was trained on, where its facts say that.
  """
  by_target: dict[str, dict[str, dict[float, Estimate]]] = {}
  scales, looks = {}, {}
  for task in tasks:
    for run, score in task.scores.items():
      share, name = task.share, run
      if task.direct:
        share, name = facts[run].get("label_fraction"), f"{run}{DIRECT}"
      if share is not None:
        lines = by_target.setdefault(task.target, {})
        lines.setdefault(name, {})[share] = score
        scales.setdefault(task.target, task.scale)
        looks[name] = colors[run]
  curves = []
  for target, lines in by_target.items():
    shares = sorted({share for by in lines.values() for share in by})
    if len(shares) > 1:
      curves.append(describe_shares.LabelCurve(
          words.target(target, scales[target]), scales[target], shares, {},
          {}, lines))
  if not curves:
    return []
  names = {name: name for name in looks}
  return [Section("Fewer labels", (
      "The same tasks, fitted on a share of the labelled people. A diamond is "
      "an encoder that has one share alone, as one that was trained on labels."
  ), [Plot("label_curves", {
      "panels": curves, "names": names, "colors": looks,
  }, (
      "Error by the share of labelled people. Band and whiskers are 95 % "
      "intervals over the people scored."
  )), describe_shares.table_of_curves(curves, names)])]


def _differences(
    parts: Sequence[_Part], runs: Sequence[str]
) -> list[Section]:
  """All paired differences, folded."""
  pairs = [
      (a, b) for a, b in itertools.permutations(runs, 2)
      if any((a, b) in p.differences for p in parts)
  ]
  if not pairs:
    return []
  lines = [Line([
      Cell(p.name), *(number_cell(p.differences.get(pair), p.digits)
                      for pair in pairs),
  ]) for p in parts if p.differences]
  heads = [f"{a} \u2212 {b}" for a, b in pairs]
  return [Section("Details", "", [
      Folded("All paired differences", [Table(["", *heads], lines)])])]


def _runs(facts: Facts) -> Folded | None:
  """What each run is: a column a run, a line for what can be said in words."""
  plain = {
      run: {k: v for k, v in about.items()
            if isinstance(v, (str, int, float)) and v != ""}
      for run, about in facts.items()
  }
  names = list(dict.fromkeys(k for about in plain.values() for k in about))
  if not names:
    return None
  return Folded("The runs", [Table(["", *plain], [Line([
      Cell(name.replace("_", " ")),
      *(Cell(str(about.get(name, words.DASH))) for about in plain.values()),
  ]) for name in names])])
