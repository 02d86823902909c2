"""Folds: rows of differently fitted models are never put in one order."""

import numpy as np
import pytest

from accfm.evals import inputs
from accfm.evals.probes import logistic
from accfm.evals.probes import run as probes
from accfm.evals.results.figures import TESTED, Figures
from tests.evals import toy

EACH = 4  # windows of a person


def noise(seed, train, tested):
  """Inputs whose embeddings know nothing; labels of windows and people."""
  rng = np.random.default_rng(seed)
  tables, encoders = {}, {}
  for name, people in (("train", train), ("val", 2), ("test", tested)):
    n = people * EACH
    who = np.repeat(np.arange(people), EACH)
    level = rng.normal(size=people)[who]
    tables[name] = {
        "participant": np.array([f"toy/{name}{i:03d}" for i in who]),
        "session": np.array(["a"] * n),
        "start_s": 4.0 * np.tile(np.arange(EACH), people),
        "labels/hr_bpm": 70 + 9 * level + 4 * rng.normal(size=n),
        "labels/fast": rng.integers(0, 2, n).astype(float),
        "attributes/level_years": 50 + 9 * rng.normal(size=people)[who],
        "attributes/kind": rng.integers(0, 2, people)[who].astype(float),
    }
    own = rng.normal(size=(people, 6))[who] + rng.normal(size=(n, 6))
    encoders[name] = own
  return inputs.Inputs(
      "test", tables, {TESTED: encoders}, {}, {}, "acc", "ppg", 4.0)


def probed(data, folds):
  """({key: value}, {task: Predictions}, {key: reason})."""
  figures = Figures()
  config = toy.make_config(
      probe_folds=folds, bootstrap_draws=0, subgroups=False, min_class=1,
      min_participants=2)
  found = probes.score_probes(data, config, figures).predictions
  reasons = {x["key"]: x["reason"] for x in figures.missing()}
  return figures.flat(), {p.task: p for p in found}, reasons


@pytest.mark.parametrize("train, folds, seeds, of_people", [
    (20, 5, 20, True), (4, 20, 6, False),
])
def test_noise_scores_chance(train, folds, seeds, of_people, monkeypatch):
  """Within 3 standard errors of the mean over seeds."""
  monkeypatch.setattr(logistic, "STRENGTHS", (0.01,))  # one is quicker
  chance = {"fast/auc": 0.5, "fast/auc_ridge": 0.5, "hr/pearson_r": 0.0}
  if of_people:
    chance |= {"kind/auc": 0.5, "kind/auc_ridge": 0.5, "level/pearson_r": 0.0}
  got = {name: [] for name in chance}
  for seed in range(seeds):
    values, _, _ = probed(noise(seed, train, 20), folds)
    for name in chance:
      got[name].append(values[f"test/probe_{name}"])
  for name, want in chance.items():
    found = np.array(got[name], float)
    error = found.std(ddof=1) / np.sqrt(seeds)
    assert abs(found.mean() - want) < 3 * error, (name, found.mean(), error)


def test_one_person_a_fold_cannot_rank_people():
  values, found, reasons = probed(noise(0, 4, 20), 20)
  assert values["test/probe_kind/auc"] is None
  assert reasons["test/probe_kind/auc"] == (
      "no fold tests class 0 beside another, and rows are ranked within a "
      "fold; want fewer folds")
  assert reasons["test/probe_level/pearson_r"] == (
      "each fold tests one row, and rows of two folds are never correlated; "
      "want fewer folds")
  assert values["test/probe_level/mae_years"] > 0
  assert "kind" not in found and set(found["hr"].fold) == set(range(20))


def test_one_person_to_select_is_enough_with_folds():
  data = noise(1, 8, 8)
  val = data.tables["val"]
  one = val["participant"] == val["participant"][0]
  data.tables["val"] = {c: v[one] for c, v in val.items()}
  data.encoders[TESTED]["val"] = data.encoders[TESTED]["val"][one]
  values, _, reasons = probed(data, 4)
  assert values["test/probe_hr/mae_bpm"] > 0, reasons
  assert values["test/probe_fast/balanced_accuracy"] is not None


def test_a_fold_is_one_group_of_people_and_its_scores_are_within_it():
  """Against loops over the pairs of each fold."""
  values, found, _ = probed(noise(2, 10, 12), 4)
  fast, hr = found["fast"], found["hr"]
  for one in (fast, hr):
    by_person = {}
    for person, fold in zip(one.rows["participant"], one.fold, strict=True):
      by_person.setdefault(person, set()).add(int(fold))
    assert all(len(folds) == 1 for folds in by_person.values())
    assert set(one.fold) == {0, 1, 2, 3}
  odds = fast.predicted[TESTED][0]
  wins = pairs = 0.0
  for i in range(len(odds)):
    for j in range(len(odds)):
      if fast.fold[i] == fast.fold[j] and fast.true[i] > fast.true[j]:
        pairs += 1
        wins += (odds[i] > odds[j]) + 0.5 * (odds[i] == odds[j])
  assert values["test/probe_fast/auc"] == pytest.approx(wins / pairs)
  true, predicted = hr.true.copy(), hr.predicted[TESTED][0].copy()
  for fold in range(4):
    rows = hr.fold == fold
    true[rows] -= true[rows].mean()
    predicted[rows] -= predicted[rows].mean()
    predicted[rows] /= predicted[rows].std()
  assert values["test/probe_hr/pearson_r"] == pytest.approx(
      np.corrcoef(true, predicted)[0, 1])
