"""Direct predictions: what a supervised model says, on the probes' segments.

Its predictor was trained with the encoder, so nothing is fitted or chosen
here: the threshold of two classes is log-odds 0. Labels of a segment are
scored segment by segment, a person's traits by the mean output over that
person's segments.
"""

import functools

import numpy as np
from ml_collections import ConfigDict

from accfm.evals.inputs import Inputs
from accfm.evals.probes import describe, measures, roles
from accfm.evals.results.figures import TESTED, Figure, Figures
from accfm.evals.results.outcome import Outcome, Predictions
from accfm.evals.results.words import split_unit
from accfm.evals.stats import intervals
from accfm.evals.stats import people as stats
from accfm.signals.targets import Target

LEAD = (
    "What the checkpoint's own predictor says of these people, without a "
    "probe. Numbers are mean absolute errors, lower is better; for two "
    "classes the area under the ROC curve, for more the accuracy."
)


def score_direct(
    data: Inputs, cfg: ConfigDict, figures: Figures
) -> Outcome:
  """Adds the scores of every target of the checkpoint's predictor.

  Args:
    data: what is measured; uses `outputs`, `targets`, `table`.
    cfg: `bootstrap_draws`, `seed`, `min_people`, `min_class`.
    figures: to add to.
  """
  if data.outputs is None:
    return Outcome()
  at, found = 0, []
  for target in data.targets:
    outputs = data.outputs[:, at:at + target.outputs]
    at += target.outputs
    found += _score_target(target, outputs, data, cfg, figures)
  return Outcome(
      functools.partial(
          describe.describe_targets, "Direct predictions", LEAD, "direct", cfg,
          figures, found,
      ), predictions=found,
  )


def _score_target(
    target: Target, outputs: np.ndarray, data: Inputs, cfg: ConfigDict,
    figures: Figures,
) -> list[Predictions]:
  """Adds the scores of one target; outputs: [N, O].

  Returns:
    Its Predictions, none where not evaluable.
  """
  name, unit = split_unit(target.task)
  about = Figure(data.split, "direct", subject=name)
  measure = _first_measure(target)
  first = {"measure": measure, "unit": unit if measure == "mae" else "",
           "headline": True}
  if target.column not in data.table:
    figures.skip(about, "the data set has no such label", **first)
    return []
  y = data.table[target.column]
  keys = {c: data.table[c] for c in ("participant", "session", "start_s")}
  if target.column.startswith("attributes/"):
    y, outputs, people = _per_person(y, outputs, keys["participant"])
    keys = {"participant": people}
  p = target.decode(outputs)
  y = target.encode(y) if target.classes else y
  known = np.isfinite(y)
  y, p = y[known].astype(np.float64), p[known]
  keys = {c: v[known] for c, v in keys.items()}
  people = keys["participant"]
  count = len(np.unique(people))
  figures.add(about, count, measure="people")
  if target.column.startswith("labels/"):
    figures.add(about, len(y), measure="windows")
  if count < cfg.min_people or (
      len(target.classes) == 2 and len(np.unique(y)) < 2):
    figures.skip(
        about, f"{len(y)} labels of {count} people to test, want "
        f"{cfg.min_people} people or more, and both of two classes", **first)
    return []
  counts = roles.class_people(
      people, y, len(target.classes), np.ones(len(y), bool))
  if measure == "auc" and counts.min() < cfg.min_class:
    figures.skip(
        about, f"{counts.min()} people of the rarer class to test, want at "
        f"least {cfg.min_class}", **first)
    return []
  crowd = stats.People(people, cfg.bootstrap_draws, cfg.seed)
  found = []
  if measure == "auc":
    found = measures.of_order(crowd, y, [p[:, None]])
  elif measure == "accuracy":
    right = np.stack([y == p, np.ones(len(y))], 1).astype(np.float64)
    figures.add(about, crowd.estimate(
        crowd.sums(right), stats.ratio, intervals.SHARE), **first)
  if target.classes and not counts.min():
    figures.skip(about, "no row of one class to test",
                 measure="balanced_accuracy")
  elif target.classes:
    chosen = p if measure == "accuracy" else p > 0
    found += measures.of_decisions(crowd, y, [chosen], len(target.classes))
  else:
    found = measures.of_number(crowd, y, [p], unit)
  for one in found:
    figures.add(about, one.estimate, measure=one.measure, unit=one.unit,
                headline=one.measure == measure)
  shown = {"auc": "log_odds", "accuracy": "class"}.get(measure, unit)
  return [Predictions(name, shown, keys, y, {TESTED: p}, "direct")]


def _first_measure(target: Target) -> str:
  """The name of a target's first score."""
  if len(target.classes) == 2:
    return "auc"
  return "accuracy" if target.classes else "mae"


def _per_person(
    y: np.ndarray, outputs: np.ndarray, people: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """First label [P], mean outputs [P, O] and name of each person."""
  names, first, index = np.unique(
      people, return_index=True, return_inverse=True
  )
  sums = np.stack([np.bincount(index, column) for column in outputs.T], 1)
  return y[first], sums / np.bincount(index)[:, None], names
