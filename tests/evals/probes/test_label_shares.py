"""Probes on some of the labelled people: who, how often, and what is said."""

import numpy as np
import pytest

from accfm.data.labelled import some_people
from accfm.evals.probes import label_shares as fractions
from accfm.evals.probes import run as probes
from accfm.evals.probes.roles import FIT, SELECT, TEST
from accfm.evals.results.figures import TESTED, Figures
from accfm.evals.stats import intervals
from tests.evals import toy
from tests.evals.probes import slow
from tests.evals.stats.oracle import t_ends


def config_of(*wanted, seed=0, draws=1):
  config = toy.make_config()
  config.label_fractions, config.label_seed = wanted, seed
  config.label_draws = draws
  return config


def probed(data, config):
  m = Figures()
  found = probes.score_probes(data, config, m).predictions
  return {p.task: p for p in found}, m.flat()


def by_hand(data, chosen):
  """Predictions of the test windows by a probe on some train people alone."""
  names = ("train", "val", "test")
  x = np.concatenate([data.encoders[TESTED][s] for s in names])
  y = np.concatenate([
      data.tables[s]["labels/hr_bpm"] for s in names]).astype(float)
  who = np.concatenate([data.tables[s]["participant"] for s in names])
  part = np.repeat([0, 1, 2], [160, 48, 64])
  fit = (part == 0) & np.isin(who, chosen)
  got, _ = slow.ridge_of(
      x[fit].astype(float), y[fit], who[fit].tolist(),
      x[part == 2].astype(float))
  return got, y[part == 2]


def test_a_tenth_of_the_labels_is_that_of_some_people():
  """Against the probe itself, fitted on those two people by hand."""
  data, _ = toy.make_inputs()
  train = data.tables["train"]
  chosen = some_people(train["participant"], 0.1, 4)
  assert len(chosen) == 2
  found, values = probed(data, config_of(0.1, seed=4))
  want, y = by_hand(data, chosen)
  np.testing.assert_allclose(
      found["hr_at_10pct"].predicted[TESTED][0], want, rtol=1e-7)
  assert values["test/probe_hr_at_10pct/mae_bpm"] == pytest.approx(
      np.abs(want - y).mean())
  mean = train["labels/hr_bpm"][np.isin(train["participant"], chosen)]
  assert values["test/mean/probe_hr_at_10pct/mae_bpm"] == pytest.approx(
      np.abs(mean.astype(float).mean() - y).mean())
  assert values["test/probe_hr_at_10pct/labelled_people"] == 2
  assert values["test/probe_hr_at_10pct/draws"] == 1


def test_several_draws_are_averaged_and_all_are_predicted():
  data, _ = toy.make_inputs()
  people = data.tables["train"]["participant"]
  found, values = probed(data, config_of(0.15, 1.0, seed=4, draws=3))
  drawn = [some_people(people, 0.15, 4 + d) for d in range(3)]
  assert len({tuple(d) for d in drawn}) == 3 and len(drawn[0]) == 3
  made = [by_hand(data, chosen) for chosen in drawn]
  y = made[0][1]
  errors = np.array([np.abs(p - y) for p, _ in made])  # [draws, M]
  key = "test/probe_hr_at_15pct/mae_bpm"
  assert values[key] == pytest.approx(errors.mean())
  assert values[f"{key}_draws_sd"] == pytest.approx(
      np.std(errors.mean(axis=1), ddof=1))
  assert values["test/probe_hr_at_15pct/draws"] == 3
  assert values["test/probe_hr_at_15pct/labelled_people"] == 3
  np.testing.assert_allclose(
      found["hr_at_15pct"].predicted[TESTED], [p for p, _ in made], rtol=1e-7)
  assert found["hr"].predicted[TESTED].shape == (1, 64)
  # The interval is wider than over test people alone: it covers the draws.
  low, high = t_ends(data.table["participant"],
                     lambda rows: errors[:, rows].mean(), intervals.POSITIVE)
  assert values[f"{key}_ci95_low"] < low < high < values[f"{key}_ci95_high"]
  mean = values["test/mean/probe_hr_at_15pct/mae_bpm"]
  assert values["test/probe_hr_at_15pct/mae_below_mean_share"] == (
      pytest.approx(1 - values[key] / mean))
  # All labels need no second draw.
  assert "test/probe_hr/mae_bpm_draws_sd" not in values
  assert "test/probe_hr/draws" not in values
  assert values["test/probe_hr/labelled_people"] == 20


def test_more_draws_do_not_move_the_first():
  data, _ = toy.make_inputs()
  one, _ = probed(data, config_of(0.15, seed=2))
  many, _ = probed(data, config_of(0.15, seed=2, draws=4))
  np.testing.assert_array_equal(
      one["hr_at_15pct"].predicted[TESTED][0],
      many["hr_at_15pct"].predicted[TESTED][0])


def test_classes_on_a_share_of_the_people():
  data, _ = toy.make_inputs()
  for table in data.tables.values():
    table["labels/fast"] = (table["labels/hr_bpm"] > 75).astype(np.float32)
  _, v = probed(data, config_of(0.5, 1.0, draws=3))
  key = "test/probe_fast_at_50pct"
  assert 0.8 < v[f"{key}/auc"] <= v["test/probe_fast/auc"] + 0.05
  assert v[f"{key}/auc_draws_sd"] > 0
  assert v[f"{key}/average_precision"] and v[f"{key}/balanced_accuracy"]


def test_labels_of_everybody_else_are_not_read():
  data, _ = toy.make_inputs()
  train = data.tables["train"]
  chosen = some_people(train["participant"], 0.3, 0)
  _, before = probed(data, config_of(0.3, 1.0))
  others = ~np.isin(train["participant"], chosen)
  train["labels/hr_bpm"][others] = 1e6
  _, after = probed(data, config_of(0.3, 1.0))
  few = [k for k in before if "_at_30pct/" in k]
  assert "test/probe_hr_at_30pct/mae_bpm" in few
  assert {k: before[k] for k in few} == {k: after[k] for k in few}
  assert after["test/probe_hr/mae_bpm"] > 10 * before["test/probe_hr/mae_bpm"]
  train["labels/hr_bpm"][~others] += 50
  _, moved = probed(data, config_of(0.3))
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
  _, before = probed(data, config_of(0.2, seed=1))
  train["labels/hr_bpm"][
      known & ~np.isin(train["participant"], chosen)] = 1e6
  assert probed(data, config_of(0.2, seed=1))[1] == before
  train["labels/hr_bpm"][np.isin(train["participant"], chosen)] = 1e6
  assert probed(data, config_of(0.2, seed=1))[1] != before


def test_one_labelled_person_chooses_by_halves():
  data, _ = toy.make_inputs()
  people = data.tables["train"]["participant"]
  found, values = probed(data, config_of(0.05, draws=3))
  drawn = [some_people(people, 0.05, d) for d in range(3)]
  want = [by_hand(data, chosen)[0] for chosen in drawn]
  np.testing.assert_allclose(
      found["hr_at_5pct"].predicted[TESTED], want, rtol=1e-7)
  assert values["test/probe_hr_at_5pct/labelled_people"] == 1


def test_no_label_outside_the_share_changes_a_prediction():
  """Others' labels are noise, those of the val people are absent."""
  data, _ = toy.make_inputs()
  for table in data.tables.values():
    table["labels/fast"] = (table["labels/hr_bpm"] > 75).astype(np.float32)
  before, figures = probed(data, config_of(0.3, draws=2))
  train, val = data.tables["train"], data.tables["val"]
  chosen = {p for d in range(2) for p in some_people(
      train["participant"], 0.3, d)}
  other = ~np.isin(train["participant"], sorted(chosen))
  assert other.any()
  train["labels/hr_bpm"][other] = np.random.default_rng(0).normal(
      500, 99, other.sum())
  train["labels/fast"][other] = 1 - train["labels/fast"][other]
  val["labels/hr_bpm"][:] = np.nan
  val["labels/fast"][:] = np.nan
  after, again = probed(data, config_of(0.3, draws=2))
  assert set(before) == set(after) == {"hr_at_30pct", "fast_at_30pct"}
  for task, found in before.items():
    for encoder, predicted in found.predicted.items():
      np.testing.assert_array_equal(predicted, after[task].predicted[encoder])
  assert figures == again
  assert "test/probe_fast_at_30pct/balanced_accuracy" in figures


def test_all_labels_are_the_plain_probe():
  data, _ = toy.make_inputs()
  _, plain = probed(data, toy.make_config())
  _, several = probed(data, config_of(0.1, 0.125, 1.0, seed=9))
  assert {k: v for k, v in several.items() if "pct" not in k} == plain
  assert {k.split("/")[-2] for k in several if "_at_" in k} == {
      "probe_hr_at_10pct", "probe_hr_at_12.5pct",
      "probe_sdnn_at_10pct", "probe_sdnn_at_12.5pct",
  }  # no trait is probed on fewer people
  assert "test/ppg/probe_hr_at_10pct/mae_bpm" in several
  assert "test/probe_hr_at_10pct/mae_below_mean_share" in several


def test_more_labels_say_more():
  data, _ = toy.make_inputs()
  _, v = probed(data, config_of(0.1, 1.0))
  assert v["test/probe_hr_at_10pct/mae_bpm"] > v["test/probe_hr/mae_bpm"]


def test_roles_are_restricted_to_fit_on_some_people():
  people = np.repeat([f"x/{i}" for i in range(12)], 2)
  role = np.repeat([FIT, SELECT, TEST], [16, 4, 4])
  known = np.arange(24) >= 4  # the first two people have no label
  assert fractions.restrict(role, people, known, 1.0, 0) is role
  few = fractions.restrict(role, people, known, 0.5, 1)
  chosen = some_people(people[4:16], 0.5, 1)
  assert len(chosen) == 3
  for i in range(24):
    kept = role[i] == TEST or people[i] in chosen
    assert few[i] == (role[i] if kept else -1)
  assert role.tolist().count(FIT) == 16  # as it was
  none = fractions.restrict(role, people, known & False, 0.5, 1)
  assert (none == -1).sum() == 20


def test_a_plan_counts_the_fewest_people_of_all_folds():
  people = np.repeat([f"x/{i}" for i in range(10)], 2)
  one = np.repeat([FIT, SELECT, TEST], [12, 4, 4])
  two = np.repeat([TEST, FIT, SELECT], [4, 12, 4])
  known = np.arange(20) >= 4
  half, whole = fractions.plan(
      [one, two], people, known, config_of(0.5, 1.0, seed=3, draws=2))
  assert (half.fraction, half.people, len(half.draws)) == (0.5, 2, 2)
  assert (whole.fraction, whole.people, len(whole.draws)) == (1.0, 4, 1)
  for d, draw in enumerate(half.draws):
    for role, got in zip((one, two), draw, strict=True):
      np.testing.assert_array_equal(
          got, fractions.restrict(role, people, known, 0.5, 3 + d))
