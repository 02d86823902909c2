"""Variants of retrieval against drawn pools and pairwise loops."""

import numpy as np
import pytest

from accfm.evals.retrieval import ranks
from accfm.evals.retrieval import run as retrieval
from accfm.evals.stats import bootstrap as stats
from accfm.evals.stats import scaling
from tests.evals import toy


def test_a_large_pool_agrees_with_drawn_pools():
  n, pool = 300, 64
  rng = np.random.default_rng(0)
  z = rng.normal(size=(n, 5))
  query, key = z, z + rng.normal(size=z.shape)
  hits, total = [], []
  near = scaling.unit_rows(query) @ scaling.unit_rows(key).T
  for _ in range(4000):
    drawn = rng.choice(n, pool, replace=False)
    i = drawn[0]
    rank = 1 + np.sum(near[i, drawn[1:]] >= near[i, i])
    hits.append(rank <= np.array([1, 3, 5, 10]))
    total.append(rank)
  m = stats.Metrics()
  (counts,) = ranks.count(query, key)
  curve = retrieval.score(
      m, "x", pool, counts, stats.People(np.arange(n), 20, 0)
  )
  for k, want in zip((1, 3, 5, 10), np.mean(hits, axis=0), strict=True):
    assert abs(m.values[f"x/recall@{k}_pool{pool}"] - want) < 0.03
    assert curve[k - 1] == pytest.approx(
        m.values[f"x/recall@{k}_pool{pool}"])
  assert abs(m.values[f"x/mean_rank_pool{pool}"] / np.mean(total) - 1) < 0.1
  assert abs(m.values[f"x/median_rank_pool{pool}"] - np.median(total)) <= 1


def _share_first(data, rows, allowed):
  """Share of rows found first among the allowed; a loop in float64.

  Returns:
    ({direction: share}, {direction: share where the envelope is not first}).
  """
  found, hard = {}, {}
  for a, b in (("acc", "ppg"), ("ppg", "acc")):
    first = {}
    for row in ("", "envelope"):
      q, k = (scaling.unit_rows(data.pairs[row][s]) for s in (a, b))
      first[row] = [
          all(q[i] @ k[j] < q[i] @ k[i] for j in rows
              if j != i and allowed(i, j))
          for i in rows
      ]
    ours, control = (np.array(first[row]) for row in ("", "envelope"))
    found[f"{a}2{b}"] = ours.mean()
    hard[f"{a}2{b}"] = ours[~control].mean()
  return found, hard


def test_variants_equal_pairwise_rules():
  data, _ = toy.make_inputs(noise=1.5)
  t = data.table
  rng = np.random.default_rng(0)
  order = rng.permutation(len(t["start_s"]))  # as shards may come
  t = {name: column[order] for name, column in t.items()}
  data.tables["test"] = t
  for row in data.pairs:
    data.pairs[row] = {s: x[order] for s, x in data.pairs[row].items()}
  m = stats.Metrics()
  retrieval.run(data, toy.make_config(), m)
  who, when = t["participant"], t["start_s"]
  motion = t["motion_g"]
  everyone = np.arange(64)
  still = everyone[motion <= np.median(motion)]
  person = lambda i, j: who[i] == who[j]  # noqa: E731
  for variant, rows, allowed in (
      ("", everyone, lambda i, j: True),
      ("still/", still, lambda i, j: True),
      ("within_person/", everyone, person),
      ("other_people/", everyone, lambda i, j: not person(i, j)),
      ("not_adjacent/", everyone, lambda i, j: not (
          person(i, j) and abs(when[i] - when[j]) < 10.0)),
  ):
    found, hard = _share_first(data, rows, allowed)
    for way in ("acc2ppg", "ppg2acc"):
      tail = f"{way}/recall@1_poolall"
      assert m.values[f"test/{variant}{tail}"] == pytest.approx(found[way])
      assert m.values[f"test/{variant}control_fails/{tail}"] == pytest.approx(
          hard[way])
  shares = [m.values[f"test/{v}acc2ppg/recall@1_poolall"]
            for v in ("", "not_adjacent/", "other_people/")]
  assert 0.1 < shares[0] < shares[1] < shares[2] < 0.95
  # 56 of other people and the right one; 10 s hide up to 4 of 7 others.
  assert m.values["test/other_people/mean_pool_size_poolall"] == 57
  assert 60 < m.values["test/not_adjacent/mean_pool_size_poolall"] < 64
  assert m.values["test/not_adjacent/chance/recall@3_pool8"] == 3 / 8


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
  for k, after in ((1, 3), (3, 5), (5, 10)):
    assert v[f"test/acc2ppg/recall@{k}_pool8"] <= v[
        f"test/acc2ppg/recall@{after}_pool8"]
  assert v["test/acc2ppg/recall@10_pool8"] == pytest.approx(1)
  assert v["test/retrieval/windows"] == 64
  assert v["test/still/windows"] == 32
  assert v["test/within_person/mean_pool_size_poolall"] == 8
  assert v["test/within_person/chance/recall@1_pool4"] == 1 / 4
  assert 0 < v["test/control_fails/acc2ppg/share_pool8"] < 1
  assert v["test/control_fails/acc2ppg/recall@1_pool8"] <= good
  assert set(curves) == {"", "untrained", "envelope"}
  assert curves[""]["/acc2ppg"][0] == good
  assert curves[""]["not_adjacent/acc2ppg"][0] == v[
      "test/not_adjacent/acc2ppg/recall@1_pool8"]
  assert not m.missing

  m = stats.Metrics()
  config = toy.make_config()
  config.pools, config.within_pool = (64, 100), 9
  retrieval.run(data, config, m)
  v = m.values
  assert v["test/acc2ppg/recall@1_pool100"] is None
  assert v["test/within_person/acc2ppg/recall@1_pool9"] is None
  # The pool of all 64 is also one of 64, but nobody has 64 others elsewhere.
  assert v["test/acc2ppg/recall@1_pool64"] == pytest.approx(
      v["test/acc2ppg/recall@1_poolall"])
  assert v["test/acc2ppg/recall@1_poolall"] > 0.3
  assert v["test/other_people/acc2ppg/recall@1_pool64"] is None
  reasons = {x["key"]: x["reason"] for x in m.missing}
  assert "64 windows" in reasons["test/acc2ppg/recall@1_pool100"]
  assert "57 windows" in reasons["test/other_people/acc2ppg/recall@1_pool64"]
  config.pools = (60,)  # which some queries have when their neighbours go
  m = stats.Metrics()
  retrieval.run(data, config, m)
  assert 0 < m.values["test/not_adjacent/windows_pool60"] <= 64
