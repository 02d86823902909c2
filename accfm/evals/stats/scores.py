"""Scores of predictions, written so that people can be drawn again.

Each is a function of sums over people (`mae(sums)`), or, where it depends on
the order of all rows, of weights over people (`make_auc(...)(weights)`): a
bootstrap draw is a row of weights, and gives exactly what the score would be
on that many copies of each person's rows.
"""

import dataclasses

import numpy as np

BLOCK = 1 << 22  # numbers that weighted rows of several draws hold at once


def moments(y, p):
  """Columns [N, 8] from whose sums every regression score follows."""
  error, middle = p - y, y.mean()
  y, p = y - middle, p - middle  # a shift that no score depends on
  return np.column_stack([
      np.ones(len(y)), np.abs(error), error ** 2, y, p, y * y, p * p, y * p
  ])


def _divide(a, b):
  good = b > 1e-12
  return np.where(good, a / np.where(good, b, 1), np.nan)


def mae(s):
  return _divide(s[..., 1], s[..., 0])


def rmse(s):
  return np.sqrt(_divide(s[..., 2], s[..., 0]))


def r2(s):
  """1 - squared error over that of the evaluated windows' own mean."""
  n, squared, y, yy = s[..., 0], s[..., 2], s[..., 3], s[..., 5]
  return 1 - _divide(squared, yy - _divide(y * y, n))


def pearson(s):
  n, _, _, y, p, yy, pp, yp = np.moveaxis(s, -1, 0)
  vy, vp = yy - _divide(y * y, n), pp - _divide(p * p, n)
  return _divide(yp - _divide(y * p, n), np.sqrt(np.maximum(vy * vp, 0)))


def hits(y, chosen, classes):
  """Columns [N, 2C] for `balanced_accuracy`: right rows, rows, by class.

  Args:
    y, chosen: [N] places of the true and of the chosen class.
    classes: C, their number.
  """
  member = np.asarray(y)[:, None] == np.arange(classes)  # [N, C]
  right = member & (np.asarray(y) == chosen)[:, None]
  return np.concatenate([right, member], axis=1).astype(np.float64)


def balanced_accuracy(s):
  """Mean over classes of the share found, from sums [..., 2C] of `hits`."""
  right, rows = np.split(s, 2, axis=-1)
  return _divide(right, rows).mean(axis=-1)


def make_auc(index, y, odds):
  """ROC AUC as a function of weights over people.

  Each pair of a positive and a negative row counts once, ties half, with the
  product of the rows' weights (Mann and Whitney 1947). Rows are sorted once:
  a draw costs one running sum, not all pairs.

  Args:
    index: [N] the person of each row, as a place in the weights.
    y: [N] 0 or 1; odds: [N] any increasing score.

  Returns:
    weights [..., P] -> AUC [...], NaN where a class has no weight.
  """
  y = np.asarray(y, bool)
  up, down = np.flatnonzero(y), np.flatnonzero(~y)
  down = down[np.argsort(odds[down], kind="stable")]
  low, high = (np.searchsorted(odds[down], odds[up], side)
               for side in ("left", "right"))

  def score(weights):  # [B, P]
    below = _running(weights[:, index[down]])  # [B, 1 + negatives]
    mine = weights[:, index[up]]
    wins = 0.5 * np.sum(mine * (below[:, low] + below[:, high]), axis=1)
    return _divide(wins, mine.sum(axis=1) * below[:, -1])

  return _by_blocks(score, len(index))


def make_average_precision(index, y, odds):
  """Average precision as a function of weights over people.

  sum over distinct scores, from the highest, of the gain in recall times the
  precision down to there: the step-wise area of scikit-learn, without
  interpolation. Arguments and result as `make_auc`.
  """
  order = np.argsort(-np.asarray(odds), kind="stable")
  ends = np.flatnonzero(np.diff(odds[order], append=np.nan) != 0) + 1
  place, good = index[order], np.asarray(y)[order] == 1

  def score(weights):  # [B, P]
    w = weights[:, place]
    found = _running(w * good)[:, ends]  # [B, distinct scores]
    taken = _running(w)[:, ends]
    precision = found / np.where(taken > 0, taken, 1)
    gain = np.diff(found, prepend=0, axis=1)
    return _divide(np.sum(gain * precision, axis=1), found[:, -1])

  return _by_blocks(score, len(index))


def make_macro_auc(index, y, odds):
  """Mean over classes of the AUC of one against the rest.

  Args:
    index: as `make_auc`.
    y: [N] places of classes; odds: [N, C] one increasing score a class.

  Returns:
    As `make_auc`.
  """
  each = [make_auc(index, y == c, odds[:, c]) for c in range(odds.shape[1])]
  return lambda weights: np.mean([auc(weights) for auc in each], axis=0)


def auc(crowd, y, odds):
  """ROC AUC over rows with its interval over people; as `make_auc`.

  Args:
    crowd: the `stats.People` behind the rows.

  Returns:
    `stats.Estimate`.
  """
  return crowd.weighted(make_auc(crowd.index, y, odds))


def mean_over_draws(crowd, statistics):
  """The mean of a score over draws of labels; people drawn jointly.

  Args:
    crowd: the `stats.People` behind the rows.
    statistics: functions of weights over people, one a draw of labels.

  Returns:
    `stats.Estimate`; with several draws its `draws_sd` is their SD.
  """
  found = crowd.weighted(
      lambda w: np.mean([score(w) for score in statistics], axis=0)
  )
  if len(statistics) < 2 or not np.isfinite(found.value):
    return found
  alone = [score(np.ones(len(crowd))) for score in statistics]
  return dataclasses.replace(found, draws_sd=float(np.std(alone, ddof=1)))


def of_sums(statistic, sums):
  """A function of sums [..., M] as one of weights over people [..., P]."""
  return lambda weights: statistic(weights @ sums)


def _running(x):
  """Sums of the first 0, 1, ... columns of x [B, N]: [B, N + 1]."""
  out = np.zeros((len(x), x.shape[1] + 1))
  np.cumsum(x, axis=1, out=out[:, 1:])
  return out


def _by_blocks(score, rows):
  """`score` [B, P] -> [B] for weights [..., P], a few draws at a time."""

  def run(weights):
    flat = weights.reshape(-1, weights.shape[-1]).astype(np.float64)
    size = max(BLOCK // max(rows, 1), 1)
    out = [score(flat[at:at + size]) for at in range(0, len(flat), size)]
    return np.concatenate(out).reshape(weights.shape[:-1])

  return run
