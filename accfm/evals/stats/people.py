"""Intervals over people.

Segments of one person are not independent, so what varies is people, never
segments. Every statistic here is a function of how often each person counts.
Leaving one person out after another (the jackknife) shows how much each moves
it, and gives a t interval with as many degrees of freedom as there are people
but one: `results/coverage.md` shows how often it holds the truth, beside the
percentile bootstrap.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import numpy as np

from accfm.base import interrupts
from accfm.base.errors import InputError
from accfm.evals.stats import intervals

# Each person who is left out costs a pass over all rows. So more people than
# ALONE are left out in GROUPS of equal size.
ALONE, GROUPS = 256, 100

Statistic = Callable[[np.ndarray], np.ndarray]  # weights [..., P] -> [...]


@dataclasses.dataclass(frozen=True)
class Estimate:
  """A number and its 95 % interval.

  Attributes:
    value: NaN where the statistic is not defined.
    low, high: ends of the interval, None where there is none.
    draws_sd: SD over draws of labelled people, None for one draw.
  """

  value: float
  low: float | None = None
  high: float | None = None
  draws_sd: float | None = None


class People:
  """The people behind N segments.

  The same ids and seed give the same groups and draws, so two encoders that
  are scored on the same segments are compared on the same people.

  Attributes:
    names: [P] ids, sorted.
    index: [N] the place in `names` of each segment's person.
  """

  def __init__(self, ids: Sequence | np.ndarray, draws: int, seed: int):
    """Sorts segments by person.

    Args:
      ids: [N] person of each segment.
      draws: number of resamplings (`weights`); 0 for no intervals at all.
      seed: of the resamplings, and of the groups of many people.

    Raises:
      InputError: no segments.
    """
    self.names, self.index = np.unique(np.asarray(ids), return_inverse=True)
    if not len(self.names):
      raise InputError("intervals: got no windows, want at least one")
    self.draws, self.seed = draws, seed

  def __len__(self) -> int:
    return len(self.names)

  @property
  def has_intervals(self) -> bool:
    """Whether there are people enough, and intervals are wanted."""
    return bool(self.draws) and len(self) >= intervals.FEWEST

  @functools.cached_property
  def weights(self) -> np.ndarray:
    """[draws, P] bootstrap draws: how often each took each person."""
    p, rng = len(self), np.random.default_rng(self.seed)
    # Drawing P people out of P with replacement, as counts.
    return rng.multinomial(p, np.full(p, 1 / p), size=self.draws)

  @functools.cached_property
  def groups(self) -> np.ndarray:
    """[P] the group with which each person is left out."""
    p = len(self)
    if p <= ALONE:
      return np.arange(p)
    return np.random.default_rng(self.seed).permutation(p) % GROUPS

  def sums(
      self, columns: np.ndarray, rows: slice | np.ndarray = slice(None)
  ) -> np.ndarray:
    """The sums of each person [P, M] of columns [N, M] of the segments `rows`.
    """
    index = self.index[rows]
    order = np.argsort(index, kind="stable")
    present, starts = np.unique(index[order], return_index=True)
    out = np.zeros((len(self), columns.shape[1]))
    out[present] = np.add.reduceat(columns[order], starts, axis=0)
    return out

  def estimate(
      self, sums: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray],
      within: intervals.Range = intervals.ANY,
  ) -> Estimate:
    """Estimate of a function of sums over segments.

    Args:
      sums: [P, M], from `sums`.
      statistic: maps sums [..., M] to values [...], NaN where undefined.
      within: the range that it cannot leave.

    Returns:
      As `weighted`.
    """
    return self.weighted(lambda weights: statistic(weights @ sums), within)

  def weighted(
      self, statistic: Statistic, within: intervals.Range = intervals.ANY
  ) -> Estimate:
    """Estimate of a function of how often each person counts.

    Args:
      statistic: maps weights [..., P] to values [...], NaN where undefined.
      within: the range that it cannot leave.

    Returns:
      Estimate with the t interval over people. The interval is None with
      fewer than `intervals.FEWEST` people, and where the statistic is not
      defined without some person: nothing then shows how it varies.
    """
    interrupts.check()
    value = float(statistic(np.ones(len(self))))
    if not self.has_intervals or not np.isfinite(value):
      return Estimate(value)
    return Estimate(value, *intervals.interval(
        value, self.variance(statistic), within, len(self)))

  def variance(self, statistic: Statistic) -> intervals.Variance:
    """The variance of a function of weights over people."""
    return intervals.jackknife(self.left_out(statistic))

  def left_out(self, statistic: Statistic) -> np.ndarray:
    """[G] a function of weights without each group of people."""
    names = np.arange(self.groups.max() + 1)
    return statistic((self.groups != names[:, None]).astype(np.float64))


def ratio(sums: np.ndarray) -> np.ndarray:
  """First column over second, NaN where the second is zero.  [..., 2]."""
  top, bottom = sums[..., 0], sums[..., 1]
  known = bottom > 0
  return np.where(known, top / np.where(known, bottom, 1), np.nan)
