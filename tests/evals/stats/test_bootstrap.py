"""Intervals over people against loops."""

import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.evals.stats import bootstrap as stats


def _windows(seed=0):
  rng = np.random.default_rng(seed)
  ids = np.array(["c", "a", "b", "a", "c", "a", "d", "b", "d", "e"])
  return ids, rng.normal(size=len(ids)) + (ids == "a") * 2


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


def test_interval_matches_a_loop_over_drawn_people():
  ids, x = _windows()
  people = stats.People(ids, 300, 7)
  sums = people.sums(np.column_stack([x, np.ones_like(x)]))
  got = people.estimate(sums, stats.ratio)
  means = []
  for counts in people.weights:
    pool = []
    for name, times in zip(people.names, counts, strict=True):
      pool += list(x[ids == name]) * int(times)
    means.append(np.mean(pool))
  assert got.value == pytest.approx(np.mean(x))
  assert got.low == pytest.approx(np.percentile(means, 2.5))
  assert got.high == pytest.approx(np.percentile(means, 97.5))


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
    many = np.repeat(ids, times)
    people = stats.People(many, 400, 0)
    sums = people.sums(np.column_stack(
        [np.repeat(x, times), np.ones(len(many))]))
    got = people.estimate(sums, stats.ratio)
    wide.append(got.high - got.low)
  assert wide[0] == pytest.approx(wide[1])


def test_one_person_has_no_interval():
  people = stats.People(["a", "a"], 100, 0)
  got = people.estimate(people.sums(np.ones((2, 2))), stats.ratio)
  assert got == stats.Estimate(1.0)
  with pytest.raises(InputError, match="no windows"):
    stats.People([], 10, 0)


def test_without_draws_there_is_no_interval():
  ids, x = _windows()
  people = stats.People(ids, 0, 0)
  sums = people.sums(np.column_stack([x, np.ones_like(x)]))
  assert people.estimate(sums, stats.ratio) == stats.Estimate(
      pytest.approx(np.mean(x)))
