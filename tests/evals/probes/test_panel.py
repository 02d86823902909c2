"""What probes are given: pooled people, demographics, whose facts are used."""

import dataclasses

import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.evals.probes import panel
from accfm.evals.probes import run as probes
from accfm.evals.probes.roles import FIT
from accfm.evals.results.figures import TESTED, Figures
from tests.evals import toy


def given(made, *names):
  """{row: (x, names of its tasks)}; a row given twice is listed twice."""
  out = {}
  for row, x, places in made.given(list(names)):
    out.setdefault(row, []).append((x, [names[k] for k in places]))
  return out


def test_people_are_means_and_spreads_of_their_windows():
  data, _ = toy.make_inputs()
  made = panel.of_windows(data, toy.make_config())
  x = made.rows[TESTED]
  for pooling in panel.POOLINGS:
    persons = panel.of_people(made, pooling)
    assert persons.people.tolist() == sorted(set(made.people))
    for name, got in zip(persons.people, persons.rows[TESTED], strict=True):
      mine = x[made.people == name].astype(np.float64)
      want = mine.mean(axis=0)
      if pooling == "mean_sd":
        want = np.concatenate([want, mine.std(axis=0)])
      np.testing.assert_allclose(got, want, atol=1e-9)
  first = {n: i for i, n in reversed(list(enumerate(made.people)))}
  for name, age, role in zip(
      persons.people, persons.facts["age"], persons.roles[0], strict=True):
    assert age == made.facts["age"][first[name]]
    assert role == made.roles[0][first[name]]
  assert set(made.groups) == {"motion", "age", "sex"}
  assert set(persons.groups) == {"age", "sex"}


def test_groups_are_of_tested_rows_alone():
  data, _ = toy.make_inputs()
  made = panel.of_windows(data, toy.make_config())
  own = np.isin(made.people, data.table["participant"])
  for values in made.groups.values():
    assert (values[own] != "").all() and (values[~own] == "").all()


def bmi(data, **more):
  rng = np.random.default_rng(0)
  for table in data.tables.values():
    _, who = np.unique(table["participant"], return_inverse=True)
    for name in ("bmi", *more):
      table[f"attributes/{name}"] = rng.uniform(18, 35, who.max() + 1)[who]


def test_demographics_leave_out_what_is_asked():
  data, _ = toy.make_inputs()
  bmi(data, height_cm=1, weight_kg=1)
  made = panel.of_people(panel.of_windows(data, toy.make_config()), "mean")
  names = ("hr", "age", "sex", "bmi", "weight", "target_smoker", "age_over_50")
  used = {}
  for x, tasks in given(made, *names)["demographics"]:
    for task in tasks:
      used[task] = {
          fact for fact, v in made.facts.items()
          if any(np.array_equal(v, column) for column in x.T)
      }
  everything = {"age", "sex", "bmi", "height", "weight"}
  assert used == {
      "hr": everything, "target_smoker": everything,
      "age": everything - {"age"}, "age_over_50": everything - {"age"},
      "sex": everything - {"sex"}, "bmi": {"age", "sex"},
      "weight": {"age", "sex", "height"},
  }


def test_an_unknown_fact_is_the_fitting_mean_and_marked():
  data, _ = toy.make_inputs()
  for split in ("train", "test"):
    table = data.tables[split]
    some = np.unique(table["participant"])[:3]
    table["attributes/age_years"][np.isin(table["participant"], some)] = np.nan
  made = panel.of_windows(data, toy.make_config())
  ((x, _),) = given(made, "hr")["demographics"]
  age, sex = made.facts["age"], made.facts["sex"]
  known = np.isfinite(age)
  fit = made.roles[0] == FIT
  want = np.where(known, age, age[known & fit].mean())
  assert sorted(x.T.tolist()) == sorted(
      [want.tolist(), known.astype(float).tolist(), sex.tolist()])


def test_sex_as_text_helps_as_well():
  data, _ = toy.make_inputs()
  want = panel.of_windows(data, toy.make_config()).facts["sex"]
  for table in data.tables.values():
    table["attributes/sex"] = np.array(["f", "m"])[
        table["attributes/sex"].astype(int)]
  data.table["attributes/sex"][0] = ""
  made = panel.of_windows(data, toy.make_config())
  np.testing.assert_array_equal(made.facts["sex"][1:], want[1:])
  assert np.isnan(made.facts["sex"][0])
  assert set(made.groups["sex"]) == {"", "f", "m"}


def test_two_labels_of_one_name():
  data, _ = toy.make_inputs()
  for table in data.tables.values():
    table["labels/age_s"] = table["labels/hr_bpm"]
  with pytest.raises(InputError, match=(
      "got labels 'attributes/age_years' and 'labels/age_s', both of task "
      "'age'; want one")):
    panel.of_windows(data, toy.make_config())


def test_no_row_without_a_fact_to_use():
  data, _ = toy.make_inputs()
  for table in data.tables.values():
    del table["attributes/sex"]
  made = panel.of_windows(data, toy.make_config())
  rows = given(made, "age", "hr")
  assert [tasks for _, tasks in rows["demographics"]] == [["hr"]]
  m = Figures()
  probes.score_probes(data, toy.make_config(), m)
  assert "test/demographics/probe_hr/mae_bpm" in m.flat()
  assert "test/demographics/probe_age/mae_years" not in m.flat()


def test_demographics_find_what_follows_from_them():
  """A label made of age and sex: found by that row, not by features."""
  data, _ = toy.make_inputs()
  for table in data.tables.values():
    table["labels/reserve_bpm"] = (
        220 - table["attributes/age_years"] + 9 * table["attributes/sex"])
  m = Figures()
  probes.score_probes(data, toy.make_config(), m)
  key = "probe_reserve/mae_bpm"
  assert m.flat()[f"test/demographics/{key}"] < 0.05
  assert m.flat()[f"test/features/{key}"] > 1


def test_a_row_that_misses_a_split_is_left_out():
  data, _ = toy.make_inputs()
  encoders = {**data.encoders, "half": {"test": data.encoders[TESTED]["test"]}}
  data = dataclasses.replace(data, encoders=encoders)
  made = panel.of_windows(data, toy.make_config())
  assert "half" not in made.rows


@pytest.mark.parametrize("filled", [False, True])
def test_a_condition_is_asked_only_where_there_is_one(filled):
  data, _ = toy.make_inputs()
  if filled:
    data.tables["train"]["condition"] = np.array(["rest"] * 160)
  made = panel.of_windows(data, toy.make_config())
  assert ("condition" in made.columns) == filled
