"""Checkpoints that explain themselves, checked before they are believed.

Orbax writes `<workdir>/checkpoints/<step>/` in the background and renames it
into place when it is whole. Each holds the training state, what is frozen,
and a JSON record (config, contract, split manifest) that rebuilds the model.
The latest n and the best n are kept, so that a resume never rewinds. Orbax
reads a flipped byte as another weight without a word, so a CRC-32 of each
file is written before the rename and compared before a restore (`reader`).
"""

import contextlib
import functools
import json
import math
import pathlib
import shutil
import sys
import threading
import warnings

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from accfm.base import faults
from accfm.base.errors import InputError
from accfm.train.checkpoints import reader

POLICIES = ocp.checkpoint_managers


class SaveError(InputError):
  """A checkpoint could not be written; the ones before it still load."""


class Checkpoints:
  """The checkpoints of one run, written in the background.

  All processes of a job create it and call it alike.
  """

  def __init__(
      self,
      directory,
      keep_latest=2,
      keep_best=1,
      best_metric="",
      best_mode="max",
  ):
    """Opens a folder; what a killed run left half-written is removed.

    Args:
      directory: `<workdir>/checkpoints`; created if absent.
      keep_latest: how many of the newest to keep, at least 1.
      keep_best: how many of the best to keep besides; 0 for none.
      best_metric: the validation metric that ranks them; "" for no ranking.
      best_mode: "max" or "min".
    """
    if keep_latest < 1 or keep_best < 0:
      raise InputError(
          f"keep_latest, keep_best: got {keep_latest}, {keep_best}, want at "
          "least 1 and at least 0"
      )
    if best_mode not in ("max", "min"):
      raise InputError(f"best_mode: got {best_mode!r}, want 'max' or 'min'")
    self.directory = pathlib.Path(directory).absolute()
    self._best = {"metric": best_metric, "mode": best_mode}
    policies = [POLICIES.LatestN(keep_latest)]
    if best_metric and keep_best:
      policies.append(
          POLICIES.BestN(
              get_metric_fn=_score,
              reverse=best_mode == "min",
              n=keep_best,
              keep_checkpoints_without_metrics=False,
          )
      )
    self._saving = None  # the step that is being written
    self._waiter = None
    self._failure = None
    self._lost = None  # the step whose write failed
    try:
      self._manager = ocp.CheckpointManager(
          self.directory,
          options=ocp.CheckpointManagerOptions(
              best_fn=_score,
              best_mode=best_mode,
              preservation_policy=POLICIES.AnyPreservationPolicy(policies),
              cleanup_tmp_directories=True,
              async_options=ocp.options.AsyncOptions(
                  post_finalization_callback=self._before_commit
              ),
          ),
      )
    except OSError as error:
      raise InputError(
          f"{self.directory}: cannot be opened ({error.strerror or error}); "
          "choose another --workdir"
      ) from error

  def save(self, step, state, frozen, meta, metrics=None):
    """Starts writing a checkpoint; returns when the arrays are copied.

    Args:
      step: number of updates done; names the folder.
      state: TrainState of arrays. It may be donated afterwards.
      frozen: pytree of arrays or an empty one.
      meta: dict that JSON can hold.
      metrics: validation metrics of this very step, or None; only those with
        metrics compete for the best.

    Raises:
      SaveError: this one or the one before could not be written.
      InputError: `metrics` lacks the metric that ranks.
    """
    self.wait()
    items = {
        "state": ocp.args.StandardSave(state),
        "meta": ocp.args.JsonSave(
            {**meta, "best": self._best, "metrics": _finite(metrics)}
        ),
    }
    if jax.tree.leaves(frozen):
      items["frozen"] = ocp.args.StandardSave(frozen)
    self._saving = step
    self._hook = sys.unraisablehook
    sys.unraisablehook = functools.partial(_hide_stragglers, self._hook)
    try:
      self._manager.save(
          step,
          args=ocp.args.Composite(**items),
          metrics=self._ranking(metrics),
          force=True,
      )
    except InputError:
      self._saving, sys.unraisablehook = None, self._hook
      raise
    except Exception as error:  # Orbax raises many kinds for a full disk
      self._failed(step, error)
    self._waiter = threading.Thread(target=self._await, name="await_save")
    self._waiter.start()

  def poll(self):
    """Raises SaveError as soon as the write under way has failed."""
    if self._waiter is not None and not self._waiter.is_alive():
      self.wait()

  def wait(self):
    """Returns when nothing is being written; SaveError if that failed."""
    if self._waiter is None:
      return
    self._waiter.join()
    self._waiter = None
    step, self._saving = self._saving, None
    failure, self._failure = self._failure, None
    if failure is not None:
      self._failed(step, failure)
    sys.unraisablehook = self._hook
    faults.point("after_save", step)

  def latest(self):
    """The newest step written or being written, or None."""
    return self._manager.latest_step()

  def steps(self):
    """All steps, oldest first."""
    return sorted(self._manager.all_steps())

  def restore(self, state, frozen, step=None):
    """Restores onto the devices and shardings of a template.

    Without `step`, the newest that is whole: a damaged one is named on
    stderr and set aside as `damaged-<step>`, and the one before is taken.

    Args:
      state: TrainState of arrays (or ShapeDtypeStructs with shardings).
      frozen: likewise, or an empty pytree.
      step: which one.

    Returns:
      (step, state, frozen).

    Raises:
      InputError: there is none, none is whole, or parameters differ in name,
        shape or type from the template.
    """
    self.wait()
    step = self._newest_whole() if step is None else step
    if step not in self.steps():
      raise InputError(
          f"{self.directory}: got no checkpoint of step {step}, want one of "
          f"{self.steps()}"
      )
    path = self.directory / str(step)
    reader.verify(path)
    faults.point("during_restore", step)
    items = {"state": state}
    if jax.tree.leaves(frozen):
      items["frozen"] = frozen
    for name, template in items.items():
      reader.check_template(path / name, template)
    restored = self._manager.restore(
        step,
        args=ocp.args.Composite(**{
            name: ocp.args.StandardRestore(
                jax.tree.map(ocp.utils.to_shape_dtype_struct, template)
            )
            for name, template in items.items()
        }),
    )
    return step, restored["state"], restored.get("frozen", frozen)

  def read_meta(self, step):
    """The dict that was saved with a step."""
    return reader.read_meta(self.directory / str(step))

  def close(self):
    """Waits for the write under way and frees threads; may raise SaveError."""
    try:
      self.wait()
    finally:
      with contextlib.suppress(Exception):  # said by `wait` already
        self._manager.close()
      self._remove_lost()  # threads that outlived the failure are done now

  def __enter__(self):
    return self

  def __exit__(self, kind, *unused):
    if kind is None:
      self.close()
    else:  # the error on its way matters more than a second one
      with contextlib.suppress(SaveError):
        self.close()

  def _ranking(self, metrics):
    """What Orbax sorts by, or None for "does not compete"."""
    name = self._best["metric"]
    if not name or metrics is None:
      return None
    if name not in metrics:
      raise InputError(
          f"best_metric: got {name!r}, want one of {sorted(metrics)}"
      )
    value = float(metrics[name])
    return {"score": value} if math.isfinite(value) else None

  def _before_commit(self):
    """In the background thread: all is written, nothing renamed yet."""
    faults.point("during_save", self._saving)
    for path in self.directory.glob(f"{self._saving}.orbax-checkpoint-tmp*"):
      sums = json.dumps(reader.checksums(path))
      (path / reader.CHECKSUMS).write_text(sums)

  def _await(self):
    try:
      self._manager.wait_until_finished()
    except BaseException as error:  # handed to the main thread
      self._failure = error

  def _failed(self, step, error):
    """Raises SaveError for a step after removing its remains."""
    self._saving, self._lost = None, step
    warnings.filterwarnings("ignore", "coroutine 'async_serialize")
    self._remove_lost()
    self._manager.reload()
    left = self.steps()
    resume = f"step {left[-1]}" if left else "the start"
    raise SaveError(
        f"checkpoint of step {step}: got {reader.reason(error)!r} while "
        f"writing {self.directory}, want room for it; free space and run the "
        f"same command again, it resumes from {resume}"
    ) from error

  def _remove_lost(self):
    """Removes what a failed write left."""
    if self._lost is not None and jax.process_index() == 0:
      for path in self.directory.glob(f"{self._lost}.orbax-checkpoint-tmp*"):
        shutil.rmtree(path, ignore_errors=True)

  def _newest_whole(self):
    """The newest step whose files are whole; sets damaged ones aside.

    Process 0 decides for all.
    """
    chosen = -1
    if jax.process_index() == 0:
      for step in reversed(self.steps()):
        path = self.directory / str(step)
        try:
          reader.verify(path)
        except reader.DamagedError as error:
          aside = reader.set_aside(path)
          print(
              f"warning: {error}; moved to {aside}, trying the one before",
              file=sys.stderr,
              flush=True,
          )
          continue
        chosen = step
        break
    chosen = int(multihost_utils.broadcast_one_to_all(np.int32(chosen)))
    self._manager.reload()
    if chosen < 0:
      raise InputError(
          f"{self.directory}: got no whole checkpoint "
          f"({reader.listing(self.directory)}), want one; start again in "
          "another --workdir"
      )
    return chosen


def _hide_stragglers(hook, report):
  """`sys.unraisablehook` without the writers that outlive a failed write.

  When one file of a checkpoint cannot be written, tensorstore's threads for
  the others find Orbax's event loop closed and each print a traceback.
  """
  closed = str(report.exc_value) == "Event loop is closed"
  if not (report.exc_type is RuntimeError and closed):
    hook(report)


def _finite(metrics):
  """Metrics as JSON numbers, NaN and infinities as null; None stays."""
  if metrics is None:
    return None
  values = {name: float(value) for name, value in metrics.items()}
  return {n: v if math.isfinite(v) else None for n, v in values.items()}


def _score(metrics):
  return metrics["score"]
