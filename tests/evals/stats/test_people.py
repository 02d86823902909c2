"""Intervals over people against loops, and against a known truth."""

import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.evals.stats import intervals
from accfm.evals.stats import people as stats
from tests.evals.stats.oracle import t_ends


def _windows(seed=0):
  rng = np.random.default_rng(seed)
  ids = np.array(["c", "a", "b", "a", "c", "a", "d", "b", "d", "e"])
  return ids, rng.uniform(0.1, 0.9, size=len(ids)) + (ids == "a") * 0.1


def _mean(ids, x, draws=10, within=intervals.ANY):
  people = stats.People(ids, draws, 0)
  return people.estimate(
      people.sums(np.column_stack([x, np.ones_like(x)])), stats.ratio, within)


def test_sums_match_a_loop():
  ids, x = _windows()
  people = stats.People(ids, 10, 0)
  columns = np.column_stack([x, x ** 2])
  for rows in (slice(None), slice(2, 6), slice(0, 1)):
    got = people.sums(columns[rows], rows)
    want = np.zeros((5, 2))
    for name, row in zip(ids[rows], columns[rows], strict=True):
      want["abcde".index(name)] += row
    np.testing.assert_allclose(got, want)


@pytest.mark.parametrize("within", [
    intervals.ANY, intervals.POSITIVE, intervals.SHARE, intervals.CORRELATION,
    (-np.inf, 1.5), (-0.2, np.inf)])
def test_interval_matches_a_loop_that_leaves_people_out(within):
  ids, x = _windows()
  got = _mean(ids, x, within=within)
  assert got.value == pytest.approx(np.mean(x))
  assert (got.low, got.high) == pytest.approx(
      t_ends(ids, lambda rows: x[rows].mean(), within))
  assert within[0] < got.low < got.value < got.high < within[1]


def test_the_interval_of_a_mean_over_people_is_students():
  """With one segment each the jackknife is the textbook's t interval."""
  x = np.random.default_rng(0).normal(size=9)
  got = _mean(np.arange(9), x)
  reach = 2.306004 * np.std(x, ddof=1) / 3  # t of 8 degrees of freedom
  assert (got.low, got.high) == pytest.approx(
      (np.mean(x) - reach, np.mean(x) + reach))


def test_many_people_are_left_out_in_groups(monkeypatch):
  rng = np.random.default_rng(0)
  ids = np.repeat(np.arange(600), 3)
  x = rng.normal(size=600)[ids] + rng.normal(size=1800)
  got = _mean(ids, x)
  low, high = t_ends(ids[::3], lambda rows: x.reshape(600, 3)[rows].mean())
  assert got.value == pytest.approx(x.mean())
  assert (got.high - got.low) == pytest.approx(high - low, rel=0.2)
  monkeypatch.setattr(stats, "ALONE", 600)
  exact = _mean(ids, x)
  assert (exact.low, exact.high) == pytest.approx((low, high), abs=1e-9)


def test_draws_are_of_people_and_repeat():
  ids, _ = _windows()
  a, b = stats.People(ids, 500, 3), stats.People(ids[::-1], 500, 3)
  np.testing.assert_array_equal(a.weights, b.weights)
  assert (a.weights.sum(axis=1) == 5).all()
  # One of five people is missing from a draw with probability 0.8 ** 5.
  share = (a.weights == 0).mean()
  assert abs(share - 0.8 ** 5) < 0.03
  assert not np.array_equal(a.weights, stats.People(ids, 500, 4).weights)


def test_repeating_a_persons_windows_does_not_narrow_the_interval():
  ids, x = _windows()
  wide = []
  for times in (1, 50):
    got = _mean(np.repeat(ids, times), np.repeat(x, times))
    wide.append(got.high - got.low)
  assert wide[0] == pytest.approx(wide[1])


def test_few_people_have_no_interval():
  ids, x = _windows()
  some = ids != "e"
  assert _mean(ids[some], x[some]) == stats.Estimate(
      pytest.approx(x[some].mean()))
  assert _mean(ids, x).low is not None  # of five
  with pytest.raises(InputError, match="no windows"):
    stats.People([], 10, 0)


def test_without_draws_there_is_no_interval():
  ids, x = _windows()
  assert _mean(ids, x, draws=0) == stats.Estimate(pytest.approx(np.mean(x)))


def test_a_share_of_none_or_all_says_what_so_many_people_can_show():
  """Ten people alike: 0.975 of the chance that all are, at the other end."""
  ids = np.repeat(np.arange(10), 30)
  none, every = (_mean(ids, np.full(300, x), within=intervals.SHARE)
                 for x in (0.0, 1.0))
  assert none.low == 0 and every.high == 1
  assert (1 - none.high) ** 10 == pytest.approx(0.025)
  assert every.low == pytest.approx(1 - none.high)
  # Where a range has no other end nothing shows how far it could be.
  for value, within in ((0.0, intervals.POSITIVE), (1.0, intervals.FROM_ONE),
                        (1.0, intervals.BELOW_ONE)):
    assert _mean(ids, np.full(300, value), within=within).low is None


@pytest.mark.parametrize("within", [
    intervals.ANY, intervals.POSITIVE, intervals.SHARE, intervals.BELOW_ONE,
    (-0.3, np.inf), (-np.inf, 1.3), intervals.CORRELATION])
def test_rounding_does_not_put_the_value_outside(within):
  """A drawing has no whisker of a negative length."""
  sure = intervals.Variance(0.0, 9)
  for value in np.random.default_rng(0).uniform(0.01, 0.99, 500):
    low, high = intervals.interval(float(value), sure, within, 10)
    assert low <= value <= high and high - low < 1e-12
  low, high = intervals.interval(1 + 1e-12, sure, intervals.SHARE, 10)
  assert low < 1 + 1e-12 <= high


def test_a_statistic_that_is_undefined_without_a_person_has_no_interval():
  people = stats.People(list("abcdef"), 10, 0)
  got = people.weighted(
      lambda w: np.where(w[..., 0] > 0, w.mean(axis=-1), np.nan))
  assert got == stats.Estimate(1.0)


def test_satterthwaite():
  one, two = intervals.Variance(4.0, 4), intervals.Variance(1.0, 2)
  both = one + two
  assert both.value == 5 and both.df == pytest.approx(25 / (16 / 4 + 1 / 2))
  alone = one + intervals.Variance(0.0, 3)
  assert (alone.value, alone.df) == (4.0, 4)
  assert (intervals.Variance(0.0, 3) + intervals.Variance(0.0, 2)).value == 0


def test_intervals_hold_a_known_truth():
  """Skewed errors of eight people with unequal numbers of segments."""
  rng, held, n = np.random.default_rng(5), 0, 400
  for _ in range(n):
    ids = np.repeat(np.arange(8), rng.integers(5, 40, 8))
    x = rng.gamma(4.0, 0.25, 8)[ids] * rng.exponential(size=len(ids))
    got = _mean(ids, x, within=intervals.POSITIVE)
    held += got.low <= 1.0 <= got.high
  # The percentile bootstrap holds it in 0.82 to 0.86.
  assert 0.90 < held / n < 0.98
