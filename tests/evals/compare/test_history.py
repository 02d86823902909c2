"""The folders of a watch are its memory; its history is made of them."""

import json

import pytest

from accfm.evals.compare import history as watch

VALUES = {
    "test/acc2ppg/recall@1_pool8": 0.5,
    "test/acc2ppg/recall@1_pool8_ci95_low": 0.25,
    "test/acc2ppg/recall@1_pool8_ci95_high": 0.75,
    "test/acc2ppg/recall@1_poolall": 0.1,
    "test/ppg2acc/recall@1_pool8": None,
    "test/untrained/acc2ppg/recall@1_pool8": 0.0,
    "test/probe_hr/windows": 9.0,
    "test/probe_hr/mae_bpm": 4.0,
    "test/probe_hr/mae_bpm_ci95_low": 3.0,
    "test/probe_hr/mae_bpm_ci95_high": 5.0,
    "test/probe_hr/r2": 0.5,
    "test/mean/probe_hr/mae_bpm": 8.0,
    "test/direct_sex/auc": 0.75,
    "test/health/effective_rank": 6.0,
}
HEADLINE = {
    key: value for key, value in VALUES.items()
    if key.startswith(("test/acc2ppg/recall@1_pool8", "test/ppg2acc",
                       "test/probe_hr/mae", "test/direct", "test/health"))
}


def evaluation(folder, dataset="toy", trained_on=1, **values):
  folder.mkdir(parents=True, exist_ok=True)
  meta = {
      "dataset": dataset, "split": "test", "pools": [8], "student": "acc",
      "teacher": "ppg", "trained_on": [{}] * trained_on,
  }
  (folder / "metrics.json").write_text(
      json.dumps({**VALUES, **values, "_meta": meta}))


def test_the_headline_is_the_encoders_own(tmp_path):
  evaluation(tmp_path / "20")
  evaluation(tmp_path / "3", **{"test/health/effective_rank": 2.0})
  (tmp_path / "notes").mkdir()
  rows = watch.write_history(tmp_path)
  assert rows == [
      {"step": 3, "dataset": "toy", **HEADLINE,
       "test/health/effective_rank": 2.0},
      {"step": 20, "dataset": "toy", **HEADLINE},
  ]
  lines = (tmp_path / "history.jsonl").read_text().splitlines()
  assert [json.loads(line) for line in lines] == rows
  evaluation(tmp_path / "40")
  assert [r["step"] for r in watch.write_history(tmp_path)] == [3, 20, 40]


def test_no_evaluation_yet(tmp_path):
  assert watch.write_history(tmp_path) == []
  assert (tmp_path / "history.jsonl").read_text() == ""


@pytest.mark.parametrize("made, done", [
    ([], False), ([""], True), (["one"], False), (["one", "two"], True),
])
def test_a_step_is_done_when_all_data_sets_are(tmp_path, made, done):
  (tmp_path / "4").mkdir()
  for name in made:
    count = 2 if name else 1
    evaluation(tmp_path / "4" / name, name or "toy", count)
  assert watch.is_done(tmp_path / "4") is done
  assert watch.is_done(tmp_path / "5") is False
  rows = watch.write_history(tmp_path)
  assert [r["dataset"] for r in rows] == [name or "toy" for name in made]
