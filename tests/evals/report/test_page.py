"""The report: every section from its figures, none without them."""

import json

import numpy as np
import pytest

from accfm.evals.probes import run as probe
from accfm.evals.report import page
from accfm.evals.report import results as report
from accfm.evals.stats import bootstrap as stats
from tests.evals import pages, toy


@pytest.fixture(scope="module")
def run():
  """Arguments of `page.write` but the path, of made-up metrics."""
  data, splits = toy.make_inputs()
  metrics = stats.Metrics()
  metrics.values = pages.make_values()
  metrics.skip("test/probe_bmi/mae", "<no labels>")
  table = data.table
  rows = {c: table[c] for c in ("participant", "session", "start_s")}
  true = table["labels/hr_bpm"].astype(float)
  people, first = np.unique(table["participant"], return_index=True)
  sex = table["attributes/sex"][first].astype(float)
  predictions = [
      probe.Predictions("hr", "bpm", rows, true,
                        {"": true + 1, "mean": true * 0 + 70}),
      probe.Predictions("sex", "log_odds", {"participant": people}, sex,
                        {"": sex, "ppg": -sex}),
      probe.Predictions("hr_at_10pct", "bpm", rows, true, {"": true}),
      probe.Predictions("stage", "class", rows, true.round(), {"": true}),
  ]
  curve = np.linspace(0.5, 1, 8)
  curves = {r: {"/acc2ppg": curve, "/ppg2acc": curve}
            for r in ("", "envelope")}
  meta = {
      "dataset": "toy <one>", "split": "test", "step": 1200, "student": "acc",
      "teacher": "ppg", "seen": [], "windows": {"test": 64},
      "people": {"test": 8}, "retrieval_windows": 64, "pools": [8, 16],
      "config": {"bootstrap_draws": 100, "seed": 0, "probe_folds": 0,
                 "within_pool": 4, "map_label": "", "map_method": "pca"},
  }
  examples = page.draw_examples(data, splits["test"], 2, 0)
  return data, metrics, meta, curves, predictions, examples


@pytest.fixture
def no_drawing(monkeypatch):
  pages.no_drawing(monkeypatch)


def _write(tmp_path, run, values=None, meta=None):
  data, metrics, about, *rest = run
  if values is not None:
    changed = stats.Metrics()
    changed.values = values
    metrics = changed
  path = tmp_path / "report.html"
  page.write(path, data, metrics, {**about, **(meta or {})}, *rest)
  return pages.read(path)


def test_a_page_shows_everything(tmp_path, run):
  heads, text = _write(tmp_path, run)
  assert heads[0] == "Acceleration encoder, taught by PPG"
  for section in ("Retrieval", "Probes", "Fewer labels", "Subgroups",
                  "By sex", "By skin tone", "Embedding", "Privacy",
                  "Retrieved pairs", "Details"):
    assert section in heads, section
  for said in (
      "64 windows of 8 people", "toy <one> / test", "Checkpoint step 1,200",
      "0.900 0.800 to 1.000",  # recall and its interval
      "31 % of pairs", "among 4", "69 % below it", "demographics",
      "Bias 1.0 bpm", "average precision", "5 draws of people",
      "worst gap 0.60", "0.440 0.340 to 0.540", "\u22120.25", "<no labels>",
      "coloured by HR (bpm)", "fingerprint", "chance 0.125 0.625", "0.654",
      "All who can be found 63 windows of 8 people",
      "At another time of the same session 60 windows of 8 people",
      "0.321 0.221 to 0.421",
  ):
    assert said in text, said
  assert "has collapsed" not in text and "\u2013 collapsed" not in text
  assert "none of them seen in training" in text
  assert "In another session" not in text  # it could not be evaluated


def test_a_rule_that_holds_for_all_is_shown_once(tmp_path, run, no_drawing):
  values = pages.make_values()
  values["test/reidentify/windows_same_session"] = 63.0
  _, text = _write(tmp_path, run, values)
  assert "All who can be found" not in text
  assert "At another time of the same session 63 windows" in text


def test_a_group_alone_is_not_drawn(tmp_path, run, no_drawing):
  values = {k: v for k, v in pages.make_values().items()
            if "by_sex_male" not in k}
  heads, _ = _write(tmp_path, run, values)
  assert "By skin tone" in heads and "By sex" not in heads


def test_of_many_tasks_some_subgroups_are_in_the_table_alone(
    tmp_path, run, no_drawing
):
  values = pages.make_values()
  for task in range(7):
    for group in ("female", "male"):
      values[f"test/by_sex_{group}/probe_x{task}/mae"] = 1.25
  _, text = _write(tmp_path, run, values)
  assert "More tasks in the table: 2." in text and "x6 group" in text


@pytest.mark.parametrize("part, section", [
    ("recall@", "Retrieval"), ("/probe_", "Probes"), ("_at_", "Fewer labels"),
    ("/by_", "Subgroups"), ("/reidentify/", "Privacy"),
])
def test_without_figures_there_is_no_section(
    tmp_path, run, no_drawing, part, section
):
  values = {k: v for k, v in pages.make_values().items() if part not in k}
  heads, _ = _write(tmp_path, run, values)
  assert section not in heads and "Embedding" in heads


def test_the_first_pool_that_was_evaluable_is_shown(
    tmp_path, run, no_drawing
):
  values = {k: None if k.endswith(("_pool8", "_pool16")) else v
            for k, v in pages.make_values().items()}
  heads, text = _write(tmp_path, run, values)
  assert "Retrieval" in heads and "recall@1 among all" in text
  assert "all windows among all, 64 windows 0.900" in text


def test_of_nothing_measured_a_page_is_still_whole(tmp_path, run, no_drawing):
  data, _, meta, *_ = run
  path = tmp_path / "report.html"
  page.write(path, data, stats.Metrics(), {**meta, "teacher": ""}, {}, [], [])
  heads, _ = pages.read(path)
  assert heads == ["Acceleration encoder", "Embedding", "Details"]


def test_collapse_is_loud(tmp_path, run, no_drawing):
  values = pages.make_values() | {
      "test/health/collapsed": 1.0, "test/health/effective_rank": 1.25}
  _, text = _write(tmp_path, run, values)
  assert "The embedding has collapsed : its effective rank is 1.2" in text
  page_text = (tmp_path / "report.html").read_text()
  assert page_text.index("warn loud") < page_text.index("<h2>")
  assert "this encoder \u2013 collapsed" in text


def test_people_who_were_seen_are_loud(tmp_path, run, no_drawing):
  _, text = _write(tmp_path, run, meta={"seen": ["toy/c000"]})
  assert "1 of these people were seen in training" in text
  assert "none of them seen" not in text


def test_a_map_of_people_names_nobody(tmp_path, run, no_drawing):
  config = {**run[2]["config"], "map_label": "participant"}
  _, text = _write(tmp_path, run, meta={"config": config})
  assert "coloured by participant" in text and "Each colour is one" in text
  assert "toy/c00" not in (tmp_path / "report.html").read_text()


def test_many_windows_are_drawn_in_part(tmp_path, run, no_drawing):
  data, metrics, meta, curves, _, _ = run
  true = np.linspace(50, 90, 3500)
  rows = {"participant": np.arange(3500) % 7, "start_s": true}
  many = [probe.Predictions("hr", "bpm", rows, true, {"": true - 2})]
  path = tmp_path / "report.html"
  page.write(path, data, metrics, meta, curves, many, [])
  _, text = pages.read(path)
  assert "HR of 3,500 windows of 7 people" in text
  assert "Drawn are 3,000 of 3,500 points" in text


def test_the_console_says_what_matters(run):
  _, metrics, meta, *_ = run
  text = "\n".join(report.console(metrics, meta))
  assert "recall@1 acc->ppg, pool 16" in text
  assert "HR error, bpm (n=64)" in text and "sex AUC" in text
  assert "demographics" in text and "by_" not in text
  assert "COLLAPSED" not in text
  metrics = stats.Metrics()
  metrics.values = pages.make_values() | {"test/health/collapsed": 1.0}
  assert "COLLAPSED" in "\n".join(report.console(metrics, meta))


def test_facts_are_kept_whole(tmp_path, run, no_drawing):
  _, text = _write(tmp_path, run)
  shown = text[text.index("The run {") + 8:]
  assert json.loads(shown) == run[2]
