"""Ranks over pools against enumerated pools and scipy's distribution."""

import itertools

import numpy as np
import pytest
from scipy import stats as sps

from accfm.evals.retrieval import pools, ranks
from accfm.evals.stats import people as stats


def _outcomes(rng, n):
  """[Q, n - 1] whether each other key beats the right one; two of them."""
  share = rng.uniform(0, 1, (n, 1))
  ours = rng.uniform(size=(n, n - 1)) < share
  theirs = ours ^ (rng.uniform(size=ours.shape) < 0.4)
  theirs[0], theirs[1] = False, True
  return ours, theirs


def _counts(ours, theirs):
  n = np.full(len(ours), ours.shape[1] + 1)
  return ranks.Counts(
      n, ours.sum(axis=1), theirs.sum(axis=1), (ours & theirs).sum(axis=1)
  )


def _enumerated(ours, theirs, pool):
  """(query, our rank, the control's) of every pool of every query."""
  out = []
  for i in range(len(ours)):
    for drawn in itertools.combinations(range(ours.shape[1]), pool - 1):
      out.append((i, 1 + ours[i, list(drawn)].sum(),
                  1 + theirs[i, list(drawn)].sum()))
  return np.array(out)


@pytest.mark.parametrize("pool", [2, 4, 9])
def test_all_pools_enumerated(pool):
  ours, theirs = _outcomes(np.random.default_rng(pool), 9)
  counts = _counts(ours, theirs)
  people = stats.People(np.arange(9) % 3, 50, 0)
  every = _enumerated(ours, theirs, pool)
  each = len(every) / 9
  fails = every[every[:, 2] > 1]
  np.testing.assert_allclose(
      pools.control_fails(counts, pool),
      np.bincount(fails[:, 0], minlength=9) / each, atol=1e-12,
  )
  alone = ranks.Counts(counts.candidates, counts.beaten_by)
  for some, table in ((alone, every), (counts, fails)):
    sums = pools.rank_sums(some, pool, people)
    want = np.zeros((3, pool + 1))
    for i, rank, _ in table:
      want[i % 3, rank - 1:] += 1 / each
    np.testing.assert_allclose(sums, want, atol=1e-12)
    total, mass = pools.total_rank(sums).sum(axis=0)
    assert total / mass == pytest.approx(table[:, 1].mean())
    middle = np.sort(table[:, 1])[(len(table) - 1) // 2]
    assert pools.median_rank(people, sums).value == middle
  assert 0 < len(fails) < len(every)
  if pool == 9:  # a pool of everything, however it is asked for
    for some in (alone, counts):
      np.testing.assert_allclose(
          pools.rank_sums(some, "all", people),
          pools.rank_sums(some, pool, people), atol=1e-12,
      )


def test_large_pools_equal_scipy(monkeypatch):
  """Also in chunks, and where the tails are left out."""
  monkeypatch.setattr(pools, "_CELLS", 1000)
  rng = np.random.default_rng(0)
  n, pool = np.array([4000, 5000])[rng.integers(0, 2, 12)], 512
  b = np.append(0, rng.integers(0, 4000, 11))
  o = rng.integers(0, np.minimum(b, 60) + 1)
  e = o + rng.integers(0, 3, 12) * (b < 3000)
  people = stats.People(np.arange(12) % 5, 10, 0)
  got = pools.rank_sums(ranks.Counts(n, b), pool, people)
  got_fails = pools.rank_sums(ranks.Counts(n, b, e, o), pool, people)
  want, fails = np.zeros((2, 5, pool + 1))
  r = np.arange(pool)
  for i, who in enumerate(people.index):
    cdf = sps.hypergeom.cdf(r, n[i] - 1, b[i], pool - 1)
    none = sps.hypergeom.pmf(0, n[i] - 1, e[i], pool - 1)
    both = none * sps.hypergeom.cdf(
        r, n[i] - 1 - e[i], b[i] - o[i], pool - 1)
    want[who] += np.append(cdf, 1)
    fails[who] += np.append(cdf - both, 1 - none)
  np.testing.assert_allclose(got, want, atol=1e-9)
  np.testing.assert_allclose(got_fails, fails, atol=1e-9)
  assert (pools.control_fails(ranks.Counts(n, b, e, o), pool) < 0.9).any()


def test_median_rank_and_its_interval():
  """The t interval of the share at the median, read off the ranks."""
  rng = np.random.default_rng(1)
  counts = ranks.Counts(np.full(60, 500), rng.integers(0, 400, 60))
  people = stats.People(rng.integers(0, 6, 60), 200, 3)
  for pool in (100, "all"):
    sums = pools.rank_sums(counts, pool, people)

    def looked(share, sums=sums):
      at, total = 0, 0.0
      while total < share * sums[:, -1].sum() - 1e-9:
        total = sums[:, at].sum()  # of pools with a rank of at most at + 1
        at += 1
      return at

    got = pools.median_rank(people, sums)
    assert got.value == looked(0.5)
    at = looked(0.5) - 1
    shares = [np.delete(sums[:, at], i).sum() / np.delete(
        sums[:, -1], i).sum() for i in range(6)]
    se = np.sqrt(5 / 6 * np.sum((shares - np.mean(shares)) ** 2))
    reach = sps.t.ppf(0.975, 5) * se * 4  # the slope of the logit at 1/2
    low, high = 1 / (1 + np.exp([reach, -reach]))
    assert (got.low, got.high) == (looked(low), looked(high))
    assert got.low < got.value < got.high
  nothing = stats.People([0, 0], 10, 0)
  assert np.isnan(pools.median_rank(nothing, np.zeros((1, 9))).value)


def test_chance_of_the_first_k():
  right, wrong = np.array([1, 3, 2, 1]), np.array([9, 4, 0, 1])
  for k in (1, 2, 5):
    got = pools.chance_in(k, right, wrong)
    for i in range(4):
      keys = [True] * right[i] + [False] * wrong[i]
      orders = itertools.combinations(keys, min(k, len(keys)))
      assert got[i] == pytest.approx(np.mean([any(x) for x in orders]))
