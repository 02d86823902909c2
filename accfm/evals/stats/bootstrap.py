"""Intervals by resampling people, and the flat table all metrics go to.

Windows of one person are not independent, so a bootstrap draws people, never
windows. Every statistic here is a function of sums over windows; one draw is
then a row of weights over people, and a thousand draws are one matrix
product of weights with per-person sums.
"""

import dataclasses

import numpy as np

from accfm.base.errors import InputError


@dataclasses.dataclass(frozen=True)
class Estimate:
  """A number and its 95 % interval; the ends are None where not evaluable."""

  value: float
  low: float | None = None
  high: float | None = None


class People:
  """The people behind N windows, and their bootstrap draws.

  The same ids, draws and seed give the same draws, so two encoders scored on
  the same windows are resampled together: their difference can be taken draw
  by draw.
  """

  def __init__(self, ids, draws, seed):
    """ids: [N] person of each window; draws: number of resamplings."""
    self.names, self.index = np.unique(np.asarray(ids), return_inverse=True)
    if not len(self.names):
      raise InputError("bootstrap: got no windows, want at least one")
    rng = np.random.default_rng(seed)
    p = len(self.names)
    # Drawing P people out of P with replacement, as counts.  [draws, P]
    self.weights = rng.multinomial(p, np.full(p, 1 / p), size=draws)

  def __len__(self):
    return len(self.names)

  def sums(self, columns, rows=slice(None)):
    """Per-person sums [P, M] of columns [N, M] of the windows `rows`."""
    index = self.index[rows]
    order = np.argsort(index, kind="stable")
    present, starts = np.unique(index[order], return_index=True)
    out = np.zeros((len(self), columns.shape[1]))
    out[present] = np.add.reduceat(columns[order], starts, axis=0)
    return out

  def estimate(self, sums, statistic):
    """Estimate of a function of sums over windows.

    Args:
      sums: [P, M], from `sums`.
      statistic: maps sums [..., M] to values [...], NaN where undefined.

    Returns:
      As `weighted`.
    """
    return self.weighted(lambda weights: statistic(weights @ sums))

  def weighted(self, statistic):
    """Estimate of a function of how often each person counts.

    Args:
      statistic: maps weights [..., P] to values [...], NaN where undefined.

    Returns:
      Estimate with the percentile interval (Efron 1979) over people. The
      interval is None with fewer than two people, or where more than one
      draw in twenty is undefined.
    """
    value = float(statistic(np.ones(len(self))))
    if len(self) < 2 or not np.isfinite(value):
      return Estimate(value)
    draws = statistic(self.weights)
    known = draws[np.isfinite(draws)]
    if len(known) < 0.95 * len(draws):
      return Estimate(value)
    low, high = np.percentile(known, [2.5, 97.5])
    return Estimate(value, float(low), float(high))


def ratio(sums):
  """First column over second, NaN where the second is zero.  [..., 2]."""
  top, bottom = sums[..., 0], sums[..., 1]
  known = bottom > 0
  return np.where(known, top / np.where(known, bottom, 1), np.nan)


class Metrics:
  """Flat `split/task/measure_unit` keys -> numbers, and what is missing.

  Attributes:
    values: key -> float, or None where not evaluable.
    missing: list of {"key", "reason"}: every None has one.
  """

  def __init__(self):
    self.values = {}
    self.missing = []

  def add(self, key, value):
    """Adds a number, or an Estimate with its `_ci95_low` and `_ci95_high`."""
    if key in self.values:
      raise ValueError(f"metric {key!r} is reported twice")
    estimate = value if isinstance(value, Estimate) else Estimate(value)
    if not np.isfinite(estimate.value):
      self.skip(key, "the statistic is undefined on these windows")
      return
    self.values[key] = float(estimate.value)
    if estimate.low is not None:
      self.values[f"{key}_ci95_low"] = estimate.low
      self.values[f"{key}_ci95_high"] = estimate.high

  def skip(self, key, reason):
    """Reports `key` as not evaluable: null, with its reason."""
    self.values[key] = None
    self.missing.append({"key": key, "reason": reason})
