"""The one training loop: fetch late, check before saving, resume exactly.

Batch k is a pure function of k, so all that a resume needs is the step. The
loop hands the device its next step before it looks at the last one's
metrics: they are fetched a few steps later, and all of them before a
checkpoint is written. A loss or gradient norm that is not finite is therefore
found within a few steps and never saved; `guard` says what follows.
"""

import collections
import contextlib
import dataclasses
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
from jax.experimental import multihost_utils
from ml_collections import ConfigDict

from accfm.base import faults, interrupts, values
from accfm.base.errors import InputError
from accfm.train.checkpoints import Checkpoints
from accfm.train.guard import BadStepError, Guard, NonFiniteError
from accfm.train.trace import Trace
from accfm.train.writer import Writer

__all__ = ["NonFiniteError", "PREEMPTED", "Pace", "Preempted", "Run",
           "check_config", "train"]

RULES = {
    "total_steps": values.SOME, "batch_size": values.SOME,
    "log_every": values.SOME, "checkpoint_every": values.SOME,
    "validate_every": values.COUNT,
}
LAG = 2  # steps given to the device before the oldest one's metrics are read
PREEMPTED = 143  # exit code after SIGTERM: 128 + 15; launchers restart on it


class Preempted(SystemExit):
  """A signal came and the run is saved: exit code 143, 130 after Ctrl-C."""

  def __init__(self, step: int, number: int = signal.SIGTERM):
    super().__init__(128 + number)
    self.step = step


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
  """One run: what the loop calls, and where its results go.

  Attributes:
    config: total_steps, batch_size, log_every, checkpoint_every and
      validate_every (0: never); all in steps.
    step: compiled `step(state, frozen, batch, key) -> (state, metrics)` with
      "loss" and "grad_norm" among the metrics; the state is donated.
    state: TrainState on the devices, as for a first run.
    fresh: `fresh() -> state` as it was given, for a rollback to the start.
    frozen: pytree on the devices; empty if nothing is frozen.
    batches: `batches(start) -> iterator` of device batches start, start + 1,
      ...; batch k belongs to update k + 1. It follows the guard's numbers.
    key: jax key; steps fold in their own number.
    checkpoints: where checkpoints are saved.
    writer: where metrics are written.
    meta: plain data saved in each checkpoint.
    guard: judges losses, and leaves out bad batches where it may.
    trace: the profiler's.
    validate: `validate(state, frozen) -> {name: number}`; runs every
      `validate_every` steps and at the end. Checkpoints of the same step
      hold its metrics and compete for the best.
    schedule: learning rate by count, logged as train/lr.
    counts: `counts() -> {name: number}`, logged beside each step's metrics.
    progress: called before what may take long, see `heartbeat`.
    clock: seconds; for tests.
  """

  config: ConfigDict
  step: Callable
  state: Any
  fresh: Callable[[], Any]
  frozen: Any
  batches: Callable[[int], Iterable[Any]]
  key: jax.Array
  checkpoints: Checkpoints
  writer: Writer
  meta: Mapping[str, Any]
  guard: Guard
  trace: Trace
  validate: Callable[[Any, Any], dict[str, float]] | None = None
  schedule: Callable[[int], Any] | None = None
  counts: Callable[[], Mapping[str, float]] = dict
  progress: Callable = lambda doing, step, long=False: None
  clock: Callable[[], float] = time.perf_counter


def train(run: Run) -> Any:
  """Trains to `total_steps`, from the newest checkpoint if there is one.

  Returns:
    The last state, saved.

  Raises:
    InputError: a config that cannot run, or batches that end early.
    guard.BadStepError: names the step; the last good checkpoint is kept.
    checkpoints.SaveError: a checkpoint could not be written.
    Preempted: after SIGTERM or Ctrl-C, once saved.
  """
  check_config(run.config)
  state = run.state
  like = jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding),
      state,
  )
  with _Notice() as notice, contextlib.closing(run.trace):
    while True:
      try:
        return _attempt(run, state, notice)
      except BadStepError as error:
        run.progress("going back from", error.step, long=True)
        run.checkpoints.wait()
        saved = run.checkpoints.latest() or 0
        run.guard.skip(error, saved, run.writer.say)  # raises if it may not
        state = like if saved else run.fresh()


def _attempt(run: Run, state: Any, notice: "_Notice") -> Any:
  """Trains from the newest checkpoint, or `state`, to the end or a bad step.

  Result and errors as for `train`.
  """
  config, frozen, writer = run.config, run.frozen, run.writer
  checkpoints, guard, progress = run.checkpoints, run.guard, run.progress
  total, start, record = config.total_steps, 0, {}
  if checkpoints.latest() is not None:
    start, state, frozen = checkpoints.restore(state, frozen)
    record = checkpoints.read_meta(start)
  guard.resume(record)
  writer.start(start, total)
  if start:
    writer.say(f"resumed from the checkpoint of step {start}")
  interrupts.check()
  if start > total:
    raise InputError(
        f"total_steps: got {total}, want {start} or more: the workdir's "
        "checkpoint is past it"
    )
  if run.validate and _missed_validation(config, start, record):
    progress("validating", start, long=True)
    writer.write(start, run.validate(state, frozen))
  pace = Pace(config.batch_size, total, run.clock)
  pending = collections.deque()
  saved = start

  def settle(keep):
    """Reads the metrics of all but the newest `keep` steps."""
    while len(pending) > keep:
      step, metrics = pending.popleft()
      metrics = {n: float(x) for n, x in jax.device_get(metrics).items()}
      pace.finished(step)
      guard.judge(step, metrics, saved)
      if step % config.log_every == 0 or step in (1, total):
        row = {f"train/{name}": value for name, value in metrics.items()}
        if run.schedule is not None:
          row["train/lr"] = float(run.schedule(step - 1))
        writer.write(step, {**row, **run.counts(), **pace.report(step)})

  def busy():
    return bool(pending) and not pending[-1][1]["loss"].is_ready()

  rows = iter(run.batches(start)) if start < total else iter(())
  with contextlib.closing(_Closing(rows)):
    for step in range(start + 1, total + 1):
      progress("reading the batch of", step)
      batch = pace.next(rows, busy)
      if batch is None:
        raise InputError(
            f"batches: got {step - 1}, want {total} (total_steps)"
        )
      progress("computing", step)
      with run.trace.step(step, state):
        state, metrics = run.step(state, frozen, batch, run.key)
      pending.append((step, metrics))
      faults.point("in_step", step)
      settle(keep=LAG)
      run.trace.end(step, state, writer.say)
      checkpoints.poll()
      faults.point("after_step", step)

      stop = notice.given(step)
      found = None
      if run.validate and not stop and _due(config.validate_every, step, total):
        progress("validating", step, long=True)
        settle(keep=0)
        with pace.paused(), notice.saves():
          found = run.validate(state, frozen)
        if found is not None:
          writer.write(step, found)
      stop = stop or notice.given(step)
      if stop or _due(config.checkpoint_every, step, total):
        progress("saving", step, long=True)
        settle(keep=0)
        with pace.paused():
          checkpoints.wait()
          faults.point("before_save", step)
          checkpoints.save(
              step, state, frozen, {**run.meta, **guard.meta()}, found
          )
        saved = step
      if stop:
        checkpoints.wait()
        writer.say(f"stopped by {interrupts.NAMES[stop]}: saved step {step}; "
                   "run again to resume")
        raise Preempted(step, stop)
  checkpoints.wait()
  return state


def _missed_validation(
    config: ConfigDict, start: int, record: Mapping[str, Any]
) -> bool:
  """Whether a signal stopped a run before the validation of its last step."""
  due = start > 0 and _due(config.validate_every, start, config.total_steps)
  return due and "metrics" in record and record["metrics"] is None


def check_config(config: ConfigDict) -> None:
  """Raises InputError for step counts that cannot run."""
  values.check(config, RULES)


class Pace:
  """Segments per second, share of time waited for data, and time left.

  The clock starts when the first step of the run has finished, so that
  compiling is not counted. Validation and saving count for the time left and
  for nothing else. Waiting for a batch counts only if the device had no step
  left to run when the batch came: an upper bound of what reading data costs.
  """

  def __init__(
      self, batch_size: int, total_steps: int, clock: Callable[[], float]
  ):
    self._batch_size, self._total, self._clock = batch_size, total_steps, clock
    self._begun = False
    # (step, time) when the first step finished, at the last report, and when
    # the newest step finished.
    self._first = self._last = self._now = (0, 0.0)
    self._waited = self._paused = 0.0

  def next(self, rows: Iterator[Any], busy: Callable[[], bool]) -> Any:
    """The next batch, or None at the end."""
    before = self._clock()
    batch = next(rows, None)
    if not busy():
      self._waited += self._clock() - before
    return batch

  @contextlib.contextmanager
  def paused(self) -> Iterator[None]:
    """Time inside is neither training nor waiting."""
    before = self._clock()
    yield
    self._paused += self._clock() - before

  def finished(self, step: int) -> None:
    """Says that a step's metrics have arrived."""
    self._now = (step, self._clock())
    if not self._begun:
      self._begun, self._first, self._last = True, self._now, self._now
      self._waited = self._paused = 0.0

  def report(self, step: int) -> dict[str, float]:
    """Metrics since the last report; none before a second step."""
    steps = self._now[0] - self._last[0]
    seconds = self._now[1] - self._last[1]
    training = seconds - self._paused
    if steps < 1 or training <= 0:
      return {}
    per_step = (self._now[1] - self._first[1]) / (self._now[0] - self._first[0])
    out = {
        "train/segments_per_s": steps * self._batch_size / training,
        "train/data_wait_share": min(1.0, self._waited / training),
        "train/time_left_s": (self._total - step) * per_step,
    }
    self._last, self._waited, self._paused = self._now, 0.0, 0.0
    return out


class _Notice:
  """Whether SIGTERM or Ctrl-C came: the run saves, and ends.

  A preempted machine has seconds left for that. In a job of several processes
  JAX spreads the notice of SIGTERM and picks one step at which all of them
  save; Ctrl-C ends such a job as it is.
  """

  def __enter__(self):
    self._given, self._asked = 0, None
    self._alone = jax.process_count() == 1
    self._stack = contextlib.ExitStack()
    if self._alone:
      self._stack.enter_context(interrupts.noted(signal.SIGTERM))
    return self

  def __exit__(self, *unused):
    self._stack.close()

  def given(self, step: int) -> int:
    """The number of the signal, 0 for none."""
    if self._alone:
      return interrupts.given()
    interrupts.check()
    if self._asked != step:  # jax wants one call a step
      self._asked = step
      if multihost_utils.reached_preemption_sync_point(step):
        self._given = signal.SIGTERM
    return self._given

  @contextlib.contextmanager
  def saves(self) -> Iterator[None]:
    """What a signal stops inside is given up, so that the step is saved."""
    try:
      yield
    except interrupts.Interrupted:
      if not self._alone:
        raise


class _Closing:
  """Closes an iterator that can be closed (generators, loaders)."""

  def __init__(self, rows):
    self._rows = rows

  def close(self):
    getattr(self._rows, "close", lambda: None)()


def _due(every, step, total):
  return bool(every) and (step % every == 0 or step == total)
