"""The folders of a watch are its memory; its history is made of them."""

import json

import pytest

from accfm.base.errors import InputError
from accfm.evals.compare import history
from accfm.evals.results.figures import (
  Figure,
  Figures,
  write_figures,
  write_metrics,
)
from accfm.evals.stats.people import Estimate

RECALL = dict(evaluator="retrieval", measure="recall@1", pool=8)
PROBE = dict(evaluator="probe", subject="hr", measure="mae", unit="bpm")
HEADLINE = {
    "test/acc2ppg/recall@1_pool8": 0.5,
    "test/acc2ppg/recall@1_pool8_ci95_low": 0.25,
    "test/acc2ppg/recall@1_pool8_ci95_high": 0.75,
    "test/ppg2acc/recall@1_pool8": None,
    "test/probe_hr/mae_bpm": 4.0,
    "test/probe_hr/mae_bpm_ci95_low": 3.0,
    "test/probe_hr/mae_bpm_ci95_high": 5.0,
    "test/direct_sex/auc": 0.75,
    "test/health/effective_rank": 6.0,
}


def make_figures(rank=6.0):
  """Figures of which some are headlines."""
  out, add = Figures(), lambda value, **fields: out.add(
      Figure("test", **fields), value)
  add(Estimate(0.5, 0.25, 0.75), subject="acc2ppg", headline=True, **RECALL)
  add(0.1, **{**RECALL, "subject": "acc2ppg", "pool": "all"})
  out.skip(Figure("test", subject="ppg2acc", headline=True, **RECALL), "none")
  add(0.0, subject="acc2ppg", encoder="untrained", **RECALL)
  add(9.0, **{**PROBE, "measure": "windows", "unit": ""})
  add(Estimate(4.0, 3.0, 5.0, 0.125), headline=True, **PROBE)
  add(8.0, encoder="mean", **PROBE)
  add(0.75, evaluator="direct", subject="sex", measure="auc", headline=True)
  add(rank, evaluator="health", measure="effective_rank", headline=True)
  return out


def evaluation(folder, dataset="toy", trained_on=1, rank=6.0):
  folder.mkdir(parents=True, exist_ok=True)
  facts = {"dataset": dataset, "trained_on": [{}] * trained_on}
  figures = make_figures(rank)
  write_metrics(folder / "metrics.json", figures, facts)
  write_figures(folder / "figures.json", figures)


def test_the_headline_is_the_encoders_own(tmp_path):
  evaluation(tmp_path / "20")
  evaluation(tmp_path / "3", rank=2.0)
  (tmp_path / "notes").mkdir()
  rows = history.write_history(tmp_path)
  assert rows == [
      {"step": 3, "dataset": "toy", **HEADLINE,
       "test/health/effective_rank": 2.0},
      {"step": 20, "dataset": "toy", **HEADLINE},
  ]
  lines = (tmp_path / "history.jsonl").read_text().splitlines()
  assert [json.loads(line) for line in lines] == rows
  evaluation(tmp_path / "40")
  assert [r["step"] for r in history.write_history(tmp_path)] == [3, 20, 40]


def test_no_evaluation_yet(tmp_path):
  assert history.write_history(tmp_path) == []
  assert (tmp_path / "history.jsonl").read_text() == ""


@pytest.mark.parametrize("made, done", [
    ([], False), ([""], True), (["one"], False), (["one", "two"], True),
])
def test_a_step_is_done_when_all_data_sets_are(tmp_path, made, done):
  (tmp_path / "4").mkdir()
  for name in made:
    count = 2 if name else 1
    evaluation(tmp_path / "4" / name, name or "toy", count)
  assert history.is_done(tmp_path / "4") is done
  assert history.is_done(tmp_path / "5") is False
  rows = history.write_history(tmp_path)
  assert [r["dataset"] for r in rows] == [name or "toy" for name in made]


def test_an_evaluation_of_an_older_version(tmp_path):
  evaluation(tmp_path / "3")
  (tmp_path / "3" / "figures.json").unlink()
  with pytest.raises(InputError, match="3/figures.json: .*; evaluate ag"):
    history.write_history(tmp_path)
