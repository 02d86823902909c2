"""ROC curves with bands over participants.

Each bootstrap draw of participants gives a curve. At every false positive
rate the band spans the middle 95 % of the draws' true positive rates
("vertical averaging": Fawcett, "An introduction to ROC analysis", 2006,
section 8). Rows of several folds are never ordered together: their curve is
the average of the folds' curves at each false positive rate, weighted by the
folds' pairs of rows, so that its area is the AUC over folds.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from accfm.base import shapes
from accfm.evals.stats import people as stats

GRID = np.linspace(0, 1, 101)


@dataclasses.dataclass(frozen=True)
class Curve:
  """A ROC curve, and its band on GRID.

  Attributes:
    fpr, tpr: corners of the curve, from (0, 0) to (1, 1).
    low, high: [101] the band on GRID. None with fewer than
      `intervals.FEWEST` participants, and where more than one draw in twenty
      lacks a class.
  """

  fpr: np.ndarray
  tpr: np.ndarray
  low: np.ndarray | None
  high: np.ndarray | None


def curve(
    people: stats.People, y: np.ndarray, scores: np.ndarray,
    band: bool = True, fold: np.ndarray | None = None,
) -> Curve:
  """The ROC curve of N rows.

  Args:
    people: the participants behind the rows.
    y: [N] 0 or 1, both present.
    scores: [N]; a higher score speaks more strongly for 1. Equal scores make
      one corner.
    band: whether to draw participants for a band.
    fold: [N] the fold of each row; None for one fold.
  """
  shapes.check_all([(y, "classes", "N"), (scores, "scores", "N")])
  y, index = np.asarray(y, float), people.index
  fold = np.zeros(len(y), int) if fold is None else np.asarray(fold)
  parts = [
      _make_corners(index[rows], y[rows], scores[rows])
      for rows in (fold == f for f in np.unique(fold))
  ]

  def average(weights):
    """The average on GRID, NaN without a pair of rows.

    A vertical step counts with its upper end.
    """
    total, pairs = np.zeros(len(GRID)), 0.0
    for corners in parts:
      fpr, tpr, mine = corners(weights)
      if mine > 0:
        total += mine * np.interp(GRID, fpr, tpr)
        pairs += mine
    return total / pairs if pairs else np.full(len(GRID), np.nan)

  whole = np.ones(len(people))
  if len(parts) == 1:
    fpr, tpr, _ = parts[0](whole)
  else:
    fpr, tpr = np.append(0, GRID), np.append(0, average(whole))
  drawn = []
  for weights in people.weights if band and people.has_intervals else ():
    found = average(weights)
    if np.isfinite(found).all():
      drawn.append(found)
  if len(drawn) < max(0.95 * people.draws, 1):
    return Curve(fpr, tpr, None, None)
  low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
  return Curve(fpr, tpr, low, high)


def _make_corners(
    index: np.ndarray, y: np.ndarray, scores: np.ndarray
) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, float]]:
  """weights [P] -> (fpr, tpr at each corner, pairs) of the rows of one fold."""
  order = np.argsort(-scores, kind="stable")
  y, index, scores = y[order], index[order], scores[order]
  ends = np.append(np.flatnonzero(scores[1:] != scores[:-1]), len(y) - 1)

  def corners(weights):
    w = weights[index]
    hits = np.cumsum(w * y)[ends]
    alarms = np.cumsum(w * (1 - y))[ends]
    pairs = float(hits[-1] * alarms[-1])
    fpr, tpr = (
        np.append(0, n / n[-1] if pairs else 0 * n) for n in (alarms, hits)
    )
    return fpr, tpr, pairs

  return corners
