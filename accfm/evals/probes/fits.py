"""Fits the probes of a Panel: all tasks at once, by encoder, fold and draw."""

from collections.abc import Callable, Sequence

import numpy as np

from accfm.evals.probes import logistic, ridge
from accfm.evals.probes import roles as roles_lib
from accfm.evals.probes.panel import Panel
from accfm.evals.probes.tasks import Task

Draw = Sequence[np.ndarray]  # roles [N], one a fold


def predict_numbers(
    panel: Panel, draws: Sequence[Draw], tasks: Sequence[Task]
) -> dict[str, dict[str, list[np.ndarray]]]:
  """Predicts numbers by ridge regression.

  Args:
    panel: what probes are given.
    draws: one for each draw of labelled participants.
    tasks: tasks of numbers.

  Returns:
    {task: {encoder: [[M], one a draw]}} of the M tested rows.
  """
  out = {task.name: {} for task in tasks}
  for row, x, places in _given(panel, tasks):
    y = np.stack([tasks[k].y for k in places], axis=1)

    def fit(*parts, x=x, y=y):
      return ridge.predict(x, y, *parts, people=panel.people).predicted

    found = [_folds(fit, draw) for draw in draws]
    for column, k in enumerate(places):
      out[tasks[k].name][row] = [f[:, column] for f in found]
  tested = roles_lib.tested([role for draw in draws for role in draw])
  for task in tasks:  # what is read as it is, without a fit
    for row, values in panel.readings.get(task.name, {}).items():
      out[task.name][row] = [values[tested]] * len(draws)
  return out


def predict_classes(
    panel: Panel, draws: Sequence[Draw], tasks: Sequence[Task]
) -> dict[str, dict[str, list[logistic.Decided]]]:
  """Predicts classes by logistic regression; arguments as above.

  Returns:
    {task: {encoder: [Decided, one a draw]}}.
  """
  out = {task.name: {} for task in tasks}
  for row, x, places in _given(panel, tasks):
    if not x.shape[1]:
      continue  # without columns there is nothing to rank by
    mine = [tasks[k] for k in places]
    y, sizes = [t.y for t in mine], [len(t.classes or ()) for t in mine]

    def fit(*parts, x=x, y=y, sizes=sizes):
      found = logistic.predict(x, y, sizes, *parts, people=panel.people)
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


def rank_classes(
    panel: Panel, draws: Sequence[Draw], tasks: Sequence[Task]
) -> dict[str, dict[str, list[np.ndarray]]]:
  """Ranks classes by ridge regression on 1 and -1, one class against the rest.

  Arguments as above.

  Returns:
    {task: {encoder: [[M, C], one a draw]}}, [M, 1] for two classes.
  """
  out = {task.name: {} for task in tasks}
  columns = {task.name: _signs(task) for task in tasks}
  for row, x, places in _given(panel, tasks):
    if not x.shape[1]:
      continue
    names = [tasks[k].name for k in places]
    y = np.concatenate([columns[n] for n in names], axis=1)

    def fit(*parts, x=x, y=y):
      return ridge.predict(x, y, *parts, people=panel.people).predicted

    found, at = [_folds(fit, draw) for draw in draws], 0
    for name in names:
      width = columns[name].shape[1]
      out[name][row] = [f[:, at:at + width] for f in found]
      at += width
  return out


def _signs(task: Task) -> np.ndarray:
  """[N, C] 1 for a row's class and -1 for others; [N, 1] for two classes."""
  size = len(task.classes or ())
  own = np.arange(1, 2) if size == 2 else np.arange(size)
  signs = np.where(task.y[:, None] == own, 1.0, -1.0)
  return np.where(task.known[:, None], signs, np.nan)


def _given(panel: Panel, tasks: Sequence[Task]):
  return panel.given([t.name for t in tasks]) if tasks else []


def _folds(predict: Callable[..., np.ndarray], draw: Draw) -> np.ndarray:
  """What `predict(fit, select, test)` says of each fold's tested rows.

  Returns:
    [tested rows of all folds, F].
  """
  tested = np.flatnonzero(roles_lib.tested(draw))
  rows, found = [], []
  for role in draw:
    parts = [role == r for r in (
        roles_lib.FIT, roles_lib.SELECT, roles_lib.TEST)]
    rows.append(np.flatnonzero(parts[2]))
    found.append(predict(*parts))
  out = np.full((len(tested), found[0].shape[1]), np.nan)
  for some, values in zip(rows, found, strict=True):
    out[np.searchsorted(tested, some)] = values
  return out
