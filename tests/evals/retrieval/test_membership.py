"""Membership inference: loops, an encoder that remembers, one that cannot."""

import dataclasses

import numpy as np
import pytest

from accfm.evals.results.figures import TESTED, Figures
from accfm.evals.retrieval import membership
from tests.evals import toy


def _world(seed=0):
  """20 train and 20 test people whose embeddings are drawn alike."""
  rng = np.random.default_rng(seed)
  data, _ = toy.make_inputs()
  splits = {"train": toy.Split(20, 8, seed=1, prefix="toy/a"),
            "test": toy.Split(20, 8, seed=3, prefix="toy/c")}
  tables = {name: split.table for name, split in splits.items()}
  draw = lambda: {name: rng.normal(size=(160, 6)) for name in tables}  # noqa: E731
  return dataclasses.replace(
      data, tables=tables, encoders={TESTED: draw(), "untrained": draw()},
      features=draw(), likeness={
          TESTED: {n: rng.normal(size=160) for n in tables}},
      members=np.unique(tables["train"]["participant"]).tolist())


def _score(data):
  figures = Figures()
  outcome = membership.score_membership(data, toy.make_config(), figures)
  return figures, outcome


def test_scores_of_segments_equal_loops():
  data, rng = _world(), np.random.default_rng(1)
  order = rng.permutation(160)
  table = {c: data.table[c][order]
           for c in ("participant", "session", "start_s")}
  x = rng.normal(size=(160, 6)) * 3 + 1
  got = membership.attack(table, x)
  z = (x - x.mean(axis=0)) / x.std(axis=0)
  z /= np.linalg.norm(z, axis=1, keepdims=True)
  who, when = table["participant"], table["start_s"]
  for i in range(160):
    assert got["norm"][i] == pytest.approx(np.sqrt(np.sum(x[i] ** 2)))
    assert got["neighbour"][i] == pytest.approx(max(
        z[i] @ z[j] for j in range(160) if who[j] != who[i]), abs=1e-5)
    later = [j for j in range(160) if who[j] == who[i] and when[j] > when[i]]
    if not later:
      assert np.isnan(got["spread"][i])
    else:
      j = min(later, key=lambda j: when[j])
      assert got["spread"][i] == pytest.approx(z[i] @ z[j])


def test_the_auc_is_over_people():
  data = _world()
  v = _score(data)[0].flat()
  means = {}
  for name in ("train", "test"):
    norm = np.linalg.norm(data.encoders[TESTED][name], axis=1)
    who = data.tables[name]["participant"]
    means[name] = [norm[who == p].mean() for p in np.unique(who)]
  want = np.mean([a > b for a in means["train"] for b in means["test"]])
  assert v["test/membership_norm/auc"] == pytest.approx(want)
  assert v["test/membership/members"] == v["test/membership/others"] == 20


def test_who_is_remembered_is_found_and_nobody_else():
  data = _world()
  remembered = data.encoders[TESTED]["train"]
  who = np.unique(data.tables["train"]["participant"], return_inverse=True)[1]
  remembered[:] = 0.3 * remembered + 4 * np.random.default_rng(5).normal(
      size=(20, 6))[who]
  data.likeness[TESTED]["train"][:] += 2
  figures, outcome = _score(data)
  v = figures.flat()
  for attack in ("norm", "spread", "pair"):
    assert v[f"test/membership_{attack}/auc"] > 0.9, attack
    assert v[f"test/membership_{attack}/auc_ci95_low"] > 0.6
  (section,) = outcome.describe()
  assert section.title == "Membership" and len(section.parts[0].heads) == 5
  assert [line.cells[0].text for line in section.parts[0].lines] == [
      "this encoder", "motion features", "untrained encoder"]
  found = []  # what cannot know is at chance, on average
  for seed in range(12):
    v = _score(_world(seed))[0].flat()
    found += [v[f"test/{row}membership_{a}/auc"]
              for row in ("", "untrained/", "features/")
              for a in ("norm", "neighbour", "spread")]
  assert abs(np.mean(found) - 0.5) < 3 * np.std(found) / np.sqrt(len(found))


def test_what_cannot_be_told():
  data = _world()
  for change, want in (
      (dict(members=()), "0 people who were trained on and 20 who were not"),
      (dict(tables={"test": data.table}), "needs the train split"),
      (dict(split="train"), "needs the train split and another one"),
  ):
    figures, outcome = _score(dataclasses.replace(data, **change))
    (missing,) = figures.missing()
    assert want in missing["reason"] and outcome.describe() == ()
  # Test people who were trained on as well are not among the others.
  some = [*data.members, *np.unique(data.table["participant"])[:3]]
  v = _score(dataclasses.replace(data, members=some))[0].flat()
  assert v["test/membership/others"] == 17
