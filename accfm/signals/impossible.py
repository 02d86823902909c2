"""Raw samples that no sensor can have measured, found before any filter.

A filter spreads one such sample over its neighbours, and it takes the int16
resolution of its whole segment. So it is a gap that has a reason:

- out_of_range: infinite, outside the range of its device, kind or config;
- spike: more than `quality.max_crest` times the channel's spread away from
  its median, within a stretch as long as a segment.

The spread is the SD that a normal distribution would have whose middle 80 %
of values are as wide as the channel's. So it does not depend on the spike. An
int16 step is the largest value / 32,767, and rounding errs by 0.29 of it:
with a crest of 1,000 that is 0.9 % of the spread. The largest crest among
1,900 minutes of E4 pulse waves, many of them in motion, is 196; that of 7,200
minutes of an axis of acceleration is below 300.
"""

import types

import numpy as np

from accfm.signals.contract import SignalSpec
from accfm.signals.recording import Signal

REASONS = ("", "out_of_range", "spike")  # a sample's code is its place here
OUT_OF_RANGE, SPIKE = 1, 2

# Nothing that is larger is a measurement in any unit, and float32 holds the
# squares of what is not.
LARGEST = 1e12
# Least spread by kind and unit: a wrist at rest still shows some mg, but the
# steps of a coarse sensor may hide them.
REST = {("acc", "g"): 0.005}
MIDDLE = 0.8  # share of the values that gives the spread
NORMAL = 2.5631  # their width in a normal distribution, in SDs
MOST = 0.999  # share that gives it where the middle ones are all equal


def find(
    signal: Signal, name: str, spec: SignalSpec,
    rules: types.SimpleNamespace, window_sec: float,
) -> np.ndarray:
  """The code of each sample: uint8 [N], 0 for a possible one or a gap.

  Args:
    signal: as its source gave it.
    name: of the signal, for `rules.range`.
    spec: of the signal.
    rules: as from `quality.read_rules`.
    window_sec: length of a segment.
  """
  x = np.asarray(signal.values)  # [N, C]
  low, high = limits(signal, name, spec, rules)
  with np.errstate(invalid="ignore"):  # NaN is neither
    beyond = np.logical_or.reduce((x < low) | (x > high), axis=1)
  codes = beyond.astype(np.uint8) * np.uint8(OUT_OF_RANGE)
  if rules.max_crest is None:
    return codes
  known = np.isfinite(x).all(axis=1) & ~beyond
  length = max(1, round(window_sec * signal.rate_hz))
  for first in range(0, len(x), length):
    first = max(0, min(first, len(x) - length))  # the last one is whole
    rows = first + np.flatnonzero(known[first:first + length])
    if len(rows):
      away = _away(x[rows], spec, rules)
      codes[rows[(away > rules.max_crest).any(axis=1)]] = SPIKE
  return codes


def limits(
    signal: Signal, name: str, spec: SignalSpec, rules: types.SimpleNamespace
) -> tuple[float, float]:
  """The lowest and highest possible value of a raw signal."""
  low, high = -LARGEST, LARGEST
  if signal.limits is not None:
    slack = rules.beyond_limits * (signal.limits[1] - signal.limits[0])
    low = max(low, signal.limits[0] - slack)
    high = min(high, signal.limits[1] + slack)
  elif (spec.kind, spec.unit) == ("acc", "g") and rules.acc_range_g is not None:
    low, high = -rules.acc_range_g, rules.acc_range_g
  if name in rules.range:
    low = max(low, rules.range[name][0])
    high = min(high, rules.range[name][1])
  return low, high


def crest(
    x: np.ndarray, spec: SignalSpec, rules: types.SimpleNamespace
) -> float:
  """The largest distance of a sample [T, C] from its channel's median, in
  spreads.
  """
  return float(_away(x, spec, rules).max())


def bridged(x: np.ndarray, codes: np.ndarray) -> np.ndarray:
  """x [N, C] with straight lines in place of impossible samples.

  They are for the filters alone, which need a value: whatever they reach is
  left out afterwards.

  Args:
    x: without gaps.
    codes: [N], as from `find`.
  """
  if not codes.any():
    return x
  known = np.flatnonzero(codes == 0)
  if not len(known):
    return np.zeros_like(x)
  out = np.array(x)
  lost = np.flatnonzero(codes)
  for c in range(x.shape[1]):
    out[lost, c] = np.interp(lost, known, x[known, c])
  return out


def _away(x, spec, rules):
  """[T, C] distance of each sample from its channel's median, in spreads."""
  x = np.asarray(x, np.float64)
  edge = (1 - MIDDLE) / 2
  low, middle, high = np.quantile(x, (edge, 0.5, 1 - edge), axis=0)  # [C]
  away = np.abs(x - middle)
  spread = (high - low) / NORMAL
  for c in np.flatnonzero(spread == 0):
    most = away[:, c] <= np.quantile(away[:, c], MOST)
    spread[c] = x[most, c].std()
  spread = np.maximum(spread, REST.get((spec.kind, spec.unit), 0.0))
  # What is constant up to rounding is flat and has no spikes.
  away[away <= rules.flat_range * np.maximum(1.0, np.abs(middle))] = 0.0
  with np.errstate(divide="ignore", invalid="ignore"):
    return np.where(away > 0, away / spread, 0.0)
