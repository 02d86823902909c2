import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.signals import filters, windows
from accfm.signals.contract import Contract, SignalSpec
from accfm.signals.recording import Beats, Recording, Signal, Span, Track

T0 = 1_644_829_925.0


def spec(**fields):
  return SignalSpec(**{
      "channels": 1, "unit": "au", "kind": "ppg", **fields
  })


def contract(rate_hz=64.0, window_sec=10.0, **specs):
  return Contract(specs or {"x": spec()}, rate_hz, window_sec)


def sine(freq_hz, rate_hz, seconds, start_s=0.0, unit="au", channels=1):
  """A sine of absolute time: its phase tells where a sample was taken."""
  t = start_s + np.arange(round(seconds * rate_hz)) / rate_hz
  values = np.stack([np.sin(2 * np.pi * freq_hz * t + c)
                     for c in range(channels)], axis=1)
  return Signal(values, rate_hz, unit, T0 + start_s)


def recording(**fields):
  return Recording(participant="P1", session="S1", **fields)


def slow_resample(x, rate_in, shift_s, rate_out, wanted):
  """The kernel written as a double loop; only valid away from the ends."""
  lower = min(rate_in, rate_out)
  out = {}
  for k in wanted:
    weights = np.zeros(len(x))
    for n in range(len(x)):
      lag = (shift_s + k / rate_out - n / rate_in) * lower  # in samples
      if abs(lag) <= 32:
        weights[n] = np.sinc(0.95 * lag) * np.i0(
            5.65 * np.sqrt(1 - (lag / 32) ** 2)
        )
    out[k] = weights @ x / weights.sum()
  return np.array([out[k] for k in wanted])


@pytest.mark.parametrize("rate_in, rate_out, shift_s", [
    (64, 64, 0.0071), (32, 64, 0.0), (125, 64, 0.0033), (50, 64, 0.507),
    (100, 64, 0.0),
])
def test_resample_is_the_kernel_summed_sample_by_sample(
    rate_in, rate_out, shift_s
):
  x = np.random.default_rng(0).normal(size=round(3 * rate_in))
  count = round(2 * rate_out)
  fast = filters.resample(x[:, None], rate_in, shift_s, rate_out, count)
  t = shift_s + np.arange(count) / rate_out
  reach = 33 / min(rate_in, rate_out)
  inner = np.flatnonzero((t > reach) & (t < 3 - reach))[::2]
  assert len(inner) > 25 and fast.shape == (count, 1)
  slow = slow_resample(x, rate_in, shift_s, rate_out, inner)
  np.testing.assert_allclose(fast[inner, 0], slow, atol=1e-9)


@pytest.mark.parametrize("rate_hz", [32.0, 50.0, 64.0, 100.0, 125.0])
@pytest.mark.parametrize("offset_s", [0.0, 0.0031, 0.0127])
def test_times_are_right_to_less_than_a_tenth_of_a_millisecond(
    rate_hz, offset_s
):
  freq = 5.0
  r = recording(signals={
      "a": sine(freq, 64.0, 20.0), "b": sine(freq, rate_hz, 20.0, offset_s)
  })
  a = windows.align(r, contract(a=spec(), b=spec()))
  t = a.start_s - T0 + np.arange(len(a.signals["b"])) / a.rates_hz["b"]
  inner = slice(70, -70)
  for name in ("a", "b"):
    got = a.signals[name][inner, 0]
    turn = np.exp(-2j * np.pi * freq * t[inner])
    late_s = -np.angle(1j * (got * turn).sum()) / (2 * np.pi * freq)
    assert abs(late_s) < 1e-4, name
    np.testing.assert_allclose(
        got, np.sin(2 * np.pi * freq * t[inner]), atol=4e-3
    )


def test_what_the_new_rate_cannot_hold_is_gone_and_the_rest_is_kept():
  for freq, low, high in ((10, 0.99, 1.01), (28, 0.99, 1.01), (33, 0, 2e-3),
                          (45, 0, 2e-3), (60, 0, 2e-3)):
    r = recording(signals={"x": sine(freq, 125.0, 30.0)})
    x = windows.align(r, contract()).signals["x"][100:-100]
    assert low <= np.sqrt(2) * x.std() <= high, freq


def test_a_constant_stays_exactly_constant():
  r = recording(signals={"x": Signal(np.full((900, 3), 0.7), 30.0, "g", T0)})
  c = contract(x=SignalSpec(3, "g", "acc", gravity_kept=True))
  x = windows.align(r, c).signals["x"]
  np.testing.assert_array_equal(x, np.float32(0.7))


def test_a_delay_moves_the_signal_its_beats_and_its_tracks():
  beats = Beats(T0 + np.arange(5.0, 15.0), np.ones(10), signal="ppg")
  own = Track(T0 + np.arange(9.0), 1.0, np.ones(9), "bpm")
  r = recording(
      signals={"acc": sine(1, 64, 20), "ppg": sine(1, 64, 20)}, beats=beats,
      tracks={"hr": Track(own.start_s, 1.0, own.values, "bpm", "ppg"),
              "own": own},
      spans=[Span(T0, T0 + 9, "rest")],
  )
  a = windows.align(r, contract(acc=spec(), ppg=spec(delay_s=1.25)))
  assert a.start_s == T0
  # What is stamped 1.25 s happened at 0 s.
  np.testing.assert_allclose(
      a.signals["ppg"][:, 0], r.signals["ppg"].values[80:, 0], atol=1e-6
  )
  assert len(a.signals["acc"]) == len(a.signals["ppg"]) == 1280 - 80
  np.testing.assert_allclose(a.beats.end_s, beats.end_s - 1.25)
  np.testing.assert_allclose(a.tracks["hr"].start_s, own.start_s - 1.25)
  np.testing.assert_array_equal(a.tracks["own"].start_s, own.start_s)
  assert a.spans[0].start_s == T0


def settling(band):
  """Seconds at an end of a run that a filter of order 2 needs: 3.0 or 0."""
  end = np.ceil(64 * filters.settle_s(64.0, band, 2)) / 64
  assert end == (0 if band is None else 191 / 64)
  return end


@pytest.mark.parametrize("band", [None, (0.5, 8.0)])
def test_gaps_stay_gaps_and_do_not_leak(band):
  whole = sine(2, 125.0, 60.0)
  broken = whole.values.copy()
  broken[25 * 125:26 * 125] = np.nan  # 25 to 26 s
  broken[43 * 125:] = np.nan  # the run of 26 to 43 s holds a window
  broken[:125] = np.nan
  r = recording(signals={
      "x": Signal(broken, 125.0, "au", T0), "y": sine(2, 64.0, 60.0)
  })
  c = contract(x=spec(band_hz=band), y=spec())
  a = windows.align(r, c)
  t = a.start_s - T0 + np.arange(len(a.signals["x"])) / 64
  missing = np.isnan(a.signals["x"][:, 0])
  end = settling(band)
  assert t[0] == 1.0 + end and t[-1] < 43 - end
  np.testing.assert_array_equal(
      missing, (t > 25 - end - 1e-6) & (t < 26 + end - 1e-6))
  # Each run is what it would be had the other never been recorded.
  alone = recording(signals={
      "x": Signal(broken[26 * 125:43 * 125], 125.0, "au", T0 + 26),
      "y": sine(2, 64.0, 60.0),
  })
  b = windows.align(alone, c)
  k = round((b.start_s - a.start_s) * 64)
  assert k == 25 * 64  # both starts are as late
  np.testing.assert_allclose(a.signals["x"][k:], b.signals["x"], atol=1e-6)
  got = a.signals["x"][~missing, 0][128:-128]
  assert np.isfinite(got).all() and 0.6 < got.std() < 0.8


@pytest.mark.parametrize("band, order", [
    ((0.5, 8.0), 2), ((0.5, 8.0), 4), ((0.3, 20.0), 2), ((0.0, 5.0), 2),
])
def test_what_is_kept_of_a_run_is_as_if_it_had_never_ended(band, order):
  """Noise and a wandering level, filtered whole and in runs of a minute."""
  rng = np.random.default_rng(0)
  x = rng.normal(size=64 * 300) + 0.3 * np.cumsum(rng.normal(size=64 * 300))
  whole = filters.bandpass(x[:, None], 64.0, band, order)[:, 0]
  c = contract(x=spec(band_hz=band, band_order=order))
  kept, ends = [], []
  for first in range(1000, 15_000, 1000):
    run = x[first:first + 3840, None]
    r = recording(signals={"x": Signal(run, 64.0, "au", T0)})
    a = windows.align(r, c)
    k = first + round((a.start_s - T0) * 64)
    n = len(a.signals["x"])
    assert n == 3840 - 2 * (k - first) and k - first < 6 * 64
    kept.append(a.signals["x"][:, 0] - whole[k:k + n])
    a = windows.align(r, c, settled=False)  # the whole run, ends and all
    assert a.start_s == T0 and len(a.signals["x"]) == 3840
    ends.append(a.signals["x"][:32, 0] - whole[first:first + 32])
  size = np.diff(np.percentile(whole, [16, 84])) / 2
  assert np.abs(kept).max() < 0.01 * size
  assert np.abs(ends).max() > 5 * np.abs(kept).max()


def test_the_filter_sees_what_comes_before_the_clock():
  """x has a minute before y begins: nothing of it is left out."""
  rng = np.random.default_rng(0)
  x = rng.normal(size=(64 * 120, 1))
  r = recording(signals={
      "x": Signal(x, 64.0, "au", T0), "y": sine(2, 64.0, 20.0, 60.0),
  })
  a = windows.align(r, contract(x=spec(band_hz=(0.5, 8.0)), y=spec()))
  assert a.start_s == T0 + 60 and len(a.signals["x"]) == 20 * 64
  want = filters.bandpass(x, 64.0, (0.5, 8.0), 2)[60 * 64:80 * 64]
  np.testing.assert_allclose(a.signals["x"], want, atol=1e-5)


def test_a_run_shorter_than_a_window_is_left_a_gap():
  x = sine(2, 64.0, 40.0)
  x.values[9 * 64] = np.nan
  a = windows.align(recording(signals={"x": x}), contract())
  assert np.isnan(a.signals["x"][:9 * 64 + 1]).all()
  assert np.isfinite(a.signals["x"][9 * 64 + 1:]).all()
  # One window starts before the gap and one after it.
  cuts = list(windows.cut(a, contract(), 10.0))
  assert [np.isnan(w.signals["x"]).any() for w in cuts] == [
      True, False, False, False
  ]


def test_bandpass_keeps_the_phase_and_drops_what_lies_outside():
  inside, below = sine(2, 64, 60).values, sine(0.05, 64, 60).values
  y = filters.bandpass(inside + 5 * below + 3, 64.0, (0.5, 8.0), 2)
  np.testing.assert_allclose(y[640:-640], inside[640:-640], atol=0.03)
  slow = filters.bandpass(inside + 3, 64.0, (0.0, 0.2), 2)
  np.testing.assert_allclose(slow[640:-640], 3, atol=0.02)


def test_cut_yields_every_full_window():
  n = 64 * 35 + 63
  x = np.arange(n, dtype=float)[:, None]
  r = recording(signals={"x": Signal(x, 64.0, "au", T0, limits=(0, n - 1))})
  c = contract()
  cuts = list(windows.cut(windows.align(r, c), c, 5.0))
  firsts = [f for f in range(0, n, 320) if f + 640 <= n]
  assert len(cuts) == len(firsts) == 6
  for w, first in zip(cuts, firsts, strict=True):
    assert w.start_s == T0 + first / 64
    np.testing.assert_array_equal(w.signals["x"], x[first:first + 640])
    limit = sum(v <= 0.23 or v >= n - 1.23 for v in x[first:first + 640])
    assert w.clipped["x"] == pytest.approx(limit / 640)


def test_clipping_is_seen_through_a_filter_and_another_rate():
  x = sine(1, 125.0, 26.0)
  x = Signal(np.clip(2 * x.values, -1, 1), 125.0, "au", T0, limits=(-1, 1))
  c = contract(x=spec(band_hz=(0.5, 8.0)))
  (w, *_) = windows.cut(windows.align(recording(signals={"x": x}), c), c, 10.0)
  want = np.mean(np.abs(x.values) > 0.9997)
  assert want > 0.6
  assert w.clipped["x"] == pytest.approx(want, abs=0.02)


ACC = SignalSpec(1, "au", "acc", gravity_kept=True, band_hz=(0.5, 8.0))


@pytest.mark.parametrize("signals, specs, message", [
    ({"x": sine(1, 64, 9)}, {}, "P1/S1: shorter than a window.*9.00 s"),
    ({"x": sine(1, 64, 20), "y": sine(1, 64, 20, 30)},
     {"x": spec(), "y": spec()}, "P1/S1: signals do not overlap.*x .*y "),
    ({"x": sine(1, 64, 20)}, {"y": spec()}, "'y' is absent"),
    ({"x": sine(1, 64, 20)}, {"x": spec(channels=2)}, "got channels 1, want 2"),
    ({"x": sine(1, 64, 20)}, {"x": spec(unit="g")}, "got unit 'au', want 'g'"),
    ({"x": sine(1, 64, 20)}, {"x": spec(band_hz=(0.5, 40))}, "band_hz"),
    ({"x": sine(1, 64, 20)}, {"x": ACC}, "gravity_kept=True contradicts"),
    ({"x": Signal(np.full((999, 1), np.nan), 64.0, "au", T0)}, {},
     "every sample is a gap"),
])
def test_clear_errors(signals, specs, message):
  with pytest.raises(InputError, match=message) as error:
    windows.align(recording(signals=signals), contract(**specs))
  assert "\n" not in str(error.value)


@pytest.mark.parametrize("hop_sec", [0.0, -1.0, 0.01])
def test_a_hop_that_is_no_whole_number_of_samples(hop_sec):
  a = windows.align(recording(signals={"x": sine(1, 64, 20)}), contract())
  with pytest.raises(InputError, match="hop_sec"):
    list(windows.cut(a, contract(), hop_sec))
