"""`Clock`: where the samples of a signal lie in time.

Devices state a rate that they do not keep: 63.9999 Hz, or 100 Hz with a stamp
a block that drifts, jumps, repeats or runs backwards. A clock holds what the
stamps say: pieces, each evenly spaced from its own start at its own rate.
Pieces that meet make a stretch; between two stretches lies a gap.
"""

import dataclasses
import functools
import math

import numpy as np

from accfm.base.errors import InputError

MEET = 0.5  # pieces meet if they are closer than this, in samples
# A step between two stamps is a jump if it is off by more than this share of
# itself, or by JUMP_S.
JUMP, JUMP_S = 0.5, 0.3
KNOT_S = 600.0  # of stamps that give one knot of a clock that drifts
RATE_OFF = 0.1  # of a stretch, at most, from the rate that the device states


@dataclasses.dataclass(frozen=True)
class Clock:
  """Pieces of evenly spaced samples, in order.

  Sample i of piece k lies at `start_s[k] + (i - first[k]) / rate_hz[k]`.

  Attributes:
    first: [K] int64, index of each piece's first sample; the first is 0.
    start_s: [K] float64, time of that sample, Unix seconds.
    rate_hz: [K] float64, samples per second within the piece.
  """

  first: np.ndarray
  start_s: np.ndarray
  rate_hz: np.ndarray

  def __post_init__(self):
    shapes = {x.shape for x in (self.first, self.start_s, self.rate_hz)}
    if len(shapes) > 1 or self.first.ndim != 1 or not len(self.first):
      raise InputError(
          f"clock: got first, start_s and rate_hz of shapes {sorted(shapes)}, "
          "want one shape [K], K >= 1"
      )
    if self.first[0] != 0 or np.any(np.diff(self.first) <= 0):
      raise InputError("clock: first must begin with 0 and increase")
    if not np.isfinite(self.start_s).all() or not (
        np.isfinite(self.rate_hz).all() and (self.rate_hz > 0).all()
    ):
      raise InputError(
          "clock: got a start or a rate that is not finite, or a rate of 0 or "
          "less"
      )

  def end_s(self, count: int) -> float:
    """Time just after the last of `count` samples."""
    return self.stretches(count)[-1].end_s

  def shifted(self, seconds: float) -> "Clock":
    """The same clock, later by `seconds`."""
    return dataclasses.replace(self, start_s=self.start_s + seconds)

  def stretches(self, count: int) -> list["Stretch"]:
    """The gap-free parts of `count` samples, in order of time.

    Samples that lie before the end of an earlier stretch, after a jump
    backwards, belong to none.
    """
    last = np.append(self.first[1:], count)
    end = self.start_s + (last - self.first) / self.rate_hz
    apart = np.abs(self.start_s[1:] - end[:-1]) * self.rate_hz[1:] > MEET
    edges = [0, *(np.flatnonzero(apart) + 1), len(self.first)]
    out: list[Stretch] = []
    for low, high in zip(edges[:-1], edges[1:], strict=True):
      one = Stretch(
          int(self.first[low]), int(last[high - 1]), self.first[low:high],
          self.start_s[low:high], self.rate_hz[low:high],
      )
      one = one.after(out[-1].end_s) if out else one
      if one.last > one.first:
        out.append(one)
    return out


@dataclasses.dataclass(frozen=True)
class Stretch:
  """A gap-free part of a signal.

  Attributes:
    first, last: its samples are first, ..., last - 1.
    index, start_s, rate_hz: [P] its pieces, as in `Clock`. The first piece may
      begin before `first`.
  """

  first: int
  last: int
  index: np.ndarray
  start_s: np.ndarray
  rate_hz: np.ndarray

  @functools.cached_property
  def begin_s(self) -> float:
    """Time of its first sample."""
    return float(self.time(np.array([self.first]))[0])

  @functools.cached_property
  def end_s(self) -> float:
    """Time just after its last sample."""
    return float(self.time(np.array([self.last]))[0])

  def time(self, sample: np.ndarray) -> np.ndarray:
    """Time of samples [N], float64."""
    k = np.clip(np.searchsorted(self.index, sample, side="right") - 1, 0, None)
    return self.start_s[k] + (sample - self.index[k]) / self.rate_hz[k]

  def place(self, time_s: np.ndarray) -> np.ndarray:
    """Where times [N] lie, in samples, float64; also beyond the ends."""
    k = np.clip(
        np.searchsorted(self.start_s, time_s, side="right") - 1, 0, None)
    return self.index[k] + (time_s - self.start_s[k]) * self.rate_hz[k]

  def after(self, time_s: float) -> "Stretch":
    """Its part from a time on; the whole where it begins later."""
    if self.begin_s >= time_s - MEET / self.rate_hz[0]:
      return self
    first = math.ceil(self.place(np.array([time_s]))[0])
    return dataclasses.replace(self, first=min(first, self.last))

  def part(self, first: int, last: int) -> "Stretch":
    """Its samples first, ..., last - 1."""
    return dataclasses.replace(self, first=first, last=last)


def even(start_s: float, rate_hz: float) -> Clock:
  """One piece from `start_s` on."""
  if not (math.isfinite(start_s) and 0 < rate_hz < math.inf):
    raise InputError(f"clock: got {start_s} s and {rate_hz} Hz, want numbers")
  return Clock(np.array([0]), np.array([start_s], float),
               np.array([rate_hz], float))


def from_anchors(
    index: np.ndarray, time_s: np.ndarray, count: int, rate_hz: float
) -> tuple[Clock, dict[str, int]]:
  """The clock of a device that stamps some of its samples, one a block.

  A stamp that its neighbours contradict is left out. Where two steps of stamps
  in a row do not fit the rate, a jump begins a new stretch. Within a stretch
  the clock goes along straight lines between means of the stamps of ten
  minutes, since single stamps jitter.

  Args:
    index: [K] samples that are stamped, increasing.
    time_s: [K] their times, Unix seconds.
    count: samples of the signal.
    rate_hz: that the device states.

  Returns:
    (clock, counts of what was noticed, such as {"stamps left out": 1,
    "gaps": 2, "jumps backwards": 1}).

  Raises:
    InputError: no stamps, stamps that are not finite, or a stretch whose rate
      is far from `rate_hz`.
  """
  index, time_s = np.asarray(index, np.int64), np.asarray(time_s, np.float64)
  if not len(index) or index.shape != time_s.shape:
    raise InputError(
        f"clock: got {len(index)} samples with {len(time_s)} stamps, want one "
        "stamp each, at least one"
    )
  if np.any(np.diff(index) <= 0) or not np.isfinite(time_s).all():
    raise InputError("clock: stamps must be finite, their samples increase")
  good = ~_lone(index, time_s, rate_hz)
  counts = {"stamps left out": int((~good).sum())}
  index, time_s = index[good], time_s[good]
  jumps = _jumps(index, time_s, rate_hz)
  edges = [0, *(np.flatnonzero(jumps) + 1), len(index)]
  step = np.diff(time_s) - np.diff(index) / rate_hz
  counts["gaps"] = int((jumps & (step > 0)).sum())
  counts["jumps backwards"] = int((jumps & (step < 0)).sum())
  first, start, rate = [], [], []
  for low, high in zip(edges[:-1], edges[1:], strict=True):
    begin = 0 if low == 0 else int(index[low])
    at, when = _knots(index[low:high], time_s[low:high], rate_hz)
    slope = np.append(rate_hz, np.diff(at) / np.diff(when))[
        -max(1, len(at) - 1):] if len(at) > 1 else np.array([rate_hz])
    off = np.abs(slope / rate_hz - 1).max()
    if off > RATE_OFF:
      raise InputError(
          f"clock: the stamps say {slope.flat[0]:.2f} Hz where the device "
          f"states {rate_hz:g} Hz; the file is damaged, or its rate is wrong"
      )
    knots = np.append(begin, at[1:-1]).astype(np.int64)
    # The first piece also holds what lies before its first knot.
    times = when[0] + (knots[:1] - at[0]) / slope[0]
    first.append(knots)
    start.append(np.append(times, when[1:-1]))
    rate.append(slope)
  clock = Clock(
      np.concatenate(first), np.concatenate(start), np.concatenate(rate))
  return clock, {k: n for k, n in counts.items() if n}


def from_stamps(
    time_s: np.ndarray, rate_hz: float
) -> tuple[Clock, np.ndarray, dict[str, int]]:
  """The clock of samples that each have a stamp.

  Args:
    time_s: [N] stamps, Unix seconds; some may repeat or run backwards, and
      several samples may come in a burst.
    rate_hz: that the device states.

  Returns:
    (clock of the samples that stay, which samples stay [N] bool, counts). A
    sample whose stamp is not finite or repeats all of its predecessor's block
    does not stay.
  """
  time_s = np.asarray(time_s, np.float64)
  keep = np.isfinite(time_s)
  if not keep.any():
    raise InputError("clock: no stamp is a finite number")
  kept = time_s[keep]
  # Stamps of one burst are means of each other: one anchor a second.
  every = max(1, round(rate_hz))
  index = np.arange(0, len(kept), every)
  anchors = np.array([
      np.median(kept[i:i + every] - np.arange(len(kept[i:i + every])) / rate_hz)
      for i in index
  ])
  clock, counts = from_anchors(index, anchors, len(kept), rate_hz)
  if len(kept) < len(time_s):
    counts["samples without a stamp"] = int((~keep).sum())
  return clock, keep, counts


def _allowed(index, rate_hz):
  """By how much each step of stamps may be off, in s."""
  return np.minimum(JUMP * np.diff(index) / rate_hz, JUMP_S)


def _jumps(index, time_s, rate_hz):
  """[K - 1] bool: steps that do not fit the rate."""
  off = np.abs(np.diff(time_s) - np.diff(index) / rate_hz)
  return off > _allowed(index, rate_hz)


def _lone(index, time_s, rate_hz):
  """[K] bool: stamps that both neighbours contradict and who agree."""
  late = time_s - index / rate_hz
  out = np.zeros(len(index), bool)
  if len(index) < 3:
    return out
  allowed = _allowed(index, rate_hz)
  wrong = np.abs(np.diff(late)) > allowed
  agree = np.abs(late[2:] - late[:-2]) <= np.maximum(allowed[1:], allowed[:-1])
  out[1:-1] = wrong[1:] & wrong[:-1] & agree
  return out


def _knots(index, time_s, rate_hz):
  """Means of the stamps of every `KNOT_S`: (samples [P], times [P])."""
  parts = max(1, int((index[-1] - index[0]) / rate_hz // KNOT_S))
  pieces = [p for p in np.array_split(np.arange(len(index)), parts) if len(p)]
  at = np.array([index[p].mean() for p in pieces])
  when = np.array([time_s[p].mean() for p in pieces])
  if len(at) == 1 and len(index) > 60:  # one line through all of them
    slope, mean = np.polyfit(index - at[0], time_s - when[0], 1)
    ends = np.array([index[0], index[-1]], float)
    return ends, when[0] + mean + slope * (ends - at[0])
  return at, when
