"""`Recording`: what a source returns, and all that later steps know of it.

Times are absolute seconds (Unix time, UTC) as float64. NaN values mark a gap
in a signal. Beats and tracks name the signal they were derived from, so that
they are shifted when that signal is.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from accfm.base import shapes
from accfm.base.errors import InputError
from accfm.signals import clocks, plausible

LATEST_S = 4_102_444_800.0  # the year 2100, since 1970


@dataclasses.dataclass(frozen=True)
class Signal:
  """Samples on their own clock.

  Attributes:
    values: [N, C] float; NaN marks a gap. An array, or something that reads
      a long recording piece by piece: it has a `shape`, a length, and
      `values[i:j]` is an array.
    rate_hz: samples per second, as the device names it.
    unit: "g" for acceleration, "au" for uncalibrated optics, "mV", ...
    start_s: time of the first sample, Unix seconds.
    limits: lowest and highest value that the device can report, in `unit`;
      samples at a limit count as clipped. None where they are not known.
    clock: where the samples lie in time, if the device's stamps say so; None
      for even steps of `rate_hz` from `start_s` on.
  """

  values: Any
  rate_hz: float
  unit: str
  start_s: float
  limits: tuple[float, float] | None = None
  clock: clocks.Clock | None = None

  @property
  def end_s(self) -> float:
    """Time just after the last sample."""
    if self.clock is not None:
      return self.clock.end_s(len(self.values))
    return self.start_s + len(self.values) / self.rate_hz


@dataclasses.dataclass(frozen=True)
class Beats:
  """Heart beats as intervals, each placed at the beat that ends it.

  Two intervals follow each other only if `end_s[i] - interval_s[i]` equals
  `end_s[i - 1]` up to the clock's resolution; otherwise a gap lies between.

  Attributes:
    end_s: [M] time of the beat that ends the interval, increasing.
    interval_s: [M] time since the beat before it.
    signal: the signal that the beats were derived from and are shifted with;
      "" if they have a clock of their own (another device, a simulator).
  """

  end_s: np.ndarray
  interval_s: np.ndarray
  signal: str = ""


@dataclasses.dataclass(frozen=True)
class Track:
  """A label that varies over time; each value is valid for a span.

  Attributes:
    start_s: [M] start of each value's span.
    span_s: length of a span in seconds.
    values: [M] float; NaN where unknown.
    unit: such as "bpm".
    signal: as in `Beats`.
  """

  start_s: np.ndarray
  span_s: float
  values: np.ndarray
  unit: str
  signal: str = ""


@dataclasses.dataclass(frozen=True)
class Span:
  """A named task or condition between two times."""

  start_s: float
  end_s: float
  name: str


@dataclasses.dataclass(frozen=True)
class Recording:
  """One session of one participant.

  Attributes:
    participant: id within the cohort, without the source's name.
    session: name of the session, unique for the participant.
    signals: name -> Signal, such as {"ppg": ..., "acc": ...}.
    beats: heart beats, or None.
    tracks: name -> Track, such as {"hr_bpm": ...}.
    spans: tasks and conditions.
    attributes: facts about the participant as numbers, such as
      {"age_years": 61.0, "sex": 1.0, "bmi": 24.2, "target_smoker": 0.0}; sex
      is 0 for female, 1 for male. What a number can be is in `plausible`.
    zone: time zone of the wearer, "Europe/Berlin" or "+02:00"; "" if unknown.
    local: whether all times count from 1970 on the wearer's own clock instead
      of in UTC, since the file names no zone.
    notes: what the source noticed, as counts, such as {"blocks dropped": 2}.
  """

  participant: str
  session: str
  signals: Mapping[str, Signal]
  beats: Beats | None = None
  tracks: Mapping[str, Track] = dataclasses.field(default_factory=dict)
  spans: Sequence[Span] = ()
  attributes: Mapping[str, float] = dataclasses.field(default_factory=dict)
  zone: str = ""
  local: bool = False
  notes: Mapping[str, int] = dataclasses.field(default_factory=dict)

  def __post_init__(self):
    where = f"recording {self.participant}/{self.session}"
    for text, field in (
        (self.participant, "participant"), (self.session, "session")
    ):
      if not text or "/" in text or text != text.strip():
        raise InputError(
            f"{where}: {field} is {text!r}, want a name without '/' or "
            "spaces around it"
        )
    if not self.signals:
      raise InputError(f"{where}: no signals; a source must yield some")
    for name, signal in self.signals.items():
      _check_signal(signal, f"{where} signal {name}")
    if self.beats is not None:
      _check_beats(self.beats, f"{where} beats")
    for name, track in self.tracks.items():
      _check_track(name, track, f"{where} track {name}")
    for span in self.spans:
      _check_finite([span.start_s, span.end_s], f"{where} span {span.name}")
    plausible.check_attributes(self.attributes, where)

  @property
  def start_s(self) -> float:
    """Start of the signal that starts first."""
    return min(signal.start_s for signal in self.signals.values())


def _check_signal(signal: Signal, where: str) -> None:
  shapes.check(signal.values, where, "N C")
  if not 0 < signal.rate_hz < math.inf:
    raise InputError(f"{where}: rate {signal.rate_hz} Hz, want > 0")
  _check_finite([signal.start_s], f"{where} start_s")
  if not abs(signal.start_s) < LATEST_S:
    raise InputError(
        f"{where} start_s: got {signal.start_s:g} s since 1970, a time after "
        "2100; are these milliseconds? want seconds"
    )
  if signal.limits is not None:
    _check_finite(signal.limits, f"{where} limits")
    if not signal.limits[0] < signal.limits[1]:
      raise InputError(
          f"{where}: limits {tuple(signal.limits)}, want the lowest value "
          "below the highest"
      )


def _check_beats(beats: Beats, where: str) -> None:
  shapes.check_all([
      (beats.end_s, f"{where}.end_s", "M"),
      (beats.interval_s, f"{where}.interval_s", "M"),
  ])
  _check_finite(beats.end_s, f"{where}.end_s")
  _check_finite(beats.interval_s, f"{where}.interval_s")
  if np.any(np.diff(beats.end_s) <= 0):
    raise InputError(f"{where}: beat times must increase")
  short = np.flatnonzero(np.asarray(beats.interval_s) <= 0)
  if len(short):
    raise InputError(
        f"{where}.interval_s[{short[0]}]: got {beats.interval_s[short[0]]:g} "
        "s, want more than 0"
    )


def _check_track(name: str, track: Track, where: str) -> None:
  shapes.check_all([
      (track.start_s, f"{where} start_s", "M"),
      (track.values, f"{where} values", "M"),
  ])
  _check_finite(track.start_s, f"{where} start_s")
  if not 0 < track.span_s < math.inf:
    raise InputError(f"{where}: span_s {track.span_s}, want more than 0 s")
  plausible.check(name, track.values, f"{where}: value of")


def _check_finite(values: Any, where: str) -> None:
  values = np.asarray(values, np.float64)
  bad = values[~np.isfinite(values)]
  if len(bad):
    raise InputError(f"{where}: got {bad[0]}, want finite numbers")
