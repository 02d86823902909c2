"""Ranks against drawn pools, enumerated pools and double loops."""

import itertools

import numpy as np
import pytest

from accfm.evals import retrieval, stats
from tests.evals import toy


def _pairs(n, d=5, noise=0.8, seed=0):
  rng = np.random.default_rng(seed)
  z = rng.normal(size=(n, d))
  return z, z + noise * rng.normal(size=(n, d))


def _rank(query, key, i, pool):
  """Rank from 1 of answer i among `pool` (row numbers), by a loop."""
  unit = lambda v: v / np.linalg.norm(v)  # noqa: E731
  right = np.float32(unit(query[i]) @ unit(key[i]))
  rank = 1
  for j in pool:
    if j != i and np.float32(unit(query[i]) @ unit(key[j])) >= right:
      rank += 1
  return rank


def _enumerate(n, pool):
  """All (query, pool of `pool` rows with it)."""
  for i in range(n):
    others = [j for j in range(n) if j != i]
    for drawn in itertools.combinations(others, pool - 1):
      yield i, drawn


def test_recall_and_ranks_equal_all_pools_enumerated():
  n, pool = 9, 4
  query, key = _pairs(n)
  ranks = np.array([
      _rank(query, key, i, drawn) for i, drawn in _enumerate(n, pool)
  ])
  m = stats.Metrics()
  people = stats.People(np.arange(n) % 3, 50, 0)
  counts = retrieval.count(query, key, block=4)
  curve = retrieval.score(m, "x", pool, counts, people)
  got = {k.split("/")[1]: v for k, v in m.values.items()}
  middle = np.sort(ranks)[(len(ranks) - 1) // 2]
  assert got["recall@1_pool4"] == pytest.approx(np.mean(ranks == 1))
  assert got["recall@5_pool4"] == pytest.approx(1)
  assert got["mean_rank_pool4"] == pytest.approx(np.mean(ranks))
  assert got["median_rank_pool4"] == middle
  for k in range(1, pool + 1):
    assert curve[k - 1] == pytest.approx(np.mean(ranks <= k))
  assert 0.1 < np.mean(ranks == 1) < 0.95  # neither trivial nor hopeless


def test_control_fails_equals_all_pools_enumerated():
  n, pool = 9, 4
  query, key = _pairs(n, noise=1.5)
  rng = np.random.default_rng(3)
  # Errs where we do, and elsewhere.
  control = query + rng.normal(size=query.shape), key
  ranks = np.array([
      (_rank(query, key, i, drawn), _rank(*control, i, drawn))
      for i, drawn in _enumerate(n, pool)
  ])
  kept = ranks[ranks[:, 1] > 1, 0]
  counts = retrieval.count(query, key, control=control)
  assert ((counts.o > 0) & (counts.o < counts.b) & (counts.e < 6)).any()
  mass = retrieval.rank_cdf(counts, pool)[1]
  assert mass.mean() == pytest.approx(np.mean(ranks[:, 1] > 1))
  m = stats.Metrics()
  people = stats.People(np.arange(n) % 3, 50, 0)
  retrieval.score(m, "x", pool, counts, people)
  assert m.values[f"x/recall@1_pool{pool}"] == pytest.approx(np.mean(kept == 1))
  assert m.values[f"x/mean_rank_pool{pool}"] == pytest.approx(np.mean(kept))
  assert 5 < len(kept) < 0.9 * len(ranks)


def test_a_large_pool_agrees_with_drawn_pools():
  n, pool = 300, 64
  query, key = _pairs(n, noise=1.0)
  rng = np.random.default_rng(0)
  hits, ranks = [], []
  near = retrieval.unit_rows(query) @ retrieval.unit_rows(key).T
  for _ in range(4000):
    drawn = rng.choice(n, pool, replace=False)
    i = drawn[0]
    rank = 1 + np.sum(near[i, drawn[1:]] >= near[i, i])
    hits.append(rank == 1)
    ranks.append(rank)
  m = stats.Metrics()
  retrieval.score(
      m, "x", pool, retrieval.count(query, key),
      stats.People(np.arange(n), 20, 0),
  )
  assert abs(m.values[f"x/recall@1_pool{pool}"] - np.mean(hits)) < 0.03
  assert abs(m.values[f"x/mean_rank_pool{pool}"] / np.mean(ranks) - 1) < 0.1


def test_counts_match_a_double_loop_within_groups():
  n = 40
  query, key = _pairs(n, noise=1.5)
  groups = np.arange(n) % 3
  control = _pairs(n, noise=1.5, seed=2)
  got = retrieval.count(query, key, groups, control, block=7)
  for i in range(n):
    same = [j for j in range(n) if groups[j] == groups[i]]
    assert got.n[i] == len(same)
    assert got.b[i] == _rank(query, key, i, same) - 1
    assert got.e[i] == _rank(*control, i, same) - 1
    both = [
        j for j in same if j != i and _rank(query, key, i, [j]) == 2
        and _rank(*control, i, [j]) == 2
    ]
    assert got.o[i] == len(both)


def test_a_pool_of_everything_by_histogram_and_by_definition():
  n = 30
  query, key = _pairs(n, noise=2.0)
  counts = retrieval.count(query, key, control=_pairs(n, seed=4))
  people = stats.People(np.arange(n) % 4, 20, 0)
  for some in (counts, retrieval.Counts(counts.n, counts.b)):
    want = people.sums(np.column_stack(retrieval.rank_cdf(some, "all")))
    np.testing.assert_allclose(
        retrieval.rank_sums(some, "all", people), want, atol=1e-12)


def test_a_collapsed_embedding_ranks_last_and_a_perfect_one_first():
  same = np.tile(np.float32([0.3, -0.2, 0.7]), (50, 1))
  assert (retrieval.count(same, same).b == 49).all()
  query, _ = _pairs(50)
  assert (retrieval.count(query, query).b == 0).all()
  twice = np.concatenate([query, query])  # each answer has a double
  assert (retrieval.count(twice, twice).b == 1).all()


def test_thinning_leaves_no_overlap_and_is_greedy():
  participant = np.array(["a"] * 6 + ["b"] * 2 + ["a"])
  session = np.array(["s"] * 8 + ["t"])
  start = np.array([0, 30, 60, 90, 150, 130, 10, 70, 30.0])
  rows = retrieval.thin(participant, session, start, 60)
  np.testing.assert_array_equal(rows, [0, 2, 5, 6, 7, 8])
  for i, j in itertools.combinations(rows, 2):
    if (participant[i], session[i]) == (participant[j], session[j]):
      assert abs(start[i] - start[j]) >= 60


def test_run_reports_every_variant_and_says_what_it_cannot():
  data, _ = toy.make_inputs(noise=0.6)
  m = stats.Metrics()
  curves = retrieval.run(data, toy.make_config(), m)
  v = m.values
  good = v["test/acc2ppg/recall@1_pool8"]
  assert good > v["test/envelope/acc2ppg/recall@1_pool8"]
  assert v["test/chance/recall@1_pool8"] == 1 / 8
  assert abs(v["test/untrained/acc2ppg/recall@1_pool8"] - 1 / 8) < 0.12
  assert v["test/ppg2acc/recall@1_pool8_ci95_low"] <= v[
      "test/ppg2acc/recall@1_pool8"]
  assert v["test/retrieval/windows"] == 64
  assert v["test/still/windows"] == 32
  assert v["test/within_person/mean_pool_size_poolall"] == 8
  assert v["test/within_person/chance/recall@1_pool4"] == 1 / 4
  assert 0 < v["test/control_fails/acc2ppg/share_pool8"] < 1
  assert v["test/control_fails/acc2ppg/recall@1_pool8"] <= good
  assert set(curves) == {"", "untrained", "envelope"}
  assert curves[""]["/acc2ppg"][0] == good
  assert not m.missing

  m = stats.Metrics()
  config = toy.make_config()
  config.pools, config.within_pool = (100,), 9
  retrieval.run(data, config, m)
  assert m.values["test/acc2ppg/recall@1_pool100"] is None
  assert m.values["test/within_person/acc2ppg/recall@5_pool9"] is None
  assert m.values["test/acc2ppg/recall@1_poolall"] > 0.3
  reasons = {x["key"]: x["reason"] for x in m.missing}
  assert "64 windows" in reasons["test/acc2ppg/recall@1_pool100"]
