"""Probes against scikit-learn, and the protocol against leaks."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score, roc_auc_score

from accfm.data.labelled import some_people
from accfm.evals import probe, stats
from tests.evals import toy


@pytest.mark.parametrize("n, d", [(60, 8), (20, 30)])
def test_ridge_equals_scikit_learn(n, d):
  rng = np.random.default_rng(0)
  x, y = rng.normal(3, 2, size=(n + 10, d)), rng.normal(70, 9, size=n + 10)
  x[:, 1] = 4.0  # a constant column must not matter
  rows = np.arange(n)
  got = probe.ridge(x, y, rows, (0.1, 10.0))
  z = (x - x[:n].mean(0)) / np.where(x[:n].std(0) > 0, x[:n].std(0), 1)
  for alpha, path in zip((0.1, 10.0), got, strict=True):
    want = Ridge(alpha=alpha).fit(z[:n], y[:n]).predict(z)
    np.testing.assert_allclose(path, want, atol=1e-8)


def test_no_columns_predict_the_mean_of_the_fitting_rows():
  y = np.array([1.0, 2.0, 6.0, 100.0])
  role = np.array([probe.FIT, probe.FIT, probe.SELECT, probe.TEST])
  np.testing.assert_allclose(
      probe.ridge_probe(np.zeros((4, 0)), y, role), 1.5
  )


def test_test_labels_are_not_read():
  rng = np.random.default_rng(0)
  x, y = rng.normal(size=(90, 6)), rng.normal(size=90)
  role = np.repeat([probe.FIT, probe.SELECT, probe.TEST], 30)
  other = np.where(role == probe.TEST, 1e6, y)
  np.testing.assert_array_equal(
      probe.ridge_probe(x, y, role), probe.ridge_probe(x, other, role)
  )


def test_scores_equal_their_definitions():
  rng = np.random.default_rng(0)
  y = rng.normal(70, 8, 50)
  p = 0.5 * y + 30 + rng.normal(0, 4, 50)
  s = probe.moments(y, p).sum(axis=0)
  assert probe.mae(s) == pytest.approx(np.mean(np.abs(y - p)))
  assert probe.rmse(s) == pytest.approx(np.sqrt(np.mean((y - p) ** 2)))
  assert probe.r2(s) == pytest.approx(r2_score(y, p))
  assert probe.pearson(s) == pytest.approx(np.corrcoef(y, p)[0, 1])
  assert np.isnan(probe.pearson(probe.moments(y, y * 0 + 70).sum(axis=0)))


def test_auc_equals_scikit_learn_and_its_interval_a_loop():
  rng = np.random.default_rng(0)
  y = (np.arange(30) % 3 == 0).astype(float)
  odds = np.round(y + rng.normal(size=30), 1)  # with ties
  ids = rng.permutation(30).astype(str)
  people = stats.People(ids, 60, 0)
  got = stats.auc(people, y, odds)
  assert got.value == pytest.approx(roc_auc_score(y, odds))
  where = {name: i for i, name in enumerate(ids)}
  drawn = []
  for counts in people.weights:
    rows = np.repeat([where[n] for n in people.names], counts)
    drawn.append(roc_auc_score(y[rows], odds[rows]))
  assert got.low == pytest.approx(np.percentile(drawn, 2.5))
  assert got.high == pytest.approx(np.percentile(drawn, 97.5))


def test_run_finds_what_is_there_beside_its_baselines():
  data, _ = toy.make_inputs()
  m = stats.Metrics()
  found = probe.run(data, toy.make_config(), m)
  v = m.values
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
  reasons = {x["key"]: x["reason"] for x in m.missing}
  assert reasons["test/probe_sdnn/mae_ms"].startswith("0 labelled rows")
  # Per person.
  assert v["test/probe_age/people"] == 8
  assert v["test/probe_age/mae_years"] < v["test/mean/probe_age/mae_years"]
  assert v["test/probe_sex/auc"] > 0.9
  assert {p.task for p in found} == {"hr", "age", "sex"}
  assert found[0].predicted[""].shape == found[0].true.shape


def test_folds_test_everyone_once_with_more_to_fit_on():
  data, _ = toy.make_inputs()
  config = toy.make_config()
  config.probe_folds = 3
  _, people, roles = probe._roles(data, config)
  tested = np.sum([role == probe.TEST for role in roles], axis=0)
  own = np.isin(people, data.table["participant"])
  np.testing.assert_array_equal(tested, own.astype(int))
  for role in roles:
    test, fit = people[role == probe.TEST], people[role == probe.FIT]
    assert not set(test) & set(fit)
    assert len(set(fit)) == 20 + 8 - len(set(test))
  m = stats.Metrics()
  probe.run(data, config, m)
  assert m.values["test/probe_hr/windows"] == 64


def test_the_val_split_is_not_selected_on_itself():
  data, _ = toy.make_inputs()
  data = type(data)(**{**data.__dict__, "split": "val"})
  _, people, (role,) = probe._roles(data, toy.make_config())
  groups = [set(people[role == r]) for r in (
      probe.FIT, probe.SELECT, probe.TEST)]
  assert [len(g) for g in groups] == [16, 4, 6]
  assert not groups[1] & groups[2]


def test_a_rare_class_is_not_evaluable():
  data, _ = toy.make_inputs()
  for table in data.tables.values():
    table["attributes/sex"] = (
        table["participant"] == table["participant"][0]).astype(float)
  m = stats.Metrics()
  probe.run(data, toy.make_config(), m)
  assert m.values["test/probe_sex/auc"] is None
  reasons = {x["key"]: x["reason"] for x in m.missing}
  assert "rarer class" in reasons["test/probe_sex/auc"]


# --- fewer labels ------------------------------------------------------------


def fractions(*wanted, seed=0):
  config = toy.make_config()
  config.label_fractions, config.label_seed = wanted, seed
  return config


def probed(data, config):
  m = stats.Metrics()
  found = probe.run(data, config, m)
  return {p.task: p for p in found}, m.values


def test_a_tenth_of_the_labels_is_that_of_some_people():
  """Against the probe itself, fitted on those two people by hand."""
  data, _ = toy.make_inputs()
  train = data.tables["train"]
  chosen = some_people(train["participant"], 0.1, 4)
  assert len(chosen) == 2
  found, values = probed(data, fractions(0.1, seed=4))
  names = ("train", "val", "test")
  x = np.concatenate([data.encoders[""][s] for s in names])
  y = np.concatenate([
      data.tables[s]["labels/hr_bpm"] for s in names]).astype(float)
  who = np.concatenate([data.tables[s]["participant"] for s in names])
  role = np.repeat([probe.FIT, probe.SELECT, probe.TEST], [160, 48, 64])
  role[:160][~np.isin(who[:160], chosen)] = -1
  assert (role == probe.FIT).sum() == 16
  want = probe.ridge_probe(x, y, role)[role == probe.TEST]
  np.testing.assert_allclose(
      found["hr_at_10pct"].predicted[""], want, rtol=1e-9)
  y = y[role == probe.TEST]
  assert values["test/probe_hr_at_10pct/mae_bpm"] == pytest.approx(
      np.abs(want - y).mean())
  mean = train["labels/hr_bpm"][np.isin(train["participant"], chosen)]
  assert values["test/mean/probe_hr_at_10pct/mae_bpm"] == pytest.approx(
      np.abs(mean.astype(float).mean() - y).mean())


def test_labels_of_everybody_else_are_not_read():
  data, _ = toy.make_inputs()
  train = data.tables["train"]
  chosen = some_people(train["participant"], 0.3, 0)
  _, before = probed(data, fractions(0.3, 1.0))
  others = ~np.isin(train["participant"], chosen)
  train["labels/hr_bpm"][others] = 1e6
  _, after = probed(data, fractions(0.3, 1.0))
  few = [k for k in before if "_at_30pct/" in k]
  assert "test/probe_hr_at_30pct/mae_bpm" in few
  assert {k: before[k] for k in few} == {k: after[k] for k in few}
  assert after["test/probe_hr/mae_bpm"] > 10 * before["test/probe_hr/mae_bpm"]
  train["labels/hr_bpm"][~others] += 50
  _, moved = probed(data, fractions(0.3))
  key = "test/probe_hr_at_30pct/mae_bpm"
  assert moved[key] > 2 * before[key]


def test_the_fraction_is_of_the_labelled_people():
  """Half of the people have no label: a fifth of the others is chosen."""
  data, _ = toy.make_inputs()
  train = data.tables["train"]
  people = np.unique(train["participant"])
  train["labels/hr_bpm"][np.isin(train["participant"], people[:10])] = np.nan
  known = np.isfinite(train["labels/hr_bpm"])
  chosen = some_people(people[10:], 0.2, 1)
  assert len(chosen) == 2
  assert set(some_people(people, 0.2, 1)) & set(people[10:]) > set(chosen)
  _, before = probed(data, fractions(0.2, seed=1))
  train["labels/hr_bpm"][
      known & ~np.isin(train["participant"], chosen)] = 1e6
  assert probed(data, fractions(0.2, seed=1))[1] == before
  train["labels/hr_bpm"][np.isin(train["participant"], chosen)] = 1e6
  assert probed(data, fractions(0.2, seed=1))[1] != before


def test_all_labels_are_the_plain_probe():
  data, _ = toy.make_inputs()
  _, plain = probed(data, toy.make_config())
  _, several = probed(data, fractions(0.05, 0.125, 1.0, seed=9))
  assert {k: v for k, v in several.items() if "pct" not in k} == plain
  assert {k.split("/")[-2] for k in several if "_at_" in k} == {
      "probe_hr_at_5pct", "probe_hr_at_12.5pct",
      "probe_sdnn_at_5pct", "probe_sdnn_at_12.5pct",
  }  # no trait is probed on fewer people
  assert "test/ppg/probe_hr_at_5pct/mae_bpm" in several
  assert "test/probe_hr_at_5pct/mae_below_mean_share" in several


def test_more_labels_say_more():
  data, _ = toy.make_inputs()
  _, v = probed(data, fractions(0.05, 1.0))
  assert v["test/probe_hr_at_5pct/mae_bpm"] > v["test/probe_hr/mae_bpm"]


def test_roles_are_restricted_to_fit_on_some_people():
  people = np.repeat([f"x/{i}" for i in range(12)], 2)
  role = np.repeat([probe.FIT, probe.SELECT, probe.TEST], [16, 4, 4])
  known = np.arange(24) >= 4  # the first two people have no label
  (same,) = probe._restrict([role], people, known, 1.0, 0)
  assert same is role
  (few,) = probe._restrict([role], people, known, 0.5, 1)
  chosen = some_people(people[4:16], 0.5, 1)
  assert len(chosen) == 3
  for i in range(24):
    kept = role[i] != probe.FIT or people[i] in chosen
    assert few[i] == (role[i] if kept else -1)
  assert role.tolist().count(probe.FIT) == 16  # as it was
  (none,) = probe._restrict([role], people, known & False, 0.5, 1)
  assert (none == -1).sum() == 16
