"""Direct predictions: what a supervised model says, on the probes' windows.

Its predictor was trained with the encoder, so nothing is fitted or chosen
here: the threshold of two classes is log-odds 0. Labels of a window are scored
window by window; a person's traits by the mean output over that person's
windows.
"""

import numpy as np

from accfm.evals.probes import roles, tasks
from accfm.evals.probes import run as probe
from accfm.evals.stats import bootstrap as stats
from accfm.evals.stats import scores


def run(data, cfg, metrics):
  """Adds the scores of every target of the checkpoint's predictor.

  Args:
    data: `inputs.Inputs`.
    cfg: `bootstrap_draws`, `seed`, `min_people`, `min_class`.
    metrics: `stats.Metrics` to add to.

  Returns:
    List of `probe.Predictions`, tasks named `direct_<task>`.
  """
  if data.outputs is None:
    return []
  at, out = 0, []
  for target in data.targets:
    outputs = data.outputs[:, at:at + target.outputs]
    at += target.outputs
    task, unit = tasks.task_and_unit(target.task)
    name = f"{data.split}/direct_{task}"
    measure = _measure(target, unit)
    if target.column not in data.table:
      metrics.skip(f"{name}/{measure}", "the data set has no such label")
      continue
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
    metrics.add(f"{name}/people", len(np.unique(people)))
    if target.column.startswith("labels/"):
      metrics.add(f"{name}/windows", len(y))
    few = len(np.unique(people)) < cfg.min_people
    if few or (len(target.classes) == 2 and len(np.unique(y)) < 2):
      metrics.skip(
          f"{name}/{measure}",
          f"{len(y)} labels of {len(np.unique(people))} people to test, want "
          f"{cfg.min_people} people or more, and both of two classes",
      )
      continue
    counts = roles.class_people(
        people, y, len(target.classes), np.ones(len(y), bool))
    if measure == "auc" and counts.min() < cfg.min_class:
      metrics.skip(
          f"{name}/auc",
          f"{counts.min()} people of the rarer class to test, want at least "
          f"{cfg.min_class}",
      )
      continue
    crowd = stats.People(people, cfg.bootstrap_draws, cfg.seed)
    if measure == "auc":
      metrics.add(f"{name}/auc", scores.auc(crowd, y, p))
      metrics.add(f"{name}/average_precision", crowd.weighted(
          scores.make_average_precision(crowd.index, y, p)))
    elif measure == "accuracy":
      right = np.stack([y == p, np.ones(len(y))], 1).astype(np.float64)
      metrics.add(
          f"{name}/accuracy", crowd.estimate(crowd.sums(right), stats.ratio)
      )
    if target.classes and not counts.min():
      metrics.skip(
          f"{name}/balanced_accuracy", "no row of one class to test")
    elif target.classes:
      chosen = p if measure == "accuracy" else p > 0
      sums = crowd.sums(scores.hits(y, chosen, len(target.classes)))
      metrics.add(
          f"{name}/balanced_accuracy",
          crowd.estimate(sums, scores.balanced_accuracy),
      )
    else:
      sums = crowd.sums(scores.moments(y, p))
      metrics.add(f"{name}/{measure}", crowd.estimate(sums, scores.mae))
      metrics.add(f"{name}/rmse{measure.removeprefix('mae')}",
                  crowd.estimate(sums, scores.rmse))
      metrics.add(f"{name}/r2", crowd.estimate(sums, scores.r2))
      metrics.add(f"{name}/pearson_r", crowd.estimate(sums, scores.pearson))
    shown = {"auc": "log_odds", "accuracy": "class"}.get(measure, unit)
    out.append(
        probe.Predictions(f"direct_{task}", shown, keys, y, {"": p})
    )
  return out


def _measure(target, unit):
  """The name of a target's first score."""
  if len(target.classes) == 2:
    return "auc"
  if target.classes:
    return "accuracy"
  return f"mae_{unit}" if unit else "mae"


def _per_person(y, outputs, people):
  """First label [P], mean outputs [P, O] and name of each person."""
  names, first, index = np.unique(
      people, return_index=True, return_inverse=True
  )
  sums = np.stack([np.bincount(index, column) for column in outputs.T], 1)
  return y[first], sums / np.bincount(index)[:, None], names
