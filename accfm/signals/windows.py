"""Puts the signals of a recording on one clock, and cuts windows.

`on_clock` opens a recording; its windows are read in blocks (`stream`), so
that a month of acceleration needs no more memory than an hour. `align` and
`cut` are the same for a recording that is held as a whole.
"""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from accfm.base import settings
from accfm.base.errors import InputError
from accfm.signals import contract as contract_lib
from accfm.signals import impossible, quality
from accfm.signals.contract import Contract
from accfm.signals.filters import SNAP
from accfm.signals.onclock import Lines, SignalOnClock, runs
from accfm.signals.recording import Beats, Recording, Span, Track

__all__ = [
    "Aligned", "OnClock", "Window", "align", "cut", "hop_samples", "on_clock",
    "runs", "stream",
]
BLOCK_S = 1800.0  # of a recording that are read together


@dataclasses.dataclass(frozen=True)
class Aligned:
  """A recording on one clock: the first sample of every signal has one time.

  Attributes:
    start_s: time of sample 0, Unix seconds.
    rates_hz: name -> samples per second.
    signals: name -> [N, C] float32, NaN in gaps; N differs with the rate.
    clipped: name -> [N] bool, whether the nearest raw sample was at a device
      limit in any channel. It is judged before filtering, which hides
      clipping.
    beats: as in `Recording`, with the delay subtracted.
    tracks: likewise.
    spans: as in `Recording`.
    impossible: name -> [N] uint8, the place in `impossible.REASONS` of what
      is wrong with a raw sample here or within the filters' reach.
  """

  start_s: float
  rates_hz: Mapping[str, float]
  signals: Mapping[str, np.ndarray]
  clipped: Mapping[str, np.ndarray]
  beats: Beats | None
  tracks: Mapping[str, Track]
  spans: Sequence[Span]
  impossible: Mapping[str, np.ndarray] = dataclasses.field(
      default_factory=dict
  )


@dataclasses.dataclass(frozen=True)
class Window:
  """One segment as cut from a recording.

  Attributes:
    start_s: time of its first sample, Unix seconds.
    signals: name -> [T, C] float32, NaN in gaps.
    clipped: name -> share [0, 1] of samples at a device limit.
    impossible: reasons of the impossible raw samples that reach it.
  """

  start_s: float
  signals: Mapping[str, np.ndarray]
  clipped: Mapping[str, float]
  impossible: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class OnClock:
  """A recording on one clock, whose samples are read when they are needed.

  Attributes:
    start_s: time of sample 0 of every signal, Unix seconds.
    counts: name -> samples of the signal on this clock.
    lines: name -> the signal.
    contract: that it follows.
    beats, tracks, spans: as in `Aligned`.
  """

  start_s: float
  counts: Mapping[str, int]
  lines: Mapping[str, SignalOnClock]
  contract: Contract
  beats: Beats | None
  tracks: Mapping[str, Track]
  spans: Sequence[Span]

  def whole(self, names: Iterable[str] | None = None) -> Aligned:
    """All of it in memory, or the signals of some names."""
    names = list(self.lines if names is None else names)
    pieces = {
        name: self.lines[name].piece(self.start_s, 0, self.counts[name])
        for name in names
    }
    return Aligned(
        self.start_s, {name: self.contract.rate(name) for name in names},
        {name: piece.values for name, piece in pieces.items()},
        {name: piece.clipped for name, piece in pieces.items()},
        self.beats, self.tracks, self.spans,
        {name: piece.impossible for name, piece in pieces.items()},
    )

  def windows(self, hop_sec: float) -> Iterator[Window]:
    """As `cut`, a block after the other."""
    hops = hop_samples(hop_sec, self.contract)
    count = min(
        (self.counts[name] - self.contract.length(name)) // hop + 1
        for name, hop in hops.items()
    )
    many = max(1, int(BLOCK_S / hop_sec))
    for first in range(0, count, many):
      last = min(first + many, count)
      block = {
          name: self.lines[name].piece(
              self.start_s, first * hop,
              (last - 1) * hop + self.contract.length(name))
          for name, hop in hops.items()
      }
      for k in range(first, last):
        yield _window(
            self.start_s, self.contract, hops, k,
            {n: piece.values for n, piece in block.items()},
            {n: piece.clipped for n, piece in block.items()},
            {n: piece.impossible for n, piece in block.items()}, first)


def on_clock(
    recording: Recording, contract: Contract, cfg: settings.Given = None,
    settled: bool = True,
) -> OnClock:
  """Puts the contract's signals on one clock, each at its own rate.

  A signal's `delay_s` is subtracted from its times and from those of the
  beats and tracks that name it. Beats and tracks of a signal that the
  contract leaves out stay where they are, since its delay is not known.
  Beyond the ends of a run between gaps a band filter sees the run's own odd
  reflection. What that reaches is left out (`filters.settle_s`), so the clock
  starts where the last signal to do so has settled. A run in which no window
  fits stays a gap.

  Args:
    recording: signals that the contract does not name are left out.
    contract: names the signals, their filters and rates.
    cfg: fields of `quality.DEFAULTS`, for impossible samples.
    settled: whether to leave out the ends of runs. False is for who has no
      more than a window, and takes its ends as the filter makes them.

  Raises:
    InputError: a signal is absent or has other channels or another unit;
      the signals overlap for less than a window; a pass band does not fit the
      rate or contradicts `gravity_kept`.
  """
  where = f"recording {recording.participant}/{recording.session}"
  rules = quality.read_rules(cfg, contract.signals)
  contract_lib.check(contract, "")
  for name, spec in contract.signals.items():
    _check(recording, name, spec, where)
  lines = {
      name: SignalOnClock(recording.signals[name], Lines(
          name, spec, contract.rate(name), rules, contract.window_sec, settled,
          where,
      )) for name, spec in contract.signals.items()
  }
  start, seconds = _overlap(contract, lines, where)
  delays = {name: spec.delay_s for name, spec in contract.signals.items()}
  return OnClock(
      start,
      {name: math.floor(seconds * contract.rate(name) + SNAP)
       for name in lines},
      lines, contract, _moved(recording.beats, "end_s", delays),
      {name: _moved(track, "start_s", delays)
       for name, track in recording.tracks.items()},
      tuple(recording.spans),
  )


def align(
    recording: Recording, contract: Contract, cfg: settings.Given = None,
    settled: bool = True,
) -> Aligned:
  """The whole of a recording on one clock; as `on_clock`."""
  return on_clock(recording, contract, cfg, settled).whole()


def stream(
    recording: Recording, contract: Contract, hop_sec: float,
    cfg: settings.Given = None, settled: bool = True,
) -> Iterator[Window]:
  """The windows of a recording, in bounded memory; as `on_clock` and `cut`."""
  return on_clock(recording, contract, cfg, settled).windows(hop_sec)


def cut(
    aligned: Aligned, contract: Contract, hop_sec: float
) -> Iterator[Window]:
  """Yields a full window every `hop_sec`, also windows with gaps.

  Args:
    aligned: a recording on one clock.
    contract: the one it was aligned by.
    hop_sec: time between starts; a whole number of samples of each signal.

  Raises:
    InputError: the hop is not a whole number of samples, at least one.
  """
  hops = hop_samples(hop_sec, contract)
  count = min(
      (len(aligned.signals[name]) - contract.length(name)) // hop + 1
      for name, hop in hops.items()
  )
  for k in range(count):
    yield _window(aligned.start_s, contract, hops, k, aligned.signals,
                  aligned.clipped, aligned.impossible)


def _window(start_s, contract, hops, k, signals, clipped, codes, first=0):
  """Window k of samples that begin with window `first`."""
  rows = {
      name: slice((k - first) * hop, (k - first) * hop + contract.length(name))
      for name, hop in hops.items()
  }
  clock = next(iter(hops))  # any signal tells the time of a window's start
  return Window(
      start_s=start_s + k * hops[clock] / contract.rate(clock),
      signals={name: x[rows[name]] for name, x in signals.items()},
      clipped={name: float(x[rows[name]].mean())
               for name, x in clipped.items()},
      impossible=_reasons(x[rows[name]] for name, x in codes.items()),
  )


def hop_samples(hop_sec: float, contract: Contract) -> dict[str, int]:
  """Samples of each signal between the starts of windows.

  Raises:
    InputError: for a signal they are not a whole number, at least one.
  """
  hops = {}
  for name in contract.signals:
    rate = contract.rate(name)
    hop = hops[name] = round(hop_sec * rate)
    if hop < 1 or abs(hop - hop_sec * rate) > 1e-6:
      raise InputError(
          f"hop_sec: got {hop_sec} s at {rate:g} Hz of {name}, want a whole "
          "number of samples, at least one"
      )
  return hops


def _reasons(codes: Iterable[np.ndarray]) -> tuple[str, ...]:
  """The reasons that some codes [T] name."""
  found = {int(code) for x in codes for code in np.unique(x)}
  return tuple(impossible.REASONS[code] for code in sorted(found - {0}))


def _check(recording, name, spec, where):
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


def _overlap(contract, lines, where):
  """(start, length) in s of the time that all signals cover, settled."""
  start = max(line.first_s for line in lines.values())
  end = min(line.last_s for line in lines.values())
  ends = {name: line.end_s for name, line in lines.items()}
  if end <= start:
    text = ", ".join(
        f"{name} {line.first_s:.2f}-{line.last_s:.2f} s"
        for name, line in lines.items())
    raise InputError(
        f"{where}: signals do not overlap in time ({text}); check their start "
        "times"
    )
  if any(
      math.floor((end - start) * contract.rate(name) + SNAP)
      < contract.length(name) for name in lines
  ):
    raise InputError(
        f"{where}: shorter than a window: signals overlap for "
        f"{end - start:.2f} s{_without(ends)}, want at least "
        f"{contract.window_sec} s"
    )
  return start, end - start


def _without(ends):
  """What an error says of the ends that were left out."""
  most = max(ends.values())
  return f" without the {most:.2f} s at each end that filters need" * (most > 0)


def _moved(item: Any, field: str, delays: Mapping[str, float]) -> Any:
  """Beats, a Track or None, with the delay of its signal subtracted."""
  if item is None or not delays.get(item.signal):
    return item
  moved = getattr(item, field) - delays[item.signal]
  return dataclasses.replace(item, **{field: moved})
