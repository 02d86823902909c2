"""Labels of a window, from clean heart-beat intervals or from a track.

A label is known only where clean data cover the window; elsewhere it is NaN.
Nothing is interpolated over a gap.

Definitions, where x are the clean intervals (in s) that lie fully inside the
window:

- clean: `min_interval_s` <= x <= `max_interval_s`, and x differs by at most
  `max_change` from the median of such intervals that end within
  `median_span_s` of its end;
- coverage: time covered by clean intervals / length of the window;
- hr_bpm = 60 / mean(x);
- sdnn_ms = 1000 * SD(x), ddof 1;
- rmssd_ms = 1000 * root of the mean squared difference between clean
  intervals that follow each other without a gap; it needs `min_pairs` of
  them. (Task Force of the ESC and NASPE, Circulation 93, 1996.)

Where a source's beats lie on a grid of q seconds, rounding adds q^2 / 6 to
the variance of intervals and q^2 / 2 to the mean squared difference: each
beat errs evenly within q, with variance q^2 / 12; an interval is the
difference of two beats, and two intervals that follow each other differ by
b2 - 2 b1 + b0. Both are taken off, down to 0. For the E4 (q = 1/64 s) that is
(6.4 ms)^2 and (11.0 ms)^2.

All three are NaN where coverage < `min_coverage`. Intervals that cross an
end of the window do not count, so the coverage of perfect beats is a little
below one.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from accfm.base import settings, values
from accfm.base.errors import InputError
from accfm.signals import beats as beats_lib
from accfm.signals import windows
from accfm.signals.contract import Contract
from accfm.signals.recording import Beats, Span, Track

DEFAULTS = dict(
    # "beats" (the source's), "ppg_beats" (found in the PPG) or "track".
    beat_source="beats",
    # Share of a window that clean intervals must cover.
    min_coverage=0.8,
    min_interval_s=0.3,  # shortest interval that can be clean
    max_interval_s=2.0,  # longest interval that can be clean
    # Largest change of a clean interval from the median around it.
    max_change=0.2,
    median_span_s=10.0,  # reach of that median, before and after
    # Largest gap between intervals that follow each other; half of the E4's
    # 1/64 s.
    consecutive_tol_s=0.008,
    min_pairs=10,  # pairs of intervals that RMSSD needs
    # Grid that the times of the source's beats lie on, in s; 0: none. What
    # rounding adds to SDNN and RMSSD is taken off.
    beat_grid_s=0.0,
    min_condition=0.5,  # share of a window that gives it its condition
    track="hr_bpm",  # beat_source "track": the track that gives hr_bpm
    tracks=(),  # further tracks that become labels under their own names
    ppg_signal="",  # beat_source "ppg_beats": "" for the only PPG signal
    # Least correlation of a PPG pulse with the median pulse around it.
    min_template_r=0.8,
)

SOURCES = ("beats", "ppg_beats", "track")
RULES = {
    "labels.beat_source": values.one_of(*SOURCES),
    "labels.min_coverage": values.SHARE,
    "labels.min_interval_s": values.above(0),
    "labels.max_interval_s": values.above(0),
    "labels.max_change": values.above(0),
    "labels.median_span_s": values.COUNT,
    "labels.consecutive_tol_s": values.COUNT,
    "labels.min_pairs": values.COUNT,
    "labels.beat_grid_s": values.COUNT,
    "labels.min_condition": values.SHARE,
    "labels.min_template_r": values.between(-1, 1),
}


def check(cfg: settings.Given, contract: Contract) -> None:
  """Raises InputError for a config that labels no window of a contract."""
  rules = _settings(cfg)
  if rules.beat_source == "ppg_beats":
    _ppg_name(rules, contract)


def label_names(cfg: settings.Given) -> tuple[str, ...]:
  """Names of the numbers that `window_labels` returns for `cfg`."""
  rules = _settings(cfg)
  return ("hr_bpm", "sdnn_ms", "rmssd_ms") + tuple(rules.tracks)


def select_beats(
    aligned: windows.Aligned | windows.OnClock, contract: Contract,
    cfg: settings.Given,
) -> Beats | None:
  """The beats that `cfg.beat_source` asks for.

  Args:
    aligned: a recording on one clock. Beats are found in the PPG as a whole,
      which is read into memory for it.
    contract: the one it was aligned by.
    cfg: fields of `DEFAULTS`.

  Returns:
    Beats for `window_labels`, or None if there are none.
  """
  rules = _settings(cfg)
  if rules.beat_source == "beats":
    return aligned.beats
  if rules.beat_source == "ppg_beats":
    if isinstance(aligned, windows.OnClock):
      aligned = aligned.whole([_ppg_name(rules, contract)])
    return ppg_beats(aligned, contract, vars(rules))
  return None


def window_labels(
    start_s: float, window_sec: float, beats: Beats | None,
    tracks: Mapping[str, Track], spans: Iterable[Span], cfg: settings.Given,
) -> dict[str, Any]:
  """Labels of the window [start_s, start_s + window_sec).

  Args:
    start_s: start of the window, on the clock of the beats.
    window_sec: its length.
    beats: see `select_beats`.
    tracks: name -> Track.
    spans: tasks and conditions.
    cfg: fields of `DEFAULTS`; a field that is left out has its default.

  Returns:
    {"hr_bpm", "sdnn_ms", "rmssd_ms": float, one float for each name in
    `cfg.tracks`, "condition": str}, as the module defines them. With
    `beat_source` "track", hr_bpm is the mean of the track `cfg.track`, and
    the other two are NaN. The mean of a track gives equal weight to all
    values whose span lies fully inside; it is NaN where these spans cover
    less than `min_coverage`. "condition" is the name of the span that covers
    most of the window, or "" if it covers less than `min_condition`.
  """
  rules = _settings(cfg)
  stop_s = start_s + window_sec
  out: dict[str, Any] = {
      "hr_bpm": np.nan, "sdnn_ms": np.nan, "rmssd_ms": np.nan
  }
  if rules.beat_source == "track":
    out["hr_bpm"] = _track_mean(
        tracks.get(rules.track), start_s, stop_s, rules.min_coverage
    )
  elif beats is not None:
    out.update(_beat_labels(beats, start_s, stop_s, rules))
  for name in rules.tracks:
    out[name] = _track_mean(
        tracks.get(name), start_s, stop_s, rules.min_coverage
    )
  out["condition"] = _condition(spans, start_s, stop_s, rules.min_condition)
  return out


def clean_intervals(beats: Beats, cfg: settings.Given = None) -> np.ndarray:
  """[M] bool: which intervals are clean, as the module defines it."""
  rules = _settings(cfg)
  end, x = np.asarray(beats.end_s), np.asarray(beats.interval_s)
  plausible = (x >= rules.min_interval_s) & (x <= rules.max_interval_s)
  if not plausible.any():
    return plausible
  first = np.searchsorted(end, end - rules.median_span_s, side="left")
  last = np.searchsorted(end, end + rules.median_span_s, side="right")
  near = first[:, None] + np.arange((last - first).max())  # [M, K]
  use = near < last[:, None]
  near = np.where(use, near, 0)
  use &= plausible[near]
  ranked = np.sort(np.where(use, x[near], np.inf), axis=1)
  count = np.maximum(use.sum(axis=1), 1)
  rows = np.arange(len(x))
  middle = (ranked[rows, (count - 1) // 2] + ranked[rows, count // 2]) / 2
  return plausible & (np.abs(x - middle) <= rules.max_change * middle)


def beat_coverage(
    start_s: float, window_sec: float, beats: Beats, cfg: settings.Given = None
) -> float:
  """Share [0, 1] of a window that is covered by clean intervals inside it."""
  rules = _settings(cfg)
  end, x, clean = _inside(beats, start_s, start_s + window_sec, rules)
  return _covered(end[clean] - x[clean], end[clean]) / window_sec


def ppg_beats(
    aligned: windows.Aligned, contract: Contract, cfg: settings.Given = None
) -> Beats:
  """Beats found in the aligned PPG, from pulses that look alike.

  An interval is kept if the pulses at both its ends look like their
  neighbours (`beats.pulses`). Gaps and odd intervals are left to the rules
  for clean intervals. Every channel is tried upright and upside down, because
  the foot of a pulse is often sharper than its crest and some devices invert
  the signal. The try with the most clean intervals wins. Pulses that look
  alike are not always heart beats: in running, steps make them.

  Args:
    aligned: a recording on one clock; no interval crosses one of its gaps.
    contract: the one it was aligned by.
    cfg: fields of `DEFAULTS`.

  Returns:
    Beats on the aligned clock. Their `signal` is "", since the delay is
    subtracted already.

  Raises:
    InputError: `ppg_signal` is not one of the contract's PPG signals.
  """
  rules = _settings(cfg)
  name = _ppg_name(rules, contract)
  x = aligned.signals[name].astype(np.float64)
  found = []
  for channel in range(x.shape[1]):
    for sign in (1, -1):
      beats = _run_beats(
          sign * x[:, channel], aligned.start_s, contract.rate(name),
          rules.min_template_r,
      )
      found.append((clean_intervals(beats, vars(rules)).sum(), beats))
  return max(found, key=lambda item: item[0])[1]


def _settings(cfg):
  """DEFAULTS with the fields of `cfg`, after checking the beat source."""
  rules = settings.merge(cfg, DEFAULTS, "labels")
  values.check({"labels": vars(rules)}, RULES)
  return rules


def _ppg_name(rules, contract):
  """The PPG signal that beats are found in."""
  names = [n for n, spec in contract.signals.items() if spec.kind == "ppg"]
  name = rules.ppg_signal or (names[0] if len(names) == 1 else "")
  if name not in names:
    raise InputError(
        f"labels.ppg_signal: got {rules.ppg_signal!r}, want one of {names}"
    )
  return name


def _inside(beats, start_s, stop_s, rules):
  """(end, interval, clean), each [M], of the intervals inside the window."""
  reach = rules.median_span_s + rules.max_interval_s
  near = slice(
      np.searchsorted(beats.end_s, start_s - reach),
      np.searchsorted(beats.end_s, stop_s + reach),
  )
  some = Beats(beats.end_s[near], beats.interval_s[near])
  clean = clean_intervals(some, vars(rules))
  begin = some.end_s - some.interval_s
  inside = (begin >= start_s) & (some.end_s <= stop_s)
  return some.end_s[inside], some.interval_s[inside], clean[inside]


def _beat_labels(beats, start_s, stop_s, rules):
  """hr_bpm, sdnn_ms and rmssd_ms, as the module defines them."""
  end, x, clean = _inside(beats, start_s, stop_s, rules)
  covered = _covered(end[clean] - x[clean], end[clean])
  if covered < rules.min_coverage * (stop_s - start_s) or clean.sum() < 2:
    return {}
  follows = np.abs(end[1:] - x[1:] - end[:-1]) <= rules.consecutive_tol_s
  steps = np.diff(x)[follows & clean[1:] & clean[:-1]]
  rounding = rules.beat_grid_s**2 * (rules.beat_source == "beats")
  out = {
      "hr_bpm": float(60 / x[clean].mean()),
      "sdnn_ms": _root_ms(x[clean].var(ddof=1) - rounding / 6),
  }
  if len(steps) >= max(1, rules.min_pairs):
    out["rmssd_ms"] = _root_ms(np.mean(steps**2) - rounding / 2)
  return out


def _root_ms(square):
  """The root of s^2 in ms, 0 where rounding has left less than nothing."""
  return float(1000 * np.sqrt(max(square, 0.0)))


def _track_mean(track, start_s, stop_s, min_coverage):
  """Mean of a track in a window, or NaN; see `window_labels`."""
  if track is None:
    return np.nan
  begin, end = track.start_s, track.start_s + track.span_s
  use = (begin >= start_s) & (end <= stop_s) & np.isfinite(track.values)
  covered = _covered(begin[use], end[use])
  if not use.any() or covered < min_coverage * (stop_s - start_s):
    return np.nan
  return float(np.mean(track.values[use]))


def _covered(begin, end):
  """Time that the spans [M] cover together; their ends increase."""
  if not len(end):
    return 0.0
  before = np.concatenate([[-np.inf], np.maximum.accumulate(end)[:-1]])
  return float(np.maximum(0.0, end - np.maximum(begin, before)).sum())


def _condition(spans, start_s, stop_s, min_share):
  """Name of the span that covers most of the window, or ""."""
  covered = {}
  for span in spans:
    length = min(span.end_s, stop_s) - max(span.start_s, start_s)
    if length > 0:
      covered[span.name] = covered.get(span.name, 0.0) + length
  name = max(covered, key=lambda one: covered[one], default="")
  enough = name and covered[name] >= min_share * (stop_s - start_s)
  return name if enough else ""


def _run_beats(x, start_s, rate_hz, min_r):
  """Beats of one channel [N], found in each run between gaps by itself."""
  end, interval = [np.zeros(0)], [np.zeros(0)]
  for first, last in windows.runs(np.isfinite(x)):
    time, good = beats_lib.pulses(x[first:last], rate_hz, min_r)
    time = time + start_s + first / rate_hz
    keep = good[1:] & good[:-1]
    end.append(time[1:][keep])
    interval.append(np.diff(time)[keep])
  return Beats(np.concatenate(end), np.concatenate(interval))
