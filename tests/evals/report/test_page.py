"""The report: every section from its figures, none without them."""

import dataclasses
import json

import numpy as np
import pytest

from accfm.evals.embedding import health
from accfm.evals.probes import describe as probe_sections
from accfm.evals.report import console, page
from accfm.evals.results import verdict
from accfm.evals.results.figures import TESTED, Figure, Figures
from accfm.evals.results.outcome import Predictions, Queries
from accfm.evals.results.section import (
  Cell,
  Folded,
  Line,
  Notice,
  Section,
  Sentences,
  Table,
)
from accfm.evals.retrieval import describe as retrieval_sections
from accfm.evals.retrieval import reidentify
from tests.evals import pages, toy

FACTS = {
    "dataset": "toy <one>", "split": "test", "step": 1200, "student": "acc",
    "teacher": "ppg", "seen": [], "windows": {"test": 64},
    "people": {"test": 8}, "retrieval_windows": 64, "pools": [8, 16],
    "config": {"bootstrap_draws": 100, "seed": 0},
}


@pytest.fixture
def no_drawing(monkeypatch):
  pages.no_drawing(monkeypatch)


@dataclasses.dataclass
class Run:
  """What the sections of a page are described from."""

  data: object
  figures: Figures
  predictions: list
  config: object

  def describe(self):
    """All sections, as the evaluators would."""
    data, config, figures = self.data, self.config, self.figures
    curve = np.linspace(0.5, 1, 8)
    curves = {e: {"acc2ppg": curve, "ppg2acc": curve}
              for e in (TESTED, "envelope")}
    rank = np.where(np.arange(64) % 2, 1, 5)
    queries = Queries(np.arange(64), {"acc2ppg": (np.full(64, 64), rank)})
    spectra = {e: health.spectrum(m["test"]) for e, m in data.encoders.items()}
    return [
        *retrieval_sections.describe_retrieval(
            data, config, figures, curves, queries),
        *probe_sections.describe_probes(config, figures, self.predictions),
        *health.describe_health(data, config, figures, spectra),
        *reidentify.describe_reidentification(data, figures),
    ]


@pytest.fixture
def run():
  data, _ = toy.make_inputs()
  figures = pages.make_figures()
  figures.skip(Figure("test", "probe", subject="bmi", measure="mae"),
               "<no labels>")
  table = data.table
  rows = {c: table[c] for c in ("participant", "session", "start_s")}
  true = table["labels/hr_bpm"].astype(float)
  people, first = np.unique(table["participant"], return_index=True)
  sex = table["attributes/sex"][first].astype(float)
  predictions = [
      Predictions("hr", "bpm", rows, true,
                  {TESTED: true + 1, "mean": true * 0 + 70}),
      Predictions("sex", "log_odds", {"participant": people}, sex,
                  {TESTED: sex, "ppg": -sex}),
      Predictions("hr", "bpm", rows, true, {TESTED: true}, share=0.1),
      Predictions("stage", "class", rows, true.round(), {TESTED: true}),
  ]
  config = toy.make_config(examples=2)
  config.pools, config.bootstrap_draws = (8, 16), 100
  return Run(data, figures, predictions, config)


def _write(tmp_path, run, taught=True, **facts):
  path = tmp_path / "report.html"
  page.draw_report(
      path, {**FACTS, **facts}, run.figures, run.describe(), taught)
  return pages.read(path)


def test_a_page_shows_everything(tmp_path, run):
  heads, text = _write(tmp_path, run)
  assert heads[0] == "Acceleration encoder, taught by PPG"
  for section in ("Retrieval", "Retrieved pairs", "Probes", "Fewer labels",
                  "Subgroups", "By sex", "By skin tone", "Embedding",
                  "Privacy", "Details"):
    assert section in heads, section
  for said in (
      "64 windows of 8 people", "toy <one> / test", "Checkpoint step 1,200",
      "0.900 0.800 to 1.000",  # recall and its interval
      "31 % of pairs", "among 4", "demographics",
      "3.00 better (2.50 to 3.50) than motion features, the best without "
      "learning; PPG encoder (ceiling): 1.50 bpm.",
      "recall@1 0.900, 0.500 better (0.400 to 0.600) than the "
      "motion envelope", "Choosing the best favours the rival",
      "median 1.2, 97 % within 5 bpm", "HR median error (bpm)",
      "Bias 1.0 bpm", "average precision", "5 draws of labelled people",
      "worst gap 0.60", "0.440 0.340 to 0.540", "\u22120.25", "<no labels>",
      "coloured by HR (bpm)", "fingerprint", "chance 0.125 0.625", "0.654",
      "All who can be found 63 windows of 8 people",
      "At another time of the same session 60 windows of 8 people",
      "0.321 0.221 to 0.421", "Found first.", "the right one was at rank 5.",
  ):
    assert said in text, said
  assert "has collapsed" not in text and "\u2013 collapsed" not in text
  assert "none of them seen in training" in text
  assert "In another session" not in text  # it could not be evaluated


def test_an_encoder_that_nobody_taught(tmp_path, run, no_drawing):
  heads, _ = _write(tmp_path, run, taught=False)
  assert heads[0] == "Acceleration encoder"


def test_a_rule_that_holds_for_all_is_shown_once(tmp_path, run, no_drawing):
  run.figures = pages.changed(
      run.figures, 63, measure="windows", variant="same_session")
  _, text = _write(tmp_path, run)
  assert "All who can be found" not in text
  assert "At another time of the same session 63 windows" in text


def test_a_group_alone_is_not_drawn(tmp_path, run, no_drawing):
  run.figures = pages.make_figures(lambda f: f.group == "male")
  heads, _ = _write(tmp_path, run)
  assert "By skin tone" in heads and "By sex" not in heads


def test_of_many_tasks_some_subgroups_are_in_the_table_alone(
    tmp_path, run, no_drawing
):
  for task in range(7):
    for group in ("female", "male"):
      run.figures.add(
          Figure("test", "probe", subject=f"x{task}", attribute="sex",
                 group=group, measure="mae"), 1.25)
  _, text = _write(tmp_path, run)
  assert "More tasks in the table: 2." in text and "x6 group" in text


@pytest.mark.parametrize("leave_out, section", [
    (lambda f: f.evaluator == "retrieval", "Retrieval"),
    (lambda f: f.evaluator == "probe" and not f.attribute, "Probes"),
    (lambda f: f.share < 1, "Fewer labels"),
    (lambda f: f.attribute, "Subgroups"),
    (lambda f: f.evaluator == "reidentify", "Privacy"),
])
def test_without_figures_there_is_no_section(
    tmp_path, run, no_drawing, leave_out, section
):
  run.figures = pages.make_figures(leave_out)
  heads, _ = _write(tmp_path, run)
  assert section not in heads and "Embedding" in heads


def test_the_first_pool_that_was_evaluable_is_shown(
    tmp_path, run, no_drawing
):
  for pool in (8, 16):
    run.figures = pages.changed(run.figures, None, pool=pool)
  heads, text = _write(tmp_path, run)
  assert "Retrieval" in heads and "recall@1 among all" in text
  assert "all windows among all, 64 windows 0.900" in text


def test_of_nothing_measured_a_page_is_still_whole(tmp_path):
  path = tmp_path / "report.html"
  page.draw_report(path, FACTS, Figures(), [], taught=False)
  heads, _ = pages.read(path)
  assert heads == ["Acceleration encoder", "Details"]


def test_collapse_is_loud(tmp_path, run, no_drawing):
  for measure, value in (("collapsed", 1.0), ("effective_rank", 1.25)):
    run.figures = pages.changed(
        run.figures, value, measure=measure, encoder=TESTED)
  _, text = _write(tmp_path, run)
  assert "The embedding has collapsed : its effective rank is 1.2" in text
  page_text = (tmp_path / "report.html").read_text()
  assert page_text.index("warn loud") < page_text.index("<h2>")
  assert "this encoder \u2013 collapsed" in text


def test_people_who_were_seen_are_loud(tmp_path, run, no_drawing):
  _, text = _write(tmp_path, run, seen=["toy/c000"])
  assert "1 of these people were seen in training" in text
  assert "none of them seen" not in text
  _, text = _write(tmp_path, run, validated=["toy/c000", "toy/c001"])
  assert "2 of these people are validation people, by whom" in text
  assert "none of them seen" not in text


def test_a_map_of_people_names_nobody(tmp_path, run, no_drawing):
  run.config.map_label = "participant"
  _, text = _write(tmp_path, run)
  assert "coloured by participant" in text and "Each colour is one" in text
  assert "toy/c00" not in (tmp_path / "report.html").read_text()


def test_many_windows_are_drawn_in_part(tmp_path, run, no_drawing):
  true = np.linspace(50, 90, 3500)
  rows = {"participant": np.arange(3500) % 7, "start_s": true}
  run.predictions = [Predictions("hr", "bpm", rows, true, {TESTED: true - 2})]
  _, text = _write(tmp_path, run)
  assert "HR of 3,500 windows of 7 people" in text
  assert "Drawn are 3,000 of 3,500 points" in text


def test_the_console_says_what_matters(run):
  text = "\n".join(console.make_lines(run.figures, FACTS))
  assert "recall@1 acc->ppg, pool 16" in text
  assert "HR error, bpm (n=64)" in text and "sex AUC" in text
  assert "demographics" in text and "by_" not in text
  assert ("HR: 2.00 bpm, 3.00 better (2.50 to 3.50) than motion features, the "
          "best without learning; PPG encoder (ceiling): 1.50 bpm.") in text
  assert verdict.CHOICE in text
  recalls, scores = (line.split() for line in text.splitlines()
                     if line.split()[0] == "encoder")
  assert recalls == ["encoder", "envelope", "chance", "untrained"]
  assert scores == ["encoder", "mean", "features", "demographics",
                    "untrained", "ceiling"]  # nothing has an error by chance
  assert "COLLAPSED" not in text
  collapsed = pages.changed(
      run.figures, 1.0, measure="collapsed", encoder=TESTED)
  assert "COLLAPSED" in "\n".join(console.make_lines(collapsed, FACTS))


def test_facts_are_kept_whole(tmp_path, run, no_drawing):
  _, text = _write(tmp_path, run)
  shown = text[text.index("The run {") + 8:]
  assert json.loads(shown) == FACTS


def test_text_of_every_part_is_escaped(tmp_path):
  """Names come from data sets, labels and people."""
  bad = "<script>alert(1)</script> & 'more'"
  section = Section(bad, bad, [
      Table([bad], [Line([Cell(bad, bad, bad)])], title=bad),
      Folded(bad, []), Sentences([(bad, bad, "")]),
  ], notices=[Notice(bad, bad)])
  path = tmp_path / "report.html"
  page.draw_report(path, {**FACTS, "dataset": bad}, Figures(), [section], True)
  _, text = pages.read(path)  # which refuses a <script>
  assert text.count("<script>alert(1)</script>") >= 11
