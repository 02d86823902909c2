"""Heart beats found in a signal: PPG systolic peaks and ECG R peaks.

Both use the two moving averages of Elgendi et al. The signal is filtered to
the band of the event, and its energy is averaged twice: over the length of
one event and over the length of one beat. Where the short average exceeds
the long one by an offset for longer than an event, there is an event, and the
signal's highest sample there is the peak.

The sources work on recordings of some 20 s and take the offset from the mean
energy of the recording. Here it is the mean over 20 s around each sample, so
that a burst of movement hides no beats minutes away from it.
"""

import dataclasses

import numpy as np
from scipy import ndimage
from scipy import signal as sps

from accfm.base import shapes
from accfm.base.errors import InputError
from accfm.signals import filters, windows

LEVEL_S = 20.0  # span of the mean energy that the offset is a share of
NEIGHBOURS = 10  # on either side that a pulse or a peak is compared with
BEFORE_S, AFTER_S = 0.3, 0.4  # of a pulse, around its peak
SHORTEST_S = 10.0  # of a signal with pulses to compare


@dataclasses.dataclass(frozen=True)
class Method:
  """The numbers of the two moving averages for one kind of signal.

  Attributes:
    band_hz: pass band of the filter before all else.
    event_s: length of the short average and shortest event.
    beat_s: length of the long average.
    offset: threshold above the long average, as a share of the mean energy.
    apart_s: of two peaks that are nearer, the higher one stays.
    height: least height of a peak, as a share of the upper quartile of the
      peaks around it (10 on either side); 0 for any.
  """

  band_hz: tuple[float, float]
  event_s: float
  beat_s: float
  offset: float
  apart_s: float
  height: float = 0.0


# Elgendi et al., "Systolic peak detection in acceleration
# photoplethysmograms", PLoS ONE 8(10): e76585, 2013. The least distance is
# ours: 0.3 s are 200 beats a minute.
PPG = Method((0.5, 8.0), 0.111, 0.667, 0.02, 0.3)
# Elgendi, "Fast QRS detection with an optimized knowledge-based method",
# PLoS ONE 8(9): e73557, 2013. It takes the energy of both halves of the
# signal, we that of the upper half as with PPG. The least distance is ours,
# and so is the least height: between slow beats the long average holds noise
# alone, whose own crests would pass.
ECG = Method((8.0, 20.0), 0.097, 0.611, 0.08, 0.25, height=0.4)


def ppg_peaks(x: np.ndarray, rate_hz: float) -> np.ndarray:
  """Times of the systolic peaks.

  Args:
    x: [N] PPG in any unit, a pulse upwards, without gaps.
    rate_hz: its rate, more than 16 Hz.

  Returns:
    [P] float64, seconds after the first sample, increasing; finer than the
    sampling (see `refine`).

  Raises:
    InputError: another shape, a sample that is not finite, a rate too low.
  """
  band = _filter(x, rate_hz, PPG, "PPG")
  return refine(band, _peaks(band, rate_hz, PPG)) / rate_hz


def r_peaks(x: np.ndarray, rate_hz: float) -> np.ndarray:
  """Times of the R peaks of an ECG, upright or upside down.

  Args:
    x: [N] ECG in any unit, without gaps.
    rate_hz: its rate, more than 40 Hz.

  Returns:
    As `ppg_peaks`. The peak is that of the filtered QRS complex.

  Raises:
    InputError: as `ppg_peaks`.
  """
  band = _filter(x, rate_hz, ECG, "ECG")
  if np.sum(band**3) < 0:  # the QRS complex points downwards
    band = -band
  return refine(band, _peaks(band, rate_hz, ECG)) / rate_hz


def pulses(
    x: np.ndarray, rate_hz: float, min_r: float
) -> tuple[np.ndarray, np.ndarray]:
  """Times of PPG pulses, and which of them look like their neighbours.

  A pulse, from 0.3 s before to 0.4 s after its peak, is good if it
  correlates by at least `min_r` with the median of the pulses around it: 10
  on either side, and itself.

  Args:
    x: as `ppg_peaks`.
    rate_hz: likewise.
    min_r: least correlation, up to 1.

  Returns:
    ([P] seconds, [P] bool). Both are empty where x lasts less than 10 s, is
    constant, or has fewer than three whole pulses.

  Raises:
    InputError: as `ppg_peaks`.
  """
  band = _filter(x, rate_hz, PPG, "PPG")
  none = np.zeros(0), np.zeros(0, bool)
  if len(x) < SHORTEST_S * rate_hz:
    return none
  before, after = round(BEFORE_S * rate_hz), round(AFTER_S * rate_hz)
  peaks = _peaks(band, rate_hz, PPG)
  peaks = peaks[(peaks >= before) & (peaks < len(x) - after)]
  if len(peaks) < 3:
    return none
  shapes_ = band[peaks[:, None] + np.arange(-before, after)]  # [P, T]
  shapes_ -= shapes_.mean(axis=1, keepdims=True)
  length = np.linalg.norm(shapes_, axis=1, keepdims=True)
  shapes_ /= np.maximum(length, 1e-12)
  template = running_quantile(shapes_, NEIGHBOURS, 0.5)
  template -= template.mean(axis=1, keepdims=True)
  likeness = np.einsum("pt,pt->p", shapes_, template)
  good = likeness >= min_r * np.linalg.norm(template, axis=1)
  return refine(band, peaks) / rate_hz, good


def refine(x: np.ndarray, peaks: np.ndarray) -> np.ndarray:
  """[P] places between samples: tops of the parabolas through local maxima.

  Args:
    x: [N].
    peaks: [P] indices of local maxima, none of them the first or last.
  """
  left, mid, right = x[peaks - 1], x[peaks], x[peaks + 1]
  bend = left - 2 * mid + right
  shift = 0.5 * (left - right) / np.where(bend < 0, bend, -np.inf)
  return peaks + np.clip(shift, -0.5, 0.5)


def running_quantile(rows: np.ndarray, reach: int, q: float) -> np.ndarray:
  """A quantile over rows p - reach to p + reach of [P, T], by column: [P, T].

  Near the ends it is that of the rows that exist, linear between two of
  them.

  Args:
    rows: [P, T].
    reach: rows on either side.
    q: 0 to 1; 2 * reach * q must be whole, so that one row is the quantile.
  """
  count, place = len(rows), round(2 * reach * q)
  out = np.empty_like(rows)
  inner = np.arange(reach, count - reach)
  if len(inner):
    around = np.lib.stride_tricks.sliding_window_view(
        rows, 2 * reach + 1, axis=0
    )  # [P - 2 * reach, T, 2 * reach + 1]
    for some in np.array_split(inner, -(-len(inner) // 512)):  # few at once
      near = np.partition(around[some - reach], place, axis=-1)
      out[some] = near[..., place]
  for row in np.setdiff1d(np.arange(count), inner):
    near = rows[max(0, row - reach):row + reach + 1]
    out[row] = np.quantile(near, q, axis=0)
  return out


def _filter(
    x: np.ndarray, rate_hz: float, method: Method, what: str
) -> np.ndarray:
  """x [N] in the band of a method, after checking it; float64."""
  shapes.check(x, what, "N")
  if not np.isfinite(x).all():
    raise InputError(
        f"{what}: got samples that are not finite, want none; search each run "
        "between gaps by itself"
    )
  if rate_hz <= 2 * method.band_hz[1]:
    raise InputError(
        f"{what}: got {rate_hz} Hz, want more than {2 * method.band_hz[1]:g} "
        "Hz to find beats"
    )
  if len(x) < 2 or np.ptp(x) == 0:
    return np.zeros(len(x))
  x = np.asarray(x, np.float64)[:, None]
  return filters.bandpass(x, rate_hz, method.band_hz, 2)[:, 0]


def _peaks(x: np.ndarray, rate_hz: float, method: Method) -> np.ndarray:
  """[P] indices of the events' peaks in x [N], filtered and upright."""
  energy = np.square(np.maximum(x, 0.0))

  def average(seconds):
    return ndimage.uniform_filter1d(energy, samples(seconds), mode="reflect")

  def samples(seconds):
    return max(1, round(seconds * rate_hz))

  level = average(method.beat_s) + method.offset * average(LEVEL_S)
  spans = windows.runs(average(method.event_s) > level)
  first, last = spans[spans[:, 1] - spans[:, 0] >= samples(method.event_s)].T
  edges = np.zeros(len(x) + 1, np.int8)
  edges[first], edges[last] = 1, -1  # spans do not touch
  inside = np.cumsum(edges[:-1], dtype=np.int8) > 0
  peaks, _ = sps.find_peaks(x, distance=samples(method.apart_s))
  peaks = peaks[inside[peaks]]
  if method.height:
    usual = running_quantile(x[peaks, None], NEIGHBOURS, 0.75)[:, 0]
    peaks = peaks[x[peaks] >= method.height * usual]
  return peaks
