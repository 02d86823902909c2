"""Medians over segments, and their intervals over people.

A median jumps from one segment to the next, so leaving a person out does not
show how it varies. The share of segments at or below it does not jump: the
interval of that share, around one half, is read off as the interval of the
median (Woodruff, JASA 1952).
"""

from collections.abc import Callable, Sequence

import numpy as np

from accfm.evals.stats import intervals, scores
from accfm.evals.stats import people as stats
from accfm.evals.stats.people import Statistic


def by_shares(
    crowd: stats.People, sums: np.ndarray, middle: float,
    value_at: Callable[[float], float],
) -> stats.Estimate:
  """A median with Woodruff's interval.

  Args:
    crowd: the participants behind the segments.
    sums: [P, 2] how many segments of each are at or below the median, and
      how many there are.
    middle: the median.
    value_at: the smallest value that a share of all segments is at or below.
  """
  low, high = _shares(crowd, sums)
  if low is None or high is None:
    return stats.Estimate(middle)
  return stats.Estimate(
      middle, min(value_at(low), middle), max(value_at(high), middle))


def _shares(crowd, sums):
  """The interval of the share at the median, around one half."""
  if not crowd.has_intervals:
    return None, None
  variance = crowd.variance(scores.of_sums(stats.ratio, sums))
  return intervals.interval(0.5, variance, intervals.SHARE, len(crowd))


def make_median(index: np.ndarray, x: np.ndarray) -> Statistic:
  """The median of rows as a function of weights over participants.

  Args:
    index: [N] the participant of each row, as a place in the weights.
    x: [N].

  Returns:
    weights [..., P] -> median [...], the mean of the two middle rows where
    half of the weight lies on either side. NaN without weight.
  """
  order = np.argsort(x, kind="stable")
  place, x = index[order], np.append(x[order], np.nan)

  def score(weights):  # [B, P]
    w = weights[:, place]
    running = np.cumsum(w, axis=1)
    half = 0.5 * running[:, -1:]
    slack = 1e-9 * half
    lower = np.sum(running < half - slack, axis=1)
    upper = np.sum(running <= half + slack, axis=1)
    return np.where(
        half[:, 0] > 0, 0.5 * (x[lower] + x[np.minimum(upper, len(x) - 2)]),
        np.nan)

  return scores.by_blocks(score, len(index))


def mean_over_draws(
    crowd: stats.People, rows: Sequence[np.ndarray]
) -> stats.Estimate:
  """The median of rows, its mean over draws of labelled participants.

  Args:
    crowd: the participants behind the N rows.
    rows: [N] numbers from 0 up, one array a draw of labels.

  Returns:
    As `scores.mean_over_draws`.
  """
  found = [make_median(crowd.index, x) for x in rows]
  if len(rows) == 1:
    middle = float(found[0](np.ones(len(crowd))))
    ordered = np.sort(rows[0])
    return by_shares(
        crowd, _below(crowd, rows[0], middle), middle,
        lambda share: _at_share(ordered, share))
  smooth = [_smooth(crowd, x, median) for x, median in
            zip(rows, found, strict=True)]
  return scores.mean_over_draws(crowd, found, intervals.POSITIVE, smooth)


def _below(crowd, x, middle):
  return crowd.sums(np.stack([x <= middle, np.ones(len(x))], 1))


def _at_share(ordered: np.ndarray, share: float) -> float:
  n = len(ordered)
  return float(ordered[min(max(int(np.ceil(share * n)) - 1, 0), n - 1)])


def _smooth(crowd, x, median):
  """A function of weights with the median's value and slope.

  Where the share below the median grows by d, the median falls by d over the
  density, which is read off Woodruff's interval.
  """
  middle = float(median(np.ones(len(crowd))))
  sums = _below(crowd, x, middle)
  low, high = _shares(crowd, sums)
  if low is None or high is None or high <= low:
    return lambda weights: np.full(np.shape(weights)[:-1], middle)
  ordered = np.sort(x)
  slope = (_at_share(ordered, high) - _at_share(ordered, low)) / (high - low)
  share = scores.of_sums(stats.ratio, sums)
  return lambda weights: middle - slope * (share(weights) - 0.5)
