"""Rows in three places, once per step whatever was killed."""

import io
import json
import math
import struct

import pytest
from tensorboardX.proto import event_pb2

from accfm.base.errors import InputError
from accfm.train import writer


def rows(path):
  lines = (path / "metrics.jsonl").read_text().splitlines()
  return [json.loads(line) for line in lines]


def events(path):
  """TensorBoard events in file order: a length, a CRC, the event, a CRC."""
  found = []
  for file in sorted(path.glob("tensorboard/events.*")):
    data = file.read_bytes()
    while data:
      (size,) = struct.unpack("<Q", data[:8])
      found.append(event_pb2.Event.FromString(data[12 : 12 + size]))
      data = data[16 + size :]
  return found


def test_a_row_reaches_json_tensorboard_and_console(tmp_path):
  stream = io.StringIO()
  with writer.Writer(tmp_path, stream) as out:
    out.start(0, total_steps=200)
    out.write(7, {"train/loss": 0.25, "train/time_left_s": 125})
    out.write(8, {"train/loss": math.nan, "val/acc2ppg/recall@1": 0.5})
  assert rows(tmp_path) == [
      {"step": 7, "train/loss": 0.25, "train/time_left_s": 125.0},
      {"step": 8, "train/loss": None, "val/acc2ppg/recall@1": 0.5},
  ]
  values = {
      (e.step, v.tag): v.simple_value
      for e in events(tmp_path)
      for v in e.summary.value
  }
  assert values[7, "train/loss"] == 0.25
  assert math.isnan(values[8, "train/loss"])
  assert values[8, "val/acc2ppg/recall@1"] == 0.5
  assert stream.getvalue().splitlines()[0] == (
      "step   7/200 | loss 0.2500 | 2 min 05 s left"
  )


def test_resume_drops_rows_after_the_restored_step(tmp_path):
  with writer.Writer(tmp_path, io.StringIO()) as out:
    out.start(0)
    for step in range(1, 9):
      out.write(step, {"train/loss": step})
  with open(tmp_path / "metrics.jsonl", "a") as f:
    f.write('{"step": 9, "train/lo')  # torn by a kill
  assert [row["step"] for row in writer.load_rows(tmp_path)][-1] == 8
  with writer.Writer(tmp_path, io.StringIO()) as out:
    out.start(5)
    out.write(6, {"train/loss": 60})
  steps = {row["step"]: row["train/loss"] for row in rows(tmp_path)}
  assert steps == {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 60}
  assert len(rows(tmp_path)) == 6
  # TensorBoard hides steps from 6 on of the earlier file.
  start = event_pb2.SessionLog.START
  marks = [e.step for e in events(tmp_path) if e.session_log.status == start]
  assert 6 in marks


def test_a_run_that_starts_over_drops_all_rows(tmp_path):
  for _ in range(2):
    with writer.Writer(tmp_path, io.StringIO()) as out:
      out.start(0)
      out.write(1, {"train/loss": 1})
  assert len(rows(tmp_path)) == 1


def test_a_bad_line_inside_is_said_and_dropped(tmp_path):
  (tmp_path / "metrics.jsonl").write_text('{"step": 1}\nrubbish\n{"step": 2}\n')
  with pytest.raises(InputError, match="metrics.jsonl:2: got 'rubbish'"):
    writer.load_rows(tmp_path)
  stream = io.StringIO()
  with writer.Writer(tmp_path, stream) as out:
    out.start(2)
  assert "metrics.jsonl:2 is not a row" in stream.getvalue()
  assert [row["step"] for row in rows(tmp_path)] == [1, 2]


def test_a_workdir_that_cannot_be_written_is_named(tmp_path):
  (tmp_path / "w").write_text("a file")
  with pytest.raises(InputError, match="metrics cannot be written"):
    writer.Writer(tmp_path / "w").start(0)
  with pytest.raises(InputError, match="not found"):
    writer.load_rows(tmp_path)


def test_durations():
  assert writer.duration(59.4) == "59 s"
  assert writer.duration(60) == "1 min 00 s"
  assert writer.duration(3600 * 3 + 20 * 60 + 31) == "3 h 20 min"


def test_of_many_metrics_the_console_shows_the_first():
  metrics = {f"val/{n}": float(n) for n in range(writer.MOST_SHOWN + 3)}
  line = writer.console_line(7, 10, metrics)
  assert "val/0 0 | val/1 1" in line and "val/12" not in line
  assert line.endswith("| 3 more in metrics.jsonl")
  few = dict(list(metrics.items())[:writer.MOST_SHOWN])
  assert "more in" not in writer.console_line(7, 10, few)
