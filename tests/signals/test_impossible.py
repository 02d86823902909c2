"""Impossible raw samples: which they are, what they reach, what stays."""

import dataclasses

import numpy as np
import pytest

from accfm.data import quantise, staging
from accfm.signals import impossible, quality, windows
from accfm.signals.contract import Contract, SignalSpec
from accfm.signals.recording import Recording, Signal

T0 = 1_600_000_000.25
ACC = SignalSpec(3, "g", "acc", gravity_kept=True)
PPG = SignalSpec(1, "au", "ppg")
CONTRACT = Contract({"acc": ACC, "ppg": PPG}, 64.0, 10.0)
BAND = dataclasses.replace(
    CONTRACT,
    signals={"acc": ACC, "ppg": dataclasses.replace(PPG, band_hz=(0.5, 8.0))},
)
LONG = dataclasses.replace(BAND, window_sec=30.0)
RATES = (32.0, 100.0)  # of acc and ppg
END = 191 / 64  # s until BAND's filter has settled


def recording(minutes=2, rates=RATES, limits=None, offset=0.0, end=END):
  """A still wrist with a pulse; nothing is wrong with it.

  It begins `end` before T0 and lasts as much longer, so that the clock of
  BAND starts at T0.
  """
  rng = np.random.default_rng(3)
  signals = {}
  for name, rate in zip(("acc", "ppg"), rates, strict=True):
    t = np.arange(np.ceil((60 * minutes + 2 * end) * rate)) / rate
    noise = rng.normal(size=(len(t), 3 if name == "acc" else 1))
    x = 0.004 * noise + [0, 0, 1] if name == "acc" else (
        offset + 40 * np.sin(2 * np.pi * 1.2 * t)[:, None] + noise
    )
    signals[name] = Signal(
        x, rate, "g" if name == "acc" else "au", T0 - end,
        limits if name == "ppg" else None,
    )
  return Recording("P1", "S1", signals)


def spoilt(clean, name, values):
  """`clean` with samples replaced: {(sample, channel): value}."""
  x = clean.signals[name].values.copy()
  for place, value in values.items():
    x[place] = value
  signal = dataclasses.replace(clean.signals[name], values=x)
  return dataclasses.replace(
      clean, signals={**clean.signals, name: signal}
  )


def cut(one, contract=BAND, hop_sec=10.0, **cfg):
  rules = staging.Rules(
      contract=contract, hop_sec=hop_sec, labels={}, quality=cfg
  )
  return staging.cut_recording(one, rules)


def codes(one, name, **cfg):
  rules = quality.read_rules(cfg, CONTRACT.signals)
  found = impossible.find(
      one.signals[name], name, CONTRACT.signals[name], rules, 10.0
  )
  return {int(i): impossible.REASONS[found[i]] for i in np.flatnonzero(found)}


def test_a_sound_recording_has_none():
  one = recording()
  assert not codes(one, "acc") and not codes(one, "ppg")
  arrays, summary = cut(one)
  assert summary["windows"] == 12 and not summary["rejected"]


@pytest.mark.parametrize("value", [np.inf, -np.inf, 3.4e38, 1e13, -1e200])
@pytest.mark.parametrize("name", ["acc", "ppg"])
def test_no_unit_has_such_values(name, value):
  one = spoilt(recording(), name, {(77, 0): value})
  assert codes(one, name, max_crest=None, acc_range_g=None) == {
      77: "out_of_range"
  }


@pytest.mark.parametrize("value, limits, cfg, reason", [
    (15.9, None, {}, ""),
    (16.1, None, {}, "out_of_range"),  # what no wrist device measures
    (16.1, None, {"acc_range_g": 32.0}, ""),
    (-3.9, (-4.0, 4.0), {}, ""),
    (-4.07, (-4.0, 4.0), {}, ""),  # a hundredth of the range beyond
    (-4.09, (-4.0, 4.0), {}, "out_of_range"),
    (20.0, (-32.0, 32.0), {}, ""),  # the device says what it can
    (3.0, (-4.0, 4.0), {"range": {"acc": [-2, 2]}}, "out_of_range"),
])
def test_the_range_of_acceleration(value, limits, cfg, reason):
  one = recording()
  acc = dataclasses.replace(one.signals["acc"], limits=limits)
  one = dataclasses.replace(one, signals={**one.signals, "acc": acc})
  found = codes(spoilt(one, "acc", {(9, 2): value}), "acc", max_crest=None,
                **cfg)
  assert found == ({9: reason} if reason else {})


def test_true_limits_of_an_adc_reject_no_sound_segment():
  # Pulses of +-40 on an offset of 2,000, from a converter of 1,500 to 2,500:
  # what the band-pass leaves is centred on 0, far outside that range.
  one = recording(offset=2000.0, limits=(1500.0, 2500.0))
  plain, _ = cut(dataclasses.replace(one, signals={
      **one.signals,
      "ppg": dataclasses.replace(one.signals["ppg"], limits=None),
  }))
  arrays, summary = cut(one)
  assert summary["windows"] == 12
  np.testing.assert_array_equal(arrays["ppg.values"], plain["ppg.values"])
  bad = spoilt(one, "ppg", {(4500, 0): 2600.0})
  _, summary = cut(bad, LONG, 30.0)
  assert summary["rejected"] == {"out_of_range": 1}


def slow_crest(column):
  """The definition for one channel [T], by sorting."""
  ordered = sorted(float(v) for v in column)

  def quantile(share):
    at = share * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])

  spread = (quantile(0.9) - quantile(0.1)) / 2.5631
  middle = quantile(0.5)
  return [abs(float(v) - middle) / spread for v in column]


@pytest.mark.parametrize("times, found", [(900, False), (10_000, True)])
def test_a_spike_is_told_by_the_spread(times, found):
  one = spoilt(recording(), "ppg", {(4321, 0): times * 40 / np.sqrt(2)})
  got = codes(one, "ppg")
  block = one.signals["ppg"].values[4000:5000, 0]  # 10 s of it
  crests = slow_crest(block)
  want = {4000 + i: "spike" for i, v in enumerate(crests) if v > 1000}
  assert got == want and bool(want) == found
  assert not codes(one, "ppg", max_crest=None)


def test_a_burst_does_not_hide_itself():
  one = spoilt(recording(), "ppg", {(i, 0): 4e5 for i in range(4300, 4350)})
  assert set(codes(one, "ppg")) == set(range(4300, 4350))


def test_a_spike_within_the_range_of_acceleration():
  # 10 g on one axis, beside 4 mg of noise: 10 / 0.005 spreads.
  one = spoilt(recording(), "acc", {(1000, 1): 10.0})
  assert codes(one, "acc") == {1000: "spike"}
  assert not codes(spoilt(recording(), "acc", {(1000, 1): 4.0}), "acc")


def test_coarse_steps_at_rest_are_no_spikes():
  one = recording()
  steps = np.zeros((3840, 3))
  steps[:, 2] = 1.0
  steps[::500, :] += 1 / 64  # the E4's step, now and then
  steps[1000] = [1.5, -1.5, 1.98]
  acc = dataclasses.replace(one.signals["acc"], values=steps)
  assert not codes(
      dataclasses.replace(one, signals={**one.signals, "acc": acc}), "acc"
  )


def test_one_value_on_a_dead_channel_is_a_spike_and_no_pulse():
  one = recording()
  flat = np.full_like(one.signals["ppg"].values, 7.0)
  ppg = dataclasses.replace(one.signals["ppg"], values=flat)
  one = dataclasses.replace(one, signals={**one.signals, "ppg": ppg})
  assert not codes(one, "ppg")  # flat, which is another rule
  assert codes(spoilt(one, "ppg", {(50, 0): 9.0}), "ppg") == {50: "spike"}
  _, summary = cut(spoilt(one, "ppg", {(50, 0): 9.0}))
  assert summary["rejected"] == {"spike": 1, "flat": 11}


@pytest.fixture(scope="module")
def sound():
  """rates -> (a sound recording, its rows), segments of 30 s."""
  out = {}
  for rates in ((64.0, 64.0), (32.0, 100.0), (50.0, 125.0)):
    one = recording(3, rates)
    out[rates] = one, cut(one, LONG, 30.0)[0]
  return out


@pytest.mark.parametrize("rates", [(64.0, 64.0), (32.0, 100.0), (50.0, 125.0)])
@pytest.mark.parametrize("name, value, reason", [
    ("ppg", 3.4e38, "out_of_range"), ("ppg", 4e5, "spike"),
    ("ppg", -np.inf, "out_of_range"), ("acc", 1e30, "out_of_range"),
])
@pytest.mark.parametrize("second, gone", [
    (0.0, [0]), (45.0, [1]), (59.9, [1, 2]), (60.0, [1, 2]), (179.5, [5]),
])
def test_all_other_segments_are_as_without_it(
    sound, rates, name, value, reason, second, gone
):
  clean, want = sound[rates]
  place = round((second + END) * clean.signals[name].rate_hz)
  got, summary = cut(
      spoilt(clean, name, {(place, 0): value}), LONG, 30.0
  )
  if rates == (64.0, 64.0) and name == "acc":
    gone = [int(second // 30)]  # nothing filters it: no neighbour is reached
  assert summary["rejected"] == {reason: len(gone)}
  # The clock has not moved, and no number but by a decayed rest of a filter.
  rows = sorted(set(range(6)) - set(gone))
  np.testing.assert_array_equal(got["start_s"], want["start_s"][rows])
  for signal in ("acc", "ppg"):
    stored, true = got[f"{signal}.values"], want[f"{signal}.values"][rows]
    off = np.abs(stored.astype(int) - true)
    assert off.max() <= 1 and (off > 0).mean() < 1e-3, signal
    np.testing.assert_allclose(
        got[f"{signal}.scale"], want[f"{signal}.scale"][rows], rtol=1e-6
    )


def test_without_a_filter_only_the_segment_itself_is_lost():
  clean = recording(rates=(64.0, 64.0), end=0.0)
  for second in (40.0, 49.98):
    bad = spoilt(clean, "ppg", {(round(64 * second), 0): 3e38})
    got, summary = cut(bad, CONTRACT)
    assert summary["rejected"] == {"out_of_range": 1}
    assert sorted(got["start_s"] - T0) == [
        10.0 * k for k in range(12) if k != 4
    ]


def test_the_reach_is_that_of_the_filters():
  # A unit impulse through the same filters, by brute force.
  from accfm.signals import filters
  for band in (None, (0.5, 8.0), (0.0, 0.2)):
    count = 64 * 240
    x = np.zeros((count // 2, 1))  # 32 Hz
    x[len(x) // 2] = 1.0
    y = filters.resample(x, 32.0, 0.0, 64.0, count)
    if band:
      y = filters.bandpass(y, 64.0, band, 2)
    away = np.abs(np.arange(count) - count // 2) / 64.0
    reach = filters.reach_s(32.0, 0.0, 64.0, band, 2)
    assert np.abs(y[away > reach, 0]).max() < 1e-4 * np.abs(y).max()
    assert reach < (60.0 if band == (0.0, 0.2) else 10.0)
  assert filters.reach_s(64.0, 0.25, 64.0, None, 2) == 0.0
  assert filters.reach_s(64.0, 0.004, 64.0, None, 2) > 0.4


def test_everything_out_of_range_is_named_so():
  one = recording()
  raw = dataclasses.replace(
      one.signals["acc"], values=one.signals["acc"].values * 4096
  )  # counts taken for g: the axis with gravity is beyond any device
  _, summary = cut(dataclasses.replace(one, signals={
      **one.signals, "acc": raw
  }))
  assert summary["rejected"] == {"out_of_range": 12}


def test_a_gap_is_still_a_gap():
  one = spoilt(recording(), "ppg", {(1550, 0): np.nan, (7050, 0): 1e20})
  _, summary = cut(one, LONG, 30.0)
  assert summary["rejected"] == {"gap": 1, "out_of_range": 1}


def test_a_run_without_one_sound_sample():
  one = recording()
  x = one.signals["ppg"].values.copy()
  x[3000:3001] = np.nan
  x[3001:6000] = 1e20
  x[6000:6001] = np.nan
  ppg = dataclasses.replace(one.signals["ppg"], values=x)
  _, summary = cut(dataclasses.replace(one, signals={
      **one.signals, "ppg": ppg
  }), LONG, 30.0)
  assert summary["rejected"] == {"out_of_range": 3}


def test_a_stored_segment_whose_resolution_a_spike_took():
  specs = {"ppg": PPG}
  rules = quality.read_rules({}, specs)
  x = recording().signals["ppg"].values[:640].copy()
  assert quality.check({"ppg": x}, specs, rules, {"ppg": 0.0}) == ""
  for times, reason in ((800, ""), (1500, "spike")):
    x[5] = times * 40 / np.sqrt(2)
    assert quality.check({"ppg": x}, specs, rules, {"ppg": 0.0}) == reason
    # The rule's bound: int16 errs by 0.9 % of the spread at a crest of 1,000.
    stored, scale = quantise.quantise(x)
    error = np.delete(stored * scale.astype(float) - x, 5)
    share = np.sqrt(np.mean(error**2)) / (40 / np.sqrt(2))
    assert (share > 0.009) == bool(reason)


def test_each_reason_is_a_reason_of_quality_control():
  assert set(impossible.REASONS[1:]) <= set(quality.REASONS)
  aligned = windows.align(recording(), CONTRACT)
  assert not any(x.any() for x in aligned.impossible.values())
