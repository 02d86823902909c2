"""Bad steps: a loss that is no number, or far above the ones before it.

A bad step stops the run or, with `on_bad_step="skip"`, rolls it back to its
newest checkpoint, or to the start, and leaves the batch out from then on:
update n takes the n-th batch that is not left out. Which are left out is all
that has to be remembered, in the workdir as soon as it is decided and in each
later checkpoint; so a resumed run goes on exactly, whenever it was killed.

Whether a loss is a spike depends on the losses of the `WINDOW` updates before
it. A checkpoint holds them, and a rollback or a resume takes them from there.
"""

import collections
import functools
import json
import math
import pathlib
import statistics

import jax

from accfm.base import files
from accfm.base.errors import InputError

FILE = "skipped.json"
WINDOW = 64  # losses that a spike is compared with
LEAST = 16  # of them; with fewer nothing is a spike
SHOWN = 8  # rows and people in the log; the file has all


class BadStepError(InputError):
  """A step that must not be kept; `step` is its number."""

  def __init__(self, step, metrics, text):
    super().__init__(text)
    self.step, self.metrics = step, metrics


class NonFiniteError(BadStepError, FloatingPointError):
  """The loss or the gradient became NaN or infinite."""


def check(cfg):
  """Raises InputError for fields that mean nothing."""
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

  Processes of a job decide alike, as their metrics are the same.
  """

  def __init__(self, workdir, cfg, who=None):
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
  def skipped(self):
    """Numbers of the batches that are left out, sorted."""
    return sorted({record["batch"] for record in self._records})

  def number(self, k):
    """The k-th batch, from 0, of those that are not left out."""
    return _number(self.skipped, k)

  def sampler(self, sampler):
    """A sampler without the batches that are left out by now."""
    return functools.partial(_draw, sampler, self.skipped)

  def resume(self, meta):
    """Goes on from a checkpoint's record, {} for the start."""
    known = set(self.skipped)
    self._records += [
        record for record in meta.get("skipped", ())
        if record["batch"] not in known
    ]
    self._losses.clear()
    self._losses.extend(meta.get("losses", ()))

  def meta(self):
    """What a checkpoint has to hold for `resume`."""
    out = {"skipped": self._records} if self._records else {}
    if self._cfg.spike_factor:
      out["losses"] = list(self._losses)
    return out

  def judge(self, step, metrics, saved):
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

  def skip(self, error, saved, say):
    """Leaves the batch of a bad step out from now on.

    Args:
      error: the BadStepError.
      saved: step that the run is rolled back to.
      say: `say(text)`.

    Raises:
      BadStepError: a bad step stops the run, or enough were left out.
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


def _number(skipped, k):
  for batch in skipped:
    k += batch <= k
  return k


def _draw(sampler, skipped, k):
  return sampler(_number(skipped, k))


def _some(items):
  """The first few of a list as text."""
  text = ", ".join(str(item) for item in items[:SHOWN])
  return text + f", ... {len(items)} in all" * (len(items) > SHOWN)


def _load(path):
  try:
    return [{**r, "batch": int(r["batch"])} for r in json.loads(
        path.read_text()
    )]
  except FileNotFoundError:
    return []
  except (OSError, ValueError, KeyError, TypeError) as error:
    raise InputError(
        f"{path}: cannot be read ({error}), want the batches that the run "
        "left out; remove it to take them from the newest checkpoint"
    ) from error


def _save(path, records):
  try:
    files.write_atomic(path, json.dumps(records) + "\n")
  except OSError as error:
    raise InputError(
        f"{path}: cannot be written ({error.strerror}); free space and run "
        "the same command again"
    ) from error
