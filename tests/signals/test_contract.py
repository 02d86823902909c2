"""A contract survives JSON, and names what keeps two from matching."""

import dataclasses
import json

import pytest

from accfm.base.errors import InputError
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
  assert again == HAVE and again.samples == 3840
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
    (changed("ppg", channels=4), "ppg.channels is 1, want 4"),
    (changed("ppg", band_hz=None), r"ppg.band_hz is \(0.5, 8.0\), want None"),
    (changed("ppg", normalize="none"), "ppg.normalize is 'zscore', want 'non"),
    (changed("ppg", unit="V"), "ppg.unit is 'au', want 'V'"),
])
def test_what_may_not_differ(want, message):
  with pytest.raises(InputError, match=f"^data: .*{message}.*; prepare") as e:
    contracts.check_match(HAVE, want, ["ppg"], "data")
  assert "\n" not in str(e.value)


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


@pytest.mark.parametrize("changes, says", [
    ({"signals": None}, "object"), ({"rate_hz": "64"}, "a number"),
    ({"rate_hz": float("nan")}, "rate_hz"), ({"window_sec": -1}, "window_sec"),
    ({"window_sec": 1e12}, "samples"), ({"colour": 1}, "colour"),
])
def test_what_a_contract_cannot_be(changes, says):
  with pytest.raises(InputError, match=says):
    contracts.from_dict({**HAVE.to_dict(), **changes}, "x")


def test_what_a_signal_cannot_be():
  for changes in (
      {"channels": 0}, {"channels": 1 << 40}, {"channels": "3"},
      {"band_hz": [1.0]}, {"unit": None}, {"shape": 1},
  ):
    plain = HAVE.to_dict()
    name = next(iter(plain["signals"]))
    plain["signals"][name] = {**plain["signals"][name], **changes}
    with pytest.raises(InputError):
      contracts.from_dict(plain)
  del plain["signals"][name]["channels"], plain["signals"][name]["shape"]
  with pytest.raises(InputError, match="no field 'channels'"):
    contracts.from_dict(plain)
