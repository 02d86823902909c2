"""Hand-made features of motion: what a probe can use without any learning.

Each axis has features of how much it moves, in which frequency bands, and at
which rate. The rate of the pulse is looked for in the signal itself and in
the envelope of the faster vibration that a heart beat leaves (as in
seismocardiography). All axes together give one more estimate of the pulse,
the best one here: the harmonic sum of that envelope. Everything follows from
plain spectra; nothing is fitted.
"""

import numpy as np
from scipy import fft
from scipy import signal as sps

from accfm.base import shapes

BANDS_HZ = (
    (0.1, 0.5), (0.5, 1.0), (1.0, 2.0), (2.0, 4.0), (4.0, 8.0), (8.0, 16.0),
)
PULSE_HZ = (0.7, 3.0)  # 42 to 180 beats a minute
VIBRATION_HZ = (5.0, 15.0)
# Of `beat_rate`: the band in which a beat shakes the wrist, the smoothing of
# its energy, the band of a pulse in the logarithm of that energy, the clipping
# and the weight of the second harmonic.
BEAT_HZ = (3.0, 12.0)
SMOOTH_HZ = 4.0
ENVELOPE_HZ = (0.6, 4.0)
CLIP_SD = 3.0
SECOND = 0.7
GRID_BPM = 0.25
BEAT_COLUMN = -2  # of `extract`: the rate by `beat_rate`
_EPS = 1e-12
_TINY = np.finfo(np.float64).tiny


def names(channels: int) -> list[str]:
  """Names of the columns of `extract`, in order."""
  per_axis = ["mean", "log_sd"]
  per_axis += [f"log_power_{a:g}_{b:g}_hz" for a, b in BANDS_HZ]
  for source in ("signal", "vibration"):
    per_axis += [f"{source}_peak_bpm", f"{source}_peak_share"]
  return [
      f"axis{c}_{name}" for c in range(channels) for name in per_axis
  ] + ["beat_bpm", "beat_peak_share"]


def extract(x: np.ndarray, rate_hz: float) -> np.ndarray:
  """Features of segments of one signal.

  Args:
    x: [B, T, C] in the signal's own unit.
    rate_hz: samples per second.

  Returns:
    [B, F] float32, finite, columns as `names(C)`.
  """
  shapes.check(x, "windows", "B T C")
  x = np.moveaxis(np.asarray(x, np.float32), 1, 2)  # [B, C, T]
  x = np.ascontiguousarray(x)
  mean = x.mean(axis=2)  # [B, C]
  x = x - mean[..., None]
  freq, power = _spectrum(x, rate_hz)
  columns = [mean, np.log(x.std(axis=2) + 1e-6)]
  for low, high in BANDS_HZ:
    inside = (freq >= low) & (freq < high)
    columns.append(np.log(power[..., inside].sum(axis=2) + _EPS))
  columns += _peak(freq, power)
  loud = np.abs(_filter(x, VIBRATION_HZ, rate_hz)).astype(np.float32)
  loud -= loud.mean(axis=2, keepdims=True)
  columns += _peak(*_spectrum(loud, rate_hz))
  out = np.stack(columns, axis=2)  # [B, C, F/C]
  out = out.reshape(len(x), -1)
  return np.column_stack([out, *beat_rate(x, rate_hz)]).astype(np.float32)


def beat_rate(
    x: np.ndarray, rate_hz: float
) -> tuple[np.ndarray, np.ndarray]:
  """The rate of the pulse by the harmonic sum of the beats' envelope.

  Each beat makes the wrist vibrate at 3-12 Hz. The energy in that band is
  smoothed to 4 Hz; its logarithm is taken, so that strong movement adds to
  the pulse instead of hiding it, and summed over axes. The sum is band-passed
  to 0.6-4 Hz and clipped at 3 robust SDs (1.4826 times the median absolute
  value). Its spectrum E has peaks at the rate f and at 2 f. The estimate is
  the f at which E(f) + 0.7 E(2 f) is largest.

  Args:
    x: [B, C, T] in the signal's own unit.
    rate_hz: samples per second.

  Returns:
    (rate [B] in beats per minute, from 42 to 180 in steps of 0.25; the share
    [B] of the peak in the sum over all rates).
  """
  beat = _filter(x, BEAT_HZ, rate_hz)
  energy = _filter(beat * beat, SMOOTH_HZ, rate_hz)
  # Silence, and what the filter leaves below zero, counts as 100 dB below the
  # mean of the segment.
  floor = 1e-10 * energy.mean(axis=2, keepdims=True)
  loud = np.log(np.maximum(energy, np.maximum(floor, _TINY))).sum(axis=1)
  loud = _filter(loud, ENVELOPE_HZ, rate_hz)  # [B, T]
  limit = CLIP_SD * 1.4826 * np.median(np.abs(loud), axis=1, keepdims=True)
  loud = np.clip(loud, -limit, limit) * np.hanning(loud.shape[1])
  bpm = np.arange(60 * PULSE_HZ[0], 60 * PULSE_HZ[1] + GRID_BPM / 2, GRID_BPM)
  # A transform of this length has its points on the grid of rates. `finer` is
  # 1 for segments of up to 240 s.
  finer = -(-loud.shape[1] * GRID_BPM // (60 * rate_hz))
  size = round(60 * rate_hz / GRID_BPM * finer)
  spectrum = np.abs(np.asarray(fft.rfft(loud, size))[:, ::int(finer)])
  places = round(bpm[0] / GRID_BPM) + np.arange(len(bpm))
  total = spectrum[:, places] + SECOND * spectrum[:, 2 * places]
  share = total.max(axis=1) / (total.sum(axis=1) + _EPS)
  return bpm[total.argmax(axis=1)], share


def _filter(x, band_hz, rate_hz):
  """x [..., T] in a band (low, high) or below one frequency, zero-phase."""
  band = np.minimum(band_hz, 0.45 * rate_hz)
  kind = "bandpass" if band.ndim else "lowpass"
  sos = sps.butter(2, band, kind, fs=rate_hz, output="sos")
  return sps.sosfiltfilt(sos, x)


def _spectrum(x, rate_hz):
  """Hann-windowed power [B, C, F] up to 16 Hz at frequencies [F]."""
  t = x.shape[2]
  size = 2 * t  # a grid finer than 0.5 bpm at 60 s, for the peak
  window = np.hanning(t).astype(np.float32)
  freq = np.fft.rfftfreq(size, 1 / rate_hz)
  top = np.searchsorted(freq, BANDS_HZ[-1][1])
  power = np.abs(np.asarray(fft.rfft(x * window, size))[..., :top]) ** 2
  return freq[:top], power / (size * np.sum(window ** 2) / 2)


def _peak(freq, power):
  """Rate [B, C] of the highest peak in the pulse band, its share of power."""
  inside = (freq >= PULSE_HZ[0]) & (freq <= PULSE_HZ[1])
  band = power[..., inside]
  top = band.argmax(axis=2)
  share = band.max(axis=2) / (band.sum(axis=2) + _EPS)
  return [60 * freq[inside][top], share]
