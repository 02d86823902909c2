"""Figures: the names that metrics.json gives them, and what is read again."""

import json

import pytest

from accfm.base.errors import InputError
from accfm.evals.results import figures as figures_lib
from accfm.evals.results.figures import CHANCE, Figure, Figures, key
from accfm.evals.stats.people import Estimate
from tests.evals import pages

RETRIEVAL = dict(evaluator="retrieval", measure="recall@1", pool=8)
PROBE = dict(evaluator="probe", subject="hr", measure="mae", unit="bpm")


@pytest.mark.parametrize("fields, want", [
    (dict(RETRIEVAL, subject="acc2ppg"), "acc2ppg/recall@1_pool8"),
    (dict(RETRIEVAL, subject="acc2ppg", encoder="untrained", variant="still"),
     "untrained/still/acc2ppg/recall@1_pool8"),
    (dict(RETRIEVAL, subject="acc2ppg", variant="still/control_fails",
          measure="share", pool="all"),
     "still/control_fails/acc2ppg/share_poolall"),
    (dict(RETRIEVAL, encoder=CHANCE), "chance/recall@1_pool8"),
    (dict(RETRIEVAL, encoder=CHANCE, variant="still"),
     "still/chance/recall@1_pool8"),
    (dict(RETRIEVAL, variant="other_people", measure="people"),
     "other_people/people_pool8"),
    (dict(evaluator="retrieval", measure="windows"), "retrieval/windows"),
    (dict(evaluator="retrieval", measure="windows", variant="still"),
     "still/windows"),
    (dict(evaluator="retrieval"), "retrieval"),
    (PROBE, "probe_hr/mae_bpm"),
    (dict(PROBE, encoder="mean", share=0.125),
     "mean/probe_hr_at_12.5pct/mae_bpm"),
    (dict(PROBE, measure="r2", unit=""), "probe_hr/r2"),
    (dict(PROBE, attribute="skin_tone", group="type_1"),
     "by_skin_tone_type_1/probe_hr/mae_bpm"),
    (dict(PROBE, attribute="age", measure="worst_gap"),
     "by_age/probe_hr/worst_gap_bpm"),
    (dict(evaluator="direct", subject="sex", measure="auc"), "direct_sex/auc"),
    (dict(evaluator="health", encoder="ppg", measure="alignment"),
     "ppg/health/alignment"),
    (dict(evaluator="reidentify", measure="recall@5",
          variant="other_sessions"), "reidentify/recall@5_other_sessions"),
    (dict(evaluator="reidentify", encoder=CHANCE, measure="recall@1"),
     "reidentify/chance"),
    (dict(evaluator="reidentify", encoder=CHANCE, measure="recall@5",
          variant="same_session"), "reidentify/chance@5_same_session"),
])
def test_keys(fields, want):
  assert key(Figure("test", **fields)) == f"test/{want}"


def test_every_figure_has_a_key_of_its_own():
  figures = list(pages.make_figures())
  assert len({key(f) for f in figures}) == len(figures) > 100


def test_what_is_missing_is_said():
  figures, about = Figures(), Figure("test", "health")
  figures.add(about, Estimate(1.0, 0.5, 1.5, 0.25), measure="a")
  figures.add(about, float("nan"), measure="b")
  figures.skip(about, "too small", measure="c")
  assert figures.flat() == {
      "test/health/a": 1.0, "test/health/a_ci95_low": 0.5,
      "test/health/a_ci95_high": 1.5, "test/health/a_draws_sd": 0.25,
      "test/health/b": None, "test/health/c": None,
  }
  assert figures.missing() == [
      {"key": "test/health/b",
       "reason": "the statistic is undefined on these windows"},
      {"key": "test/health/c", "reason": "too small"},
  ]
  with pytest.raises(ValueError, match="'test/health/a' is reported twice"):
    figures.add(about, 2.0, measure="a")


def test_figures_are_found_by_their_fields():
  figures = pages.make_figures()
  about = Figure("test", "probe", subject="hr", measure="mae", unit="bpm")
  assert figures.value(about) == 2.0
  assert figures.value(about, encoder="mean") == 6.5
  assert figures.get(about, subject="bmi") is None
  assert figures.value(about, subject="bmi") is None
  found = figures.find(evaluator="probe", subject="hr", share=0.1,
                       measure="mae")
  assert len(found) == 5 and all(f.draws_sd == 0.3 for f in found)


def test_what_is_written_is_read_again(tmp_path):
  figures = pages.make_figures()
  figures.skip(Figure("test", "probe", subject="x", measure="mae"), "<none>")
  path = tmp_path / "figures.json"
  figures_lib.write_figures(path, figures)
  assert list(figures_lib.load_figures(path)) == list(figures)
  lines = path.read_text().splitlines()
  assert len(lines) == len(figures) + 2  # a line a figure
  first = json.loads(lines[1].rstrip(","))
  assert first == {
      "split": "test", "evaluator": "retrieval", "subject": "acc2ppg",
      "measure": "recall@1", "pool": 8, "value": 0.9, "low": 0.8, "high": 1.0,
  }


@pytest.mark.parametrize("text, want", [
    (None, "cannot be read .No such file"), ("{", "not valid JSON"),
    ("{}", "version None, want 1"),
    ('{"version": 9, "figures": []}', "version 9, want 1"),
])
def test_what_is_no_such_file(tmp_path, text, want):
  path = tmp_path / "figures.json"
  if text is not None:
    path.write_text(text)
  with pytest.raises(InputError, match=(
      f"figures.json: .*{want}.*; evaluate again$")):
    figures_lib.load_figures(path)


@pytest.mark.parametrize("figure, want", [
    ('{"split": "x", "colour": 1}', "colour"),
    ('{"split": "x"}', "no field 'evaluator'"),
    ('{"split": "x", "evaluator": "y", "value": "1"}', "value: got '1'"),
])
def test_what_is_no_figure(tmp_path, figure, want):
  path = tmp_path / "figures.json"
  path.write_text(f'{{"version": 1, "figures": [{figure}]}}')
  with pytest.raises(InputError, match=f"figures.json: figures.0.*{want}"):
    figures_lib.load_figures(path)
