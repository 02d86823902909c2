"""Signals with rates of their own, from recording to segments."""

import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.signals import contract as contract_lib
from accfm.signals import windows
from accfm.signals.contract import Contract, SignalSpec
from accfm.signals.recording import Recording, Signal

T0 = 1_600_000_000.0


def a_contract(rates, window_sec=8.0):
  """One signal a rate; the first takes that of the contract."""
  names = [f"s{i}" for i in range(len(rates))]
  return Contract({
      name: SignalSpec(2, "mV", "other", rate_hz=None if not i else rate)
      for i, (name, rate) in enumerate(zip(names, rates, strict=True))
  }, rates[0], window_sec)


def wave(t):
  """[N, 2] slow enough for every rate here."""
  turns = 2 * np.pi * t
  return np.stack([np.sin(1.3 * turns), np.cos(0.7 * turns)], 1)


def recorded(rates_in, seconds=40.0, starts=None):
  starts = starts or [0.0] * len(rates_in)
  return Recording("p", "s", {
      f"s{i}": Signal(
          wave(begin + np.arange(round(seconds * rate)) / rate), rate, "mV",
          T0 + begin)
      for i, (rate, begin) in enumerate(zip(rates_in, starts, strict=True))
  })


@pytest.mark.parametrize("rates", [(50.0, 100.0), (64.0, 128.0, 32.0)])
def test_every_signal_is_cut_at_its_own_rate(rates):
  contract = a_contract(rates)
  rows = list(windows.cut(
      windows.align(recorded(rates, starts=[0.0, 1.5, 0.3][:len(rates)]),
                    contract), contract, 4.0))
  assert len(rows) == 8  # of 38.5 s
  for k, row in enumerate(rows):
    assert row.start_s == pytest.approx(T0 + 1.5 + 4.0 * k, abs=1e-6)
    for i, rate in enumerate(rates):
      got = row.signals[f"s{i}"]
      assert got.shape == (8 * rate, 2)
      t = row.start_s - T0 + np.arange(len(got)) / rate
      np.testing.assert_allclose(got[20:-20], wave(t)[20:-20], atol=0.01)


def test_a_rate_of_its_own_gives_what_a_contract_of_that_rate_gives():
  raw = recorded((64.0, 64.0))
  both = a_contract((64.0, 32.0))
  slow = Contract(
      {"s1": SignalSpec(2, "mV", "other")}, 32.0, both.window_sec)
  got = windows.align(raw, both).signals["s1"]
  want = windows.align(raw, slow).signals["s1"]
  np.testing.assert_array_equal(got, want)


def test_the_hop_is_whole_for_every_signal():
  with pytest.raises(InputError, match=r"hop_sec: got 0.5 s at 25 Hz of s1"):
    windows.hop_samples(0.5, a_contract((64.0, 25.0)))
  assert windows.hop_samples(2.0, a_contract((64.0, 25.0))) == {
      "s0": 128, "s1": 50}


def test_a_band_beyond_half_its_own_rate_is_refused():
  spec = SignalSpec(1, "au", "ppg", band_hz=(0.5, 8.0), rate_hz=16.0)
  with pytest.raises(InputError, match=r"high < 8.0 \(half the rate\)"):
    contract_lib.check(Contract({"ppg": spec}, 64.0, 8.0))


def test_rates_are_compared_as_they_count():
  shared, own = a_contract((50.0, 100.0)), a_contract((100.0, 100.0))
  found = contract_lib.differences(shared, own, ["s1"])
  assert not found  # both have 100 Hz
  found, = contract_lib.differences(shared, own, ["s0"])
  assert str(found) == "rate_hz is 50.0, want 100.0"
  assert found.setting == "--config.rate_hz=100.0"
  found, = contract_lib.differences(
      shared, a_contract((50.0, 25.0)), ["s0", "s1"])
  assert str(found) == "s1.rate_hz is 100.0, want 25.0"
  assert found.setting == "--config.signals.s1.rate_hz=25.0"


def test_a_file_of_before_has_no_rates_of_its_own():
  plain = a_contract((50.0, 50.0)).to_dict()
  for spec in plain["signals"].values():
    del spec["rate_hz"]
  made = contract_lib.from_dict(plain)
  assert made.rate("s1") == 50.0 and made.length("s1") == 400
