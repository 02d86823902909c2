"""What probes predict: labels of any kind, as numbers or classes.

A column of 0 and 1 has two classes, a text as many as it has values. All
other columns are numbers.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from accfm.evals.probes import roles as roles_lib
from accfm.evals.results.words import split_unit
from accfm.signals import targets


@dataclasses.dataclass(frozen=True)
class Task:
  """One label of N rows.

  Attributes:
    name, unit: e.g. "hr", "bpm"; the unit may be "".
    y: [N] float64: the number, or the place of the class; NaN where unknown.
    classes: None for numbers, else the values, sorted; the second of two is
      the positive class.
    left_out: {class: why it is not among the classes}.
  """

  name: str
  unit: str
  y: np.ndarray
  classes: tuple | None = None
  left_out: dict = dataclasses.field(default_factory=dict)

  @property
  def known(self) -> np.ndarray:
    """[N] whether a row has the label."""
    return np.isfinite(self.y)

  @property
  def measure(self):
    """The name of its first score."""
    return "mae" if self.classes is None else "auc"


def slug(value: Any) -> str:
  """A value as part of a metric's key."""
  text = f"{value:g}" if isinstance(value, float) else str(value)
  return re.sub(r"[^A-Za-z0-9.+-]+", "_", text)


def make_task(
    column: str, values: np.ndarray, people: np.ndarray,
    roles: Sequence[np.ndarray], min_fit: int, min_test: int,
) -> Task:
  """The Task of one column.

  Args:
    column: e.g. "labels/hr_bpm"; what precedes the slash is dropped.
    values: [N] numbers, NaN where unknown, or text, "" where unknown.
    people: [N] ids.
    roles: [N] each, of every fold and draw.
    min_fit, min_test: where there are three classes or more, each needs this
      many people to fit and to test. A class with fewer is left out, and so
      is a text that no fitting row has.
  """
  label = slug(column.split("/", 1)[-1])
  values = np.asarray(values)
  if values.dtype.kind in "biu":
    values = values.astype(np.float64)
  known = targets.known_rows(values)
  if values.dtype.kind == "f":
    if not known.any() or not np.isin(values[known], (0, 1)).all():
      return Task(*split_unit(label), np.asarray(values, np.float64))
    return Task(label, "", np.asarray(values, np.float64), (0.0, 1.0))
  fit = np.any([role == roles_lib.FIT for role in roles], axis=0)
  classes = np.unique(values[known & fit]).tolist()
  left_out = {}
  if len(classes) > 2:
    y = _places(values, classes)
    parts = (
        ("to fit on", min_fit, [role == roles_lib.FIT for role in roles]),
        ("to test", min_test, [roles_lib.tested(roles)]),
    )
    for part, least, sets in parts:
      counts = np.min([
          roles_lib.class_people(people, y, len(classes), rows)
          for rows in sets
      ], axis=0)
      for value, count in zip(classes, counts, strict=True):
        if count < least:
          left_out.setdefault(value, (
              f"{count} people of this class {part}, want at least "
              f"{least}: its rows are left out"
          ))
    classes = [value for value in classes if value not in left_out]
  return Task(label, "", _places(values, classes), tuple(classes), left_out)


def _places(values, classes):
  """[N] the place of each value among the classes, NaN for other values."""
  out = np.full(len(values), np.nan)
  for place, value in enumerate(classes):
    out[values == value] = place
  return out


def shortage(
    task: Task, people: np.ndarray, roles: Sequence[np.ndarray],
    least: Mapping[int, tuple[int, int]], min_fit: int, min_test: int,
) -> str:
  """Why a task cannot be evaluated, or "".

  Args:
    task: the task.
    people, roles, least: as `roles.shortage`; roles of every fold and draw.
    min_fit, min_test: how many people each class needs to fit and to test;
      at least one in any case.
  """
  reason = roles_lib.shortage(people, task.known, roles, least)
  if reason:
    return reason
  fits = [task.known & (role == roles_lib.FIT) for role in roles]
  test = task.known & roles_lib.tested(roles)
  if task.classes is None:
    for part, sets in (("to fit on", fits), ("to test", [test])):
      for rows in sets:
        if np.ptp(task.y[rows]) == 0:
          return f"the label is constant ({task.y[rows][0]:g}) {part}"
    return ""
  if len(task.classes) < 2:
    return (
        f"the label has {len(task.classes)} class(es) with enough people "
        f"({', '.join(map(str, task.classes))}), want at least two"
    )
  for part, sets, want in (
      ("fit", fits, min_fit), ("test", [test], min_test)
  ):
    for rows in sets:
      counts = roles_lib.class_people(people, task.y, len(task.classes), rows)
      if counts.min() < max(want, 1):
        shown = ", ".join(
            f"{slug(c)}: {n}"
            for c, n in zip(task.classes, counts, strict=True)
        )
        return (
            f"{counts.min()} people of the rarer class to {part} ({shown}), "
            f"want at least {max(want, 1)}"
        )
  return _without_pairs(task, roles)


def _without_pairs(task, roles):
  """Why no fold can rank a class, or "".

  Models of different folds are fitted differently, so rows of two folds are
  never ordered together.
  """
  folds = [task.y[task.known & (role == roles_lib.TEST)] for role in roles]
  for place, value in enumerate(task.classes):
    if not any(
        0 < np.sum(fold == place) < len(fold) for fold in folds
    ):
      return (
          f"no fold tests class {slug(value)} beside another, and rows are "
          "ranked within a fold; want fewer folds"
      )
  return ""
