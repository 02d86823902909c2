"""The first look at an accelerometer's recording, and when it was not worn.

A watch on a table has no heart. An hour is not worn if two axes or more keep
still in it: an SD below 13 mg, or a range below 50 mg (van Hees et al. 2013,
PLoS ONE 8(4):e61691, whose windows also last an hour and follow each other by
15 minutes). A sleeping wrist moves more than that.
"""

import dataclasses
from typing import Any

import numpy as np

from accfm.base.errors import InputError
from accfm.signals import clocks
from accfm.signals.recording import Signal

CHUNK_S, CHUNKS = 900.0, 4  # a window of an hour, moved by 15 minutes
STILL_SD_G, STILL_RANGE_G = 0.013, 0.05
AXES = 2  # that have to keep still
PLAUSIBLE_G = (0.5, 2.0)  # median length of acceleration with gravity in it
REST_G = (0.9, 1.1)  # where it should lie
PARTS_S = 10.0  # of a chunk, of which the stillest one tells gravity


@dataclasses.dataclass(frozen=True)
class Survey:
  """What a recording looks like.

  Attributes:
    start_s, end_s: of the recording.
    recorded_s: time that has samples.
    gaps: stretches without samples between others.
    length_g: median length of acceleration in the stillest 10 s of 15
      minutes, median over these: 1 g but for calibration.
    not_worn: [K, 2] times, begin and end.
    worn_s: recorded time outside these.
    rest_axis: [3] in g, the watch's usual rest: mean of these 10 s, median
      over all.
  """

  start_s: float
  end_s: float
  recorded_s: float
  gaps: int
  length_g: float
  not_worn: np.ndarray
  worn_s: float
  rest_axis: np.ndarray

  def covers(self, start_s: float, stop_s: float) -> bool:
    """Whether a window touches time in which the watch was not worn."""
    begin, end = self.not_worn[:, 0], self.not_worn[:, 1]
    return bool(((begin < stop_s) & (end > start_s)).any())


def look(signal: Signal) -> Survey:
  """Reads a signal [N, 3] in g once, in chunks of 15 minutes."""
  count = len(signal.values)
  clock = signal.clock or clocks.even(signal.start_s, signal.rate_hz)
  stretches = clock.stretches(count)
  every = max(1, round(CHUNK_S * signal.rate_hz))
  rows: list[Any] = []
  for stretch in stretches:
    for first in range(stretch.first, stretch.last, every):
      last = min(first + every, stretch.last)
      x = np.asarray(signal.values[first:last], np.float64)
      x = x[np.isfinite(x).all(axis=1)]
      if not len(x):
        continue
      begin, end = stretch.time(np.array([first, last]))
      rows.append((begin, end, x.mean(0), (x * x).mean(0), x.min(0), x.max(0),
                   len(x), *_rest(x, signal.rate_hz)))
  if not rows:
    raise InputError("every sample is a gap")
  begin = np.array([r[0] for r in rows])
  end = np.array([r[1] for r in rows])
  rest = np.stack([r[8] for r in rows])
  recorded = sum(r[6] for r in rows) / signal.rate_hz
  spans = _joined(_still_hours(rows))
  lost = sum(
      max(0.0, min(b, e) - max(a, s)) for a, b in spans
      for s, e in zip(begin, end, strict=True))
  return Survey(
      float(begin[0]), float(end[-1]), float(recorded), len(stretches) - 1,
      float(np.median([r[7] for r in rows])),
      np.array(spans).reshape(-1, 2), max(0.0, float(recorded - lost)),
      np.median(rest, axis=0),
  )


def check_gravity(survey: Survey, where: str) -> str:
  """What to say of the unit: "" if gravity is about 1 g.

  Raises:
    InputError: it is nowhere near: another unit, or no gravity in it.
  """
  low, high = PLAUSIBLE_G
  if not low <= survey.length_g <= high:
    raise InputError(
        f"{where}: at rest the acceleration is {survey.length_g:.3g} g, want "
        "about 1; its unit is another, or gravity is taken off"
    )
  low, high = REST_G
  if not low <= survey.length_g <= high:
    return (f"at rest {survey.length_g:.3f} g instead of 1: check its unit "
            "and calibration")
  return ""


def _rest(x, rate_hz):
  """(median length, mean [3]) of the stillest part of a chunk."""
  n = max(1, round(PARTS_S * rate_hz))
  parts = [x[i:i + n] for i in range(0, max(1, len(x) - n + 1), n)]
  still = min(parts, key=lambda p: float(p.var(axis=0).sum()))
  return float(np.median(np.linalg.norm(still, axis=1))), still.mean(axis=0)


def _still_hours(rows):
  """[(begin, end)] of hours in which enough axes keep still."""
  out = []
  for i in range(len(rows) - CHUNKS + 1):
    some = rows[i:i + CHUNKS]
    whole = some[-1][1] - some[0][0] < 1.05 * CHUNKS * CHUNK_S
    if not whole or some[-1][1] - some[0][0] < 0.9 * CHUNKS * CHUNK_S:
      continue
    n = np.array([r[6] for r in some], float)[:, None]
    mean = sum(r[2] * k for r, k in zip(some, n, strict=True)) / n.sum()
    square = sum(r[3] * k for r, k in zip(some, n, strict=True)) / n.sum()
    sd = np.sqrt(np.maximum(square - mean * mean, 0.0))
    span = (np.max([r[5] for r in some], axis=0)
            - np.min([r[4] for r in some], axis=0))
    if (sd < STILL_SD_G).sum() >= AXES or (span < STILL_RANGE_G).sum() >= AXES:
      out.append((some[0][0], some[-1][1]))
  return out


def _joined(spans):
  """Overlapping spans as one."""
  out: list[list[float]] = []
  for begin, end in sorted(spans):
    if out and begin <= out[-1][1]:
      out[-1][1] = max(out[-1][1], end)
    else:
      out.append([begin, end])
  return out
