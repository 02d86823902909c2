"""A signal of a recording on the common clock, read piece by piece.

Each gap-free run is evaluated at the times of the common clock by one
band-limited interpolation. It changes the rate, suppresses aliases and
corrects offsets smaller than a sample. Gaps stay NaN. A raw sample that is
impossible (`impossible`) becomes a gap as well, together with all that it
reaches through the filters: what is left is as if it had been sound.

What a piece holds does not depend on where it begins or ends: to the bit
without a band filter, to 1e-6 of the signal with one, since the filter sees
as much of the run around the piece as it reaches.
"""

import dataclasses
import functools
import itertools
import math
import types
from typing import Any, NamedTuple

import numpy as np

from accfm.base.errors import InputError
from accfm.signals import clocks, filters, impossible, quality
from accfm.signals.contract import SignalSpec
from accfm.signals.filters import SNAP
from accfm.signals.recording import Signal

SCAN = 1 << 18  # samples that are looked at together for gaps
LONGEST_GAP_S = 30 * 86_400.0  # within a recording


class Piece(NamedTuple):
  """Some samples of a signal on the common clock.

  Attributes:
    values: [N, C] float32, NaN in gaps.
    clipped: [N] bool, whether the nearest raw sample was at a device limit in
      any channel. It is judged before filtering, which hides clipping.
    impossible: [N] uint8, the place in `impossible.REASONS` of what is wrong
      with a raw sample here or within the filters' reach.
  """

  values: np.ndarray
  clipped: np.ndarray
  impossible: np.ndarray


@dataclasses.dataclass(frozen=True)
class Lines:
  """What a signal is to become.

  Attributes:
    name: of the signal.
    spec: its filter and normalisation.
    rate_hz: of the common clock for this signal.
    rules: as from `quality.read_rules`.
    window_sec: length of a window.
    settled: whether to leave out the ends of runs.
    where: names the recording in errors.
  """

  name: str
  spec: SignalSpec
  rate_hz: float
  rules: types.SimpleNamespace
  window_sec: float
  settled: bool
  where: str


class SignalOnClock:
  """One signal of a recording; see the module.

  Attributes:
    end_s: seconds of each end of a run that are left out.
    first_s, last_s: time of its first sample that is no gap, and just after
      its last one, without these ends.
  """

  def __init__(self, raw: Signal, lines: Lines):
    """Finds the gaps; reads all values once unless they say that none is NaN.

    Raises:
      InputError: every sample is a gap, or a gap lasts longer than a month.
    """
    self._raw, self._lines = raw, lines
    spec = lines.spec
    clock = raw.clock or clocks.even(raw.start_s, raw.rate_hz)
    self._clock = clock.shifted(-spec.delay_s) if spec.delay_s else clock
    self._runs = [
        part for stretch in self._clock.stretches(len(raw.values))
        for part in _without_gaps(raw.values, stretch)
    ]
    if not self._runs:
      raise InputError(f"{lines.where} signal {lines.name}: every sample is a "
                       "gap")
    for before, after in itertools.pairwise(self._runs):
      gap = after.begin_s - before.end_s
      if gap > LONGEST_GAP_S:
        raise InputError(
            f"{lines.where} signal {lines.name}: no samples for "
            f"{gap / 86_400:.0f} days, want at most "
            f"{LONGEST_GAP_S / 86_400:.0f}; make two recordings of it"
        )
    self.end_s = 0.0
    if lines.settled:
      settle = filters.settle_s(lines.rate_hz, spec.band_hz, spec.band_order)
      self.end_s = math.ceil(settle * lines.rate_hz) / lines.rate_hz
    self.first_s = self._runs[0].begin_s + self.end_s
    self.last_s = self._runs[-1].end_s - self.end_s
    self._held: tuple[int, np.ndarray, np.ndarray] | None = None

  def piece(self, start_s: float, first: int, last: int) -> Piece:
    """Samples first, ..., last - 1 of the common clock.

    Args:
      start_s: time of its sample 0, Unix seconds.
      first, last: of the samples.
    """
    rate, spec = self._lines.rate_hz, self._lines.spec
    count = last - first
    values = np.full((count, spec.channels), np.nan, np.float32)
    clipped, codes = self._marks(start_s, first, last)
    for run in self._runs:
      seconds = run.end_s - run.begin_s
      # A run in which no window fits stays a gap.
      if seconds + 1 / run.rate_hz[0] - 2 * self.end_s < (
          self._lines.window_sec):
        continue
      begin = run.begin_s - start_s  # s on the clock
      k0 = max(0, _place(begin + self.end_s, rate))
      k1 = _place(begin + seconds - self.end_s, rate)
      low, high = max(first, k0), min(last, k1)
      if high > low:
        values[low - first:high - first] = self._filtered(
            run, start_s, k0, low, high)
    values[codes > 0] = np.nan
    return Piece(values, clipped, codes)

  def _filtered(self, run, start_s, k0, low, high):
    """Samples low, ..., high - 1; k0 is the run's first on the clock."""
    lines, spec = self._lines, self._lines.spec
    rate, begin = lines.rate_hz, run.begin_s - start_s
    origin, first, last = k0, low, high
    if spec.band_hz:
      far = _place(filters.reach_s(
          rate, 0.0, rate, spec.band_hz, spec.band_order), rate)
      edge = _place(begin, rate)
      origin = max(edge, k0 - far)
      first = max(edge, low - far)
      last = min(
          _place(begin + run.end_s - run.begin_s, rate), high + far)
    if len(run.index) == 1 and filters.ratio(run.rate_hz[0], rate):
      change = _polyphase(
          float(run.rate_hz[0]), rate, max(0.0, origin / rate - begin))
      values = change.outputs(
          lambda i, j: self._sound(run.first + i, run.first + j),
          run.last - run.first, first - origin, last - first)
    else:
      values = self._between(run, start_s, first, last)
    if spec.band_hz:
      values = filters.bandpass(values, rate, spec.band_hz, spec.band_order)
    return values[low - first:high - first]

  def _between(self, run, start_s, first, last):
    """[last - first, C] at any places between the samples of a run."""
    rate = self._lines.rate_hz
    at = run.place(start_s + np.arange(first, last) / rate) - run.first
    slower = min(1.0, rate / round(float(np.median(run.rate_hz)), 3))
    reach = filters.reach(slower)
    low = math.floor(at[0]) - reach - 1
    high = math.ceil(at[-1]) + reach + 2
    x = filters.reflected(
        lambda i, j: self._sound(run.first + i, run.first + j),
        run.last - run.first, low, high)
    return filters.interpolate(x, at - low, slower)

  def _sound(self, first, last):
    """Raw samples, with straight lines in place of impossible ones."""
    x, codes = self._read(first, last)
    return impossible.bridged(x, codes)

  def _read(self, first, last):
    """(values [N, C], codes [N]) of raw samples first, ..., last - 1."""
    if self._held is None or not (
        self._held[0] <= first and last <= self._held[0] + len(self._held[1])
    ):
      # Impossible samples are judged in stretches as long as a window, counted
      # from the first sample; the last one is whole.
      n = len(self._raw.values)
      length = max(1, round(self._lines.window_sec * self._raw.rate_hz))
      low = max(0, first // length - 1) * length  # a little more, for the next
      high = min(n, (-(-last // length) + 1) * length)
      if high == n:
        low = max(0, min(low, n - length))
      x = np.asarray(self._raw.values[low:high])
      codes = impossible.find(
          dataclasses.replace(self._raw, values=x, clock=None),
          self._lines.name, self._lines.spec, self._lines.rules,
          self._lines.window_sec)
      self._held = low, x, codes
    low, x, codes = self._held
    return x[first - low:last - low], codes[first - low:last - low]

  def _marks(self, start_s, first, last):
    """(clipped [N], codes [N]) of samples first, ..., last - 1."""
    rate, spec = self._lines.rate_hz, self._lines.spec
    begin, end = start_s + first / rate, start_s + (last - 1) / rate
    clipped = np.zeros(last - first, bool)
    codes = np.zeros(last - first, np.uint8)
    nominal = self._raw.rate_hz
    n = len(self._raw.values)
    for stretch in self._clock.stretches(n):
      shift = start_s - stretch.begin_s
      reach = filters.reach_s(
          nominal, shift, rate, spec.band_hz, spec.band_order)
      times = np.array([begin - reach, end + reach])
      if times[1] < stretch.begin_s or times[0] > stretch.end_s:
        continue
      low, high = stretch.place(times)
      low = max(stretch.first, math.floor(low) - 1)
      high = min(stretch.last, math.ceil(high) + 2)
      if high <= low:
        continue
      x, found = self._read(low, high)
      if found.any():
        _spread(codes, found, stretch.time(np.arange(low, high)) - start_s,
                reach, rate, first)
      at_limit = quality.at_limit(x, self._raw.limits)
      if at_limit.any():
        place = np.rint(stretch.place(
            start_s + np.arange(first, last) / rate)).astype(np.int64)
        here = (place >= low) & (place < high)
        clipped[here] |= at_limit[place[here] - low]
    return clipped, codes


@functools.lru_cache(maxsize=16)
def _polyphase(rate_in, rate_out, shift_s):
  return filters.Polyphase(rate_in, rate_out, shift_s)


def _place(time_s, rate_hz):
  """The first sample of the clock at or after a time on it."""
  return math.ceil(time_s * rate_hz - SNAP)


def runs(mask: np.ndarray) -> np.ndarray:
  """[K, 2]: the first index of each run of True in [N] bool, and the one after
  its last.
  """
  edges = np.diff(np.concatenate([[0], np.asarray(mask, np.int8), [0]]))
  return np.stack(
      [np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)], axis=1
  )


def _without_gaps(
    values: Any, stretch: clocks.Stretch
) -> list[clocks.Stretch]:
  """The parts of a stretch without NaN."""
  if getattr(values, "finite", False):
    return [stretch]
  found = []
  for low in range(stretch.first, stretch.last, SCAN):
    high = min(low + SCAN, stretch.last)
    lost = np.logical_or.reduce(np.isnan(values[low:high]), axis=1)
    for first, last in runs(~lost) + low:
      if found and found[-1][1] == first:
        found[-1][1] = int(last)
      else:
        found.append([int(first), int(last)])
  return [stretch.part(first, last) for first, last in found]


def _spread(out, codes, times_s, reach_s, rate, first):
  """Puts raw `codes` [N] at `times_s` on the clock, spread by the reach.

  Args:
    out: uint8 of the clock from sample `first` on; changed.
  """
  for code in range(len(impossible.REASONS) - 1, 0, -1):  # the first one wins
    for a, b in runs(codes == code):
      low = math.floor((times_s[a] - reach_s) * rate + SNAP) - first
      high = math.ceil((times_s[b - 1] + reach_s) * rate - SNAP) - first
      out[max(0, low):max(0, high + 1)] = code
