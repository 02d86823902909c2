"""Hand-made features of motion: what a probe gets without any learning.

For each axis: how much it moves, in which bands, and at which rate, looking
for the pulse both directly and in the envelope of the faster vibration that
a heart beat leaves (as in seismocardiography). Plain spectra, no fitting.
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
_EPS = 1e-12


def names(channels):
  """Names of the columns of `extract`, in order."""
  per_axis = ["mean", "log_sd"]
  per_axis += [f"log_power_{a:g}_{b:g}_hz" for a, b in BANDS_HZ]
  for source in ("signal", "vibration"):
    per_axis += [f"{source}_peak_bpm", f"{source}_peak_share"]
  return [f"axis{c}_{name}" for c in range(channels) for name in per_axis]


def extract(x, rate_hz):
  """Features of windows of one signal.

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
  high = min(VIBRATION_HZ[1], 0.45 * rate_hz)
  sos = sps.butter(
      2, (VIBRATION_HZ[0], high), "bandpass", fs=rate_hz, output="sos"
  )
  loud = np.abs(sps.sosfiltfilt(sos, x)).astype(np.float32)
  loud -= loud.mean(axis=2, keepdims=True)
  columns += _peak(*_spectrum(loud, rate_hz))
  out = np.stack(columns, axis=2)  # [B, C, F/C]
  return out.reshape(len(x), -1).astype(np.float32)


def _spectrum(x, rate_hz):
  """Hann-windowed power [B, C, F] up to 16 Hz at frequencies [F]."""
  t = x.shape[2]
  size = 2 * t  # a finer grid for the peak: under 0.5 bpm at 60 s
  window = np.hanning(t).astype(np.float32)
  freq = np.fft.rfftfreq(size, 1 / rate_hz)
  top = np.searchsorted(freq, BANDS_HZ[-1][1])
  power = np.abs(fft.rfft(x * window, size)[..., :top]) ** 2
  return freq[:top], power / (size * np.sum(window ** 2) / 2)


def _peak(freq, power):
  """Rate of the strongest pulse-band peak [B, C] and its share of power."""
  inside = (freq >= PULSE_HZ[0]) & (freq <= PULSE_HZ[1])
  band = power[..., inside]
  top = band.argmax(axis=2)
  share = band.max(axis=2) / (band.sum(axis=2) + _EPS)
  return [60 * freq[inside][top], share]
