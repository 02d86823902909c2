"""Variants of retrieval against drawn pools and pairwise loops."""

import numpy as np
import pytest

from accfm.evals.results.figures import TESTED, Figure, Figures
from accfm.evals.retrieval import ranks
from accfm.evals.retrieval import run as retrieval
from accfm.evals.stats import people as stats
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
  m = Figures()
  (counts,) = ranks.count(query, key)
  sums = retrieval.add_ranks(
      m, Figure("x", "retrieval", subject="a2b"), pool, counts,
      stats.People(np.arange(n), 20, 0),
  )
  v = m.flat()
  for k, want in zip((1, 3, 5, 10), np.mean(hits, axis=0), strict=True):
    assert abs(v[f"x/a2b/recall@{k}_pool{pool}"] - want) < 0.03
    share = sums[:, k - 1].sum() / sums[:, -1].sum()
    assert share == pytest.approx(v[f"x/a2b/recall@{k}_pool{pool}"])
  assert abs(v[f"x/a2b/mean_rank_pool{pool}"] / np.mean(total) - 1) < 0.1
  assert abs(v[f"x/a2b/median_rank_pool{pool}"] - np.median(total)) <= 1


def _share_first(data, rows, allowed):
  """Share of rows found first among the allowed; a loop in float64.

  Returns:
    ({direction: share}, {direction: share where the envelope is not first}).
  """
  found, hard = {}, {}
  for a, b in (("acc", "ppg"), ("ppg", "acc")):
    first = {}
    for row in (TESTED, "envelope"):
      q, k = (scaling.unit_rows(data.pairs[row][s]) for s in (a, b))
      first[row] = [
          all(q[i] @ k[j] < q[i] @ k[i] for j in rows
              if j != i and allowed(i, j))
          for i in rows
      ]
    ours, control = (np.array(first[row]) for row in (TESTED, "envelope"))
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
  m = Figures()
  retrieval.score_retrieval(data, toy.make_config(), m)
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
      assert m.flat()[f"test/{variant}{tail}"] == pytest.approx(found[way])
      assert m.flat()[f"test/{variant}control_fails/{tail}"] == pytest.approx(
          hard[way])
  shares = [m.flat()[f"test/{v}acc2ppg/recall@1_poolall"]
            for v in ("", "not_adjacent/", "other_people/")]
  assert 0.1 < shares[0] < shares[1] < shares[2] < 0.95
  # 56 of other people and the right one; 10 s hide up to 4 of 7 others.
  assert m.flat()["test/other_people/mean_pool_size_poolall"] == 57
  assert 60 < m.flat()["test/not_adjacent/mean_pool_size_poolall"] < 64
  assert m.flat()["test/not_adjacent/chance/recall@3_pool8"] == 3 / 8


def test_run_reports_every_variant_and_says_what_it_cannot():
  data, _ = toy.make_inputs(noise=0.6)
  m = Figures()
  outcome = retrieval.score_retrieval(data, toy.make_config(), m)
  v = m.flat()
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
  (plot,) = [p for p in outcome.describe()[0].parts
             if p.kind == "plot" and p.name == "recall_curves"]
  curves = plot.data["curves"]
  assert set(curves) == {TESTED, "untrained", "envelope", "identity"}
  assert curves[TESTED]["acc2ppg"][0] == good
  assert not m.missing()

  m = Figures()
  config = toy.make_config()
  config.pools, config.within_pool = (64, 100), 9
  retrieval.score_retrieval(data, config, m)
  v = m.flat()
  assert v["test/acc2ppg/recall@1_pool100"] is None
  assert v["test/within_person/acc2ppg/recall@1_pool9"] is None
  # The pool of all 64 is also one of 64, but nobody has 64 others elsewhere.
  assert v["test/acc2ppg/recall@1_pool64"] == pytest.approx(
      v["test/acc2ppg/recall@1_poolall"])
  assert v["test/acc2ppg/recall@1_poolall"] > 0.3
  assert v["test/other_people/acc2ppg/recall@1_pool64"] is None
  reasons = {x["key"]: x["reason"] for x in m.missing()}
  assert "64 windows" in reasons["test/acc2ppg/recall@1_pool100"]
  assert "57 windows" in reasons["test/other_people/acc2ppg/recall@1_pool64"]
  config.pools = (60,)  # which some queries have when their neighbours go
  m = Figures()
  retrieval.score_retrieval(data, config, m)
  assert 0 < m.flat()["test/not_adjacent/windows_pool60"] <= 64


def _captions(data, **fields):
  config = toy.make_config(**fields)
  outcome = retrieval.score_retrieval(data, config, Figures())
  for section in outcome.describe():
    if section.title == "Retrieved pairs":
      (gallery,) = section.parts
      return [(plot.caption, plot.data) for plot in gallery.plots]
  return []


def test_captions_count_ties_as_recall_does():
  """A collapsed encoder finds nothing, and no caption says that it does."""
  data, _ = toy.make_inputs()
  for x in data.pairs[TESTED].values():
    x[:] = 1.0
  m = Figures()
  outcome = retrieval.score_retrieval(data, toy.make_config(), m)
  for way in ("acc2ppg", "ppg2acc"):
    assert m.flat()[f"test/{way}/recall@1_pool8"] == 0
    assert m.flat()[f"test/{way}/recall@1_poolall"] == 0
    assert (outcome.queries.ranks[way][1] == 64).all()
  found = _captions(data, examples=64)
  assert len(found) == 64
  for caption, drawn in found:
    assert caption.startswith("Missed") and caption.endswith("at rank 64.")
    assert drawn["right"] is not None
    assert not np.array_equal(drawn["found"], drawn["right"])


def test_captions_are_of_the_ranks_among_all_windows():
  data, _ = toy.make_inputs(noise=1.5)
  q, k = (scaling.unit_rows(data.pairs[TESTED][s]) for s in ("acc", "ppg"))
  near = q @ k.T
  rank = (near >= near[np.arange(64), np.arange(64)][:, None]).sum(axis=1)
  outcome = retrieval.score_retrieval(data, toy.make_config(), Figures())
  np.testing.assert_array_equal(outcome.queries.rows, np.arange(64))
  np.testing.assert_array_equal(outcome.queries.ranks["acc2ppg"][1], rank)
  acc = data.recordings.values["acc"] * np.float32(1e-3)
  ppg = data.recordings.values["ppg"] * np.float32(1e-3)
  found = _captions(data, examples=6)
  assert len(found) == 6
  for number, (caption, drawn) in enumerate(found):
    (i,) = np.flatnonzero([np.array_equal(x, drawn["query"]) for x in acc])
    (top,) = np.flatnonzero([np.array_equal(x, drawn["found"]) for x in ppg])
    if number < 3:
      assert rank[i] == 1 and top == i and caption == "Found first."
      assert drawn["right"] is None
      continue
    assert rank[i] > 1 and caption.endswith(f"at rank {rank[i]}.")
    assert top == near[i].argmax()
    np.testing.assert_array_equal(drawn["right"], ppg[i])
    same = data.table["participant"][i] == data.table["participant"][top]
    assert ("the same person" in caption) == same
  assert not _captions(data, examples=4, redact=True)
  assert not _captions(data, examples=0)


def test_windows_at_the_median_are_still():
  data, _ = toy.make_inputs()
  data.table["motion_g"][:] = np.repeat([0.1, 0.2, 0.3, 0.3], 16)
  data.table["motion_g"][16:40] = 0.2  # the median, of 24 windows
  m = Figures()
  retrieval.score_retrieval(data, toy.make_config(), m)
  assert m.flat()["test/still/windows"] == 40
  assert m.flat()["test/still/motion_g_limit"] == pytest.approx(0.2)
