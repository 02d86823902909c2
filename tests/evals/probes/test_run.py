"""Probes of toy encoders, end to end; what they are asked, and its limits."""

import numpy as np
import pytest
from sklearn import metrics as sk

from accfm.base.errors import InputError
from accfm.evals import suite
from accfm.evals.probes import logistic, ridge
from accfm.evals.probes import run as probes
from accfm.evals.results.figures import TESTED, Figures
from tests.evals import toy


def probed(data, **fields):
  """({task: Predictions}, values, {key: reason}) of one run."""
  config = toy.make_config()
  config.update(fields)
  m = Figures()
  found = probes.score_probes(data, config, m).predictions
  reasons = {x["key"]: x["reason"] for x in m.missing()}
  return {p.task: p for p in found}, m.flat(), reasons


def stacked(data, row=TESTED):
  """(x, labels of a column, participants, fit, select, test) by hand."""
  names = ("test", "train", "val")
  stack = lambda c: np.concatenate([data.tables[s][c] for s in names])  # noqa: E731
  x = np.concatenate([data.encoders[row][s] for s in names])
  part = np.repeat([2, 0, 1], [len(data.tables[s]["session"]) for s in names])
  return x, stack, *(part == k for k in range(3))


def test_run_finds_what_is_there_beside_its_baselines():
  data, _ = toy.make_inputs()
  m = Figures()
  found = probes.score_probes(data, toy.make_config(), m).predictions
  v = m.flat()
  assert v["test/probe_hr/mae_bpm"] < 0.5 * v["test/mean/probe_hr/mae_bpm"]
  assert v["test/ppg/probe_hr/mae_bpm"] <= v["test/probe_hr/mae_bpm"]
  assert v["test/untrained/probe_hr/mae_bpm"] > (
      0.8 * v["test/mean/probe_hr/mae_bpm"])
  assert v["test/probe_hr/mae_below_mean_share"] == pytest.approx(
      1 - v["test/probe_hr/mae_bpm"] / v["test/mean/probe_hr/mae_bpm"])
  assert v["test/probe_hr/windows"] == 64
  assert v["test/probe_hr/people"] == 8
  assert v["test/probe_hr/mae_bpm_ci95_low"] < v["test/probe_hr/mae_bpm"]
  train = data.tables["train"]["labels/hr_bpm"].astype(float).mean()
  test = data.table["labels/hr_bpm"].astype(float)
  assert v["test/mean/probe_hr/mae_bpm"] == pytest.approx(
      np.abs(test - train).mean())
  # Nobody has SDNN: said so, with the counts.
  assert v["test/probe_sdnn/mae_ms"] is None
  reasons = {x["key"]: x["reason"] for x in m.missing()}
  assert reasons["test/probe_sdnn/mae_ms"].startswith("0 labelled rows")
  # Per person.
  assert v["test/probe_age/people"] == 8
  assert v["test/probe_age/mae_years"] < v["test/mean/probe_age/mae_years"]
  assert v["test/probe_sex/auc"] > 0.9
  assert {p.task for p in found} == {"hr", "age", "sex"}
  assert found[0].predicted[TESTED].shape == (1, *found[0].true.shape)


def test_a_rare_class_is_not_evaluable():
  data, _ = toy.make_inputs()
  for table in data.tables.values():
    table["attributes/sex"] = (
        table["participant"] == table["participant"][0]).astype(float)
  m = Figures()
  probes.score_probes(data, toy.make_config(), m)
  assert m.flat()["test/probe_sex/auc"] is None
  reasons = {x["key"]: x["reason"] for x in m.missing()}
  assert "rarer class" in reasons["test/probe_sex/auc"]


def test_folds_test_everyone_once():
  data, _ = toy.make_inputs()
  found, v, _ = probed(data, probe_folds=3)
  assert v["test/probe_hr/windows"] == 64
  assert np.isfinite(found["hr"].predicted[TESTED][0]).all()
  usual, _, _ = probed(data)
  assert not np.allclose(
      found["hr"].predicted[TESTED][0], usual["hr"].predicted[TESTED][0])


def test_all_numbers_of_a_panel_are_fitted_together():
  """Predictions equal each label's own ridge; labels are fitted in one go."""
  data, _ = toy.make_inputs()
  rng = np.random.default_rng(0)
  for table in data.tables.values():
    hr = table["labels/hr_bpm"]
    lost = rng.random(len(hr)) < 0.2
    table["labels/sdnn_ms"] = np.where(lost, np.nan, hr / 2).astype(np.float32)
  calls = []
  predict = ridge.predict
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(ridge, "predict", lambda x, y, *a, **k: calls.append(
        (x.shape[1], y.shape[1])) or predict(x, y, *a, **k))
    found, v, _ = probed(data)
  # Windows: three encoders, features, demographics, mean. People: the same.
  assert calls[:6] == [(12, 2)] * 4 + [(2, 2), (0, 2)]
  assert calls[6:12] == [(12, 1)] * 4 + [(1, 1), (0, 1)]
  assert calls[12:] == [(12, 1)] * 4 + [(1, 1)]  # sex once more, by ridge
  x, stack, *parts = stacked(data)
  for task, column in (("hr", "labels/hr_bpm"), ("sdnn", "labels/sdnn_ms")):
    y = stack(column).astype(np.float64)
    p = ridge.predict(x, y[:, None], *parts).predicted[:, 0]
    known = np.isfinite(y[parts[2]])
    np.testing.assert_allclose(
        found[task].predicted[TESTED][0], p[known], rtol=1e-9)
  assert v["test/probe_sdnn/windows"] == known.sum() < 64


# --- labels of every kind ----------------------------------------------------


def test_binary_labels_of_windows():
  data, _ = toy.make_inputs()
  for table in data.tables.values():
    table["labels/fast"] = (table["labels/hr_bpm"] > 75).astype(np.float32)
    table["labels/fast"][::9] = np.nan
  found, v, _ = probed(data)
  x, stack, *parts = stacked(data)
  y = stack("labels/fast").astype(np.float64)
  (want,) = logistic.predict(x, [y], [2], *parts)
  known = np.isfinite(y[parts[2]])
  y, odds = y[parts[2]][known], want.odds[known, 0]
  np.testing.assert_array_equal(found["fast"].predicted[TESTED][0], odds)
  np.testing.assert_array_equal(found["fast"].true, y)
  assert v["test/probe_fast/auc"] == pytest.approx(sk.roc_auc_score(y, odds))
  assert v["test/probe_fast/average_precision"] == pytest.approx(
      sk.average_precision_score(y, odds))
  assert v["test/probe_fast/balanced_accuracy"] == pytest.approx(
      sk.balanced_accuracy_score(y, want.chosen[known]))
  assert v["test/probe_fast/balanced_accuracy_ci95_low"] < (
      v["test/probe_fast/balanced_accuracy"])
  assert v["test/probe_fast/positives"] == y.sum()
  assert v["test/probe_fast/windows"] == len(y)
  assert found["fast"].unit == "log_odds"
  assert v["test/probe_fast/auc"] > 0.9 > v["test/untrained/probe_fast/auc"]
  assert "test/mean/probe_fast/auc" not in v  # nothing to rank by


def conditions(data, *names):
  """Gives windows a condition by their rate; "" to a tenth of them."""
  rng = np.random.default_rng(1)
  for table in data.tables.values():
    hr = table["labels/hr_bpm"]
    place = np.searchsorted(np.linspace(66, 84, len(names) - 1), hr)
    table["condition"] = np.array(names)[place]
    table["condition"][rng.random(len(hr)) < 0.1] = ""


def test_two_conditions_are_ranked():
  data, _ = toy.make_inputs()
  conditions(data, "rest", "walk")
  found, v, _ = probed(data)
  known = data.table["condition"] != ""
  y = (data.table["condition"] == "walk")[known]
  np.testing.assert_array_equal(found["condition"].true, y)
  assert v["test/probe_condition/auc"] == pytest.approx(
      sk.roc_auc_score(y, found["condition"].predicted[TESTED][0]))
  assert v["test/probe_condition/classes"] == 2


def test_three_conditions_by_multinomial_regression():
  data, _ = toy.make_inputs()
  conditions(data, "rest", "walk", "run/uphill")
  found, v, _ = probed(data)
  x, stack, *parts = stacked(data)
  names = ("rest", "run/uphill", "walk")  # sorted
  y = np.full(len(x), np.nan)
  for place, name in enumerate(names):
    y[stack("condition") == name] = place
  (want,) = logistic.predict(x, [y], [3], *parts)
  known = np.isfinite(y[parts[2]])
  y, chosen = y[parts[2]][known], want.chosen[known]
  assert v["test/probe_condition/auc"] == pytest.approx(
      sk.roc_auc_score(y, np.exp(want.odds[known]), multi_class="ovr"))
  assert v["test/probe_condition/balanced_accuracy"] == pytest.approx(
      sk.balanced_accuracy_score(y, chosen))
  assert found["condition"].unit == "class"
  np.testing.assert_array_equal(found["condition"].predicted[TESTED][0], chosen)
  assert "test/probe_condition/average_precision" not in v
  assert v["test/probe_condition/classes"] == 3
  assert v["test/by_condition_run_uphill/probe_hr/mae_bpm"] > 0


def test_a_rare_condition_is_left_out_and_said():
  data, _ = toy.make_inputs()
  conditions(data, "rest", "walk", "run")
  train = data.tables["train"]
  swims = np.isin(train["participant"], np.unique(train["participant"])[:2])
  train["condition"][swims] = "swim"
  found, v, reasons = probed(data)
  assert v["test/probe_condition/auc_of_swim"] is None
  assert reasons["test/probe_condition/auc_of_swim"] == (
      "2 people of this class to fit on, want at least 3: its rows are left "
      "out")
  assert v["test/probe_condition/classes"] == 3
  assert v["test/probe_condition/auc"] > 0.7


def test_what_cannot_be_evaluated_is_said():
  data, _ = toy.make_inputs()
  for table in data.tables.values():
    table["labels/same_ms"] = np.full_like(table["labels/hr_bpm"], 5.0)
    table["labels/never"] = np.zeros_like(table["labels/hr_bpm"])
    table["condition"] = np.where(table["condition"] == "", "rest", "rest")
    table["labels/fitted_same_ms"] = table["labels/hr_bpm"].copy()
    table["attributes/target_one"] = np.float32(
        table["participant"] == data.table["participant"][0])
  data.tables["train"]["labels/fitted_same_ms"][:] = 60.0
  _, v, reasons = probed(data)
  rows = ("", "untrained/", "ppg/", "features/", "demographics/", "mean/")
  for row in rows:
    assert v[f"test/{row}probe_same/mae_ms"] is None
    assert (reasons[f"test/{row}probe_same/mae_ms"]
            == "the label is constant (5) to fit on")
    assert (reasons[f"test/{row}probe_fitted_same/mae_ms"]
            == "the label is constant (60) to fit on")
    if row != "mean/":
      assert "rarer class" in reasons[f"test/{row}probe_never/auc"]
      assert "1 class(es)" in reasons[f"test/{row}probe_condition/auc"]
      assert reasons[f"test/{row}probe_target_one/auc"] == (
          "0 people of the rarer class to fit (0: 20, 1: 0), want at least 3")
  assert all(value is not None for key, value in v.items()
             if "probe_hr/" in key and "by_" not in key)


def test_one_participant_is_not_evaluable():
  data, _ = toy.make_inputs()
  one = data.table["participant"] == data.table["participant"][0]
  for rows in (data.encoders, {"": data.features}):
    for parts in rows.values():
      parts["test"] = parts["test"][one]
  data.tables["test"] = {c: v[one] for c, v in data.table.items()}
  found, v, reasons = probed(data)
  assert not found
  assert "8 labelled rows of 1 people to test" in reasons[
      "test/probe_hr/mae_bpm"]
  assert v["test/probe_hr/mae_bpm"] is None


def test_a_person_may_be_mean_and_spread():
  data, _ = toy.make_inputs()
  _, plain, _ = probed(data)
  _, more, _ = probed(data, person_pooling="mean_sd")
  hr, age = "test/probe_hr/mae_bpm", "test/probe_age/mae_years"
  assert plain[hr] == more[hr] and plain[age] != more[age]


@pytest.mark.parametrize("fields, match", [
    (dict(person_pooling="max"), "person_pooling: got 'max', want 'mean' or"),
    (dict(label_fractions=(0.1, 1.5)),
     r"label_fractions: got \(0.1, 1.5\), want each above 0 and up to 1"),
    (dict(label_draws=0), "label_draws: got 0, want 1 or more"),
])
def test_a_config_that_no_probe_can_follow(fields, match):
  config = toy.make_config()
  config.update(fields)
  config.evals = ("probe",)
  with pytest.raises(InputError, match=match):
    suite.check(config)
