"""ROC curves with bands over participants.

Each bootstrap draw of participants gives a curve. At every false positive
rate the band spans the middle 95 % of the draws' true positive rates
("vertical averaging": Fawcett, "An introduction to ROC analysis", 2006,
section 8).
"""

import dataclasses

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
    people: stats.People, y: np.ndarray, scores: np.ndarray, band: bool = True
) -> Curve:
  """The ROC curve of N rows.

  Args:
    people: the participants behind the rows.
    y: [N] 0 or 1, both present.
    scores: [N]; a higher score speaks more strongly for 1. Equal scores make
      one corner.
    band: whether to draw participants for a band.
  """
  shapes.check_all([(y, "classes", "N"), (scores, "scores", "N")])
  order = np.argsort(-scores, kind="stable")
  y, index = np.asarray(y, float)[order], people.index[order]
  scores = scores[order]
  ends = np.append(np.flatnonzero(scores[1:] != scores[:-1]), len(y) - 1)

  def corners(weights):
    """Rates at each corner; NaN where a class has no weight."""
    hits = np.cumsum(weights * y)[ends]
    alarms = np.cumsum(weights * (1 - y))[ends]
    rates = [
        np.append(0, n / n[-1] if n[-1] else np.full(len(n), np.nan))
        for n in (alarms, hits)
    ]
    return rates[0], rates[1]

  fpr, tpr = corners(np.ones(len(y)))
  drawn = []
  for weights in people.weights if band and people.has_intervals else ():
    found = corners(weights[index])
    if np.isfinite(found).all():  # a vertical step counts with its upper end
      drawn.append(np.interp(GRID, *found))
  if len(drawn) < max(0.95 * people.draws, 1):
    return Curve(fpr, tpr, None, None)
  low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
  return Curve(fpr, tpr, low, high)
