"""`comparison.html`: several encoders on the same people, side by side.

Two intervals that overlap may hide a difference that is plain; so beside the
scores stand the differences, both encoders scored on the same draws of
people.
"""

import itertools

from accfm.base import files
from accfm.evals.compare import forest
from accfm.evals.compare import paired as compare
from accfm.evals.report import markup, plots, probe_plots, readings, tables

MOST_PAIRS = 6  # in a drawing; tables have all
LESS_IS_BETTER = "mae"
DIRECT = ", direct"


def write(path, comparison):
  """Writes the page.

  Args:
    path: the file.
    comparison: plain data {"runs": [names], "tasks": {task: part},
      "retrieval": {"acc2ppg/recall@1_pool256": part}, "facts": {run: facts}}
      with a part {"measure": "mae", "auc", ... , "unit": text, "errors":
      {run: [value, low, high]}, "differences": {"a minus b": [value, low,
      high]}}; a run that lacks a task is left out of it, an end of an
      interval that could not be evaluated is None. Retrieval may name its
      scores "values", and what is not of one run stand under "meta". A
      run's facts may hold its "label_fraction".
  """
  runs = comparison["runs"]
  colors = {
      run: plots.PALETTE[i % len(plots.PALETTE)] for i, run in enumerate(runs)
  }
  parts = [_Part(k, v, runs) for k, v in comparison["tasks"].items()]
  whole = [p for p in parts if p.share == 1.0 and p.scores]
  found = [
      _Part(k, v, runs, way=True)
      for k, v in comparison.get("retrieval", {}).items()
  ]
  found = [p for p in found if p.scores]
  files.write_atomic(path, markup.document(
      f"accfm: {len(runs)} encoders compared", filter(None, (
          _header(comparison),
          _overview(found + whole, runs),
          _drawn("Retrieval", (
              "From one signal of a minute, find the other signal of the same "
              "minute: the share found first."), _first_pool(found), runs,
              colors),
          _drawn("Labels", (
              "One linear model on each frozen embedding: left each encoder's "
              "score, right the difference of two."), whole, runs, colors),
          _labels(parts, comparison.get("facts", {}), colors),
          _differences(found + [p for p in parts if p.scores], runs),
          _facts(comparison),
      ))
  ))


class _Part:
  """One task, or one direction and pool of retrieval.

  Attributes:
    title: text; base, share: the task and its share of labels.
    axis: what the scores are; better: 1 where more is better, else -1.
    scores: run -> Score; differences: (run, run) -> Score.
    digits: to print.
  """

  def __init__(self, key, part, runs, way=False):
    self.key, self.base, self.share, self.unit = key, key, 1.0, ""
    measure = part.get("measure", "recall@1" if way else LESS_IS_BETTER)
    self.better = -1 if measure == LESS_IS_BETTER else 1
    if way:
      direction, _, tail = key.partition("/")
      measure, _, self.pool = tail.partition("_pool")
      pair = direction.split("2", 1)
      self.title = f"{tables.arrow(pair)}, {tables.among(self.pool)}"
      self.axis, self.digits = measure, 3
    else:
      self.base, self.share = readings.split_share(key)
      self.unit = part.get("unit") or (
          "AUC" if measure == "auc" else
          "" if measure == LESS_IS_BETTER else measure)
      self.title = readings.task_title(key, self.unit)
      self.axis = self.unit
      if self.better < 0:
        self.axis = f"error ({self.unit})" if self.unit else "error"
      self.digits = 2
    found = part.get("errors", part.get("values", {}))
    self.scores = {
        run: readings.Score(*found[run]) for run in runs
        if found.get(run) and found[run][0] is not None
    }
    given = part.get("differences", {})
    self.differences = {
        (a, b): readings.Score(*given[f"{a} minus {b}"])
        for a, b in itertools.permutations(runs, 2)
        if given.get(f"{a} minus {b}")
        and given[f"{a} minus {b}"][0] is not None
    }

  @property
  def best(self):
    """The run that scored best."""
    return max(self.scores, key=lambda r: self.better * self.scores[r].value)

  @property
  def name(self):
    """The title with the unit."""
    return f"{self.title} ({self.unit})" if self.unit else self.title

  def drawn(self, runs):
    """The differences to draw: all, or where they are many, to the first."""
    if len(self.differences) <= MOST_PAIRS:
      return self.differences
    return {p: s for p, s in self.differences.items() if runs[0] in p}


def _header(comparison):
  """Title, and whose minutes these are."""
  runs = comparison["runs"]
  about = next(iter(comparison.get("facts", {}).values()), None) or (
      comparison.get("meta", {}))
  split, text = about.get("split", ""), ""
  counts = [about.get(k) for k in ("windows", "people")]
  counts = [c.get(split) if isinstance(c, dict) else c for c in counts]
  if all(isinstance(c, int) for c in counts):
    text += f"{counts[0]:,} windows of {counts[1]:,} people"
  if about.get("dataset"):
    where = markup.escape(f"{about['dataset']} / {split}".rstrip(" /"))
    text += f" in <i>{where}</i>"
  text += ". " if text else ""
  return (
      f"<h1>{len(runs)} encoders compared</h1><p class=lede>{text}Intervals "
      "are 95 %, over people, who are drawn once for both sides of a "
      "difference.</p>" + _seen(comparison.get("facts", {}))
  )


def _seen(facts):
  """A warning of people whom runs were trained on."""
  note = compare.seen_note(
      {run: len(about.get("seen") or ()) for run, about in facts.items()})
  if note is None:
    return ""
  return markup.warning(note[0], f": {note[1]}.", loud=True)


def _overview(parts, runs):
  """All scores: what was measured by runs, the best of each in bold."""
  if not parts:
    return markup.warning(
        "Nothing could be compared", ": the metrics.json of each run says "
        "why.")
  runs = [r for r in runs if any(r in p.scores for p in parts)]
  lines = [markup.row([
      markup.td(markup.escape(p.name)),
      *(tables.score(p.scores.get(r), p.digits, main=r == p.best)
        for r in runs),
  ]) for p in parts]
  return markup.section("Scores", (
      "Of retrieval the share found first, of numbers the mean absolute "
      "error, of classes the area under the ROC curve unless said otherwise. "
      "The best of each line is bold."
  ), markup.table(["", *runs], lines))


def _drawn(title, text, parts, runs, colors):
  """A forest plot for each part."""
  if not parts:
    return ""
  out = []
  for part in parts:
    shown = part.drawn(runs)
    svg = forest.forest(
        part.title, part.scores, shown, part.axis, part.better, colors)
    less = len(part.differences) - len(shown)
    caption = f"Differences to {runs[0]}; the table has {less} more." if (
        less) else ""
    out.append(f"<h3>{markup.escape(part.title)}</h3>"
               + markup.figure(svg, caption))
  return markup.section(title, (
      text + " A filled point in the colour of the better encoder: the "
      "interval leaves out 0. Hollow and grey: no difference was shown."
  ), *out)


def _first_pool(parts):
  """Of retrieval, the parts of the first pool size that is a number."""
  pools = [p.pool for p in parts if p.pool != "all"] or ["all"]
  return [p for p in parts if p.pool == pools[0]]


def _labels(parts, facts, colors):
  """Errors by share of labelled people, one line a run.

  What a supervised run predicts directly is a point, at the share of people
  that it was trained on, where its facts say that.
  """
  by_task, curves = {}, []
  for part in parts:
    one = by_task.setdefault(part.base.removeprefix("direct_"), {})
    for run, s in part.scores.items():
      share, name = part.share, run
      if part.base.startswith("direct_"):
        share, name = facts.get(run, {}).get("label_fraction"), f"{run}{DIRECT}"
      if share is not None:
        one.setdefault(name, {})[share] = s
        one.setdefault("", set()).add((share, part.unit))
  for base, rows in by_task.items():
    shares = sorted({share for share, _ in rows.get("", ())})
    if len(shares) > 1:
      (_, unit), *_ = rows.pop("")
      curves.append(readings.LabelCurve(
          base, readings.task_title(base, unit), unit, shares, {}, {}, rows))
  if not curves:
    return ""
  svg = probe_plots.label_curves(
      curves, lambda run: dict(color=colors[run.removesuffix(DIRECT)], lw=1.6),
      str,
  )
  return markup.section("Fewer labels", (
      "The same tasks, fitted on a share of the labelled people. A diamond is "
      "an encoder that has one share alone, as one that was trained on labels."
  ), markup.figure(svg, (
      "Error by the share of labelled people. Band and whiskers are 95 % "
      "intervals over the people scored."
  )), tables.label_curves(curves, str))


def _differences(parts, runs):
  """All paired differences, folded."""
  pairs = [
      (a, b) for a, b in itertools.permutations(runs, 2)
      if any((a, b) in p.differences for p in parts)
  ]
  if not pairs:
    return ""
  lines = [markup.row([
      markup.td(markup.escape(p.name)),
      *(tables.score(p.differences.get(pair), p.digits) for pair in pairs),
  ]) for p in parts if p.differences]
  heads = [f"{a} \u2212 {b}" for a, b in pairs]
  return markup.section("Details", "", markup.details(
      "All paired differences", markup.table(["", *heads], lines)))


def _facts(comparison):
  """What each run is: one line a run, a column for what differs in words."""
  facts = comparison.get("facts", {})
  plain = {
      run: {k: v for k, v in about.items()
            if isinstance(v, (str, int, float)) and v != ""}
      for run, about in facts.items()
  }
  heads = list(dict.fromkeys(k for about in plain.values() for k in about))
  if not heads:
    return ""
  lines = [markup.row([
      markup.td(markup.escape(h.replace("_", " "))),
      *(markup.td(markup.escape(str(about.get(h, "\u2013"))))
        for about in plain.values()),
  ]) for h in heads]
  return markup.details("The runs", markup.table(["", *plain], lines))
