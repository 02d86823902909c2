"""A contract survives JSON, and names what keeps two from matching."""

import dataclasses
import json

import pytest

from accfm.base import commandline
from accfm.base.errors import InputError
from accfm.configs import prepare as prepare_config
from accfm.data import allowed
from accfm.signals import contract as contracts
from accfm.signals.contract import Contract, SignalSpec

HAVE = Contract(
    {"acc": SignalSpec(3, "g", "acc", gravity_kept=True),
     "ppg": SignalSpec(1, "au", "ppg", band_hz=(0.5, 8.0), delay_s=1.25)},
    rate_hz=64.0, window_sec=60.0, labels={"beat_source": "beats"},
)


def changed(signal=None, **fields):
  if signal is None:
    return dataclasses.replace(HAVE, **fields)
  spec = dataclasses.replace(HAVE.signals[signal], **fields)
  return dataclasses.replace(HAVE, signals={**HAVE.signals, signal: spec})


def test_json_round_trip():
  again = contracts.from_dict(json.loads(json.dumps(HAVE.to_dict())))
  assert again == HAVE and again.length("acc") == 3840
  assert again.signals["ppg"].band_hz == (0.5, 8.0)


@pytest.mark.parametrize("want", [
    HAVE, changed("ppg", delay_s=0.0), changed(code_version="9"),
    changed(labels={}),
])
def test_what_may_differ(want):
  contracts.check_match(HAVE, want, ["acc", "ppg"], "data")


@pytest.mark.parametrize("want, message", [
    (changed(rate_hz=50.0), "rate_hz is 64.0, want 50.0"),
    (changed(window_sec=30.0), "window_sec is 60.0, want 30.0"),
    (changed("ppg", band_hz=None), r"ppg.band_hz is \(0.5, 8.0\), want None"),
    (changed("ppg", normalize="none"), "ppg.normalize is 'zscore', want 'non"),
])
def test_what_may_not_differ(want, message):
  with pytest.raises(InputError, match=f"^data: .*{message}.*; prepare") as e:
    contracts.check_match(HAVE, want, ["ppg"], "data")
  assert "\n" not in str(e.value)


@pytest.mark.parametrize("want, message", [
    (changed("ppg", channels=4), "ppg.channels is 1, want 4"),
    (changed("ppg", unit="V"), "ppg.unit is 'au', want 'V'"),
])
def test_what_no_preparation_changes(want, message):
  with pytest.raises(InputError, match=f"^data: .*{message}; no setting of ac"
                     "cfm prepare changes ppg[.].*: choose another data set$"):
    contracts.check_match(HAVE, want, ["ppg"], "data")
  assert contracts.mismatch(HAVE, want, "ppg") == message
  assert contracts.mismatch(HAVE, want, "acc") == ""


def test_the_advice_can_be_carried_out():
  """Each flag is one that a prepare config takes, and they are enough."""
  have = prepare_config.get_config("simulated")
  want = changed("acc", gravity_kept=False, band_hz=(0.5, 20.0), band_order=4)
  want = dataclasses.replace(want, rate_hz=50.0, window_sec=30.0, signals={
      **want.signals, "ppg": dataclasses.replace(
          want.signals["ppg"], channels=4, band_hz=None, normalize="none")})
  with pytest.raises(InputError) as error:
    contracts.check_match(allowed.check(have), want, ["acc", "ppg"], "data")
  advice = str(error.value).partition("; prepare the recordings again with ")[2]
  again = commandline.parse(
      ["--config=prepare:simulated", *advice.split()], ()).config
  assert again is not None
  contracts.check_match(allowed.check(again), want, ["acc", "ppg"], "data")


def test_only_the_signals_that_are_fed_count():
  want = changed("acc", gravity_kept=False)
  contracts.check_match(HAVE, want, ["ppg"], "data")
  with pytest.raises(InputError, match="acc.gravity_kept is True, want False"):
    contracts.check_match(HAVE, want, ["acc", "ppg"], "data")


def test_an_absent_signal_and_several_problems_at_once():
  have = dataclasses.replace(HAVE, signals={"ppg": HAVE.signals["ppg"]})
  want = changed(rate_hz=32.0)
  with pytest.raises(InputError, match="rate_hz is 64.0, want 32.0; signal "
                                       r"'acc' is absent, have \['ppg'\]"):
    contracts.check_match(have, want, ["acc"], "data")


@pytest.mark.parametrize("path, value, message", [
    ("signals.ppg.normalize", "banana",
     "contract.signals.ppg.normalize: got 'banana', want 'zscore' or 'none'"),
    ("signals.ppg.normalize", None, "normalize: got None, want text"),
    ("signals.ppg.kind", "pgg", "kind: got 'pgg', want one of .*mean 'ppg'"),
    ("signals.ppg.channels", 0, "channels: got 0, want 1 to 4096"),
    ("signals.ppg.channels", 1.5, "channels: got 1.5, want a whole number"),
    ("signals.ppg.band_order", 100, "band_order: got 100, want 1 to 10"),
    ("signals.ppg.band_hz", [8.0, 0.5], "band_hz: got .*the lower one first"),
    ("signals.ppg.band_hz", [0.5, 32.0], "band_hz: got .*half the rate"),
    ("signals.ppg.band_hz", [0.5], "band_hz: got"),
    ("signals.ppg.delay_s", float("nan"), "delay_s: got nan, want a finite"),
    ("signals.acc.gravity_kept", False, "gravity_kept=False contradicts"),
    ("signals.acc.gravity", True, "got a field 'gravity'"),
    ("signals", {}, "contract.signals: got none"),
    ("signals", [], "contract.signals: got .*, want an object"),
    ("rate_hz", 0, "contract.rate_hz: got 0"),
    ("rate_hz", "64", "contract.rate_hz: got '64', want a number"),
    ("rate_hz", float("inf"), "contract.rate_hz: got inf, want a finite"),
    ("window_sec", -60.0, "contract.window_sec: got -60.0, want above 0"),
    ("window_sec", 0.001, "want at least two samples"),
    ("window_sec", 1e12, "at most 10,000,000"),
    ("signals.ppg.channels", 1 << 40, "channels: got .*, want 1 to 4096"),
    ("signals.ppg.unit", None, "unit: got None, want text"),
    ("rate", 64.0, "got a field 'rate'"),
])
def test_a_damaged_contract_is_refused(path, value, message):
  plain = HAVE.to_dict()
  group = plain
  *parents, last = path.split(".")
  for parent in parents:
    group = group[parent]
  group[last] = value
  with pytest.raises(InputError, match=message) as error:
    contracts.from_dict(plain)
  assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["signals", "rate_hz", "window_sec"])
def test_a_contract_without_a_field_is_refused(name):
  plain = HAVE.to_dict()
  del plain[name]
  with pytest.raises(InputError, match=f"contract: got no field '{name}'"):
    contracts.from_dict(plain)
  for nothing in (None, [], "x"):
    with pytest.raises(InputError, match="contract: got .*, want an object"):
      contracts.from_dict(nothing)


@pytest.mark.parametrize("spec", [
    SignalSpec(3, "g", "gyro", normalize="none"), SignalSpec(1, "uS", "eda"),
    SignalSpec(3, "g", "acc", band_hz=(0.5, 20.0), band_order=4),
])
def test_what_a_contract_may_hold(spec):
  made = Contract({"x": spec}, 64.0, 60.0)
  contracts.check(made)
  assert contracts.from_dict(json.loads(json.dumps(made.to_dict()))) == made
