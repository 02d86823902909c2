"""Direct predictions against loops over windows, people and pairs."""

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import (
  average_precision_score,
  balanced_accuracy_score,
  r2_score,
)

from accfm.evals.probes import direct
from accfm.evals.results.figures import TESTED, Figures
from accfm.evals.stats import intervals
from accfm.signals.targets import Target
from tests.evals import toy
from tests.evals.stats.oracle import t_ends

HR = Target("labels/hr_bpm", mean=75.0, sd=12.0)
SEX = Target("attributes/sex", classes=(0.0, 1.0))
AGE = Target("attributes/age_years", mean=50.0, sd=15.0)
CONDITION = Target("condition", classes=("rest", "walk"))


def make(*targets, seed=0):
  """(Inputs with outputs for the targets, its table): 8 people, 64 windows."""
  data, _ = toy.make_inputs()
  rng = np.random.default_rng(seed)
  outputs = rng.normal(size=(64, sum(t.outputs for t in targets)))
  data = dataclasses.replace(
      data, targets=targets, outputs=outputs.astype(np.float32)
  )
  data.table["condition"] = rng.choice(["rest", "walk", ""], 64)
  hr = data.table["labels/hr_bpm"]
  data.table["labels/hr_bpm"] = np.where(rng.random(64) < 0.2, np.nan, hr)
  return data, data.table


def run(data, **fields):
  metrics = Figures()
  config = toy.make_config()
  config.update(fields)
  found = direct.score_direct(data, config, metrics).predictions
  return found, metrics


def ends_of(table, known, measure, within):
  """The interval of `measure(rows)` over the people of the known rows."""
  rows = np.flatnonzero(known)
  return t_ends(
      table["participant"][rows], lambda some: measure(rows[some]), within)


def person_rows(table):
  """{id: its rows}, by name."""
  return {
      str(name): [i for i in range(64) if table["participant"][i] == name]
      for name in sorted(set(table["participant"]))
  }


def double_loop(y, odds):
  """Share of pairs of a 1 and a 0 in the right order, ties half."""
  wins = pairs = 0
  for a, x in zip(y, odds, strict=True):
    for b, z in zip(y, odds, strict=True):
      if a == 1 and b == 0:
        pairs += 1
        wins += 1.0 if x > z else 0.5 if x == z else 0.0
  return wins / pairs if pairs else np.nan


def test_a_number_window_by_window():
  data, table = make(HR)
  (found,), metrics = run(data)
  y = table["labels/hr_bpm"].astype(float)
  p = 75 + 12 * data.outputs[:, 0].astype(float)
  known = ~np.isnan(y)
  assert 0 < known.sum() < 64
  v = metrics.flat()
  mae = lambda rows: np.mean([abs(y[r] - p[r]) for r in rows])  # noqa: E731
  assert v["test/direct_hr/mae_bpm"] == pytest.approx(
      mae(np.flatnonzero(known)))
  ends = ends_of(table, known, mae, intervals.POSITIVE)
  for end, want in zip(("low", "high"), ends, strict=True):
    assert v[f"test/direct_hr/mae_bpm_ci95_{end}"] == pytest.approx(want)
  assert v["test/direct_hr/rmse_bpm"] == pytest.approx(
      np.sqrt(np.mean((y[known] - p[known]) ** 2)))
  assert v["test/direct_hr/r2"] == pytest.approx(r2_score(y[known], p[known]))
  assert v["test/direct_hr/pearson_r"] == pytest.approx(
      np.corrcoef(y[known], p[known])[0, 1])
  assert v["test/direct_hr/windows"] == known.sum()
  assert v["test/direct_hr/people"] == 8 and not metrics.missing()
  assert (found.task, found.unit) == ("direct_hr", "bpm")
  np.testing.assert_allclose(found.true, y[known])
  np.testing.assert_allclose(found.predicted[TESTED][0], p[known])
  for column in ("participant", "session", "start_s"):
    np.testing.assert_array_equal(found.rows[column], table[column][known])


def test_a_trait_is_predicted_from_all_windows_of_a_person():
  data, table = make(AGE)
  (found,), metrics = run(data)
  rows = person_rows(table)
  y = [float(table["attributes/age_years"][r[0]]) for r in rows.values()]
  p = [np.mean([50 + 15 * float(data.outputs[i, 0]) for i in r])
       for r in rows.values()]
  assert metrics.flat()["test/direct_age/mae_years"] == pytest.approx(
      np.mean(np.abs(np.subtract(y, p))))
  assert metrics.flat()["test/direct_age/people"] == 8
  assert "test/direct_age/windows" not in metrics.flat()
  assert found.rows["participant"].tolist() == list(rows)
  assert set(found.rows) == {"participant"}
  np.testing.assert_allclose(found.predicted[TESTED][0], p, rtol=1e-6)


def test_two_classes_of_people_are_ranked_by_their_mean_log_odds():
  data, table = make(SEX)
  (found,), metrics = run(data)
  rows = person_rows(table)
  y = [float(table["attributes/sex"][r[0]]) for r in rows.values()]
  odds = [np.mean([float(data.outputs[i, 1]) - float(data.outputs[i, 0])
                   for i in r]) for r in rows.values()]
  assert metrics.flat()["test/direct_sex/auc"] == pytest.approx(
      double_loop(y, odds))
  assert found.unit == "log_odds"
  np.testing.assert_allclose(found.predicted[TESTED][0], odds, rtol=1e-5)


def test_two_classes_of_windows_and_their_interval():
  data, table = make(CONDITION)
  data = dataclasses.replace(data, outputs=data.outputs.round())  # with ties
  (found,), metrics = run(data)
  y = np.array([{"rest": 0, "walk": 1}.get(c, -1) for c in table["condition"]])
  odds = data.outputs[:, 1].astype(float) - data.outputs[:, 0]
  rows = np.flatnonzero(y >= 0)
  auc = lambda rows: double_loop(y[rows], odds[rows])  # noqa: E731
  v = metrics.flat()
  assert v["test/direct_condition/auc"] == pytest.approx(auc(rows))
  ends = ends_of(table, y >= 0, auc, intervals.SHARE)
  for end, want in zip(("low", "high"), ends, strict=True):
    assert v[f"test/direct_condition/auc_ci95_{end}"] == pytest.approx(want)
  np.testing.assert_array_equal(found.true, y[rows])
  assert v["test/direct_condition/average_precision"] == pytest.approx(
      average_precision_score(y[rows], odds[rows]))
  assert v["test/direct_condition/balanced_accuracy"] == pytest.approx(
      balanced_accuracy_score(y[rows], odds[rows] > 0))


def test_a_rare_class_is_not_scored():
  data, table = make(SEX)
  table["attributes/sex"] = (
      table["participant"] == table["participant"][0]).astype(np.float32)
  found, metrics = run(data)
  assert found == [] and metrics.missing() == [{
      "key": "test/direct_sex/auc",
      "reason": "1 people of the rarer class to test, want at least 3",
  }]
  assert len(run(data, min_class=1)[0]) == 1


def test_several_classes_of_windows():
  target = Target("condition", classes=("rest", "run", "walk"))
  data, table = make(target)
  (found,), metrics = run(data)
  right = []
  for condition, z in zip(table["condition"], data.outputs, strict=True):
    if condition:
      best = max(range(3), key=lambda k: z[k])
      right.append(target.classes[best] == condition)
  v = metrics.flat()
  assert v["test/direct_condition/accuracy"] == pytest.approx(np.mean(right))
  assert v["test/direct_condition/accuracy_ci95_low"] < np.mean(right)
  assert v["test/direct_condition/balanced_accuracy"] is None  # nobody runs
  assert metrics.missing()[0]["reason"] == "no row of one class to test"
  assert found.unit == "class" and len(found.true) == len(right)


def test_several_classes_of_people_by_their_mean_outputs():
  target = Target("attributes/site", classes=(0.0, 1.0, 2.0))
  data, table = make(target)
  rows = person_rows(table)
  table["attributes/site"] = np.zeros(64, np.float32)
  for number, mine in enumerate(rows.values()):
    table["attributes/site"][mine] = number % 3
  (found,), metrics = run(data)
  right, chosen = [], []
  for number, mine in enumerate(rows.values()):
    mean = [np.mean(data.outputs[mine, k], dtype=float) for k in range(3)]
    chosen.append(mean.index(max(mean)))
    right.append(chosen[-1] == number % 3)
  assert found.predicted[TESTED][0].tolist() == chosen
  assert metrics.flat()["test/direct_site/accuracy"] == pytest.approx(
      np.mean(right))
  assert metrics.flat()["test/direct_site/balanced_accuracy"] == pytest.approx(
      balanced_accuracy_score(found.true, chosen))


def test_a_class_that_training_never_saw_is_not_scored():
  data, table = make(CONDITION)
  table["condition"][:40:2] = "swim"
  (found,), metrics = run(data)
  assert len(found.true) == np.isin(table["condition"], ["rest", "walk"]).sum()
  assert metrics.flat()["test/direct_condition/people"] == 8


def test_each_target_reads_its_own_outputs():
  data, _ = make(HR, SEX, CONDITION, AGE)
  found, together = run(data)
  assert [p.task for p in found] == [
      "direct_hr", "direct_sex", "direct_condition", "direct_age"
  ]
  alone, at = {}, 0
  for target in data.targets:
    outputs = data.outputs[:, at:at + target.outputs]
    at += target.outputs
    _, metrics = run(dataclasses.replace(
        data, targets=(target,), outputs=outputs
    ))
    alone |= metrics.flat()
  assert at == 6 and alone == together.flat()


def test_an_encoder_without_a_predictor_has_no_scores():
  data, _ = toy.make_inputs()
  found, metrics = run(data)
  assert not found and metrics.flat() == {} and metrics.missing() == []


def test_what_cannot_be_scored_is_said():
  data, table = make(HR, SEX, Target("labels/x_ms"), CONDITION)
  table["attributes/sex"][:] = 1.0
  nine = table["participant"] != table["participant"][0]
  table["labels/hr_bpm"][nine] = np.nan
  table["condition"][:] = ""
  found, metrics = run(data)
  assert found == []
  tail = "want 2 people or more, and both of two classes"
  labels = int(np.isfinite(table["labels/hr_bpm"]).sum())
  assert metrics.missing() == [
      {"key": "test/direct_hr/mae_bpm",
       "reason": f"{labels} labels of 1 people to test, {tail}"},
      {"key": "test/direct_sex/auc",
       "reason": f"8 labels of 8 people to test, {tail}"},
      {"key": "test/direct_x/mae_ms",
       "reason": "the data set has no such label"},
      {"key": "test/direct_condition/auc",
       "reason": f"0 labels of 0 people to test, {tail}"},
  ]
  assert metrics.flat()["test/direct_x/mae_ms"] is None


def test_the_fewest_people_are_those_of_the_config():
  data, _ = make(HR)
  assert run(data, min_people=9)[0] == []
  assert len(run(data, min_people=8)[0]) == 1
