"""Scores of predictions, written so that participants can be resampled.

Most scores are functions of sums over participants (`mae(sums)`). A score
that depends on the order of all rows is a function of weights over
participants (`make_auc(...)(weights)`). A row of weights gives exactly the
score of that many copies of each participant's rows; 0 leaves one out.

Rows of several folds were predicted by differently fitted models. A score
that orders rows, or draws a line through them, does so within each fold.
"""

from collections.abc import Callable, Sequence

import numpy as np

from accfm.evals.stats import intervals
from accfm.evals.stats import people as stats
from accfm.evals.stats.people import Statistic

BLOCK = 1 << 22  # numbers that weighted rows hold at once

# measure -> the range that it cannot leave; intervals end inside it.
WITHIN = {
    "mae": intervals.POSITIVE, "rmse": intervals.POSITIVE,
    "median_abs_error": intervals.POSITIVE, "r2": intervals.BELOW_ONE,
    "pearson_r": intervals.CORRELATION, "kappa": intervals.CORRELATION,
    "recall": intervals.SHARE,
    "auc": intervals.SHARE, "auc_ridge": intervals.SHARE,
    "average_precision": intervals.SHARE,
    "pauc_fpr10": intervals.SHARE, "accuracy": intervals.SHARE,
    "balanced_accuracy": intervals.SHARE, "macro_f1": intervals.SHARE,
    "within_5bpm_share": intervals.SHARE,
}


def moments(y: np.ndarray, p: np.ndarray) -> np.ndarray:
  """Columns [N, 8] whose sums give every score of a regression.

  Args:
    y: [N] true numbers; p: [N] predicted ones.
  """
  error, middle = p - y, y.mean()
  y, p = y - middle, p - middle  # changes no score, and rounds less
  return np.column_stack([
      np.ones(len(y)), np.abs(error), error ** 2, y, p, y * y, p * p, y * p
  ])


def _divide(a, b):
  good = b > 1e-12
  return np.where(good, a / np.where(good, b, 1), np.nan)


def mae(s: np.ndarray) -> np.ndarray:
  """Mean absolute error, from sums [..., 8] of `moments`."""
  return _divide(s[..., 1], s[..., 0])


def below(s: np.ndarray) -> np.ndarray:
  """1 - first sum over second: by how much errors are below others."""
  return 1 - stats.ratio(s)


def rmse(s: np.ndarray) -> np.ndarray:
  """Root mean squared error, from sums [..., 8] of `moments`."""
  return np.sqrt(_divide(s[..., 2], s[..., 0]))


def r2(s: np.ndarray) -> np.ndarray:
  """1 - squared error / squared error of the mean of the scored rows."""
  n, squared, y, yy = s[..., 0], s[..., 2], s[..., 3], s[..., 5]
  return 1 - _divide(squared, yy - _divide(y * y, n))


def pearson(s: np.ndarray) -> np.ndarray:
  """Pearson's correlation, from sums [..., 8] of `moments`."""
  return _correlation(s[..., None, :])


def _correlation(s):
  """Correlation [...] of sums [..., F, 8], as `make_pearson` defines it."""
  n, _, _, y, p, yy, pp, yp = np.moveaxis(s, -1, 0)

  def around(ab, a, b):  # [..., F], about the means of each fold
    return ab - np.where(n > 0, a * b / np.maximum(n, 1e-12), 0)

  vy, vp = around(yy, y, y), around(pp, p, p)
  varies = (vp > 1e-12) & (vy > 1e-12)
  # n times the covariance with p / SD(p) of each fold
  along = np.where(
      varies, around(yp, y, p) * np.sqrt(n / np.where(varies, vp, 1)), 0)
  size = np.sqrt(np.sum(np.where(vy > 1e-12, vy, 0), -1) * np.sum(n, -1))
  known = varies.any(axis=-1)
  return np.where(known, along.sum(-1) / np.where(known, size, 1), np.nan)


def make_pearson(
    index: np.ndarray, y: np.ndarray, p: np.ndarray, fold: np.ndarray
) -> Statistic:
  """Pearson's correlation as a function of weights over participants.

  Both numbers are taken less their means in the row's fold, and the predicted
  ones also by their SD in it. Without the SD the folds of strongly shrunk
  models would count less, and noise would correlate negatively: rows that are
  tested in one fold are fitted on in the others.

  Args:
    index: [N] the participant of each row, as a place in the weights.
    y, p: [N] true and predicted numbers.
    fold: [N] the fold of each row.
  """
  folds = np.unique(fold, return_inverse=True)[1]
  cells, place = np.unique(
      np.stack([index, folds], axis=1), axis=0, return_inverse=True)
  sums = np.stack([  # [cells, 8]; a cell is a participant in a fold
      np.bincount(place.ravel(), column, len(cells))
      for column in moments(y, p).T
  ], axis=1)
  parts = [np.flatnonzero(cells[:, 1] == f) for f in range(folds.max() + 1)]

  def statistic(weights):
    return _correlation(np.stack([
        weights[..., cells[rows, 0]] @ sums[rows] for rows in parts
    ], axis=-2))

  return statistic


def hits(y: np.ndarray, chosen: np.ndarray, classes: int) -> np.ndarray:
  """Columns [N, 2C] for `balanced_accuracy`.

  The first C mark the rows of each class that are predicted right, the other
  C all rows of each class.

  Args:
    y, chosen: [N] places of the true and of the predicted class.
    classes: C, their number.
  """
  member = np.asarray(y)[:, None] == np.arange(classes)  # [N, C]
  right = member & (np.asarray(y) == chosen)[:, None]
  return np.concatenate([right, member], axis=1).astype(np.float64)


def balanced_accuracy(s: np.ndarray) -> np.ndarray:
  """Mean over classes of the share found, from sums [..., 2C] of `hits`."""
  right, rows = np.split(s, 2, axis=-1)
  return _divide(right, rows).mean(axis=-1)


def make_auc(
    index: np.ndarray, y: np.ndarray, odds: np.ndarray,
    fold: np.ndarray | None = None,
) -> Statistic:
  """ROC AUC as a function of weights over participants.

  Each pair of a positive and a negative row of one fold counts with the
  product of the rows' weights, a tie with half of it (Mann and Whitney 1947).
  Rows are sorted once: a draw costs one running sum instead of all pairs.

  Args:
    index: [N] the participant of each row, as a place in the weights.
    y: [N] 0 or 1.
    odds: [N] any score that increases with the odds of 1.
    fold: [N] the fold of each row; None for one fold.

  Returns:
    weights [..., P] -> AUC [...], NaN where no pair has a weight.
  """
  y = np.asarray(y, bool)
  place, folds = _places(odds, fold)
  up, down = np.flatnonzero(y), np.flatnonzero(~y)
  down = down[np.argsort(place[down], kind="stable")]
  low, high = (np.searchsorted(place[down], place[up], side)
               for side in ("left", "right"))
  starts = np.searchsorted(folds[down], np.arange(folds.max(initial=0) + 2))
  ends = np.searchsorted(np.sort(folds[up]), np.arange(len(starts)))
  up, low, high = (v[np.argsort(folds[up], kind="stable")]
                   for v in (up, low, high))

  def score(weights):  # [B, P]
    below = _running(weights[:, index[down]])  # [B, 1 + negatives]
    mine = weights[:, index[up]]
    wins = 0.5 * np.sum(mine * (below[:, low] + below[:, high]), axis=1)
    first = below[:, starts]  # [B, F + 1] negatives before each fold
    ups = np.diff(_running(mine)[:, ends], axis=1)  # [B, F]
    wins -= np.sum(ups * first[:, :-1], axis=1)
    return _divide(wins, np.sum(ups * np.diff(first, axis=1), axis=1))

  return by_blocks(score, len(index))


def _places(odds, fold):
  """([N] places that rise with the fold, then with odds; [N] folds from 0)."""
  values, place = np.unique(np.asarray(odds), return_inverse=True)
  folds = np.zeros(len(place), int)
  if fold is not None:
    folds = np.unique(fold, return_inverse=True)[1]
  return folds * len(values) + place, folds


def make_average_precision(
    index: np.ndarray, y: np.ndarray, odds: np.ndarray,
    fold: np.ndarray | None = None,
) -> Statistic:
  """Average precision as a function of weights over participants.

  It is a sum over distinct scores, from the highest down: the gain in recall
  at a score times the precision of all rows down to it. This is the step-wise
  area of scikit-learn, without interpolation. Rows are ranked within their
  fold; folds count by their positive rows. Arguments and result are those of
  `make_auc`.
  """
  ranks, folds = _places(-np.asarray(odds), fold)
  order = np.argsort(ranks, kind="stable")
  ends = np.flatnonzero(np.diff(ranks[order], append=-1) != 0) + 1
  place, good = index[order], np.asarray(y)[order] == 1
  # Rows before the fold of each distinct score.
  before = np.searchsorted(folds[order], folds[order][ends - 1])

  def score(weights):  # [B, P]
    w = weights[:, place]
    found, taken = _running(w * good), _running(w)
    whole = taken[:, ends] - taken[:, before]
    precision = (found[:, ends] - found[:, before]) / np.where(
        whole > 1e-12, whole, 1)
    gain = np.diff(found[:, ends], prepend=0, axis=1)
    return _divide(np.sum(gain * precision, axis=1), found[:, -1])

  return by_blocks(score, len(index))


def make_macro_auc(
    index: np.ndarray, y: np.ndarray, odds: np.ndarray,
    fold: np.ndarray | None = None,
) -> Statistic:
  """Mean over classes of the AUC of one class against the others.

  Args:
    index, fold: as `make_auc`.
    y: [N] places of classes.
    odds: [N, C] a score of each class, as in `make_auc`.

  Returns:
    As `make_auc`.
  """
  each = [
      make_auc(index, y == c, odds[:, c], fold) for c in range(odds.shape[1])
  ]
  return lambda weights: np.mean([auc(weights) for auc in each], axis=0)


def auc(crowd: stats.People, y: np.ndarray, odds: np.ndarray) -> stats.Estimate:
  """ROC AUC over rows, with its interval over participants.

  Args:
    crowd: the participants behind the rows.
    y, odds: as `make_auc`.
  """
  return crowd.weighted(
      make_auc(crowd.index, y, odds), WITHIN["auc"])


def mean_over_draws(
    crowd: stats.People, statistics: Sequence[Statistic],
    within: intervals.Range = intervals.ANY,
    smooth: Sequence[Statistic] | None = None,
) -> stats.Estimate:
  """The mean of a score over draws of labelled participants.

  The scores of the draws differ because other participants were labelled,
  and their mean because other participants could have been scored. The
  interval covers both: its variance is that of the mean over the scored
  participants, plus that between draws over their number.

  Args:
    crowd: the participants behind the scored rows.
    statistics: the score as a function of weights, one a draw of labels.
    within: the range that the score cannot leave.
    smooth: stand-ins that change with the weights as the statistics do to
      first order, for a score that jumps. Their variance is taken.

  Returns:
    The Estimate; `draws_sd` is the SD of the scores of several draws.
  """
  moving = smooth or statistics

  def mean(weights):
    return np.mean([score(weights) for score in moving], axis=0)

  if len(statistics) < 2 and smooth is None:
    return crowd.weighted(statistics[0], within)
  alone = [float(score(np.ones(len(crowd)))) for score in statistics]
  value, sd = float(np.mean(alone)), None
  if not np.isfinite(value):
    return stats.Estimate(value)
  if len(alone) > 1:
    sd = float(np.std(alone, ddof=1))
  if not crowd.has_intervals:
    return stats.Estimate(value, draws_sd=sd)
  variance = crowd.variance(mean)
  if sd is not None:
    variance += intervals.Variance(sd ** 2 / len(alone), len(alone) - 1)
  return stats.Estimate(value, *intervals.interval(
      value, variance, within, len(crowd)), sd)


def sums_over_draws(
    crowd: stats.People, sums: Sequence[np.ndarray],
    statistic: Callable[[np.ndarray], np.ndarray],
    within: intervals.Range = intervals.ANY,
) -> stats.Estimate:
  """A function of sums over rows and over draws of labelled participants.

  A ratio of errors is one of their sums over all draws, which one odd draw
  does not rule as it would rule the mean of ratios. The interval covers
  participants and draws, as that of `mean_over_draws`: the variance between
  draws is what leaving out one draw after another shows.

  Args:
    crowd: the participants behind the scored rows.
    sums: [P, M] of each participant, one a draw of labels.
    statistic: sums [..., M] -> [...].
    within: the range that it cannot leave.
  """
  each = np.asarray(sums)  # [K, P, M]
  whole = each.sum(axis=0)
  if len(each) < 2 or not crowd.has_intervals:
    return crowd.estimate(whole, statistic, within)
  total = whole.sum(axis=0)
  value = float(statistic(total))
  between = intervals.jackknife(statistic(total - each.sum(axis=1)))
  variance = crowd.variance(of_sums(statistic, whole)) + between
  return stats.Estimate(
      value, *intervals.interval(value, variance, within, len(crowd)))


def of_sums(statistic: Statistic, sums: np.ndarray) -> Statistic:
  """A function of sums as a function of weights over participants.

  Args:
    statistic: sums [..., M] -> [...].
    sums: [P, M] of each participant.
  """
  return lambda weights: statistic(weights @ sums)


def _running(x):
  """Sums of the first 0, 1, ..., N columns of x [B, N]: [B, N + 1]."""
  out = np.zeros((len(x), x.shape[1] + 1))
  np.cumsum(x, axis=1, out=out[:, 1:])
  return out


def by_blocks(score: Statistic, rows: int) -> Statistic:
  """A Statistic of few weights at a time.

  Args:
    score: weights [B, P] -> [B].
    rows: how many rows each set of weights is spread over.
  """

  def statistic(weights: np.ndarray) -> np.ndarray:
    flat = weights.reshape(-1, weights.shape[-1]).astype(np.float64)
    size = max(BLOCK // max(rows, 1), 1)
    out = [score(flat[at:at + size]) for at in range(0, len(flat), size)]
    return np.concatenate(out).reshape(weights.shape[:-1])

  return statistic
