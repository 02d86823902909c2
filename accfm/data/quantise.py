"""int16 with a scale for each channel of a segment: a quarter of float64.

value = integer * scale, with scale = max|x| / 32767. The largest error is half
a scale: 15 micro-g for a wrist under gravity, far below a sensor's noise.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from accfm.base.errors import InputError

LARGEST = 32767


def quantise(
    values: np.ndarray, name: str = "values"
) -> tuple[np.ndarray, np.ndarray]:
  """float [T, C] -> (int16 [T, C], float32 scale [C]).

  A channel of zeros gets scale 1.

  Raises:
    InputError: a value is NaN or infinite, or too large for float32.
  """
  values = np.asarray(values, np.float64)  # [T, C]
  peak = np.abs(values).max(axis=0)  # [C]
  if not np.all(peak < np.finfo(np.float32).max):  # NaN is not less either
    raise InputError(
        f"{name}: largest magnitude per channel {peak.tolist()}, want finite "
        "numbers; reject the segment or mend the source"
    )
  scale = (peak / LARGEST).astype(np.float32)
  scale[scale == 0] = 1.0
  whole = np.rint(values / scale)  # within float32's rounding of LARGEST
  return np.clip(whole, -LARGEST, LARGEST).astype(np.int16), scale


def error_sums(
    values: np.ndarray, stored: np.ndarray, scale: np.ndarray
) -> dict[str, float]:
  """The error of storing one segment, as sums that add up over segments.

  Args:
    values: float [T, C] before.
    stored: int16 [T, C] after.
    scale: float32 [C] after.

  Returns:
    {"error": sum of squared errors, "signal": sum of squared deviations from
    each channel's mean (a z-score divides by their root), "max_abs": largest
    error in the signal's unit}.
  """
  values = np.asarray(values, np.float64)
  error = stored * scale.astype(np.float64) - values
  return {
      "error": float(np.sum(error ** 2)),
      "signal": float(np.sum((values - values.mean(axis=0)) ** 2)),
      "max_abs": float(np.abs(error).max()),
  }


def add_sums(sums: Iterable[Mapping[str, float]]) -> dict[str, float]:
  """The results of `error_sums` for many segments, added up."""
  sums = list(sums)
  return {
      "error": sum(s["error"] for s in sums),
      "signal": sum(s["signal"] for s in sums),
      "max_abs": max((s["max_abs"] for s in sums), default=0.0),
  }


def summary(sums: Mapping[str, float]) -> dict[str, float]:
  """RMS error as a share of the signal's own SD, and the largest error."""
  share = (sums["error"] / sums["signal"]) ** 0.5 if sums["signal"] else 0.0
  return {"rms_relative": share, "max_abs": sums["max_abs"]}
