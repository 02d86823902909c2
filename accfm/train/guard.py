"""Bad steps: the loss is NaN or infinite, or far above the ones before it.

A bad step stops the run. With `on_bad_step="skip"` the run goes back to its
newest checkpoint, or to the start, and never uses that batch again: update n
takes the n-th batch that is not left out. The list of batches left out is all
that has to be remembered. It is written to the workdir at once and saved in
each later checkpoint, so that a run resumes exactly, whenever it was killed.

Whether a loss is a spike depends on the losses of the `WINDOW` updates before
it. Each checkpoint holds them, and a run that goes back or resumes takes them
from there.
"""

import collections
import functools
import json
import math
import os
import pathlib
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from ml_collections import ConfigDict

from accfm.base import files, jsonfile
from accfm.base.errors import InputError

FILE = "skipped.json"
LARGEST = 1 << 31  # no run takes that many batches
WINDOW = 64  # losses that a spike is compared with
LEAST = 16  # fewer losses than this make no spike
SHOWN = 8  # rows and people in the log; the file has all

Who = Callable[[int], tuple[Sequence[int], Sequence[str]]]


class BadStepError(InputError):
  """A step that must not be kept; `step` is its number."""

  def __init__(self, step: int, metrics: dict[str, float], text: str):
    super().__init__(text)
    self.step, self.metrics = step, metrics


class NonFiniteError(BadStepError, FloatingPointError):
  """The loss or the gradient became NaN or infinite."""


def check(cfg: ConfigDict) -> None:
  """Raises InputError for fields out of their range."""
  if cfg.on_bad_step not in ("stop", "skip"):
    raise InputError(
        f"on_bad_step: got {cfg.on_bad_step!r}, want 'stop' or 'skip'"
    )
  if cfg.max_skipped < 0:
    raise InputError(
        f"max_skipped: got {cfg.max_skipped}, want 0 or more batches"
    )
  if not (cfg.spike_factor == 0 or 1 < cfg.spike_factor < math.inf):
    raise InputError(
        f"spike_factor: got {cfg.spike_factor}, want more than 1, or 0 for "
        "no such check"
    )


class Guard:
  """Judges the steps of a run and knows which batches it leaves out.

  The processes of a job decide alike, because their metrics are the same.
  """

  def __init__(
      self, workdir: str | os.PathLike, cfg: ConfigDict,
      who: Who | None = None,
  ):
    """Reads what the run left out before.

    Args:
      workdir: folder of the run.
      cfg: on_bad_step, max_skipped and spike_factor.
      who: `who(k) -> (row numbers, people)` of batch k, for the record.
    """
    check(cfg)
    self._cfg, self._who = cfg, who
    self._path = pathlib.Path(workdir) / FILE
    self._records = _load(self._path)
    self._losses = collections.deque(maxlen=WINDOW)

  @property
  def skipped(self) -> list[int]:
    """Numbers of the batches that are left out, sorted."""
    return sorted({record["batch"] for record in self._records})

  def number(self, k: int) -> int:
    """The k-th batch, from 0, of those that are not left out."""
    return _number(self.skipped, k)

  def sampler(self, sampler: Callable[[int], Any]) -> Callable[[int], Any]:
    """`sampler` without the batches that are left out by now."""
    return functools.partial(_draw, sampler, self.skipped)

  def resume(self, meta: dict) -> None:
    """Goes on from a checkpoint's record, {} for the start."""
    known = set(self.skipped)
    saved = _checked(
        meta.get("skipped", ()), "checkpoint's record: skipped",
        "batches that the run left out",
    )
    self._records += [r for r in saved if r["batch"] not in known]
    self._losses.clear()
    self._losses.extend(meta.get("losses", ()))

  def meta(self) -> dict[str, Any]:
    """What a checkpoint has to hold for `resume`."""
    out: dict[str, Any] = {"skipped": self._records} if self._records else {}
    if self._cfg.spike_factor:
      out["losses"] = list(self._losses)
    return out

  def judge(self, step: int, metrics: dict[str, float], saved: int) -> None:
    """Raises BadStepError for the metrics of a step that must not be kept.

    Args:
      step: its number; steps are judged in order.
      metrics: with "loss" and "grad_norm".
      saved: step of the newest checkpoint, 0 for none.
    """
    loss, grad_norm = metrics["loss"], metrics["grad_norm"]
    left = f"the checkpoint of step {saved}" if saved else "nothing"
    if not (math.isfinite(loss) and math.isfinite(grad_norm)):
      raise NonFiniteError(step, metrics, (
          f"step {step}: got loss {loss} and gradient norm {grad_norm}, want "
          f"finite ones; {left} is kept: lower --config.lr, look at what that "
          "batch holds or set --config.on_bad_step=skip"
      ))
    factor = self._cfg.spike_factor
    if not factor:
      return
    if len(self._losses) >= LEAST:
      median = statistics.median(self._losses)
      if 0 < median * factor < loss:
        raise BadStepError(step, metrics, (
            f"step {step}: got loss {loss:.6g}, want at most {factor:g} times "
            f"{median:.6g}, the median of the {len(self._losses)} before; "
            f"{left} is kept: lower --config.lr, look at what that batch "
            "holds, raise --config.spike_factor or set "
            "--config.on_bad_step=skip"
        ))
    self._losses.append(loss)

  def skip(
      self, error: BadStepError, saved: int, say: Callable[[str], None]
  ) -> None:
    """Leaves the batch of a bad step out from now on.

    Args:
      error: what `judge` raised.
      saved: step that the run goes back to.
      say: prints a line.

    Raises:
      BadStepError: a bad step stops the run, or as many batches as are
        allowed have been left out.
    """
    if self._cfg.on_bad_step == "stop":
      raise error
    if len(self._records) >= self._cfg.max_skipped:
      raise type(error)(error.step, error.metrics, (
          f"{error}; {len(self._records)} batches are left out already, as "
          f"many as --config.max_skipped={self._cfg.max_skipped} allows"
      )) from error
    batch = self.number(error.step - 1)
    rows, people = self._who(batch) if self._who else ([], [])
    self._records.append({
        "batch": batch, "step": error.step,
        "why": str(error).partition(", want")[0].partition(": ")[2],
        "rows": [int(row) for row in rows], "people": list(people),
    })
    if jax.process_index() == 0:
      _save(self._path, self._records)
    where = f"the checkpoint of step {saved}" if saved else "the start"
    say(f"warning: step {error.step}: {self._records[-1]['why']}; goes back "
        f"to {where} and leaves out batch {batch} ({len(self._records)} of at "
        f"most {self._cfg.max_skipped}) of rows {_some(rows)} of "
        f"{_some(people)}; {self._path} has all")


def _number(skipped: list[int], k: int) -> int:
  for batch in skipped:
    k += batch <= k
  return k


def _draw(sampler: Callable, skipped: list[int], k: int) -> Any:
  return sampler(_number(skipped, k))


def _some(items: Sequence) -> str:
  """The first few of a list as text."""
  text = ", ".join(str(item) for item in items[:SHOWN])
  return text + f", ... {len(items)} in all" * (len(items) > SHOWN)


def _load(path: pathlib.Path) -> list[dict]:
  if not os.path.lexists(path):
    return []
  want = (
      "the batches that the run left out; remove it to take them from the "
      "newest checkpoint"
  )
  return _checked(jsonfile.read(path, want, finite=False), str(path), want)


def _checked(records: Any, where: str, want: str) -> list[dict]:
  """Records of batches left out; InputError where they are none."""
  if not isinstance(records, (list, tuple)):
    raise InputError(f"{where}: got {str(records)[:40]!r}, want {want}")
  for record in records:
    number = record.get("batch") if isinstance(record, Mapping) else None
    if type(number) is not int or not 0 <= number < LARGEST:
      raise InputError(
          f"{where}: got {str(record)[:40]!r}, want the number of a batch as "
          f'"batch" in each record: {want}'
      )
  return [dict(record) for record in records]


def _save(path: pathlib.Path, records: list[dict]) -> None:
  try:
    files.write_atomic(path, json.dumps(records) + "\n")
  except OSError as error:
    raise InputError(
        f"{path}: cannot be written ({error.strerror}); free space and run "
        "the same command again"
    ) from error
