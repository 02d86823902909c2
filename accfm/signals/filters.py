"""The linear filters of alignment: to another rate, and to a pass band."""

import fractions
import math
from typing import Any

import numpy as np

from accfm.base.errors import InputError

# The interpolation kernel: a Kaiser-windowed sinc, 60 dB down.
_LOBES = 32  # half width, in samples of the lower of the two rates
_CUTOFF = 0.95  # half amplitude, as a share of the lower Nyquist rate
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
  ratio = fractions.Fraction(rate_out / rate_in).limit_denominator(20_000)
  up, down = ratio.numerator, ratio.denominator
  if not 0 < up <= 20_000 or abs(up / down * rate_in / rate_out - 1) > 1e-9:
    raise InputError(
        f"{where}: got {rate_in} Hz for {rate_out} Hz, want rates in a ratio "
        "of whole numbers up to 20,000; round the recording's rate"
    )
  whole, part = _place(shift_s, rate_in)
  if up == down and part == 0.0 and whole + count <= len(x):
    return x[whole:whole + count].copy()

  slower = min(1.0, up / down)
  half = _LOBES / slower  # samples of x
  pad = math.ceil((half + 1) / down) * down
  centre = math.ceil((half + 1) * up / down) * down
  lag = (np.arange(2 * centre + 1) - centre) / up + part  # samples of x
  taper = np.sqrt(np.clip(1 - (lag / half) ** 2, 0, None))
  taps = np.sinc(_CUTOFF * slower * lag) * np.i0(_BETA * taper)
  taps[np.abs(lag) > half] = 0
  for phase in range(up):
    taps[phase::up] /= taps[phase::up].sum()

  need = whole + math.ceil(count * down / up) + 1  # samples of x
  after = pad + max(0, need - len(x))
  x = np.pad(
      x, ((pad, after), (0, 0)), mode="reflect", reflect_type="odd"
  )[whole:]
  from scipy import signal as sps  # here: it takes a second to import

  y = sps.upfirdn(taps, x, up, down, axis=0)
  first = pad * up // down + centre // down
  return y[first:first + count]


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
  kernel = 0.0 if same else _LOBES / min(rate_in, rate_out)
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
