"""How numbers, encoders and targets are called."""

import pytest

from accfm.evals.results import words
from accfm.evals.results.figures import TESTED


@pytest.mark.parametrize("name, unit, share, want", [
    ("hr", "bpm", 0.025, "HR, 2.5 % of labels"),
    ("rmssd", "ms", 1.0, "RMSSD"),
    ("target_beta_blocker", "AUC", 1.0, "beta blocker"),
    ("bmi", "", 1.0, "BMI"),
    ("look_at_me", "", 1.0, "look at me"),
    ("age", "years", 1.0, "age"),
])
def test_targets(name, unit, share, want):
  assert words.target(name, unit, share) == want


@pytest.mark.parametrize("label, want", [
    ("hr_bpm", ("hr", "bpm")), ("motion_g", ("motion_g", "")),
    ("bpm", ("bpm", "")), ("target_x", ("target_x", "")),
    ("height_m", ("height", "m")), ("grip_left_kg", ("grip_left", "kg")),
])
def test_units_of_labels(label, want):
  assert words.split_unit(label) == want


def test_numbers():
  assert words.number(None) == "\u2013"
  assert words.number(-1234.5, 1) == "\u22121,234.5"
  assert words.number(-0.0001) == "0.000"
  assert words.interval(None, 1.0) == words.interval(1.0, None) == ""
  assert words.with_interval(1.0, 0.5, 2.0, 1, "bpm") == "1.0 bpm (0.5 to 2.0)"
  assert words.with_interval(1.0, None, None, 1) == "1.0"


def test_encoders_stand_in_order():
  assert words.in_order(["mean", "ppg", "features", TESTED, "ecg", "mean"]) == [
      TESTED, "ecg", "ppg", "features", "mean"]
  assert words.encoder("ppg") == "PPG encoder (ceiling)"
