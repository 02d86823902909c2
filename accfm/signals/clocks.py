"""`Clock`: where the samples of a signal lie in time.

Devices state a rate that they do not keep: 63.9999 Hz, or 100 Hz with a stamp
a block that drifts, jumps, repeats or runs backwards. A clock holds what the
stamps say: runs of samples, each evenly spaced from its own start at its own
rate. Between two runs lies a gap.
"""

import dataclasses
import math

import numpy as np

from accfm.base.errors import InputError


@dataclasses.dataclass(frozen=True)
class Clock:
  """Runs of evenly spaced samples, in order.

  Sample i of run k lies at `start_s[k] + (i - first[k]) / rate_hz[k]`.

  Attributes:
    first: [K] int64, index of each run's first sample; the first is 0.
    start_s: [K] float64, time of that sample, Unix seconds.
    rate_hz: [K] float64, samples per second within the run.
  """

  first: np.ndarray
  start_s: np.ndarray
  rate_hz: np.ndarray

  def __post_init__(self):
    shapes = {x.shape for x in (self.first, self.start_s, self.rate_hz)}
    if len(shapes) > 1 or self.first.ndim != 1 or not len(self.first):
      raise InputError(
          f"clock: got first, start_s and rate_hz of shapes {sorted(shapes)}, "
          "want one shape [K], K >= 1"
      )
    if self.first[0] != 0 or np.any(np.diff(self.first) <= 0):
      raise InputError("clock: first must begin with 0 and increase")
    if not np.isfinite(self.start_s).all() or not (
        np.isfinite(self.rate_hz).all() and (self.rate_hz > 0).all()
    ):
      raise InputError(
          "clock: got a start or a rate that is not finite, or a rate of 0 or "
          "less"
      )

  def end_s(self, count: int) -> float:
    """Time just after the last of `count` samples."""
    last = count - int(self.first[-1])
    return float(self.start_s[-1] + last / self.rate_hz[-1])


def even(start_s: float, rate_hz: float) -> Clock:
  """One run from `start_s` on."""
  if not (math.isfinite(start_s) and 0 < rate_hz < math.inf):
    raise InputError(f"clock: got {start_s} s and {rate_hz} Hz, want numbers")
  return Clock(np.array([0]), np.array([start_s], float),
               np.array([rate_hz], float))
