"""Re-identification against a double loop, by rule."""

import dataclasses

import numpy as np
import pytest

from accfm.evals.results.figures import TESTED, Figures
from accfm.evals.retrieval import pools, reidentify
from tests.evals import toy


def _data(sessions, noise=0.5, each=6, d=5, seed=0):
  """Inputs of one split: person p has `sessions[p]` sessions.

  Windows are 4 s long and 5 s apart; rows are shuffled. Embeddings are a
  person's own point and noise, on dimensions of very different size.
  """
  rng = np.random.default_rng(seed)
  people = [
      (f"toy/p{p}", f"s{s}", 1e9 + 5.0 * w)
      for p, count in enumerate(sessions) for s in range(count)
      for w in range(each)
  ]
  order = rng.permutation(len(people))
  who, which, when = (np.array(c)[order] for c in zip(*people, strict=True))
  own = rng.normal(size=(len(sessions), d))
  number = np.array([int(name[-1]) for name in who])
  x = own[number] + noise * rng.normal(size=(len(who), d))
  x = x * 10.0 ** np.arange(d) + 5
  table = {"participant": who, "session": which, "start_s": when}
  random = rng.normal(size=x.shape)
  data, _ = toy.make_inputs()
  return dataclasses.replace(
      data, tables={"test": table},
      encoders={TESTED: {"test": x}, "untrained": {"test": random},
                "ppg": {"test": random}},
      features={"test": x[:, :2]},
  )


def _loop(x, table, near):
  """{(k, rule): [hits]} by cosine of standardised rows, in float64."""
  who, which, when = (
      table[c] for c in ("participant", "session", "start_s"))
  z = (x - x.mean(axis=0)) / x.std(axis=0)
  z = z / np.linalg.norm(z, axis=1, keepdims=True)
  out = {}
  for i in range(len(x)):
    one = len(set(which[who == who[i]])) == 1
    same, others = [], []
    for j in range(len(x)):
      if who[j] != who[i]:
        others.append(z[i] @ z[j])
      elif which[j] != which[i] or (one and abs(when[i] - when[j]) >= near):
        same.append(z[i] @ z[j])
    if not same:
      continue
    rank = 1 + np.sum(np.array(others) >= max(same))
    rule = "_same_session" if one else "_other_sessions"
    for k in (1, 5):
      for tail in ("", rule):
        hits = out.setdefault((k, tail), [])
        hits.append((rank <= k, pools.chance_in(
            k, np.array([len(same)]), np.array([len(others)]))[0]))
  return {key: np.mean(hits, axis=0) for key, hits in out.items()}


def test_equals_a_double_loop_by_rule():
  data = _data([2, 3, 1, 1])
  m = Figures()
  reidentify.score_reidentification(data, toy.make_config(), m)
  v = m.flat()
  for row, x in (
      ("", data.encoders[TESTED]["test"]), ("features/", data.features["test"]),
      ("untrained/", data.encoders["untrained"]["test"]),
  ):
    want = _loop(x, data.table, 10.0)
    assert len(want) == 6
    for (k, tail), (hit, chance) in want.items():
      assert v[f"test/{row}reidentify/recall@{k}{tail}"] == pytest.approx(hit)
      by_chance = f"test/reidentify/chance{'' if k == 1 else '@5'}{tail}"
      assert v[by_chance] == pytest.approx(chance)
  assert v["test/reidentify/windows"] == 42 and v["test/reidentify/people"] == 4
  assert v["test/reidentify/windows_other_sessions"] == 30
  assert v["test/reidentify/people_same_session"] == 2
  assert 0.5 < v["test/reidentify/recall@1"] < 1
  assert "test/reidentify/recall@1_ci95_low" not in v  # of four people
  assert "test/ppg/reidentify/recall@1" not in v
  assert not m.missing()


def test_one_rule_alone_says_why_not_the_other():
  m = Figures()
  reidentify.score_reidentification(_data([1, 1, 1]), toy.make_config(), m)
  assert m.flat()["test/reidentify/recall@1"] == m.flat()[
      "test/reidentify/recall@1_same_session"]
  (reason,) = m.missing()
  assert reason["key"] == "test/reidentify/recall@1_other_sessions"
  assert "nobody has a second session" in reason["reason"]
  config = toy.make_config()
  config.adjacent_sec = 15.0  # of windows 0 to 25 s, all have one 15 s away
  m = Figures()
  reidentify.score_reidentification(_data([1, 1, 1]), config, m)
  assert m.flat()["test/reidentify/windows_left_out"] == 0
  config.adjacent_sec = 20.0  # and those at 10 and 15 s none 20 s away
  m = Figures()
  reidentify.score_reidentification(_data([1, 1, 1]), config, m)
  assert m.flat()["test/reidentify/windows_left_out"] == 3 * 2
  assert m.flat()["test/reidentify/windows"] == 3 * 4


@pytest.mark.parametrize("sessions, near, want", [
    ([3], 10.0, "1 person, want at least 2"),
    ([1, 1], 300.0, "at least 300 s apart"),
])
def test_not_evaluable(sessions, near, want):
  config = toy.make_config()
  config.adjacent_sec = near
  m = Figures()
  reidentify.score_reidentification(_data(sessions), config, m)
  assert {x["key"] for x in m.missing()} == {
      "test/reidentify/recall@1", "test/reidentify/recall@5"}
  assert all(want in x["reason"] for x in m.missing())
  assert set(m.flat().values()) == {None}


def test_embeddings_that_do_not_vary_identify_nobody():
  data = _data([2, 2, 2])
  data.encoders[TESTED]["test"] = np.full((36, 5), 3.0)
  data.encoders["untrained"]["test"] = np.repeat(  # the person, and no more
      np.array([int(p[-1]) for p in data.table["participant"]])[:, None], 5, 1
  ) ** np.arange(1, 6)
  m = Figures()
  reidentify.score_reidentification(data, toy.make_config(), m)
  assert m.flat()["test/reidentify/recall@1"] == 0
  assert m.flat()["test/untrained/reidentify/recall@1"] == 1
