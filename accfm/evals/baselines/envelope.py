"""The motion-envelope control: what shared movement alone can retrieve.

Movement disturbs both sensors at once. How strong the disturbance is in each
second therefore shows which segments of the two signals belong together,
without physiology and without learning. An encoder that does not beat this
control has shown nothing.
"""

import numpy as np
from scipy import signal as sps

from accfm.base import shapes
from accfm.base.errors import InputError

BAND_HZ = (0.5, 8.0)
ORDER = 2


def vectors(x: np.ndarray, rate_hz: float) -> np.ndarray:
  """Motion envelopes of segments of one signal.

  The signal is band-passed to 0.5-8 Hz (a zero-phase Butterworth filter,
  whatever the preparation has filtered before). The envelope is the logarithm
  of the RMS of each second, over all its samples and channels, z-scored
  within the segment. The similarity of two envelopes is their inner product.

  Args:
    x: [B, T, C] in the signal's own unit.
    rate_hz: samples per second, a whole number.

  Returns:
    [B, T // rate_hz] float32; a segment without any variation gives zeros.

  Raises:
    InputError: a rate that is not whole, or too low for the band.
  """
  shapes.check(x, "windows", "B T C")
  rate = round(rate_hz)
  if rate != rate_hz or rate <= 2 * BAND_HZ[1]:
    raise InputError(
        f"motion envelope: got {rate_hz} Hz, want whole samples per second "
        f"above {2 * BAND_HZ[1]:g} Hz; prepare at another rate_hz"
    )
  b, t, c = x.shape
  seconds = t // rate
  sos = sps.butter(ORDER, BAND_HZ, "bandpass", fs=rate, output="sos")
  y = sps.sosfiltfilt(sos, np.asarray(x, np.float64), axis=1)
  y = y[:, :seconds * rate].reshape(b, seconds, rate * c)
  power = np.mean(y * y, axis=2)  # [B, S]
  # A silent second counts as 100 dB below the segment's mean, not as minus
  # infinity. What the filter's rounding leaves of a constant is silence.
  raw = np.mean(np.square(x, dtype=np.float64), axis=(1, 2))[:, None]
  floor = np.maximum(1e-10 * power.mean(axis=1, keepdims=True), 1e-20 * raw)
  floor = np.maximum(floor, np.finfo(np.float64).tiny)
  loud = 0.5 * np.log(np.maximum(power, floor))
  loud -= loud.mean(axis=1, keepdims=True)
  spread = loud.std(axis=1, keepdims=True)
  flat = spread < 1e-9
  return np.where(flat, 0, loud / np.where(flat, 1, spread)).astype(np.float32)
