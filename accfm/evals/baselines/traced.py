"""Heart rate from acceleration by a curve traced through a spectrogram.

The method for sleep of Nightbeat (arXiv 2411.00731), written anew: each beat
makes the wrist vibrate at 5-14 Hz; the magnitude of that vibration over the
axes is band-passed to the rates of a pulse (0.5-3.5 Hz); its spectrogram has
frames of 10 s; and one curve is traced through all frames, since a heart rate
does not jump. Nothing is fitted: this is a reader, whose rate is compared with
the label as it is.

The paper's curve follows the largest peaks. Here it is the best of all curves
(Viterbi): it gathers the most power, each frame's being scaled to 1, less
what its moves cost. Windows are stored one by one, so `read_windows` traces
within each; `read_recording` goes on through windows that follow one another.
"""

import numpy as np
from scipy import signal as sps

from accfm.base import shapes

VIBRATION_HZ = (5.0, 14.0)
PULSE_HZ = (0.5, 3.5)
FRAME_S, HOP_S = 10.0, 2.0
RATES_BPM = np.arange(40.0, 181.0)
LOW_RATE_HZ = 16.0  # about: of the magnitude, which ends at 3.5 Hz
# Ours, chosen on simulated people: the SD of a rate's change in a second, and
# how much a move by one SD costs, where the largest power of a frame is 1.
MOVE_BPM, COST = 0.7, 0.5
GAP_S = 180.0  # frames further apart are not of one curve


def spectra(x: np.ndarray, rate_hz: float) -> np.ndarray:
  """The spectrogram of each segment's vibration.

  Args:
    x: [B, T, C] acceleration in any unit, T of 10 s or more.
    rate_hz: samples per second.

  Returns:
    [B, F, R] float32 power at RATES_BPM in frames that start every 2 s, the
    largest of a frame 1; 0 for a frame without vibration.
  """
  shapes.check(x, "windows", "B T C")
  x = np.asarray(x, np.float64)
  x = x - x.mean(axis=1, keepdims=True)
  loud = np.linalg.norm(_bandpass(x, VIBRATION_HZ, rate_hz), axis=2)  # [B, T]
  silent = loud.max(axis=1) <= 1e-9 * (np.abs(x).max(axis=(1, 2)) + 1e-300)
  loud = _bandpass(loud, PULSE_HZ, rate_hz)
  every = max(1, int(rate_hz / LOW_RATE_HZ))
  loud, rate = loud[:, ::every], rate_hz / every
  size, hop = round(FRAME_S * rate), round(HOP_S * rate)
  frames = np.lib.stride_tricks.sliding_window_view(
      loud, min(size, loud.shape[1]), axis=1)[:, ::hop]  # [B, F, S]
  frames = frames - frames.mean(axis=2, keepdims=True)
  t = np.arange(frames.shape[2]) / rate
  waves = np.hanning(len(t))[:, None] * np.exp(
      -2j * np.pi * t[:, None] * RATES_BPM / 60)
  power = np.square(frames @ waves.real) + np.square(frames @ waves.imag)
  top = power.max(axis=2, keepdims=True)
  power = np.where(top > 0, power / np.where(top > 0, top, 1), 0)
  power[silent] = 0
  return power.astype(np.float32)


def trace(power: np.ndarray, apart_s: np.ndarray) -> np.ndarray:
  """The curve that gathers the most power less the cost of its moves.

  A move by m costs 0.5 (m / SD)^2, where the SD grows with the root of the
  time between frames.

  Args:
    power: [B, F, R] as `spectra`.
    apart_s: [F - 1] seconds between frames.

  Returns:
    [B, F] places in RATES_BPM; of equal curves the one of lower rates.
  """
  b, f, r = power.shape
  total = power[:, 0].astype(np.float64)
  came = np.zeros((f, b, r), np.int16)
  step = RATES_BPM[1] - RATES_BPM[0]
  for i in range(1, f):
    sd = MOVE_BPM * np.sqrt(max(apart_s[i - 1], 1e-9))
    # Never by more than costs two whole frames.
    reach = int(min(r - 1, np.ceil(sd * np.sqrt(2 / COST) / step)))
    wide = np.pad(total, [(0, 0), (reach, reach)], constant_values=-np.inf)
    best = np.full((b, r), -np.inf)
    for move in range(-reach, reach + 1):
      found = wide[:, reach + move:reach + move + r] - COST * (
          move * step / sd) ** 2
      better = found > best
      best[better] = found[better]
      came[i][better] = move
    total = best + power[:, i]
  path = np.empty((b, f), int)
  path[:, -1] = total.argmax(axis=1)
  lines = np.arange(b)
  for i in range(f - 1, 0, -1):
    path[:, i - 1] = path[:, i] + came[i, lines, path[:, i]]
  return path


def read_windows(x: np.ndarray, rate_hz: float) -> np.ndarray:
  """The heart rate of each segment by itself: the mean of its own curve.

  Args:
    x, rate_hz: as `spectra`.

  Returns:
    [B] float32 beats a minute.
  """
  power = spectra(x, rate_hz)
  path = trace(power, np.full(power.shape[1] - 1, HOP_S))
  return RATES_BPM[path].mean(axis=1).astype(np.float32)


def read_recording(power: np.ndarray, start_s: np.ndarray) -> np.ndarray:
  """The heart rate of the segments of one recording, from one curve.

  The curve ends where frames are more than 180 s apart, and another begins.

  Args:
    power: [N, F, R] `spectra` of segments of one recording, in any order.
    start_s: [N] when each begins.

  Returns:
    [N] float32 beats a minute: the mean of the curve over a segment's frames.
  """
  n, f, _ = power.shape
  when = (np.asarray(start_s, float)[:, None] + HOP_S * np.arange(f)).ravel()
  order = np.argsort(when, kind="stable")
  apart = np.diff(when[order])
  rates = np.empty(n * f)
  for part in np.split(np.arange(n * f), 1 + np.flatnonzero(apart > GAP_S)):
    rows = order[part]
    path = trace(power.reshape(1, n * f, -1)[:, rows], apart[part[:-1]])
    rates[rows] = RATES_BPM[path[0]]
  return rates.reshape(n, f).mean(axis=1).astype(np.float32)


def _bandpass(x, band_hz, rate_hz):
  """x [B, T, ...] in a band, zero-phase; the band ends below Nyquist."""
  band = np.minimum(band_hz, 0.45 * rate_hz)
  sos = sps.butter(2, band, "bandpass", fs=rate_hz, output="sos")
  return sps.sosfiltfilt(sos, x, axis=1)
