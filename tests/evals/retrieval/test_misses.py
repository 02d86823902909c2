"""What comes first where retrieval misses, against a loop over all keys."""

import numpy as np
import pytest

from accfm.evals.results.figures import TESTED, Figures
from accfm.evals.retrieval import misses
from accfm.evals.retrieval import run as retrieval
from accfm.evals.stats import scaling
from tests.evals import toy


@pytest.fixture(scope="module")
def scored():
  """(inputs, figures, the sections) of an encoder that knows people best."""
  data, _ = toy.make_inputs(noise=2.0)
  table = dict(data.table)
  rng = np.random.default_rng(0)
  who = np.unique(table["participant"], return_inverse=True)[1]
  table["start_s"] = table["start_s"] + 3600.0 * (who % 3)
  table["session"] = np.where(np.arange(len(who)) % 8 < 4, "a", "b")
  data.tables["test"] = table
  person = rng.normal(size=(8, 12))[who]
  data.pairs[TESTED] = {
      s: x + 3 * person for s, x in data.pairs[TESTED].items()}
  figures = Figures()
  outcome = retrieval.score_retrieval(data, toy.make_config(), figures)
  return data, figures.flat(), outcome.describe()


def _loop(data, a, b):
  """measure -> (share of misses, share by chance), and who is missed."""
  t = data.table
  q, k = (scaling.unit_rows(data.pairs[TESTED][s]) for s in (a, b))
  near = q @ k.T
  n = len(near)
  ends = np.quantile(t["motion_g"], [0.25, 0.5, 0.75])
  quarter = np.array([np.sum(m > ends) for m in t["motion_g"]])
  who, which, when = t["participant"], t["session"], t["start_s"]
  rules = {
      "same_person": lambda i, j: who[i] == who[j],
      "same_recording": lambda i, j: who[i] == who[j] and which[i] == which[j],
      "adjacent": lambda i, j: who[i] == who[j] and which[i] == which[j] and (
          abs(when[i] - when[j]) < 10),
      "same_motion": lambda i, j: quarter[i] == quarter[j],
      "same_hour": lambda i, j: when[i] // 3600 == when[j] // 3600,
  }
  found = {name: ([], []) for name in rules}
  missed = np.zeros(n, bool)
  for i in range(n):
    others = [j for j in range(n) if j != i]
    first = max(others, key=lambda j: near[i, j])
    missed[i] = near[i, first] >= near[i, i]
    if missed[i]:
      for name, rule in rules.items():
        found[name][0].append(rule(i, first))
        found[name][1].append(np.mean([rule(i, j) for j in others]))
  return {name: [np.mean(x) for x in pair] for name, pair in found.items()}, (
      missed, quarter)


@pytest.mark.parametrize("a, b", [("acc", "ppg"), ("ppg", "acc")])
def test_shares_equal_a_loop(scored, a, b):
  data, v, _ = scored
  want, (missed, quarter) = _loop(data, a, b)
  for name, (share, chance) in want.items():
    assert v[f"test/misses/{a}2{b}/{name}"] == pytest.approx(share), name
    assert v[f"test/misses/{a}2{b}/{name}_by_chance"] == pytest.approx(chance)
  assert v[f"test/misses/{a}2{b}/same_person"] > 0.4
  assert v[f"test/misses/{a}2{b}/looked_at"] == missed.sum() > 20
  assert v[f"test/misses/{a}2{b}/missed_share"] == missed.mean()
  for place, name in enumerate(misses.QUARTERS):
    assert v[f"test/by_motion_{name}/{a}2{b}/missed_share"] == pytest.approx(
        missed[quarter == place].mean())


def test_the_section_tells_both(scored):
  section = scored[2][-1]
  assert section.title == "Misses"
  shares, moving = section.parts
  assert [line.cells[0].text for line in shares.lines] == [
      "is of the same person", "is of the same recording",
      "starts less than 10 s from the query in that recording",
      "is of the same quarter of movement",
      "is of the same hour of the day (UTC)"]
  assert len(shares.lines[0].cells) == 5 and len(moving.lines) == 5


def test_few_misses_say_nothing():
  data, _ = toy.make_inputs(noise=0.0)
  data.pairs[TESTED]["ppg"] = data.pairs[TESTED]["acc"]
  figures = Figures()
  outcome = retrieval.score_retrieval(data, toy.make_config(), figures)
  assert figures.flat()["test/misses/acc2ppg/missed_share"] == 0
  assert "test/misses/acc2ppg/same_person" not in figures.flat()
  assert [s.title for s in outcome.describe()] == ["Retrieval"]


def test_many_misses_are_looked_at_evenly(monkeypatch, scored):
  data, v, _ = scored
  monkeypatch.setattr(misses, "MOST", 12)
  figures = Figures()
  retrieval.score_retrieval(data, toy.make_config(), figures)
  assert figures.flat()["test/misses/acc2ppg/looked_at"] == 12
  assert figures.flat()["test/misses/acc2ppg/missed_share"] == v[
      "test/misses/acc2ppg/missed_share"]
