"""The linear filters of alignment: to another rate, and to a pass band."""

import fractions
import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from accfm.base.errors import InputError

# The interpolation kernel: a Kaiser-windowed sinc, 60 dB down.
LOBES = 32  # half width, in samples of the lower of the two rates
_CUTOFF = 0.95  # half amplitude, as a share of the lower Nyquist rate
_PHASES = 1024  # of a sample, in the table of `interpolate`
_BETA = 5.65  # Kaiser's 0.1102 * (60 - 8.7)
SNAP = 1e-4  # smaller offsets, in samples, are rounding of the clock
_DECAYED = 1e-6  # share of a response that counts as nothing
_SETTLED = 0.0015  # share that may be left of what an end of a run adds


def resample(
    x: np.ndarray, rate_in: float, shift_s: float, rate_out: float,
    count: int, where: str = "signal",
) -> np.ndarray:
  """Evaluates a gap-free signal at `shift_s + k / rate_out`, k < count.

  The kernel is a Kaiser-windowed sinc. It is flat up to 0.89 of the lower of
  the two Nyquist rates and at least 60 dB down from 1.01 of it on. Each phase
  of the polyphase filter sums to one, so a constant stays exactly constant.

  Args:
    x: [N, C], N >= 2, finite.
    rate_in: its rate in Hz.
    shift_s: time of the first output after the first input, >= 0.
    rate_out: rate of the output in Hz.
    count: samples of the output.
    where: names the signal in the error.

  Returns:
    [count, C] float64.

  Raises:
    InputError: the rates' ratio is not one of whole numbers up to 20,000.
  """
  x = np.asarray(x, np.float64)
  if ratio(rate_in, rate_out) is None:
    raise InputError(
        f"{where}: got {rate_in} Hz for {rate_out} Hz, want rates in a ratio "
        "of whole numbers up to 20,000; give the signal a clock "
        "(signals.clocks), or round its rate"
    )
  return Polyphase(rate_in, rate_out, shift_s).outputs(
      lambda first, last: x[first:last], len(x), 0, count)


def ratio(rate_in: float, rate_out: float) -> tuple[int, int] | None:
  """(up, down) with rate_out = rate_in * up / down, whole numbers up to
  20,000; None if there are none.
  """
  found = fractions.Fraction(rate_out / rate_in).limit_denominator(20_000)
  up, down = found.numerator, found.denominator
  if not 0 < up <= 20_000 or abs(up / down * rate_in / rate_out - 1) > 1e-9:
    return None
  return up, down


class Polyphase:
  """The change of rate of one gap-free run, any part of which can be had.

  Output k lies `shift_s + k / rate_out` after the run's first sample. The
  numbers do not depend on how the outputs are divided into parts.
  """

  def __init__(self, rate_in: float, rate_out: float, shift_s: float):
    found = ratio(rate_in, rate_out)
    assert found is not None
    self.up, self.down = found
    self._whole, part = _place(shift_s, rate_in)
    self._same = self.up == self.down and part == 0.0
    up, down = found
    slower = min(1.0, up / down)
    half = LOBES / slower  # samples of the input
    self._pad = math.ceil((half + 1) / down) * down
    self._centre = math.ceil((half + 1) * up / down) * down
    lag = (np.arange(2 * self._centre + 1) - self._centre) / up + part
    taper = np.sqrt(np.clip(1 - (lag / half) ** 2, 0, None))
    taps = np.sinc(_CUTOFF * slower * lag) * np.i0(_BETA * taper)
    taps[np.abs(lag) > half] = 0
    for phase in range(up):
      taps[phase::up] /= taps[phase::up].sum()
    self._taps = taps

  def outputs(
      self, read: Callable[[int, int], np.ndarray], length: int, first: int,
      count: int,
  ) -> np.ndarray:
    """Outputs first, ..., first + count - 1: [count, C] float64.

    Args:
      read: `read(i, j)` gives samples i, ..., j - 1 of the run, [j - i, C].
      length: samples of the run. Beyond its ends lies its odd reflection.
      first, count: of the outputs.
    """
    whole = self._whole
    if self._same and whole + first + count <= length:
      return np.array(read(whole + first, whole + first + count), np.float64)
    skip = first % self.up  # what is computed begins with the first phase
    start = whole + (first - skip) // self.up * self.down
    need = math.ceil((skip + count) * self.down / self.up) + 1
    x = reflected(read, length, start - self._pad, start + need + self._pad)
    from scipy import signal as sps  # here: it takes a second to import

    y = sps.upfirdn(self._taps, x, self.up, self.down, axis=0)
    at = self._pad * self.up // self.down + self._centre // self.down + skip
    return y[at:at + count]


def reflected(
    read: Callable[[int, int], np.ndarray], length: int, first: int, last: int
) -> np.ndarray:
  """Samples first, ..., last - 1 of a run, with its odd reflection around it.

  Args:
    read, length: as for `Polyphase.outputs`.
    first, last: may lie outside [0, length].
  """
  before, after = max(0, -first), max(0, last - length)
  low, high = max(0, first), min(length, last)
  if before or after:  # what is reflected has to be there
    low, high = min(low, max(0, length - after - 1)), max(high, before + 1)
    high = min(high, length)
  x = np.asarray(read(low, high), np.float64)
  if not (before or after):
    return x
  x = np.pad(
      x, ((before, after), (0, 0)), mode="reflect", reflect_type="odd")
  skip = max(0, first) - low if not before else 0
  return x[skip:skip + last - first]


def interpolate(
    x: np.ndarray, place: np.ndarray, slower: float
) -> np.ndarray:
  """Evaluates a signal between its samples, anywhere: [M, C] float64.

  The kernel is that of `resample`, from a table of 1,024 phases with straight
  lines between them, which is right to 2e-6 of the signal.

  Args:
    x: [N, C]; `reach(slower)` samples before the first place and after the
      last have to be there.
    place: [M] in samples of x.
    slower: rate of the output over that of the input, at most 1.
  """
  table, steps = _phases(slower)
  half = table.shape[1] // 2
  whole = np.floor(place).astype(np.int64)
  at = (place - whole) * _PHASES
  row = np.minimum(at.astype(np.int64), _PHASES - 1)
  part = (at - row)[:, None]
  # [C, N', taps]: the samples of a frame lie side by side.
  frames = np.lib.stride_tricks.sliding_window_view(
      np.ascontiguousarray(np.asarray(x, np.float64).T), table.shape[1], axis=1)
  out = np.empty((len(place), x.shape[1]))
  for low in range(0, len(place), 2048):  # weights of so many at a time
    some = slice(low, low + 2048)
    weight, more = table[row[some]], steps[row[some]]
    more *= part[some]
    weight += more
    for c in range(x.shape[1]):
      out[some, c] = np.einsum(
          "mt,mt->m", frames[c, whole[some] - half], weight)
  return out


def reach(slower: float) -> int:
  """Samples on both sides that `interpolate` looks at."""
  return math.ceil(LOBES / slower) + 1


@functools.lru_cache(maxsize=8)
def _phases(slower: float) -> tuple[np.ndarray, np.ndarray]:
  """[phases + 1, taps] the kernel at each part of a sample, rows of sum 1; and
  [phases, taps] the step from each to the next.
  """
  half = LOBES / slower
  lag = np.arange(-reach(slower), reach(slower) + 1) - (
      np.linspace(0.0, 1.0, _PHASES + 1)[:, None])
  taper = np.sqrt(np.clip(1 - (lag / half) ** 2, 0, None))
  table = np.sinc(_CUTOFF * slower * lag) * np.i0(_BETA * taper)
  table[np.abs(lag) > half] = 0
  table /= table.sum(axis=1, keepdims=True)
  return table, np.diff(table, axis=0)


def bandpass(
    x: np.ndarray, rate_hz: float, band_hz: tuple[float, float], order: int
) -> np.ndarray:
  """Zero-phase Butterworth filter (forward and backward), along axis 0.

  Args:
    x: [N, C], finite.
    rate_hz: its rate.
    band_hz: (low, high); with a low of 0 it is a low-pass filter.
    order: order of one direction.

  Returns:
    [N, C] float64.
  """
  from scipy import signal as sps  # as in `resample`

  low, high = band_hz
  sos = _butterworth(rate_hz, band_hz, order, "sos")
  pad = min(len(x) - 1, math.ceil(3 * rate_hz / (low or high)))
  return sps.sosfiltfilt(sos, x, axis=0, padlen=pad)


def reach_s(
    rate_in: float, shift_s: float, rate_out: float,
    band_hz: tuple[float, float] | None, order: int,
) -> float:
  """How far, in s, one sample changes what the filters make of a signal.

  Args:
    rate_in, shift_s, rate_out: as for `resample`.
    band_hz, order: as for `bandpass`; None for no such filter.
  """
  same = rate_in == rate_out and _place(shift_s, rate_in)[1] == 0.0
  kernel = 0.0 if same else LOBES / min(rate_in, rate_out)
  return kernel + _decay_s(rate_out, band_hz, order, _DECAYED)


def settle_s(
    rate_hz: float, band_hz: tuple[float, float] | None, order: int
) -> float:
  """How long, in s, the end of a run changes what `bandpass` makes of it.

  Beyond the end the filter assumes the run's own reflection. What that adds
  is several SD of the signal at the end, and has fallen to less than 1 % of
  the SD here.

  Args:
    rate_hz, band_hz, order: as for `bandpass`; None for no filter, which
      needs no time.
  """
  return _decay_s(rate_hz, band_hz, order, _SETTLED)


def _decay_s(rate_hz, band_hz, order, share):
  """Seconds until a filter's slowest pole has fallen to a share."""
  if not band_hz:
    return 0.0
  poles = np.abs(_butterworth(rate_hz, band_hz, order, "zpk")[1])
  return math.log(share) / math.log(poles.max()) / rate_hz


def _place(shift_s, rate_in):
  """(whole samples, the part of one in [0, 1)) of a time after the first."""
  whole = math.floor(shift_s * rate_in + SNAP)
  part = shift_s * rate_in - whole
  return whole, 0.0 if abs(part) < SNAP else part


def _butterworth(rate_hz, band_hz, order, output) -> Any:
  """The Butterworth filter of a pass band, in one of scipy's forms."""
  from scipy import signal as sps  # as in `resample`

  low, high = band_hz
  kind, edges = ("bandpass", (low, high)) if low > 0 else ("lowpass", high)
  return sps.butter(order, edges, kind, fs=rate_hz, output=output)
