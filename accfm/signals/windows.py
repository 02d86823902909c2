"""Puts the signals of a recording on one clock and rate, and cuts windows.

Each gap-free run of a signal is evaluated at the times of the common clock by
one band-limited interpolation. It changes the rate, suppresses aliases and
corrects start offsets smaller than a sample. Gaps stay NaN. A raw sample that
is impossible (`impossible`) becomes a gap as well, together with all that it
reaches through the filters: what is left is as if it had been sound.
"""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from accfm.base import settings
from accfm.base.errors import InputError
from accfm.signals import contract as contract_lib
from accfm.signals import filters, impossible, quality
from accfm.signals.contract import Contract
from accfm.signals.filters import SNAP
from accfm.signals.recording import Beats, Recording, Span, Track


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


def align(
    recording: Recording, contract: Contract, cfg: settings.Given = None,
    settled: bool = True,
) -> Aligned:
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
      the signals overlap for less than a window; two rates are not in a
      ratio of whole numbers up to 20,000; a pass band does not fit the rate
      or contradicts `gravity_kept`.
  """
  where = f"recording {recording.participant}/{recording.session}"
  rules = quality.read_rules(cfg, contract.signals)
  contract_lib.check(contract, "")
  for name, spec in contract.signals.items():
    _check(recording, name, spec, where)
  clocks = {
      name: recording.signals[name].start_s - spec.delay_s
      for name, spec in contract.signals.items()
  }
  # A sample that is impossible was there all the same: the clock begins where
  # it would begin without the fault.
  there = {
      name: ~np.logical_or.reduce(
          np.isnan(recording.signals[name].values), axis=1
      ) for name in clocks
  }
  ends = {
      name: _end_s(contract.rate(name), spec) if settled else 0.0
      for name, spec in contract.signals.items()
  }
  start, seconds_all = _overlap(
      recording, contract, clocks, there, ends, where)
  signals, clipped, faults = {}, {}, {}
  for name, spec in contract.signals.items():
    raw, rate = recording.signals[name], contract.rate(name)
    count = math.floor(seconds_all * rate + SNAP)
    codes = impossible.find(raw, name, spec, rules, contract.window_sec)
    out = np.full((count, spec.channels), np.nan, np.float32)
    for first, last in runs(there[name]):
      seconds = (last - first) / raw.rate_hz
      if seconds + 1 / raw.rate_hz - 2 * ends[name] < contract.window_sec:
        continue
      begin = clocks[name] + first / raw.rate_hz - start  # s on the clock
      k0 = max(0, _place(begin + ends[name], rate))
      k1 = min(count, _place(begin + seconds - ends[name], rate))
      if k1 > k0:
        out[k0:k1] = _filtered(
            impossible.bridged(raw.values[first:last], codes[first:last]),
            raw.rate_hz, begin, k0, k1, rate, spec,
            f"{where} signal {name}",
        )
    faults[name] = _spread(
        codes, raw.rate_hz, clocks[name] - start, rate, count,
        filters.reach_s(
            raw.rate_hz, start - clocks[name], rate, spec.band_hz,
            spec.band_order,
        ),
    )
    out[faults[name] > 0] = np.nan
    signals[name] = out
    times = start - clocks[name] + np.arange(count) / rate
    nearest = np.clip(
        np.rint(times * raw.rate_hz).astype(np.int64), 0, len(raw.values) - 1
    )
    clipped[name] = quality.at_limit(raw.values, raw.limits)[nearest]
  delays = {name: spec.delay_s for name, spec in contract.signals.items()}
  return Aligned(
      start_s=start,
      rates_hz={name: contract.rate(name) for name in contract.signals},
      signals=signals,
      clipped=clipped,
      beats=_moved(recording.beats, "end_s", delays),
      tracks={
          name: _moved(track, "start_s", delays)
          for name, track in recording.tracks.items()
      },
      spans=tuple(recording.spans),
      impossible=faults,
  )


def _end_s(rate_hz, spec):
  """Seconds of each end of a run that are left out: whole samples."""
  settle = filters.settle_s(rate_hz, spec.band_hz, spec.band_order)
  return math.ceil(settle * rate_hz) / rate_hz


def _place(time_s, rate_hz):
  """The first sample of the clock at or after a time on it."""
  return math.ceil(time_s * rate_hz - SNAP)


def _filtered(x, rate_in, begin_s, k0, k1, rate_hz, spec, where):
  """Samples k0, ..., k1 - 1 of the clock, from a run x [N, C] between gaps.

  Args:
    begin_s: time of x[0] on the clock. The band filter sees what the run has
      before k0 and after k1, as far as it reaches.
  """
  first, last = k0, k1
  if spec.band_hz:
    far = _place(filters.reach_s(
        rate_hz, 0.0, rate_hz, spec.band_hz, spec.band_order), rate_hz)
    first = max(_place(begin_s, rate_hz), k0 - far)
    last = min(_place(begin_s + len(x) / rate_in, rate_hz), k1 + far)
  values = filters.resample(
      x, rate_in, max(0.0, first / rate_hz - begin_s), rate_hz, last - first,
      where=where,
  )
  if spec.band_hz:
    values = filters.bandpass(values, rate_hz, spec.band_hz, spec.band_order)
  return values[k0 - first:k1 - first]


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
  lengths = {name: contract.length(name) for name in hops}
  count = min(
      (len(aligned.signals[name]) - lengths[name]) // hop + 1
      for name, hop in hops.items()
  )
  clock = next(iter(hops))  # any signal tells the time of a window's start
  for k in range(count):
    rows = {
        name: slice(k * hop, k * hop + lengths[name])
        for name, hop in hops.items()
    }
    yield Window(
        start_s=aligned.start_s + k * hops[clock] / aligned.rates_hz[clock],
        signals={name: x[rows[name]] for name, x in aligned.signals.items()},
        clipped={
            name: float(x[rows[name]].mean())
            for name, x in aligned.clipped.items()
        },
        impossible=_reasons(
            x[rows[name]] for name, x in aligned.impossible.items()),
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


def runs(mask: np.ndarray) -> np.ndarray:
  """[K, 2]: the first index of each run of True in [N] bool, and the one after
  its last.
  """
  edges = np.diff(np.concatenate([[0], np.asarray(mask, np.int8), [0]]))
  return np.stack(
      [np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)], axis=1
  )


def _spread(codes, rate_in, begin_s, rate_out, count, reach_s):
  """uint8 [count]: `codes` [N] on the common clock, spread by the reach.

  Args:
    codes: of the raw samples, as from `impossible.find`.
    rate_in: their rate.
    begin_s: time of the first one on the common clock.
    rate_out, count: of that clock.
    reach_s: on both sides.
  """
  out = np.zeros(count, np.uint8)
  for code in range(len(impossible.REASONS) - 1, 0, -1):  # the first one wins
    for first, last in runs(codes == code):
      low = (begin_s + first / rate_in - reach_s) * rate_out
      high = (begin_s + (last - 1) / rate_in + reach_s) * rate_out
      low, high = math.floor(low + SNAP), math.ceil(high - SNAP)
      out[max(0, low):max(0, high + 1)] = code
  return out


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


def _overlap(recording, contract, clocks, there, ends, where):
  """(start, length) in s of the time that all signals cover, settled."""
  spans = {}
  for name, clock in clocks.items():
    rows = np.flatnonzero(there[name])
    if not len(rows):
      raise InputError(f"{where} signal {name}: every sample is a gap")
    rate = recording.signals[name].rate_hz
    spans[name] = (clock + rows[0] / rate + ends[name],
                   clock + (rows[-1] + 1) / rate - ends[name])
  start = max(a for a, _ in spans.values())
  end = min(b for _, b in spans.values())
  if end <= start:
    text = ", ".join(f"{n} {a:.2f}-{b:.2f} s" for n, (a, b) in spans.items())
    raise InputError(
        f"{where}: signals do not overlap in time ({text}); check their start "
        "times"
    )
  if any(
      math.floor((end - start) * contract.rate(name) + SNAP)
      < contract.length(name) for name in clocks
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
