"""JSON that accfm wrote and anybody may have edited."""

import io
import json

from accfm import tabulate
from accfm.configs import acc_mae, table
from accfm.evals.compare import checkpoints as compared
from accfm.evals.compare import history
from accfm.evals.files import store
from accfm.evals.results import figures
from accfm.signals import contract
from accfm.steps import kinds, record
from accfm.train import guard, workdir, writer
from tests.fuzz import hostile

SPEC = {
    "channels": 3, "unit": "g", "kind": "acc", "gravity_kept": False,
    "band_hz": [0.5, 20.0], "band_order": 2, "delay_s": 0.0,
    "normalize": "zscore",
}
CONTRACT = {
    "signals": {"acc": SPEC, "ppg": {**SPEC, "channels": 1, "kind": "ppg"}},
    "rate_hz": 64.0, "window_sec": 8.0, "labels": {"beat_source": "ibi"},
    "code_version": "0.1",
}
COHORT = {
    "dataset": "toy", "splits": {"train": ["toy/1", "toy/2"], "test": []},
    "split_hash": "ab", "windows": {"train": 8, "test": 0}, "salt": "",
    "known_salt": "salt/1", "source": "e4", "fingerprints": {"train": ["a"]},
}
PARENT = {
    "kind": "mae", "config": {"encoder": {"width": 4}, "decoder": {"width": 4}},
    "signals": ["ppg"], "contract": CONTRACT, "cohorts": [COHORT],
    "parent": None, "targets": [], "version": 1,
}
RECORD = {
    **PARENT, "kind": "distill", "signals": ["acc", "ppg"], "parent": PARENT,
    "best": {"metric": "val/x", "mode": "max"}, "metrics": {"val/x": 0.5},
    "skipped": [{"batch": 3}], "losses": [1.0, 2.0],
}
ROWS = [
    {"step": step, "train/loss": 1.5 / step, "train/lr": None}
    for step in (1, 2, 3, 4)
]
SKIPPED = [
    {"batch": 3, "step": 4, "why": "loss nan", "rows": [1, 2], "people": ["a"]}
]
META = {
    "dataset": "toy", "split": "test", "split_hash": "ab", "step": 3,
    "student": "acc", "teacher": "ppg", "windows": {"test": 8},
    "people": {"test": 2}, "seen": [], "pools": [4], "checkpoint": "w",
    "validated": [], "untold": ["toy/1"],
    "trained_config": {"label_fraction": 0.5}, "trained_on": ["toy"],
}


def test_a_contract(fuzz):

  def check(judge, case):
    found = judge.call(case, contract.from_dict, case)
    if found is not None:
      judge.call(case, lambda: ([found.length(n) for n in found.signals],
                               found.to_dict()))

  fuzz(hostile.changed(CONTRACT, most=2, values=hostile.plain_values), check)


def test_a_record(fuzz):

  def read(case):
    found = record.from_plain(case)
    kinds.encoder_configs(found)
    return record.to_plain(found)

  fuzz(
      hostile.changed(RECORD, most=2, values=hostile.plain_values),
      lambda judge, case: judge.call(case, read, case),
  )


def test_the_config_of_a_workdir(fuzz, tmp_path):
  config = acc_mae.get_config("tiny")
  folder = tmp_path / "run"
  workdir.claim(folder, config)
  path = folder / "config.json"
  valid = json.loads(path.read_text())

  def check(judge, case):
    path.write_bytes(case)
    judge.call(case, workdir.load_config, folder)
    judge.call(case, workdir.claim, folder, config)

  fuzz(hostile.json_files(valid, most=2), check)


def test_batches_that_were_left_out(fuzz, tmp_path):
  config = acc_mae.get_config("tiny")

  def read():
    found = guard.Guard(tmp_path, config)
    return found.skipped, found.number(3), json.dumps(found.meta())

  def check(judge, case):
    (tmp_path / guard.FILE).write_bytes(case)
    judge.call(case, read)

  fuzz(hostile.json_files(SKIPPED, most=2), check)


def lines(draw_rows):
  """Bytes of a file with a line for each row."""
  return draw_rows.flatmap(lambda rows: hostile.encoded("".join(
      hostile.to_text(row) + "\n" for row in rows
  )))


def test_rows_of_metrics(fuzz, tmp_path):
  path = tmp_path / "metrics.jsonl"

  def start():
    made = writer.Writer(tmp_path, stream=io.StringIO())
    made.start(2)
    made.close()

  def check(judge, case):
    path.write_bytes(case)
    judge.call(case, writer.load_rows, tmp_path)
    judge.call(case, start)

  valid = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
  fuzz(
      lines(hostile.changed(ROWS, most=2).map(
          lambda rows: rows if isinstance(rows, list) else [rows]
      )) | hostile.damaged(valid),
      check,
  )


def test_figures_of_an_evaluation(fuzz, tmp_path):
  path = tmp_path / "figures.json"
  made = figures.Figures()
  made.add(figures.Figure("test", "health", measure="effective_rank"), 3.0)
  figures.write_figures(path, made)
  valid = json.loads(path.read_text())

  def read():
    return figures.load_figures(path).headlines()

  def check(judge, case):
    path.write_bytes(case)
    judge.call(case, read)

  fuzz(hostile.json_files(valid, most=2), check)


def test_metrics_of_an_evaluation(fuzz, tmp_path):
  run = tmp_path / "runs" / "one"
  run.mkdir(parents=True)
  config = table.get_config()

  def check(judge, case):
    (run / "metrics.json").write_bytes(case)
    judge.call(
        case, tabulate.run, config, f"a={run}", str(tmp_path / "table")
    )
    judge.call(case, history.is_done, run.parent)

  valid = {"_meta": META, "test/health/effective_rank": 0.5}
  fuzz(hostile.json_files(valid, most=2), check)


def test_a_comparison_of_evaluations(fuzz, tmp_path):
  one, two = tmp_path / "one", tmp_path / "two"
  for folder in (one, two):
    folder.mkdir()
    store.write_predictions(folder / "predictions.parquet", [], {})
    figures.write_figures(folder / "figures.json", figures.Figures())
  (two / "metrics.json").write_text(json.dumps({"_meta": META}))

  def read():
    found = compared.tabulate_runs({"one": one, "two": two}, 10, 0)
    return compared.markdown(found)

  def check(judge, case):
    (one / "metrics.json").write_bytes(case)
    judge.call(case, read)

  fuzz(hostile.json_files({"_meta": META}), check)
