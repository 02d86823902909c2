"""Who fits, who chooses the penalty and who is tested: always by person."""

import numpy as np

FIT, SELECT, TEST = 0, 1, 2
_TITLES = {FIT: "to fit on", SELECT: "to choose the penalty", TEST: "to test"}


def deal(tables, tested, folds, seed):
  """The part that each row of all splits plays, fold by fold.

  The usual roles: fit on train, select on val, test on the split. With K
  folds, the tested people are dealt into K; each is tested once, fitted on
  train and the other folds.

  Args:
    tables: split -> columns; rows follow the sorted names of the splits.
    tested: name of the split under evaluation.
    folds: K, or 0 for the usual roles.
    seed: of the deal.

  Returns:
    List of roles [N] of FIT, SELECT, TEST, or -1 for rows without a part.
  """
  names = sorted(tables)
  people = np.concatenate([tables[s]["participant"] for s in names])
  split = np.repeat(names, [len(tables[s]["participant"]) for s in names])
  base = np.full(len(people), -1)
  base[split == "train"] = FIT
  base[split == "val"] = SELECT
  if tested == "val":  # then a fifth of the train people selects
    base[np.isin(people, np.unique(people[split == "train"])[::5])] = SELECT
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


def tested(roles):
  """[N] rows that some fold tests."""
  return np.any([role == TEST for role in roles], axis=0)


def shortage(people, known, roles, least):
  """Why a task cannot be evaluated, or "".

  Args:
    people: [N] ids.
    known: [N] rows with the label.
    roles: list of [N], of every fold and draw.
    least: {role: (least rows, least people)}.
  """
  for role, (rows, persons) in least.items():
    sets = [r == role for r in roles]
    if role == TEST:  # folds are scored together, but fitted one by one
      sets = [tested(roles)]
    n = min(int((known & own).sum()) for own in sets)
    p = min(len(np.unique(people[known & own])) for own in sets)
    if n < rows or p < persons:
      return (
          f"{n} labelled rows of {p} people {_TITLES[role]}, want at least "
          f"{rows} of {persons}"
      )
  return ""


def class_people(people, y, classes, rows):
  """People with a row of each class among some rows: [C] counts.

  Args:
    people: [N] ids.
    y: [N] places of classes, NaN where unknown.
    classes: C, their number.
    rows: [N] booleans.
  """
  return np.array([
      len(np.unique(people[rows & (y == c)])) for c in range(classes)
  ])
