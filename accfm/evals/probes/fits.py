"""Fits the probes of a Panel: every row, fold and draw, all tasks at once."""

import numpy as np

from accfm.evals.probes import logistic, ridge
from accfm.evals.probes import roles as roles_lib


def predict_numbers(panel, draws, tasks):
  """Ridge predictions of the tested rows.

  Args:
    panel: `panel.Panel`.
    draws: for each draw of labelled people a list of roles [N], one a fold.
    tasks: `tasks.Task`s of numbers.

  Returns:
    {task: {row: [[M], one a draw]}}.
  """
  out = {task.name: {} for task in tasks}
  for row, x, places in _given(panel, tasks):
    y = np.stack([tasks[k].y for k in places], axis=1)

    def fit(*parts, x=x, y=y):
      return ridge.predict(x, y, *parts).predicted

    found = [_folds(fit, draw) for draw in draws]
    for column, k in enumerate(places):
      out[tasks[k].name][row] = [f[:, column] for f in found]
  return out


def predict_classes(panel, draws, tasks):
  """As `predict_numbers`, for classes, by logistic regression.

  Returns:
    {task: {row: [logistic.Decided, one a draw]}}.
  """
  out = {task.name: {} for task in tasks}
  for row, x, places in _given(panel, tasks):
    if not x.shape[1]:
      continue  # nothing to rank by
    mine = [tasks[k] for k in places]
    y, sizes = [t.y for t in mine], [len(t.classes) for t in mine]

    def fit(*parts, x=x, y=y, sizes=sizes):
      found = logistic.predict(x, y, sizes, *parts)
      return np.column_stack([c for d in found for c in (d.odds, d.chosen)])

    found, at = [_folds(fit, draw) for draw in draws], 0
    for task, size in zip(mine, sizes, strict=True):
      width = 1 if size == 2 else size
      out[task.name][row] = [
          logistic.Decided(f[:, at:at + width], f[:, at + width])
          for f in found
      ]
      at += width + 1
  return out


def _given(panel, tasks):
  return panel.given([t.name for t in tasks]) if tasks else []


def _folds(predict, draw):
  """predict(fit, select, test) of each fold, put together: [tested rows, F].
  """
  tested, out = np.flatnonzero(roles_lib.tested(draw)), None
  for role in draw:
    parts = [role == r for r in (
        roles_lib.FIT, roles_lib.SELECT, roles_lib.TEST)]
    found = predict(*parts)
    if out is None:
      out = np.full((len(tested), found.shape[1]), np.nan)
    out[np.searchsorted(tested, np.flatnonzero(parts[2]))] = found
  return out
