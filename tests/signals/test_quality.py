import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.signals import quality
from accfm.signals.contract import SignalSpec

SPECS = {
    "acc": SignalSpec(3, "g", "acc", gravity_kept=True),
    "ppg": SignalSpec(2, "au", "ppg"),
}
LIMITS = {"acc": (-2.0, 127 / 64), "ppg": None}
T = 640


def signals(acc_sd=0.01, ppg_sd=10.0):
  rng = np.random.default_rng(0)
  acc = np.array([0, 0, 1]) + acc_sd * rng.normal(size=(T, 3))
  return {"acc": acc.astype(np.float32),
          "ppg": (ppg_sd * rng.normal(size=(T, 2))).astype(np.float32)}


def check(x, clipped=None, impossible=(), motion=None, **fields):
  rules = quality.read_rules(fields, SPECS)
  clipped = clipped or {
      name: quality.at_limit(values, LIMITS[name]).mean()
      for name, values in x.items()
  }
  return quality.check(x, SPECS, rules, clipped, impossible, motion)


def test_a_good_window_has_no_reason():
  assert check(signals()) == ""


def test_one_missing_sample_is_a_gap():
  x = signals()
  x["ppg"][5, 1] = np.nan
  assert check(x) == "gap"


@pytest.mark.parametrize("constant, reason", [
    ([0], ""), ([0, 1], ""), ([0, 1, 2], "flat")
])
def test_stillness_is_flat_only_if_all_axes_are_constant(constant, reason):
  x = signals()
  x["acc"][:, constant] = np.float32(0.3)
  assert check(x) == reason


def test_ppg_is_flat_only_if_all_channels_are_constant():
  x = signals()
  x["ppg"][:, 0] = 5000
  assert check(x) == ""
  x["ppg"][:, 1] = -1
  assert check(x) == "flat"


@pytest.mark.parametrize("count, reason", [(6, ""), (7, "clipped")])
def test_clipping_counts_samples_at_either_limit(count, reason):
  x = signals()
  x["acc"][:count - 3, 0] = 127 / 64
  x["acc"][-3:, 1] = -2.0
  assert check(x) == reason  # 0.01 * 640 = 6.4
  assert check(x, max_clipped=0.02) == ""
  assert check(x, clipped={"acc": 0.0, "ppg": 0.0}) == ""
  assert check(signals(), clipped={"acc": 0.02, "ppg": 0}) == "clipped"


def test_impossible_raw_samples_come_first():
  x = signals()
  assert check(x, impossible=("spike",)) == "spike"
  x["ppg"][5, 1] = np.nan  # as alignment leaves them
  for reasons, first in (
      (("spike",), "spike"), (("spike", "out_of_range"), "out_of_range"),
      ((), "gap"),
  ):
    assert check(x, impossible=reasons) == first


def test_values_after_a_filter_are_in_no_range():
  assert check(signals(), range={"ppg": [1, 2]}) == ""


def test_not_worn_is_rest_without_a_pulse():
  rest, gone = signals(1e-4, 10.0), signals(1e-4, 0.1)
  moved = signals(0.01, 0.1)
  assert check(gone) == ""  # off until the config gives the device's level
  for x, reason in ((rest, ""), (moved, ""), (gone, "non_wear")):
    assert check(x, non_wear_ppg_sd=1.0) == reason


def test_a_motion_limit_is_off_by_default():
  x = signals()
  assert check(x, motion=5.0) == ""
  assert check(x, motion=0.2, max_motion_g=0.1) == "too_much_motion"
  assert check(x, motion=0.05, max_motion_g=0.1) == ""
  with pytest.raises(InputError, match="max_motion_g"):
    check(x, max_motion_g=0.1)


def test_unknown_fields_and_signals():
  with pytest.raises(InputError, match="did you mean 'max_clipped'"):
    check(signals(), max_cliped=1)
  with pytest.raises(InputError, match="'eeg' is unknown"):
    check(signals(), range={"eeg": [0, 1]})


def test_motion_is_the_sd_of_what_lies_in_the_band():
  t = np.arange(3840) / 64
  acc = np.zeros((3840, 3))
  acc[:, 0] = 0.03 * np.sin(2 * np.pi * 2 * t)  # counts
  acc[:, 1] = 0.04 * np.cos(2 * np.pi * 3 * t)  # counts
  acc[:, 2] = 1 + 0.5 * np.sin(2 * np.pi * 0.02 * t) + 0.2 * np.sin(
      2 * np.pi * 31 * t
  )  # posture and noise: do not
  want = np.sqrt((0.03**2 + 0.04**2) / 2)
  assert quality.motion_g(acc, 64.0) == pytest.approx(want, rel=0.03)
  acc[0, 0] = np.nan
  assert np.isnan(quality.motion_g(acc, 64.0))


@pytest.mark.parametrize("shape, rate", [
    ((640, 2), 64.0), ((640, 3), 16.0), ((100, 3), 64.0)
])
def test_motion_says_what_it_needs(shape, rate):
  with pytest.raises(InputError, match="got"):
    quality.motion_g(np.zeros(shape), rate)
