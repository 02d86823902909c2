"""Puts the signals of a recording on one clock and rate, and cuts windows.

Each gap-free run of a signal is evaluated at the times of the common clock by
one band-limited interpolation. It changes the rate, suppresses aliases and
corrects start offsets smaller than a sample. Gaps stay NaN.
"""

import dataclasses
import fractions
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from accfm.base.errors import InputError
from accfm.signals import quality
from accfm.signals.contract import Contract
from accfm.signals.recording import Beats, Recording, Span, Track

# The interpolation kernel: a Kaiser-windowed sinc, 60 dB down.
_LOBES = 32  # half width, in samples of the lower of the two rates
_CUTOFF = 0.95  # half amplitude, as a share of the lower Nyquist rate
_BETA = 5.65  # Kaiser's 0.1102 * (60 - 8.7)
_SNAP = 1e-4  # smaller offsets, in samples, are rounding of the clock


@dataclasses.dataclass(frozen=True)
class Aligned:
  """A recording on one clock: sample k of every signal has the same time.

  Attributes:
    start_s: time of sample 0, Unix seconds.
    rate_hz: samples per second.
    signals: name -> [N, C] float32, NaN in gaps.
    clipped: name -> [N] bool, whether the nearest raw sample was at a device
      limit in any channel. It is judged before filtering, which hides
      clipping.
    beats: as in `Recording`, with the delay subtracted.
    tracks: likewise.
    spans: as in `Recording`.
  """

  start_s: float
  rate_hz: float
  signals: Mapping[str, np.ndarray]
  clipped: Mapping[str, np.ndarray]
  beats: Beats | None
  tracks: Mapping[str, Track]
  spans: Sequence[Span]


@dataclasses.dataclass(frozen=True)
class Window:
  """One segment as cut from a recording.

  Attributes:
    start_s: time of its first sample, Unix seconds.
    signals: name -> [T, C] float32, NaN in gaps.
    clipped: name -> share [0, 1] of samples at a device limit.
  """

  start_s: float
  signals: Mapping[str, np.ndarray]
  clipped: Mapping[str, float]


def align(recording: Recording, contract: Contract) -> Aligned:
  """Puts the contract's signals on one clock at `contract.rate_hz`.

  A signal's `delay_s` is subtracted from its times and from those of the
  beats and tracks that name it. Beats and tracks of a signal that the
  contract leaves out stay where they are, since its delay is not known.
  The clock starts at the first finite sample of the signal that starts last.
  A run between gaps that is shorter than a window stays a gap, since no
  window fits in it. At the ends of a run the filters see its odd reflection.

  Args:
    recording: signals that the contract does not name are left out.
    contract: names the signals, their filters and the rate.

  Raises:
    InputError: a signal is absent or has other channels or another unit;
      the signals overlap for less than a window; the rates are not in a
      ratio of whole numbers up to 20,000; a pass band does not fit the rate
      or contradicts `gravity_kept`.
  """
  where = f"recording {recording.participant}/{recording.session}"
  for name, spec in contract.signals.items():
    _check(recording, name, spec, contract.rate_hz, where)
  clocks = {
      name: recording.signals[name].start_s - spec.delay_s
      for name, spec in contract.signals.items()
  }
  finite = {
      name: np.logical_and.reduce(
          np.isfinite(recording.signals[name].values), axis=1
      ) for name in clocks
  }
  start, count = _overlap(recording, contract, clocks, finite, where)
  signals, clipped = {}, {}
  for name, spec in contract.signals.items():
    raw = recording.signals[name]
    out = np.full((count, spec.channels), np.nan, np.float32)
    for first, last in runs(finite[name]):
      if (last - first + 1) / raw.rate_hz < contract.window_sec:
        continue
      begin = clocks[name] + first / raw.rate_hz - start  # s on the clock
      k0 = max(0, math.ceil(begin * contract.rate_hz - _SNAP))
      k1 = min(count, math.ceil(
          (begin + (last - first) / raw.rate_hz) * contract.rate_hz - _SNAP
      ))
      if k1 <= k0:
        continue
      values = resample(
          raw.values[first:last], raw.rate_hz,
          max(0.0, k0 / contract.rate_hz - begin), contract.rate_hz, k1 - k0,
          where=f"{where} signal {name}",
      )
      if spec.band_hz:
        values = bandpass(
            values, contract.rate_hz, spec.band_hz, spec.band_order
        )
      out[k0:k1] = values
    signals[name] = out
    times = start - clocks[name] + np.arange(count) / contract.rate_hz
    nearest = np.clip(
        np.rint(times * raw.rate_hz).astype(np.int64), 0, len(raw.values) - 1
    )
    clipped[name] = quality.at_limit(raw.values, raw.limits)[nearest]
  delays = {name: spec.delay_s for name, spec in contract.signals.items()}
  return Aligned(
      start_s=start,
      rate_hz=contract.rate_hz,
      signals=signals,
      clipped=clipped,
      beats=_moved(recording.beats, "end_s", delays),
      tracks={
          name: _moved(track, "start_s", delays)
          for name, track in recording.tracks.items()
      },
      spans=tuple(recording.spans),
  )


def cut(
    aligned: Aligned, contract: Contract, hop_sec: float
) -> Iterator[Window]:
  """Yields a full window every `hop_sec`, also windows with gaps.

  Args:
    aligned: a recording on one clock.
    contract: the one it was aligned by.
    hop_sec: time between starts; a whole number of samples.

  Raises:
    InputError: the hop is not a whole number of samples, at least one.
  """
  hop = round(hop_sec * aligned.rate_hz)
  if hop < 1 or abs(hop - hop_sec * aligned.rate_hz) > 1e-6:
    raise InputError(
        f"hop_sec: got {hop_sec} s at {aligned.rate_hz} Hz, want a whole "
        "number of samples, at least one"
    )
  length = contract.samples
  count = len(next(iter(aligned.signals.values())))
  for first in range(0, count - length + 1, hop):
    rows = slice(first, first + length)
    yield Window(
        start_s=aligned.start_s + first / aligned.rate_hz,
        signals={name: x[rows] for name, x in aligned.signals.items()},
        clipped={
            name: float(x[rows].mean()) for name, x in aligned.clipped.items()
        },
    )


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
  whole = math.floor(shift_s * rate_in + _SNAP)
  part = shift_s * rate_in - whole  # in [0, 1) samples
  part = 0.0 if abs(part) < _SNAP else part
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
  kind, edges = ("bandpass", (low, high)) if low > 0 else ("lowpass", high)
  sos = sps.butter(order, edges, kind, fs=rate_hz, output="sos")
  pad = min(len(x) - 1, math.ceil(3 * rate_hz / (low or high)))
  return sps.sosfiltfilt(sos, x, axis=0, padlen=pad)


def runs(mask: np.ndarray) -> np.ndarray:
  """[K, 2]: the first index of each run of True in [N] bool, and the one after
  its last.
  """
  edges = np.diff(np.concatenate([[0], np.asarray(mask, np.int8), [0]]))
  return np.stack(
      [np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)], axis=1
  )


def _check(recording, name, spec, rate_hz, where):
  """Raises InputError unless the recording has signal `name` as in `spec`."""
  if name not in recording.signals:
    raise InputError(
        f"{where}: signal {name!r} is absent, have "
        f"{sorted(recording.signals)}; change the config's signals"
    )
  raw = recording.signals[name]
  for field, got, want in (
      ("channels", raw.values.shape[1], spec.channels),
      ("unit", raw.unit, spec.unit),
  ):
    if got != want:
      raise InputError(
          f"{where} signal {name}: got {field} {got!r}, want {want!r}; "
          f"change --config.signals.{name}.{field}"
      )
  if spec.band_hz:
    low, high = spec.band_hz
    if not 0 <= low < high < rate_hz / 2:
      raise InputError(
          f"signals.{name}.band_hz: got {list(spec.band_hz)}, want 0 <= low "
          f"< high < {rate_hz / 2} (half the rate)"
      )
  removed = bool(spec.band_hz) and spec.band_hz[0] > 0
  if spec.kind == "acc" and removed == spec.gravity_kept:
    raise InputError(
        f"signals.{name}: gravity_kept={spec.gravity_kept} contradicts "
        f"band_hz={spec.band_hz and list(spec.band_hz)}; gravity is kept "
        "unless a pass band starts above 0 Hz"
    )


def _overlap(recording, contract, clocks, finite, where):
  """(start in s, samples) of the time that all signals cover."""
  spans = {}
  for name, clock in clocks.items():
    rows = np.flatnonzero(finite[name])
    if not len(rows):
      raise InputError(f"{where} signal {name}: every sample is a gap")
    rate = recording.signals[name].rate_hz
    spans[name] = clock + rows[0] / rate, clock + (rows[-1] + 1) / rate
  start = max(a for a, _ in spans.values())
  end = min(b for _, b in spans.values())
  if end <= start:
    text = ", ".join(f"{n} {a:.2f}-{b:.2f} s" for n, (a, b) in spans.items())
    raise InputError(
        f"{where}: signals do not overlap in time ({text}); check their start "
        "times"
    )
  count = math.floor((end - start) * contract.rate_hz + _SNAP)
  if count < contract.samples:
    raise InputError(
        f"{where}: shorter than a window: signals overlap for "
        f"{end - start:.2f} s, want at least {contract.window_sec} s"
    )
  return start, count


def _moved(item: Any, field: str, delays: Mapping[str, float]) -> Any:
  """Beats, a Track or None, with the delay of its signal subtracted."""
  if item is None or not delays.get(item.signal):
    return item
  moved = getattr(item, field) - delays[item.signal]
  return dataclasses.replace(item, **{field: moved})
