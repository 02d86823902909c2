"""The checkpoints of a run: written in the background, checked when read.

Orbax (its v1 API) writes `<workdir>/checkpoints/<step>/` in the background
and renames the folder when it is whole. Each holds the training state, what
is frozen, and a JSON record (config, contract, split manifest) from which the
model can be rebuilt. The latest n and the best n are kept, so that a resume
never rewinds. Checksums are written before the rename and compared before a
restore (`folder`).
"""

import contextlib
import json
import math
import pathlib
import shutil
import sys
import threading
from typing import Any, NoReturn

import jax
import numpy as np
from jax.experimental import multihost_utils

from accfm.base import faults
from accfm.base.errors import InputError
from accfm.train.checkpoints import folder, reader


class SaveError(InputError):
  """A checkpoint could not be written; the ones before it still load."""


class Checkpoints:
  """The checkpoints of one run, written in the background.

  All processes of a job create it and make the same calls.
  """

  def __init__(
      self,
      directory: reader.Path,
      keep_latest: int = 2,
      keep_best: int = 1,
      best_metric: str = "",
      best_mode: str = "max",
  ):
    """Opens a folder; what a killed run left half-written is removed.

    Args:
      directory: `<workdir>/checkpoints`; created if absent.
      keep_latest: number of the newest to keep, at least 1.
      keep_best: number of the best to keep besides; 0 for none.
      best_metric: the validation metric that ranks them; "" for no ranking.
      best_mode: "max" or "min".

    Raises:
      InputError: a value out of its range, or a folder that cannot be made.
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
    self._saving: int | None = None  # the step that is being written
    self._record = ""  # of that step, as JSON
    self._waiter: threading.Thread | None = None
    self._failure: BaseException | None = None
    self._lost: int | None = None  # the step whose write failed
    keep_best = keep_best if best_metric else 0
    try:
      self._orbax = self._open(keep_latest, keep_best)
    except OSError as error:
      raise InputError(
          f"{self.directory}: cannot be opened ({error.strerror or error}); "
          "choose another --workdir"
      ) from error

  def _open(self, keep_latest: int, keep_best: int) -> Any:
    """Orbax's checkpointer of the folder."""
    from orbax.checkpoint import v1 as ocp  # slow, and not always needed
    policies = ocp.training.preservation_policies
    keep: list[Any] = [policies.LatestN(keep_latest)]
    if keep_best:
      keep.append(policies.BestN(
          get_metric_fn=lambda metrics: metrics["score"],
          reverse=self._best["mode"] == "min", n=keep_best,
          keep_checkpoints_without_metrics=False,
      ))
    context = ocp.Context()
    # A function: Orbax copies options, and a method brings its object along.
    context.asynchronous.post_finalization_callback = (
        lambda: self._before_rename()
    )
    policy: Any = policies.AnyPreservationPolicy(keep)
    return ocp.training.Checkpointer(
        str(self.directory), context=context, preservation_policy=policy,
        cleanup_tmp_directories=True,
    )

  def save(
      self,
      step: int,
      state: Any,
      frozen: Any,
      meta: dict,
      metrics: dict[str, float] | None = None,
  ) -> None:
    """Starts writing a checkpoint; returns when the arrays are copied.

    Args:
      step: number of updates done; names the folder.
      state: TrainState of arrays. It may be donated afterwards.
      frozen: pytree of arrays or an empty one.
      meta: dict that JSON can hold.
      metrics: validation metrics of this very step, or None; only steps with
        metrics compete for the best.

    Raises:
      SaveError: this one or the one before could not be written.
      InputError: `metrics` lacks the metric that ranks.
    """
    self.wait()
    ranking = self._ranking(metrics)
    items = {"state": state}
    if jax.tree.leaves(frozen):
      items["frozen"] = frozen
    self._saving = step
    self._record = json.dumps({
        **meta, "step": step, "best": self._best,
        "metrics": _finite(metrics),
    })
    try:
      response = self._orbax.save_checkpointables_async(
          step, items, force=True, metrics=ranking
      )
    except Exception as error:  # Orbax raises many kinds for a full disk
      self._failed(step, error)
    self._waiter = threading.Thread(
        target=self._await, args=(response,), name="await_save"
    )
    self._waiter.start()

  def poll(self) -> None:
    """Raises SaveError as soon as the write under way has failed."""
    if self._waiter is not None and not self._waiter.is_alive():
      self.wait()

  def wait(self) -> None:
    """Returns when nothing is being written; SaveError if that failed."""
    if self._waiter is None:
      return
    self._waiter.join()
    self._waiter = None
    step, self._saving = self._saving, None
    failure, self._failure = self._failure, None
    assert step is not None
    if failure is not None:
      self._failed(step, failure)
    faults.point("after_save", step)

  def latest(self) -> int | None:
    """The newest step written or being written, or None."""
    newest = self._orbax.latest
    return None if newest is None else newest.step

  def steps(self) -> list[int]:
    """All steps, oldest first."""
    return [checkpoint.step for checkpoint in self._orbax.checkpoints]

  def restore(
      self, state: Any, frozen: Any, step: int | None = None
  ) -> tuple[int, Any, Any]:
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
      reader.check_template(path, name, template)
    restored = self._orbax.load_checkpointables(step, {
        name: jax.tree.map(_placeholder, template)
        for name, template in items.items()
    })
    return step, restored["state"], restored.get("frozen", frozen)

  def read_meta(self, step: int) -> dict:
    """The record that was saved with a step."""
    return reader.read_meta(self.directory / str(step))

  def close(self) -> None:
    """Waits for the write under way and frees threads; may raise SaveError."""
    try:
      self.wait()
    finally:
      with contextlib.suppress(Exception):  # `wait` has raised it already
        self._orbax.close()
      self._remove_lost()  # threads that outlived the failure are done now

  def __enter__(self) -> "Checkpoints":
    return self

  def __exit__(self, kind, *unused) -> None:
    if kind is None:
      self.close()
    else:  # the error on its way matters more than a second one
      with contextlib.suppress(SaveError):
        self.close()

  def _ranking(self, metrics: dict[str, float] | None) -> dict | None:
    """What Orbax sorts by, or None for a step that does not compete."""
    name = self._best["metric"]
    if not name or metrics is None:
      return None
    if name not in metrics:
      raise InputError(
          f"best_metric: got {name!r}, want one of {sorted(metrics)}"
      )
    value = float(metrics[name])
    return {"score": value} if math.isfinite(value) else None

  def _before_rename(self) -> None:
    """Of process 0, in the background: all is written, nothing renamed."""
    assert self._saving is not None
    faults.point("during_save", self._saving)
    for path in self._half_written(self._saving):
      folder.write(path, self._record)

  def _half_written(self, step: int) -> list[pathlib.Path]:
    """The folder of a step before it is renamed: `<step>.<something>`."""
    return list(self.directory.glob(f"{step}.*"))

  def _await(self, response: Any) -> None:
    try:
      response.result()
    except BaseException as error:  # handed to the main thread
      self._failure = error

  def _failed(self, step: int, error: BaseException) -> NoReturn:
    """Raises SaveError for a step after removing its remains."""
    self._saving, self._lost = None, step
    self._remove_lost()
    self._orbax.reload()
    left = self.steps()
    resume = f"step {left[-1]}" if left else "the start"
    raise SaveError(
        f"checkpoint of step {step}: got {folder.reason(error)!r} while "
        f"writing {self.directory}, want room for it; free space and run the "
        f"same command again, it resumes from {resume}"
    ) from error

  def _remove_lost(self) -> None:
    """Removes what a failed write left."""
    if self._lost is not None and jax.process_index() == 0:
      for path in self._half_written(self._lost):
        shutil.rmtree(path, ignore_errors=True)

  def _newest_whole(self) -> int:
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
    self._orbax.reload()
    if chosen < 0:
      raise InputError(
          f"{self.directory}: got no whole checkpoint "
          f"({reader.listing(self.directory)}), want one; start again in "
          "another --workdir"
      )
    return chosen


def _placeholder(leaf: Any) -> jax.ShapeDtypeStruct:
  return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)


def _finite(metrics: dict[str, float] | None) -> dict | None:
  """Metrics as JSON numbers, NaN and infinities as null; None stays."""
  if metrics is None:
    return None
  values = {name: float(value) for name, value in metrics.items()}
  return {n: v if math.isfinite(v) else None for n, v in values.items()}
