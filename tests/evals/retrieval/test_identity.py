"""Identity alone against enumerated pools, drawn pools and known figures."""

import itertools

import numpy as np
import pytest
from scipy import stats as sps

from accfm.evals.results.figures import Figures
from accfm.evals.retrieval import identity, pools, ranks, segments
from accfm.evals.retrieval import run as retrieval
from accfm.evals.stats import people as stats
from tests.evals import toy

PEOPLE = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2])


def _masks(adjacent):
  """Segments of PEOPLE and the masks of the variants of retrieval."""
  some = segments.Segments({
      "participant": PEOPLE.astype(str), "session": np.full(9, "a"),
      "start_s": 10.0 * np.arange(9),
  }, np.arange(9))
  return some, {
      "": some.everybody(), "within_person": some.within_person(),
      "not_adjacent": some.but(some.adjacent(adjacent)),
      "other_people": some.but(some.person),
  }


def _enumerate(mask, beats, pool):
  """Every pool of every query: (query, of its person, fails, share) lines."""
  out = []
  for i in range(9):
    others = [j for j in range(9) if j != i and mask.allows(
        np.array([i]), np.array([j]))[0]]
    if len(others) < pool - 1:
      continue
    drawn = list(itertools.combinations(others, pool - 1))
    for one in drawn:
      one = list(one)
      out.append((i, np.sum(PEOPLE[one] == PEOPLE[i]), beats[i, one].any(),
                  1 / len(drawn)))
  return out


@pytest.mark.parametrize("pool", [2, 3, 5])
@pytest.mark.parametrize(
    "variant", ["", "within_person", "not_adjacent", "other_people"])
def test_all_pools_enumerated(variant, pool):
  """Each order of the person's own segments in each pool counts alike."""
  rng = np.random.default_rng(pool)
  beats = rng.uniform(size=(9, 9)) < 0.3
  np.fill_diagonal(beats, False)
  some, masks = _masks(20.0)
  mask, kin = masks[variant], masks[variant].within(some.person)
  own = np.arange(9)
  enough = mask.sizes() + 1 - mask.allows(own, own) >= pool
  if not enough.any():
    assert variant == "within_person" and pool == 5
    return
  allowed = [
      np.array([[m.allows(np.array([i]), np.array([j]))[0] for j in range(9)]
                for i in range(9)]) for m in (mask, kin)
  ]
  control, both = ((beats & a).sum(axis=1) for a in allowed)
  people = stats.People(PEOPLE[enough], 50, 0)
  for of_control in (False, True):
    counts = identity.count(
        mask, some.person, *((control, both) if of_control else ()))
    got = identity.rank_sums(counts.take(enough), pool, people)
    lines = _enumerate(mask, beats, pool)
    want = np.zeros((len(people), pool + 1))
    total = np.zeros(len(people))
    for i, same, fails, share in lines:
      if of_control and not fails:
        continue
      who = np.searchsorted(people.names, PEOPLE[i])
      for place in range(1, same + 2):  # the right one stands here
        want[who, place - 1:-1] += share / (same + 1)
        total[who] += share * place / (same + 1)
      want[who, -1] += share
    wide = np.minimum(np.arange(pool), got.shape[1] - 2)
    np.testing.assert_allclose(got[:, wide], want[:, :-1], atol=1e-12)
    np.testing.assert_allclose(got[:, -1], want[:, -1], atol=1e-12)
    np.testing.assert_allclose(
        pools.total_rank(got)[:, 0], total, atol=1e-12)


def test_a_pool_of_everything_is_one_pool():
  some, masks = _masks(20.0)
  people = stats.People(PEOPLE, 10, 0)
  counts = identity.count(masks[""], some.person)
  got = identity.rank_sums(counts, "all", people)
  np.testing.assert_allclose(got, identity.rank_sums(counts, 9, people))
  share = pools.total_rank(got).sum(axis=0)
  assert share[0] / share[1] == pytest.approx(
      np.average([2.5, 2.0, 1.5], weights=[4, 3, 2]))
  sums = got.sum(axis=0)
  assert sums[0] / sums[-1] == pytest.approx(3 / 9)  # three people, 9 queries


def test_drawn_pools_and_shuffled_orders_of_uneven_people():
  rng = np.random.default_rng(0)
  who = np.repeat(np.arange(40), np.maximum(rng.poisson(12, 40), 1))
  n, pool = len(who), 32
  counts = ranks.Counts(
      np.full(n, n), np.bincount(who)[who] - 1)
  people = stats.People(who, 0, 0)
  sums = identity.rank_sums(counts, pool, people)
  found = []
  for i in rng.integers(0, n, 20000):
    near = rng.choice(n - 1, pool - 1, replace=False)
    near += near >= i
    found.append(1 + rng.integers(0, 1 + np.sum(who[near] == who[i])))
  total = sums.sum(axis=0)
  for k in (1, 2, 3):
    assert abs(total[k - 1] / total[-1] - np.mean(
        np.array(found) <= k)) < 0.015
  mean = pools.total_rank(sums).sum(axis=0)
  assert abs(mean[0] / mean[1] - np.mean(found)) < 0.02
  assert pools.median_rank(people, sums).value == np.median(found)


def test_the_scale_of_the_papers_test_set():
  """17,232 people of 116 minutes: recall near 1 without any physiology."""
  for pool, recall, mean in (
      (256, 0.993, 1.007), (1024, 0.971, None), (10000, 0.760, None)):
    got = identity.expect(17232, 116, pool)
    j = np.arange(116)
    p = sps.hypergeom.pmf(j, 17232 * 116 - 1, 115, pool - 1)
    assert got == pytest.approx((p @ (1 / (j + 1)), 1 + p @ j / 2))
    assert abs(got[0] - recall) < 5e-4
    assert mean is None or abs(got[1] - mean) < 5e-4
  assert abs(identity.expect(10, 116, 256)[0] - 0.039) < 5e-4
  assert identity.expect(10, 116, 256, top=5)[0] == pytest.approx(
      5 * identity.expect(10, 116, 256)[0], rel=1e-3)


def test_figures_stand_beside_those_of_the_encoder():
  data, _ = toy.make_inputs(noise=1.5)
  m = Figures()
  retrieval.score_retrieval(data, toy.make_config(), m)
  v = m.flat()

  def names(encoder):  # without intervals: a rank that is always 1 has none
    return {k.replace(f"/{encoder}/", "/") for k in v
            if k.startswith(f"test/{encoder}/") and "_ci95_" not in k}

  assert names("identity") == names("untrained")
  for way in ("acc2ppg", "ppg2acc"):
    for k in (1, 3):  # 8 people with 8 segments each
      want = sps.hypergeom.pmf(np.arange(8), 63, 7, 7) @ np.minimum(
          k / np.arange(1, 9), 1)
      assert v[f"test/identity/{way}/recall@{k}_pool8"] == pytest.approx(want)
      assert v[f"test/identity/within_person/{way}/recall@{k}_pool4"] == (
          pytest.approx(v[f"test/within_person/chance/recall@{k}_pool4"]))
      assert v[f"test/identity/other_people/{way}/recall@{k}_pool8"] == 1
    assert v[f"test/identity/{way}/recall@1_poolall"] == pytest.approx(1 / 8)
    assert v[f"test/identity/{way}/mean_rank_poolall"] == pytest.approx(4.5)
    assert v[f"test/identity/other_people/{way}/mean_rank_pool8"] == 1
    assert (v[f"test/identity/control_fails/{way}/share_pool8"]
            == v[f"test/control_fails/{way}/share_pool8"])
  del data.pairs["envelope"]  # without hand-made vectors
  m = Figures()
  retrieval.score_retrieval(data, toy.make_config(), m)
  alone = m.flat()
  assert "test/identity/control_fails/acc2ppg/share_pool8" not in alone
  name = "test/identity/acc2ppg/median_rank_pool8"
  assert alone[name] == v[name]
