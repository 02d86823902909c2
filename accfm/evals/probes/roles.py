"""Who fits a probe, who chooses its penalty, who tests it: by participant."""

from collections.abc import Mapping, Sequence

import numpy as np

FIT, SELECT, TEST = 0, 1, 2
_TITLES = {FIT: "to fit on", SELECT: "to choose the penalty", TEST: "to test"}


def deal(
    tables: Mapping[str, Mapping[str, np.ndarray]], tested: str, folds: int,
    seed: int, fitted_on: tuple[str, str] = ("train", "val"),
) -> list[np.ndarray]:
  """The role of each row of all splits, fold by fold.

  Usually a probe is fitted on train, its penalty is chosen on val, and it is
  tested on the split under evaluation. With K folds the participants of that
  split are dealt into K groups. Each group is tested once, by a probe that
  is fitted on train, val and the other groups. Nobody has the role SELECT
  then: the penalty is chosen among the fitted people (`leave_out`).

  Args:
    tables: split -> columns; rows follow the sorted names of the splits.
    tested: name of the split under evaluation.
    folds: K, or 0 for the usual roles.
    seed: seed of the deal.
    fitted_on: names of the splits to fit on and to choose the penalty on.

  Returns:
    Roles [N], one array a fold: FIT, SELECT or TEST, -1 for rows without one.
  """
  names, (fit, select) = sorted(tables), fitted_on
  people = np.concatenate([tables[s]["participant"] for s in names])
  split = np.repeat(names, [len(tables[s]["participant"]) for s in names])
  base = np.full(len(people), -1)
  base[split == fit] = FIT
  base[split == select] = FIT if folds else SELECT
  if tested == select and not folds:  # a fifth of the train people selects
    base[np.isin(people, np.unique(people[split == fit])[::5])] = SELECT
  base[split == tested] = TEST
  if not folds:
    return [base]
  ids = np.random.default_rng(seed).permutation(np.unique(people[base == TEST]))
  out = []
  for fold in np.array_split(ids, min(folds, len(ids))):
    role = base.copy()
    role[(base == TEST) & ~np.isin(people, fold)] = FIT
    out.append(role)
  return out


def tested(roles: Sequence[np.ndarray]) -> np.ndarray:
  """[N] whether some fold tests a row."""
  return np.any([role == TEST for role in roles], axis=0)


def fold_of(roles: Sequence[np.ndarray]) -> np.ndarray:
  """[M] the number of the fold that tests each row of `tested`."""
  return np.argmax([role == TEST for role in roles], axis=0)[tested(roles)]


def shortage(
    people: np.ndarray, known: np.ndarray, roles: Sequence[np.ndarray],
    least: Mapping[int, tuple[int, int]],
) -> str:
  """Why a task has too few rows or participants, or "".

  Args:
    people: [N] ids.
    known: [N] whether a row has the label.
    roles: [N] each, of every fold and draw.
    least: {role: (least rows, least people)}.
  """
  for role, (rows, persons) in least.items():
    sets = [r == role for r in roles]
    if role == TEST:  # folds are scored together, though fitted one by one
      sets = [tested(roles)]
    elif role == SELECT:
      sets = [own for own in sets if own.any()]
      if not sets:  # fitted people select
        continue
    n = min(int((known & own).sum()) for own in sets)
    p = min(len(np.unique(people[known & own])) for own in sets)
    if n < rows or p < persons:
      return (
          f"{n} labelled rows of {p} people {_TITLES[role]}, want at least "
          f"{rows} of {persons}"
      )
  return ""


def class_people(
    people: np.ndarray, y: np.ndarray, classes: int, rows: np.ndarray
) -> np.ndarray:
  """[C] how many people have a row of each class among some rows.

  Args:
    people: [N] ids.
    y: [N] places of classes, NaN where unknown.
    classes: C, their number.
    rows: [N] booleans.
  """
  return np.array([
      len(np.unique(people[rows & (y == c)])) for c in range(classes)
  ])
