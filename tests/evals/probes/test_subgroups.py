"""Scores of subgroups against a loop, and the groups themselves."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from accfm.evals.probes import run as probes
from accfm.evals.probes import subgroups
from accfm.evals.results.figures import TESTED, Figures
from accfm.evals.stats import intervals
from tests.evals import toy
from tests.evals.stats.oracle import t_ends


def test_groups_of_a_table():
  table = {
      "attributes/age_years": np.array([39.9, 40, 59.9, 60, np.nan]),
      "attributes/bmi": np.array([24.9, 25, 29.9, 30, np.nan]),
      "attributes/sex": np.array([0, 1, 2, np.nan, 1]),
      "motion_g": np.array([0.1, 0.3, 0.2, np.nan, 0.4]),
      "condition": np.array(["rest", "", "a b", "a/b", "rest"]),
      "attributes/device": np.array([1.0, 2.5, np.nan, 1.0, 1.0]),
      "cohort": np.array(["x", "y", "x", "", "y"]),
      "attributes/target_age": np.array([1.0] * 5),
      "labels/hr_bpm": np.array([70.0] * 5),
  }
  got = {name: v.tolist() for name, v in subgroups.groups(table).items()}
  assert got == {
      "age": ["under40", "40to60", "40to60", "60plus", ""],
      "bmi": ["under25", "25to30", "25to30", "30plus", ""],
      "sex": ["female", "male", "2", "", "male"],
      "motion": ["still", "moving", "still", "", "moving"],
      "condition": ["rest", "", "a_b", "a_b", "rest"],
      "device": ["1", "2.5", "", "1", "1"],
      "cohort": ["x", "y", "x", "", "y"],
  }
  empty = {"condition": np.array(["", ""]), "motion_g": np.full(2, np.nan),
           "attributes/bmi": np.full(2, np.nan)}
  assert subgroups.groups(empty) == {}


def test_the_median_itself_is_still():
  """At most the median, of an odd number of rows and of equal ones."""
  for motion in ([0.3, 0.1, 0.2], [0.2, 0.2, 0.4, 0.2, 0.1], [0.5, 0.5]):
    table = {"motion_g": np.array(motion, np.float32)}
    want = [
        "still" if value <= sorted(motion)[(len(motion) - 1) // 2] else "moving"
        for value in motion
    ]
    assert subgroups.groups(table)["motion"].tolist() == want
    assert want.count("still") > want.count("moving")


def probed(data, **fields):
  config = toy.make_config()
  config.update(fields)
  m = Figures()
  found = probes.score_probes(data, config, m).predictions
  return ({p.task: p for p in found}, m.flat(),
          {x["key"]: x["reason"] for x in m.missing()})


@pytest.fixture(scope="module")
def run():
  data, _ = toy.make_inputs()
  return data, *probed(data)


def test_every_group_is_scored_on_its_own_people(run):
  data, found, v, _ = run
  p, y = found["hr"].predicted[TESTED][0], found["hr"].true
  table, gaps = data.table, {}
  age = table["attributes/age_years"]
  still = table["motion_g"] <= np.median(table["motion_g"])
  masks = {
      "sex_female": table["attributes/sex"] == 0,
      "sex_male": table["attributes/sex"] == 1,
      "age_under40": age < 40, "age_40to60": (age >= 40) & (age < 60),
      "age_60plus": age >= 60, "motion_still": still, "motion_moving": ~still,
  }
  for name, mask in masks.items():
    prefix = f"test/by_{name}/probe_hr"
    people = len(set(table["participant"][mask]))
    assert v[f"{prefix}/people"] == people
    assert v[f"{prefix}/windows"] == mask.sum()
    if people < 2:
      assert v[f"{prefix}/mae_bpm"] is None
      continue
    error = np.abs(p - y)[mask]
    assert v[f"{prefix}/mae_bpm"] == pytest.approx(error.mean())
    if people < 5:
      assert f"{prefix}/mae_bpm_ci95_low" not in v
    else:
      low, _ = t_ends(table["participant"][mask],
                      lambda rows, e=error: e[rows].mean(),
                      intervals.POSITIVE)
      assert v[f"{prefix}/mae_bpm_ci95_low"] == pytest.approx(low)
    gaps.setdefault(name.split("_")[0], []).append(mask)
  assert set(gaps) == {"sex", "age", "motion"}
  error = np.abs(p - y)
  for name, masks in gaps.items():

    def gap(rows, masks=masks):
      some = np.isin(np.arange(len(error)), rows)
      each = [error[m & some].mean() if (m & some).any() else np.nan
              for m in masks]
      return max(each) - min(each) if np.isfinite(each).all() else np.nan

    key = f"test/by_{name}/probe_hr/worst_gap_bpm"
    assert v[key] == pytest.approx(gap(np.arange(len(error))))
    low, high = t_ends(table["participant"], gap, intervals.ANY)
    ends = np.maximum(low, 0), high  # a gap near 0 has no long scale above it
    if np.isnan(ends).any():  # a group has one person only
      assert f"{key}_ci95_low" not in v
    else:
      assert (v[f"{key}_ci95_low"], v[f"{key}_ci95_high"]) == (
          pytest.approx(ends))
  assert "test/by_motion/probe_hr/worst_gap_bpm_ci95_low" in v


def test_traits_by_groups_of_people(run):
  data, found, v, reasons = run
  assert v["test/by_sex_male/probe_age/people"] == 4
  assert "test/by_sex_male/probe_age/windows" not in v
  assert v["test/by_sex_male/probe_age/mae_years"] > 0
  assert v["test/by_sex/probe_age/worst_gap_years"] > 0
  assert "test/by_motion_still/probe_age/mae_years" not in v
  assert not [k for k in v if k.startswith("test/by_sex") and "probe_sex" in k]
  # Eight people by age leave no group with three of each sex.
  assert v["test/by_age/probe_sex/worst_gap_auc"] is None
  assert "rarer class in the group" in " ".join(
      r for k, r in reasons.items() if "by_age_" in k and "probe_sex" in k)


def test_classes_of_windows_by_group():
  data, _ = toy.make_inputs()
  for table in data.tables.values():
    table["labels/fast"] = (table["labels/hr_bpm"] > 75).astype(np.float32)
  found, v, reasons = probed(data, min_class=1)
  fast = found["fast"]
  still = data.table["motion_g"] <= np.median(data.table["motion_g"])
  want = [
      roc_auc_score(fast.true[m], fast.predicted[TESTED][0][m])
      for m in (still, ~still)
  ]
  assert v["test/by_motion_still/probe_fast/auc"] == pytest.approx(want[0])
  assert v["test/by_motion_moving/probe_fast/auc"] == pytest.approx(want[1])
  assert v["test/by_motion/probe_fast/worst_gap_auc"] == pytest.approx(
      abs(want[0] - want[1]))


def test_a_small_group_and_a_group_alone_are_said():
  data, _ = toy.make_inputs()
  for table in data.tables.values():
    table["attributes/sex"] = (
        table["participant"] == table["participant"][0]).astype(np.float32)
  _, v, reasons = probed(data)
  key = "test/by_sex_male/probe_hr/mae_bpm"
  assert v[key] is None and v["test/by_sex_male/probe_hr/people"] == 1
  assert reasons[key] == "1 people in the group, want at least 2"
  key = "test/by_sex/probe_hr/worst_gap_bpm"
  assert v[key] is None
  assert reasons[key] == "1 groups with a score, want two"


def test_only_where_asked_and_with_all_labels():
  data, _ = toy.make_inputs()
  _, v, _ = probed(data, subgroups=False)
  assert not [k for k in v if "/by_" in k]
  _, v, _ = probed(data, label_fractions=(0.5,))
  assert not [k for k in v if "/by_" in k]
