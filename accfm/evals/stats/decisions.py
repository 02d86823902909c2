"""Scores of decided classes: macro-F1 and Cohen's kappa.

Both are functions of three counts of each class, summed over rows: how often
it was said rightly, how often it is true and how often it was said. A person
can therefore be left out of the sums.
"""

import numpy as np

from accfm.evals.stats import people as stats


def counts(
    crowd: stats.People, y: np.ndarray, chosen: np.ndarray, classes: int
) -> np.ndarray:
  """[P, 3C] of each participant: rows said rightly, true and said, by class.

  Args:
    crowd: the participants behind the N rows.
    y, chosen: [N] places of the true and of the predicted class.
    classes: C, their number.
  """
  y, chosen = (np.asarray(x).astype(int) for x in (y, chosen))
  parts = []
  for place, some in ((y, y == chosen), (y, None), (chosen, None)):
    cell = crowd.index * classes + place
    cell = cell if some is None else cell[some]
    parts.append(np.bincount(cell, minlength=len(crowd) * classes).reshape(
        len(crowd), classes))
  return np.concatenate(parts, axis=1).astype(np.float64)


def macro_f1(s: np.ndarray) -> np.ndarray:
  """Mean over classes of F1, from sums [..., 3C] of `counts`.

  A class that is neither true nor said counts as none, as in scikit-learn.
  """
  right, true, said = np.split(s, 3, axis=-1)
  there = true + said > 0
  f1 = 2 * right / np.where(there, true + said, 1)
  some = there.sum(axis=-1)
  return np.where(
      some > 0, f1.sum(axis=-1) / np.maximum(some, 1), np.nan)


def kappa(s: np.ndarray) -> np.ndarray:
  """Cohen's kappa, from sums [..., 3C] of `counts`.

  It is the share said rightly above what the two margins give by chance, over
  the most that it could be above. NaN where one class is all.
  """
  right, true, said = np.split(s, 3, axis=-1)
  n = true.sum(axis=-1)
  n = np.where(n > 0, n, np.nan)
  seen = right.sum(axis=-1) / n
  chance = np.sum(true * said, axis=-1) / n ** 2
  room = 1 - chance
  return np.where(
      room > 1e-12, (seen - chance) / np.where(room > 1e-12, room, 1), np.nan)
