"""What is read back from flat metrics."""

import pytest

from accfm.evals.report import readings
from tests.evals import pages


def test_probe_rows_are_those_of_everybody():
  values = pages.make_values()
  found = readings.probe_rows(values, "test")
  assert [(task, title, measure) for task, title, measure, _ in found] == [
      ("probe_hr", "HR", "mae_bpm"),
      ("probe_hr_at_10pct", "HR, 10 % of labels", "mae_bpm"),
      ("probe_sex", "sex", "auc"),
  ]
  rows = found[0][3]
  assert set(rows) == {
      "", "ppg", "untrained", "features", "demographics", "mean"}
  assert rows["ppg"] == "test/ppg/probe_hr/mae_bpm"
  # Neither spreads, nor shares, nor subgroups, nor another split.
  measured = {k for *_, keys in found for k in keys.values()}
  assert not [k for k in measured if "by_" in k or "_sd" in k or "_ci95" in k
              or "below" in k]
  assert not readings.probe_rows(values, "val")


@pytest.mark.parametrize("task, unit, want", [
    ("probe_hr_at_2.5pct", "bpm", "HR, 2.5 % of labels"),
    ("direct_rmssd", "ms", "RMSSD, predicted directly"),
    ("probe_target_beta_blocker", "AUC", "beta blocker"),
    ("probe_bmi", "", "BMI"),
    ("probe_look_at_me", "", "look at me"),
    ("hr_at_1pct", "bpm", "HR, 1 % of labels"),
    ("age", "years", "age"),
])
def test_titles(task, unit, want):
  assert readings.task_title(task, unit) == want


def test_shares_of_a_task():
  assert readings.split_share("probe_hr_at_0.5pct") == ("probe_hr", 0.005)
  assert readings.split_share("probe_hr") == ("probe_hr", 1.0)
  assert readings.split_share("probe_at_homepct") == ("probe_at_homepct", 1.0)


def test_label_curves_hold_every_row_and_share():
  (one,) = readings.label_curves(pages.make_values(), "test")
  assert (one.task, one.title, one.unit) == ("probe_hr", "HR", "bpm")
  assert one.shares == [0.1, 1.0]
  assert one.people == {0.1: 2} and one.draws == {0.1: 5}
  assert list(one.rows) == [
      "", "ppg", "features", "demographics", "untrained", "mean"]
  assert set(one.rows["demographics"]) == {1.0}
  assert one.rows["ppg"][0.1].value == pytest.approx(2.2)
  assert one.rows["ppg"][0.1].low == pytest.approx(2.1)


def test_a_share_alone_is_no_curve():
  values = {k: v for k, v in pages.make_values().items() if "_at_" not in k}
  assert readings.label_curves(values, "test") == []


def test_subgroups_of_names_with_underscores():
  hr, sex = readings.subgroups(pages.make_values(), "test")
  assert (hr.name, hr.title, hr.unit) == ("sex", "HR", "bpm")
  assert hr.whole.value == 2.0
  assert (hr.gap.value, hr.gap.low) == (0.6, None)
  assert [(g[0], g[1].value, *g[2:]) for g in hr.groups] == [
      ("female", 1.8, 4, 32), ("male", 2.4, 4, 32)]
  assert (sex.name, sex.unit, sex.gap.value) == ("skin_tone", "AUC", 0.123)
  assert [(g[0], g[2], g[3]) for g in sex.groups] == [
      ("type_1", 5, None), ("type_2", 3, None)]


def test_bands_of_numbers_are_in_order():
  bands = ["40to60", "60plus", "under40", "100to120"]
  assert sorted(bands, key=readings.group_order) == [
      "under40", "40to60", "60plus", "100to120"]
  assert [readings.group_title(b) for b in bands] == [
      "40 to 60", "60 plus", "under 40", "100 to 120"]
  names = ["still", "moving", "type_2", "type_1"]
  assert sorted(names, key=readings.group_order) == [
      "moving", "still", "type_1", "type_2"]
  assert readings.group_title("type_1") == "type 1"


def test_a_subgroup_that_cannot_be_evaluated_stays():
  values = {
      "test/by_age_to_30/probe_x/mae": None,
      "test/by_age_to_30/probe_x/people": 1.0,
      "test/by_age/probe_x/worst_gap": None,
  }
  (one,) = readings.subgroups(values, "test")
  assert one.groups == [("to_30", None, 1, None)]
  assert one.gap is None and one.whole is None


def test_rows_of_a_tail_leave_groups_out():
  values = pages.make_values() | {"test/by_sex_male/health/effective_rank": 1.0}
  assert readings.rows_of(values, "test", "health/effective_rank") == {
      "": "test/health/effective_rank",
      "ppg": "test/ppg/health/effective_rank",
      "untrained": "test/untrained/health/effective_rank",
  }


@pytest.mark.parametrize("said, rank, want", [
    (None, 2.9, True), (None, 3.1, False), (1.0, 90.0, True),
    (0.0, 1.0, False), (None, None, False),
])
def test_collapse_is_what_the_evaluation_says(said, rank, want):
  values = {"test/health/collapsed": said, "test/health/effective_rank": rank}
  assert readings.collapsed(values, "test") is want
