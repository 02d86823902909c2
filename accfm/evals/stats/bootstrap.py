"""Intervals by resampling people.

Segments of one person are not independent, so a bootstrap draws people, never
segments. Every statistic here is a function of sums over segments. One draw is
then a row of weights over people, and a thousand draws are one product of a
matrix of weights with the sums of each person.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from accfm.base import interrupts
from accfm.base.errors import InputError


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
  """The people behind N segments, and their bootstrap draws.

  The same ids, draws and seed give the same draws. Two encoders that are
  scored on the same segments are therefore resampled together, and their
  difference can be taken draw by draw.

  Attributes:
    names: [P] ids, sorted.
    index: [N] the place in `names` of each segment's person.
    weights: [draws, P] how often each draw took each person.
  """

  def __init__(self, ids: Sequence | np.ndarray, draws: int, seed: int):
    """Draws people.

    Args:
      ids: [N] person of each segment.
      draws: number of resamplings; 0 for no intervals.
      seed: of the draws.

    Raises:
      InputError: no segments.
    """
    self.names, self.index = np.unique(np.asarray(ids), return_inverse=True)
    if not len(self.names):
      raise InputError("bootstrap: got no windows, want at least one")
    rng = np.random.default_rng(seed)
    p = len(self.names)
    # Drawing P people out of P with replacement, as counts.  [draws, P]
    self.weights = rng.multinomial(p, np.full(p, 1 / p), size=draws)

  def __len__(self) -> int:
    return len(self.names)

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
      self, sums: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]
  ) -> Estimate:
    """Estimate of a function of sums over segments.

    Args:
      sums: [P, M], from `sums`.
      statistic: maps sums [..., M] to values [...], NaN where undefined.

    Returns:
      As `weighted`.
    """
    return self.weighted(lambda weights: statistic(weights @ sums))

  def weighted(
      self, statistic: Callable[[np.ndarray], np.ndarray]
  ) -> Estimate:
    """Estimate of a function of how often each person counts.

    Args:
      statistic: maps weights [..., P] to values [...], NaN where undefined.

    Returns:
      Estimate with the percentile interval (Efron 1979) over people. The
      interval is None with fewer than two people, without draws, and where
      more than one draw in twenty is undefined.
    """
    interrupts.check()
    value = float(statistic(np.ones(len(self))))
    if len(self) < 2 or not len(self.weights) or not np.isfinite(value):
      return Estimate(value)
    draws = statistic(self.weights)
    known = draws[np.isfinite(draws)]
    if len(known) < 0.95 * len(draws):
      return Estimate(value)
    low, high = np.percentile(known, [2.5, 97.5])
    return Estimate(value, float(low), float(high))


def ratio(sums: np.ndarray) -> np.ndarray:
  """First column over second, NaN where the second is zero.  [..., 2]."""
  top, bottom = sums[..., 0], sums[..., 1]
  known = bottom > 0
  return np.where(known, top / np.where(known, bottom, 1), np.nan)
