"""ROC curves with bands over people.

Each bootstrap draw of people gives a curve; at every false positive rate the
band holds the middle 95 % of the draws' true positive rates ("vertical
averaging": Fawcett, "An introduction to ROC analysis", 2006, section 8).
"""

import dataclasses

import numpy as np

from accfm.base import shapes

GRID = np.linspace(0, 1, 101)


@dataclasses.dataclass(frozen=True)
class Curve:
  """A ROC curve, and its band on GRID.

  Attributes:
    fpr, tpr: corners of the curve, from (0, 0) to (1, 1).
    low, high: [101] the band on GRID, or None with fewer than two people or
      where more than one draw in twenty lacks a class.
  """

  fpr: np.ndarray
  tpr: np.ndarray
  low: np.ndarray | None
  high: np.ndarray | None


def curve(people, y, scores, band=True):
  """The ROC curve of rows that weigh as their person is drawn.

  Args:
    people: `stats.People` behind the N rows.
    y: [N] 0 or 1, both present.
    scores: [N]; higher says 1 more strongly. Equal scores are one corner.
    band: whether to draw people for a band.

  Returns:
    Curve.
  """
  shapes.check_all([(y, "classes", "N"), (scores, "scores", "N")])
  order = np.argsort(-scores, kind="stable")
  y, index = np.asarray(y, float)[order], people.index[order]
  scores = scores[order]
  ends = np.append(np.flatnonzero(scores[1:] != scores[:-1]), len(y) - 1)

  def corners(weights):
    hits = np.cumsum(weights * y)[ends]
    alarms = np.cumsum(weights * (1 - y))[ends]
    if not hits[-1] or not alarms[-1]:
      return None
    return (
        np.append(0, alarms / alarms[-1]), np.append(0, hits / hits[-1])
    )

  fpr, tpr = corners(np.ones(len(y)))
  drawn = []
  for weights in people.weights if band and len(people) > 1 else ():
    found = corners(weights[index])
    if found is not None:  # upper end of a step: the last of equal rates
      drawn.append(np.interp(GRID, *found))
  if len(drawn) < max(0.95 * len(people.weights), 1):
    return Curve(fpr, tpr, None, None)
  low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
  return Curve(fpr, tpr, low, high)
