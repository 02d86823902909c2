"""The area under the ROC curve at few false alarms.

A screening test that raises many false alarms is not used, so only the left
end of the curve counts (McClish, Medical Decision Making 1989). The area is
brought to a scale on which chance is 0.5 and perfect order is 1.
"""

import numpy as np

from accfm.evals.stats import scores
from accfm.evals.stats.people import Statistic


def make_partial_auc(
    index: np.ndarray, y: np.ndarray, odds: np.ndarray,
    most: float = 0.1, fold: np.ndarray | None = None,
) -> Statistic:
  """Standardised partial AUC as a function of weights over participants.

  Args:
    index: [N] the participant of each row, as a place in the weights.
    y: [N] 0 or 1.
    odds: [N] any score that increases with the odds of 1.
    most: the false positive rate at which the curve ends, below 1.
    fold: [N] the fold of each row. Scores of two folds come from two models
      and have no order, so each fold has its own curve; it counts with its
      pairs of a positive and a negative row.

  Returns:
    weights [..., P] -> [...], NaN where a class has no weight.
  """
  folds = np.zeros(len(index), int) if fold is None else np.asarray(fold)
  curves = [
      _make_curve(index[some], np.asarray(y)[some] == 1,
                  np.asarray(odds)[some], most)
      for some in (folds == one for one in np.unique(folds))
  ]
  least, largest = 0.5 * most ** 2, most

  def score(weights):  # [B, P]
    areas, pairs = np.sum([curve(weights) for curve in curves], axis=0)
    known = pairs > 1e-12
    mean = areas / np.where(known, pairs, 1)
    return np.where(
        known, 0.5 * (1 + (mean - least) / (largest - least)), np.nan)

  return scores.by_blocks(score, len(index))


def _make_curve(index, good, odds, most):
  """weights [B, P] -> the pairs of a fold times their area [B], the pairs."""
  order = np.argsort(-odds, kind="stable")
  place, good = index[order], good[order]
  ends = np.flatnonzero(np.diff(odds[order], append=np.nan) != 0)
  alarms = np.cumsum(~good)[ends]
  # Twice the end of the curve, which is nearly always enough.
  near = 1 + np.searchsorted(alarms, 2 * most * alarms[-1])

  def curve(weights):
    size = weights.shape[-1]
    hits, false = (
        weights @ np.bincount(place[some], minlength=size).astype(float)
        for some in (good, ~good))
    known = hits * false > 1e-12
    hits, false = (np.where(known, n, 1)[:, None] for n in (hits, false))
    for corners in (ends[:near], ends):
      w = weights[:, place[:corners[-1] + 1]]
      both = _corners(w, corners)
      tpr = _corners(w * good[:w.shape[1]], corners)
      fpr = (both - tpr) / false
      if (fpr[:, -1] >= most)[known].all():
        break
    pairs = np.where(known, (hits * false)[:, 0], 0)
    return pairs * _area(fpr, tpr / hits, most), pairs

  return curve


def _corners(w, ends):
  """Running sums of w [B, N] at corners, from 0: [B, 1 + corners]."""
  return np.pad(np.cumsum(w, axis=1)[:, ends], ((0, 0), (1, 0)))


def _area(fpr, tpr, most):
  """[B] the area under corners [B, D], from 0 to a rate of `most`."""
  width = np.diff(fpr, axis=1)
  inside = np.clip(most - fpr[:, :-1], 0, width)
  part = inside / np.where(width > 0, width, 1)
  rise = np.diff(tpr, axis=1) * part
  return np.sum(inside * (tpr[:, :-1] + 0.5 * rise), axis=1)
