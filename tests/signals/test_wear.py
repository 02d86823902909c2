"""The first look at a recording, and when a watch is not worn."""

import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.signals import clocks, wear
from accfm.signals.recording import Signal

T0, RATE = 1_600_000_000.0, 10.0


def hours(rng, worn):
  """[N, 3] of quarters of an hour, worn (True) or on a table."""
  parts = []
  for one in worn:
    n = round(900 * RATE)
    x = np.array([0.0, 0.6, 0.8]) + 0.004 * rng.normal(size=(n, 3))
    if one:  # turns once in a while
      x[n // 3:] = [0.8, 0.0, -0.6] + 0.03 * rng.normal(size=(n - n // 3, 3))
    parts.append(x)
  return np.concatenate(parts)


def signal(x, **more):
  return Signal(x, RATE, "g", T0, **more)


def test_an_hour_on_a_table_is_not_worn():
  worn = [True] * 4 + [False] * 5 + [True] * 3 + [False] * 3 + [True]
  seen = wear.look(signal(hours(np.random.default_rng(0), worn)))
  # Five still quarters are two still hours; three are none.
  np.testing.assert_allclose(
      seen.not_worn, [[T0 + 4 * 900, T0 + 9 * 900]], atol=1)
  assert seen.worn_s == pytest.approx(11 * 900, abs=5)
  assert seen.recorded_s == pytest.approx(16 * 900, abs=1)
  assert seen.covers(T0 + 4 * 900 - 30, T0 + 4 * 900 + 30)
  assert not seen.covers(T0, T0 + 60)
  assert seen.length_g == pytest.approx(1.0, abs=0.01)


def test_still_quarters_apart_are_no_hour():
  x = hours(np.random.default_rng(0), [False] * 4)
  n = len(x)
  clock = clocks.Clock(
      np.array([0, n // 2]), T0 + np.array([0.0, 1800 + 7200]),
      np.array([RATE, RATE]))
  seen = wear.look(signal(x, clock=clock))
  assert seen.gaps == 1 and not len(seen.not_worn)


def test_axes_that_keep_still_are_counted():
  rng = np.random.default_rng(0)
  x = hours(rng, [False] * 4)
  x[:, 0] += 0.5 * np.sin(np.arange(len(x)) / 50)
  assert len(wear.look(signal(x)).not_worn) == 1  # two of three
  x[:, 1] += 0.5 * np.sin(np.arange(len(x)) / 70)
  assert not len(wear.look(signal(x)).not_worn)


def test_gaps_are_passed_over():
  x = hours(np.random.default_rng(0), [True, False])
  x[100:2000] = np.nan
  seen = wear.look(signal(x))
  assert seen.recorded_s == pytest.approx((len(x) - 1900) / RATE)
  with pytest.raises(InputError, match="every sample is a gap"):
    wear.look(signal(np.full((100, 3), np.nan)))


@pytest.mark.parametrize("factor, message", [
    (9.81, "at rest the acceleration is 9.81 g, want about 1"),
    (0.1, "its unit is another, or gravity is taken off"),
])
def test_another_unit_is_refused(factor, message):
  seen = wear.look(signal(
      factor * hours(np.random.default_rng(0), [True] * 2)))
  with pytest.raises(InputError, match=f"P1: .*{message}|P1.*{message}"):
    wear.check_gravity(seen, "P1")


def test_a_little_off_is_said():
  seen = wear.look(signal(1.2 * hours(np.random.default_rng(0), [True] * 2)))
  assert "at rest 1.200 g instead of 1" in wear.check_gravity(seen, "P1")


def test_a_night_is_worn(real_data):
  from accfm.data.sources import embraceplus

  raw = embraceplus.read_recording(real_data / "embraceplus", "P1", None)
  seen = wear.look(raw.signals["acc"])
  assert not len(seen.not_worn) and seen.recorded_s > 8 * 3600
