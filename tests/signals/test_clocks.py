"""Clocks from the stamps that devices write."""

import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.signals import clocks

T0 = 1_600_000_000.0


def anchors(rate=100.0, blocks=300, size=120):
  index = np.arange(blocks) * size
  return index, T0 + index / rate, blocks * size


def times(clock, count):
  """Time of each sample, NaN where it belongs to no stretch."""
  out = np.full(count, np.nan)
  for s in clock.stretches(count):
    some = np.arange(s.first, s.last)
    out[some] = s.time(some)
    np.testing.assert_allclose(s.place(out[some]), some, atol=1e-3)
  return out


def test_even_stamps():
  index, time, count = anchors()
  clock, counts = clocks.from_anchors(index, time, count, 100.0)
  assert counts == {} and len(clock.stretches(count)) == 1
  np.testing.assert_allclose(
      times(clock, count), T0 + np.arange(count) / 100, atol=1e-5)
  assert clock.end_s(count) == pytest.approx(T0 + count / 100, abs=1e-5)


def test_a_rate_that_is_not_the_stated_one_with_jitter():
  index, _, count = anchors(blocks=3000)
  rng = np.random.default_rng(0)
  time = T0 + index / 100.7 + rng.normal(0, 0.004, len(index))
  clock, counts = clocks.from_anchors(index, time, count, 100.0)
  assert not counts
  off = times(clock, count) - (T0 + np.arange(count) / 100.7)
  assert np.abs(off).max() < 0.004


def test_a_drift_is_followed():
  index, _, count = anchors(blocks=6000)
  hours = index / 100 / 3600
  true = T0 + index / 100 + 0.5 * np.sin(hours)
  clock, _ = clocks.from_anchors(index, true, count, 100.0)
  want = np.interp(np.arange(count), index, true)[:index[-1]]
  assert np.abs(times(clock, count)[:index[-1]] - want).max() < 0.01


def test_a_missing_block_is_a_gap():
  index, time, count = anchors()
  time[100:] += 1.2
  clock, counts = clocks.from_anchors(index, time, count, 100.0)
  assert counts == {"gaps": 1}
  one, two = clock.stretches(count)
  assert one.last == two.first == 12_000
  assert two.begin_s - one.end_s == pytest.approx(1.2, abs=0.01)


def test_a_jump_backwards_leaves_out_what_is_there_already():
  index, time, count = anchors()
  time[100:] -= 6.0
  clock, counts = clocks.from_anchors(index, time, count, 100.0)
  assert counts == {"jumps backwards": 1}
  one, two = clock.stretches(count)
  assert two.first - one.last == pytest.approx(600, abs=1)
  assert two.begin_s == pytest.approx(one.end_s, abs=0.02)


def test_a_lone_stamp_is_left_out():
  index, time, count = anchors()
  time[57] += 3600.0
  clock, counts = clocks.from_anchors(index, time, count, 100.0)
  assert counts == {"stamps left out": 1}
  assert len(clock.stretches(count)) == 1


def test_stamps_in_bursts():
  """Packets of 36 samples whose stamps are all that of their arrival."""
  n, rate = 5200, 52.0
  true = T0 + np.arange(n) / rate
  arrival = true[np.minimum(np.arange(n) // 36 * 36 + 35, n - 1)]
  clock, keep, counts = clocks.from_stamps(arrival, rate)
  assert keep.all() and not counts
  late = times(clock, n) - true
  assert np.ptp(late) < 0.4  # within a packet
  assert len(clock.stretches(n)) == 1


def test_stamps_that_are_not_finite():
  time = T0 + np.arange(500) / 50.0
  time[[3, 4]] = np.nan
  clock, keep, counts = clocks.from_stamps(time, 50.0)
  assert counts == {"samples without a stamp": 2}
  assert keep.sum() == 498 and clock.end_s(498) > T0


@pytest.mark.parametrize("index, time, message", [
    ([], [], "want one stamp each, at least one"),
    ([0, 120], [T0], "got 2 samples with 1 stamps"),
    ([0, 0], [T0, T0], "their samples increase"),
    ([0, 120], [T0, np.inf], "must be finite"),
])
def test_what_is_no_clock(index, time, message):
  with pytest.raises(InputError, match=message):
    clocks.from_anchors(np.array(index, int), np.array(time), 240, 100.0)


def test_a_rate_that_the_stamps_contradict():
  index, _, count = anchors(blocks=600)
  with pytest.raises(InputError, match=r"say 85.00 Hz .* states 100 Hz"):
    clocks.from_anchors(index, T0 + index / 85.0, count, 100.0)
