"""Metrics to the console, to `metrics.jsonl` and to TensorBoard.

tensorboardX writes the event files, because it needs no TensorFlow. A run
that is killed has written rows after its last checkpoint. They are dropped
when it resumes, so that a file holds each step once. Lines that are no rows
are dropped too; then the file as it was is kept beside.
"""

import contextlib
import itertools
import json
import math
import os
import pathlib
import shutil
import sys
from typing import Any, TextIO

import jax
from tensorboardX.proto import event_pb2, summary_pb2
from tensorboardX.writer import FileWriter

from accfm.base import files, jsonfile, textfile
from accfm.base.errors import InputError

# Any: protobuf makes their classes when they are imported.
_event: Any = event_pb2
_summary: Any = summary_pb2

ROWS, BOARD = "metrics.jsonl", "tensorboard"  # in a workdir
WANT_ROWS = "the rows that a run writes; move the file away"
MAX_BYTES = 1 << 30  # of the rows of a run


def check(workdir: str | os.PathLike) -> None:
  """Raises InputError unless metrics can be written into a workdir."""
  workdir = pathlib.Path(workdir)
  if os.path.lexists(workdir / BOARD) and not (workdir / BOARD).is_dir():
    raise InputError(
        f"{workdir / BOARD}: got a file, want a folder or nothing there; "
        "move it away or choose another --workdir"
    )
  if os.path.lexists(workdir / ROWS):
    textfile.read_bytes(workdir / ROWS, WANT_ROWS, MAX_BYTES)


class Writer:
  """Writes rows of metrics. Only process 0 writes; others do nothing.

  Attributes:
    workdir: where `ROWS` and `BOARD` are.
  """

  def __init__(
      self, workdir: str | os.PathLike, stream: TextIO | None = None
  ):
    """Touches no file yet; `start` does. `stream`: default stdout."""
    self.workdir = pathlib.Path(workdir)
    self._stream = stream
    self._active = jax.process_index() == 0
    self._total = 0
    self._rows: TextIO | None = None
    self._board: Any = None

  def start(self, step: int, total_steps: int = 0) -> None:
    """Opens the files of a run that is at `step`; drops later rows."""
    self.close()
    self._total = total_steps
    if not self._active:
      return
    try:
      self.workdir.mkdir(parents=True, exist_ok=True)
      check(self.workdir)
      path = self.workdir / ROWS
      if path.exists():
        self._drop_after(path, step)
      self._rows = open(path, "a")
      # `FileWriter` because `SummaryWriter` rewrites the "@" of recall@1.
      self._board = FileWriter(
          self.workdir / BOARD, filename_suffix=f".from{step}"
      )
    except OSError as error:
      raise InputError(
          f"workdir {self.workdir}: metrics cannot be written "
          f"({error.strerror}); free space or choose another --workdir"
      ) from error
    # TensorBoard then hides what earlier files hold from that step on.
    restart = _event.SessionLog(status=_event.SessionLog.START)
    self._board.add_event(_event.Event(session_log=restart), step + 1)

  def write(self, step: int, metrics: dict[str, float]) -> None:
    """Writes one row; NaN and infinities become null in the JSON.

    Args:
      step: number of updates done.
      metrics: {name: number}, e.g. {"train/loss": 2.1}.

    Raises:
      InputError: the file cannot be written (a full disk).
    """
    if not self._active:
      return
    if self._rows is None:
      raise RuntimeError("Writer.write before Writer.start")
    metrics = {name: float(value) for name, value in metrics.items()}
    row: dict[str, Any] = {"step": int(step)}
    for name, value in metrics.items():
      row[name] = value if math.isfinite(value) else None
    try:
      self._rows.write(json.dumps(row) + "\n")
      self._rows.flush()
    except OSError as error:
      raise InputError(
          f"{self._rows.name}: step {step} cannot be written "
          f"({error.strerror}); free space and run the same command again"
      ) from error
    values = [
        _summary.Summary.Value(tag=n, simple_value=v)
        for n, v in metrics.items()
    ]
    self._board.add_summary(_summary.Summary(value=values), int(step))
    self.say(console_line(step, self._total, metrics))

  def say(self, text: str) -> None:
    """Prints a line where the rows are printed."""
    if self._active:
      print(text, file=self._stream or sys.stdout, flush=True)

  def close(self) -> None:
    """Flushes and closes the files."""
    rows, self._rows = self._rows, None
    board, self._board = self._board, None
    try:
      for file in (rows, board):
        if file is not None:
          file.close()
    except OSError as error:
      raise InputError(
          f"workdir {self.workdir}: metrics cannot be written "
          f"({error.strerror}); free space and run the same command again"
      ) from error

  def __enter__(self) -> "Writer":
    return self

  def __exit__(self, kind, *unused) -> None:
    if kind is None:
      self.close()
    else:  # the error on its way matters more than a second one
      with contextlib.suppress(InputError):
        self.close()

  def _drop_after(self, path: pathlib.Path, step: int) -> None:
    """Keeps the rows up to `step`; warns of lines that are not rows.

    A last line that was cut off by a kill is dropped without a word.
    """
    rows, wrong = _read(path)
    if wrong:
      aside = _free_name(path)
      shutil.copyfile(path, aside)
      more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
      self.say(f"warning: {wrong[0]}{more}; dropped, and the file as it was "
               f"is kept as {aside.name}")
    files.write_atomic(path, "".join(
        line + "\n" for row, line in rows if row["step"] <= step
    ))


def load_rows(workdir: str | os.PathLike) -> list[dict]:
  """The rows of a workdir's `metrics.jsonl`, without a last line cut off.

  Raises:
    InputError: no such file, or a line is not a row: an object with a whole
      number as "step" and numbers, or null, beside it.
  """
  path = pathlib.Path(workdir) / ROWS
  if not path.exists():
    raise InputError(f"{path}: not found, want the metrics of a run")
  rows, wrong = _read(path)
  if wrong:
    raise InputError(wrong[0])
  return [row for row, _ in rows]


def _read(path: pathlib.Path) -> tuple[list[tuple[dict, str]], list[str]]:
  """([(row, its line)], [what is wrong with each other line])."""
  rows, wrong = [], []
  *lines, cut = textfile.read_bytes(path, WANT_ROWS, MAX_BYTES).split(b"\n")
  for number, line in enumerate([*lines, cut], 1):
    where = f"{path}:{number}"
    try:
      text = textfile.decode(line, where, "a row of metrics")
      rows.append((_row(text, where), text))
    except InputError as error:
      if number <= len(lines):  # the last one was not finished, or is empty
        wrong.append(str(error))
  return rows, wrong


def _row(text: str, where: str) -> dict:
  """The row of a line; InputError where it is none."""
  want = 'a row of metrics such as {"step": 7, "train/loss": 0.5}'
  row = jsonfile.as_object(jsonfile.parse(text, where, want), where, want)
  for name, value in row.items():
    kinds = (int,) if name == "step" else (int, float, type(None))
    if type(value) not in kinds:
      raise InputError(
          f"{where}: got {str(value)[:40]!r} as {name}, want {want}"
      )
  if row.get("step", -1) < 0:
    raise InputError(f"{where}: got no step of 0 or more, want {want}")
  return row


def _free_name(path: pathlib.Path) -> pathlib.Path:
  """A name beside a file that nothing has."""
  for n in itertools.count(1):
    free = path.with_name(f"{path.name}.before-{n}")
    if not os.path.lexists(free):
      return free
  raise AssertionError


MOST_SHOWN = 12  # metrics of one line, beside those that every run has
# How the console shows the metrics that every run has.
_SHORT = {
    "train/loss": lambda x: f"loss {x:.4f}",
    "train/lr": lambda x: f"lr {x:.2e}",
    "train/grad_norm": lambda x: f"grad norm {x:.3g}",
    "train/segments_per_s": lambda x: f"{x:.4g} segments/s",
    "train/data_wait_share": lambda x: f"data wait {100 * x:.0f} %",
    "train/time_left_s": lambda x: f"{duration(x)} left",
}


def console_line(step: int, total: int, metrics: dict[str, float]) -> str:
  """`step 20/100 | loss 1.2345 | ... | 2 min 05 s left`."""
  width = len(str(total))
  parts = [f"step {step:>{width}}/{total}"]
  known = [name for name in _SHORT if name in metrics]
  parts += [_SHORT[name](metrics[name]) for name in known[:-1]]
  others = [name for name in metrics if name not in _SHORT]
  parts += [
      f"{name.removeprefix('train/')} {metrics[name]:.4g}"
      for name in others[:MOST_SHOWN]
  ]
  if len(others) > MOST_SHOWN:  # as with evaluators that run in training
    parts.append(f"{len(others) - MOST_SHOWN} more in metrics.jsonl")
  parts += [_SHORT[name](metrics[name]) for name in known[-1:]]
  return " | ".join(parts)


def duration(seconds: float) -> str:
  """`45 s`, `2 min 05 s` or `3 h 20 min`."""
  seconds = int(round(seconds))
  if seconds < 60:
    return f"{seconds} s"
  if seconds < 3600:
    return f"{seconds // 60} min {seconds % 60:02d} s"
  return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
