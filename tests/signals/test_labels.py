import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.signals import labels
from accfm.signals.contract import Contract, SignalSpec
from accfm.signals.recording import Beats, Span, Track
from accfm.signals.windows import Aligned

T0 = 1_644_829_925.0


def slow_labels(start, length, beats, cover, pairs):
  """Heart rate, SDNN and RMSSD read off the definitions, one loop each."""
  rows = list(zip(beats.end_s, beats.interval_s, strict=True))
  clean = []
  for end, x in rows:
    near = sorted(y for e, y in rows if abs(e - end) <= 10 and 0.3 <= y <= 2)
    ok = 0.3 <= x <= 2.0
    if ok:
      half = len(near) // 2
      middle = near[half] if len(near) % 2 else sum(near[half - 1:half + 1]) / 2
      ok = abs(x - middle) <= 0.2 * middle
    clean.append(ok)
  used = [
      i for i, (end, x) in enumerate(rows)
      if clean[i] and end - x >= start and end <= start + length
  ]
  covered = sum(rows[i][1] for i in used) / length
  if covered < cover or len(used) < 2:
    return covered, [np.nan] * 3
  mean = sum(rows[i][1] for i in used) / len(used)
  var = sum((rows[i][1] - mean) ** 2 for i in used) / (len(used) - 1)
  squares = [
      (rows[i][1] - rows[i - 1][1]) ** 2 for i in used
      if i - 1 in used and abs(rows[i][0] - rows[i][1] - rows[i - 1][0]) < 0.008
  ]
  rmssd = (
      1000 * (sum(squares) / len(squares)) ** 0.5
      if len(squares) >= pairs else np.nan
  )
  return covered, [60 / mean, 1000 * var**0.5, rmssd]


def messy_beats(seed):
  """Beats with gaps, missed beats and extra ones, on a 1/64 s grid."""
  rng = np.random.default_rng(seed)
  x = rng.normal(0.8, 0.05, 300)
  x[rng.integers(0, 300, 5)] *= 2  # a missed beat
  x[rng.integers(0, 300, 5)] *= 0.4  # an extra one
  x[rng.integers(0, 300, 2)] = 2.5
  x = np.round(x * 64) / 64
  end = T0 + np.cumsum(x)
  keep = np.ones(300, bool)
  for first in rng.integers(0, 290, 3 * (seed % 3)):
    keep[first:first + 6] = False
  return Beats(end[keep], x[keep])


@pytest.mark.parametrize("seed", range(6))
def test_labels_follow_their_definitions(seed):
  beats = messy_beats(seed)
  known = 0
  for start in T0 + np.arange(0, 170, 10.1):
    covered, want = slow_labels(start, 60.0, beats, 0.8, 10)
    got = labels.window_labels(start, 60.0, beats, {}, (), {})
    assert labels.beat_coverage(start, 60.0, beats) == pytest.approx(covered)
    np.testing.assert_allclose(
        [got["hr_bpm"], got["sdnn_ms"], got["rmssd_ms"]], want, rtol=1e-9
    )
    known += np.isfinite(want).all()
  assert known >= 3


def test_what_a_grid_adds_to_variability_is_taken_off():
  """True intervals, rounded to 1/64 s; squares are right in the mean."""
  q = 1 / 64
  found, true = {0.0: [], q: []}, []
  for seed in range(300):
    rng = np.random.default_rng(seed)
    end = T0 + rng.random() + np.cumsum(rng.normal(0.8, 0.012, 160))
    exact = Beats(end[1:], np.diff(end))
    on_grid = T0 + np.round((end - T0) / q) * q
    rounded = Beats(on_grid[1:], np.diff(on_grid))

    def squares(beats, grid):
      got = labels.window_labels(
          T0 + 30, 60.0, beats, {}, (), {"beat_grid_s": grid})
      return got["sdnn_ms"] ** 2, got["rmssd_ms"] ** 2, got["hr_bpm"]

    true.append(squares(exact, 0.0))
    for grid, rows in found.items():
      rows.append(squares(rounded, grid))
  # The grid's part by its definition: three errors, even within q.
  errors = np.random.default_rng(0).uniform(-q / 2, q / 2, (10**5, 3))
  step = 1e6 * np.mean((errors @ [1, -2, 1]) ** 2)
  interval = 1e6 * np.mean((errors @ [1, -1, 0]) ** 2)
  off = np.mean(np.array(found[0.0]) - true, axis=0)
  np.testing.assert_allclose(off[:2], [interval, step], rtol=0.15)
  assert step == pytest.approx(11.05**2, rel=0.02)
  off = np.mean(np.array(found[q]) - true, axis=0)
  assert abs(off[0]) < 0.15 * interval and abs(off[1]) < 0.15 * step
  assert found[q][0][2] == found[0.0][0][2]  # the heart rate stays


def test_less_variability_than_rounding_makes_is_none():
  """A regular heart on the grid: nothing is left, and nothing is NaN."""
  got = labels.window_labels(
      T0 + 10, 30.0, regular(), {}, (), {"beat_grid_s": 1 / 64})
  assert got["sdnn_ms"] == got["rmssd_ms"] == 0.0


def test_beats_found_in_the_ppg_lie_on_no_grid():
  beats = messy_beats(0)
  cfg = {"beat_source": "ppg_beats", "min_coverage": 0.3}
  plain, grid = (
      labels.window_labels(T0 + 10, 60.0, beats, {}, (), {**cfg, **more})
      for more in ({}, {"beat_grid_s": 1 / 64})
  )
  assert plain == grid and np.isfinite(plain["rmssd_ms"])


def regular(count=80, interval=0.75):
  end = T0 + interval * (1 + np.arange(count))
  return Beats(end, np.full(count, interval))


def test_numbers_that_can_be_checked_by_hand():
  x = np.tile([0.9, 1.1], 40)
  beats = Beats(T0 + np.cumsum(x), x)
  got = labels.window_labels(T0, 60.0, beats, {}, (), {})
  assert got["hr_bpm"] == pytest.approx(60.0)
  assert got["rmssd_ms"] == pytest.approx(200.0)
  assert got["sdnn_ms"] == pytest.approx(100 * np.sqrt(60 / 59))
  assert got["condition"] == ""


def test_differences_never_cross_a_gap():
  # Two levels with a gap between them: every true step is 0.
  x = np.concatenate([np.full(40, 0.72), np.full(40, 0.8)])
  end = T0 + np.cumsum(x)
  end[40:] += 1.3
  got = labels.window_labels(T0, 60.0, Beats(end, x), {}, (), {})
  assert got["rmssd_ms"] == pytest.approx(0, abs=1e-9)
  assert got["sdnn_ms"] > 30
  joined = labels.window_labels(
      T0, 60.0, Beats(T0 + np.cumsum(x), x), {}, (), {}
  )
  assert joined["rmssd_ms"] > 5


@pytest.mark.parametrize("kept, known", [(65, True), (63, False)])
def test_the_coverage_threshold(kept, known):
  beats = regular()
  beats = Beats(beats.end_s[:kept], beats.interval_s[:kept])  # of 64 for 0.8
  got = labels.window_labels(T0, 60.0, beats, {}, (), {})
  assert np.isfinite(got["hr_bpm"]) == known


def test_few_pairs_leave_rmssd_unknown():
  x = np.full(50, 1.1)
  end = T0 + np.cumsum(x + 0.02)  # no interval ends where the next begins
  got = labels.window_labels(T0, 60.0, Beats(end, x), {}, (), {})
  assert got["hr_bpm"] == pytest.approx(60 / 1.1)
  assert np.isnan(got["rmssd_ms"])


def test_an_artefact_is_left_out_and_counts_as_uncovered():
  beats = regular()
  x = beats.interval_s.copy()
  x[20] = 0.95  # 27 % longer than its neighbours
  x[40] = 0.85  # 13 %
  odd = Beats(beats.end_s, x)
  clean = labels.clean_intervals(odd)
  assert not clean[20] and clean.sum() == 79
  assert labels.clean_intervals(odd, {"max_change": 0.3}).all()


def test_no_beats_no_numbers():
  empty = Beats(np.zeros(0), np.zeros(0))
  for beats in (None, empty):
    got = labels.window_labels(T0, 60.0, beats, {}, (), {})
    assert all(np.isnan(got[k]) for k in ("hr_bpm", "sdnn_ms", "rmssd_ms"))


def test_a_track_takes_the_spans_fully_inside():
  start = T0 + 2.0 * np.arange(60)
  values = np.arange(60.0)
  values[7] = np.nan
  track = Track(start, 8.0, values, "bpm")
  cfg = {"beat_source": "track", "tracks": ("other",)}
  got = labels.window_labels(
      T0 + 3, 60.0, regular(), {"hr_bpm": track}, (), cfg
  )
  inside = [
      v for t, v in zip(start - T0, values, strict=True)
      if t >= 3 and t + 8 <= 63 and v == v
  ]
  assert got["hr_bpm"] == pytest.approx(np.mean(inside))
  assert np.isnan(got["sdnn_ms"]) and np.isnan(got["other"])
  assert labels.label_names(cfg) == ("hr_bpm", "sdnn_ms", "rmssd_ms", "other")
  # 4 to 34 s are covered at the end: 30 of 60 s.
  late = labels.window_labels(
      T0 + 92, 60.0, None, {"hr_bpm": track}, (), cfg
  )
  assert np.isnan(late["hr_bpm"])
  half = labels.window_labels(
      T0 + 92, 60.0, None, {"hr_bpm": track}, (), {**cfg, "min_coverage": 0.5}
  )
  assert half["hr_bpm"] == pytest.approx(np.mean(values[46:]))


def test_the_condition_covers_most_of_the_window():
  spans = (Span(T0 - 50, T0 + 20, "rest"), Span(T0 + 20, T0 + 90, "task"))

  def condition(start, **cfg):
    return labels.window_labels(start, 60.0, None, {}, spans, cfg)["condition"]

  assert condition(T0) == "task"
  assert condition(T0 - 20) == "rest"
  assert condition(T0 + 70) == ""  # 20 of 60 s
  assert condition(T0 + 70, min_condition=0.3) == "task"
  assert condition(T0 + 500, min_condition=0.0) == ""


def pulses(times, seconds, rate=64.0, foot=-1.0):
  """A PPG-like train: a sharp rise and a slow fall at each time."""
  t = np.arange(round(seconds * rate)) / rate
  x = np.zeros(len(t))
  for beat in times:
    late = t - beat
    x += foot * np.exp(-0.5 * (late / 0.06) ** 2)
    x += np.exp(-0.5 * ((late - 0.2) / 0.12) ** 2)
  return x


def aligned(x):
  contract = Contract({"ppg": SignalSpec(x.shape[1], "au", "ppg")}, 64.0, 30.0)
  rows = Aligned(
      T0, {"ppg": 64.0}, {"ppg": x.astype(np.float32)}, {}, None, {}, ())
  return rows, contract


PPG = {"beat_source": "ppg_beats"}


def test_beats_are_found_in_ppg_upright_or_not():
  rng = np.random.default_rng(0)
  times = np.cumsum(rng.normal(0.85, 0.04, 70))
  clean = pulses(times, 60.0)
  for sign in (1, -1):
    x = np.stack([rng.normal(size=len(clean)), sign * clean], axis=1)
    beats = labels.select_beats(*aligned(x), PPG)
    got = labels.window_labels(T0, 60.0, beats, {}, (), PPG)
    inside = np.diff(times[times < 59])
    assert got["hr_bpm"] == pytest.approx(60 / inside.mean(), rel=0.005)
    assert got["sdnn_ms"] == pytest.approx(1000 * inside.std(ddof=1), rel=0.15)
    assert beats.signal == ""


def test_the_gate_keeps_noise_and_gaps_out():
  x = pulses(np.arange(0.5, 90, 0.8), 90.0)
  x[30 * 64:40 * 64] = np.random.default_rng(1).normal(size=640)
  x[60 * 64] = np.nan
  beats = labels.select_beats(*aligned(x[:, None]), PPG)
  end, begin = beats.end_s - T0, beats.end_s - beats.interval_s - T0
  in_noise = (begin > 30) & (end < 40)
  assert in_noise.sum() <= 3  # ten seconds would hold twelve
  assert not ((begin < 60) & (end > 60)).any()
  assert ((end < 30) | (begin > 40)).sum() > 80


def test_a_flat_or_missing_signal_has_no_beats():
  for value in (0.0, np.nan):
    beats = labels.select_beats(*aligned(np.full((3840, 1), value)), PPG)
    assert len(beats.end_s) == 0


def test_select_beats():
  rows, contract = aligned(np.zeros((640, 1)))
  assert labels.select_beats(rows, contract, {}) is None
  assert labels.select_beats(rows, contract, {"beat_source": "track"}) is None
  with pytest.raises(InputError, match="ppg_signal: got 'x', want one of"):
    labels.select_beats(rows, contract, {**PPG, "ppg_signal": "x"})


@pytest.mark.parametrize("cfg, message", [
    ({"beat_source": "ecg"}, "beat_source: got 'ecg'"),
    ({"min_covrage": 1}, "did you mean 'min_coverage'"),
])
def test_bad_settings(cfg, message):
  with pytest.raises(InputError, match=message):
    labels.label_names(cfg)
