"""Rows in three places, once per step whatever was killed."""

import io
import json
import math
import os
import struct
from unittest import mock

import pytest
from tensorboardX.proto import event_pb2

from accfm.base.errors import InputError
from accfm.train import fit, writer


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
  before = (tmp_path / "metrics.jsonl").read_bytes()
  with pytest.raises(InputError, match="metrics.jsonl:2: not valid JSON"):
    writer.load_rows(tmp_path)
  stream = io.StringIO()
  with writer.Writer(tmp_path, stream) as out:
    out.start(2)
  assert "metrics.jsonl:2: not valid JSON" in stream.getvalue()
  assert [row["step"] for row in rows(tmp_path)] == [1, 2]
  assert (tmp_path / "metrics.jsonl.before-1").read_bytes() == before


NO_ROWS = [
    b'{"step": "2"}', b'{"step": true}', b'{"step": NaN}', b'{"step": 1e999}',
    b'{"step": 2.0}', b'{"step": null}', b'{"step": -1}', b'{"step": [2]}',
    b'{"loss": 1}', b"[2]", b"2", b'"2"', b"null", b"", b"[" * 100_000,
    b'{"step": 2' + 5000 * b"0" + b"}", b'{"step": 2, "loss": "low"}',
    b'{"step": 2, "loss": Infinity}', b'{"step": 2, "step": 3}',
    b'{"step": 2, "loss": {"a": 1}}', b"\xff\xfe{", b"\0\0\0",
    b'{"step": 2, "caf\xe9": 1}',
]


def test_lines_that_are_no_rows_are_dropped_in_one_line(tmp_path):
  path = tmp_path / "metrics.jsonl"
  for n, line in enumerate([*NO_ROWS, b"\n".join(NO_ROWS)], 1):
    whole = b'{"step": 1}\n' + line + b'\n{"step": 3}\n'
    path.write_bytes(whole)
    with pytest.raises(InputError, match="metrics.jsonl:2") as error:
      writer.load_rows(tmp_path)
    assert "\n" not in str(error.value) and len(str(error.value)) < 600
    stream = io.StringIO()
    with writer.Writer(tmp_path, stream) as out:
      out.start(3)
    said = stream.getvalue()
    assert said.count("\n") == 1 and said.startswith("warning: "), said
    assert writer.load_rows(tmp_path) == [{"step": 1}, {"step": 3}]
    aside = path.with_name(f"metrics.jsonl.before-{n}")
    assert aside.read_bytes() == whole and aside.name in said
  assert f"and {len(NO_ROWS) - 1} more; dropped" in said


def test_a_whole_file_of_another_encoding(tmp_path):
  path = tmp_path / "metrics.jsonl"
  path.write_text('{"step": 1}\n{"step": 2}\n', encoding="utf-16")
  with pytest.raises(InputError, match="metrics.jsonl:1: got text in UTF-16"):
    writer.load_rows(tmp_path)
  with writer.Writer(tmp_path, io.StringIO()) as out:
    out.start(0)
  assert path.read_bytes() == b""


@pytest.mark.parametrize("make, want", [
    (lambda path: (path / "tensorboard").write_text(""),
     "tensorboard: got a file, want a folder"),
    (lambda path: (path / "tensorboard").symlink_to("nowhere"),
     "tensorboard: got a file, want a folder"),
    (lambda path: (path / "metrics.jsonl").mkdir(),
     "metrics.jsonl: got a folder, want the rows"),
    (lambda path: (path / "metrics.jsonl").symlink_to("nowhere"),
     "metrics.jsonl: cannot be read"),
    (lambda path: os.mkfifo(path / "metrics.jsonl"),
     "metrics.jsonl: got no regular file"),
])
def test_what_is_in_the_way_is_named_before_any_work(tmp_path, make, want):
  make(tmp_path)
  with pytest.raises(InputError, match=want) as error:
    writer.check(tmp_path)
  assert "\n" not in str(error.value)
  with pytest.raises(InputError, match=want):
    writer.Writer(tmp_path).start(0)
  training = mock.Mock(workdir=tmp_path)
  with pytest.raises(InputError, match=want):
    fit.fit(training)
  assert not training.method_calls and not training.data.method_calls


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
