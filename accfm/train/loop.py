"""The one training loop: fetch late, check before saving, resume exactly.

Batch k is a pure function of k, so all that a resume needs is the step. The
loop hands the device its next step before it looks at the last one's
metrics: they are fetched a few steps later, and all of them before a
checkpoint is written. A loss or gradient norm that is not finite is therefore
found within a few steps and never saved; `guard` says what follows.
"""

import collections
import contextlib
import signal
import threading
import time

import jax
from jax.experimental import multihost_utils

from accfm.base import faults
from accfm.base.errors import InputError
from accfm.train.guard import BadStepError, NonFiniteError

__all__ = ["NonFiniteError", "PREEMPTED", "Pace", "Preempted", "check_config",
           "run"]

LAG = 2  # steps given to the device before the oldest one's metrics are read
PREEMPTED = 143  # exit code after SIGTERM: 128 + 15; launchers restart on it


class Preempted(SystemExit):
  """SIGTERM came and the run is saved; the process exits with 143."""

  def __init__(self, step):
    super().__init__(PREEMPTED)
    self.step = step


def run(
    step_fn,
    state,
    frozen,
    batches,
    key,
    *,
    cfg,
    checkpoints,
    writer,
    meta,
    guard,
    trace,
    fresh=None,
    validate=None,
    schedule=None,
    counts=dict,
    progress=lambda doing, step, long=False: None,
    clock=time.perf_counter,
):
  """Trains to `cfg.total_steps`, from the newest checkpoint if there is one.

  Args:
    step_fn: compiled `step(state, frozen, batch, key) -> (state, metrics)`
      with "loss" and "grad_norm" among the metrics; the state is donated.
    state: TrainState on the devices, as for a first run.
    frozen: pytree on the devices; empty if nothing is frozen.
    batches: `batches(start) -> iterator` of device batches start, start + 1,
      ...; batch k belongs to update k + 1.
    key: jax key; steps fold in their own number.
    cfg: total_steps, batch_size, log_every, checkpoint_every and
      validate_every (0: never); all in steps.
    checkpoints: `checkpoints.Checkpoints`.
    writer: `writer.Writer`.
    meta: dict saved in each checkpoint.
    guard: `guard.Guard`; `batches` follows its numbers.
    trace: `trace.Trace`.
    fresh: `fresh() -> state` as it was given, for a rollback to the start.
    validate: `validate(state, frozen) -> {name: number}`; runs every
      `validate_every` steps and at the end. Checkpoints written at the same
      step carry its metrics and compete for the best.
    schedule: learning rate by count, logged as train/lr.
    counts: `counts() -> {name: number}`, logged beside each step's metrics.
    progress: called before what may take long, see `heartbeat`.
    clock: seconds; for tests.

  Returns:
    The last state, saved.

  Raises:
    InputError: a config that cannot run, or batches that end early.
    guard.BadStepError: names the step; the last good checkpoint is kept.
    checkpoints.SaveError: a checkpoint could not be written.
    Preempted: after SIGTERM, once saved.
  """
  check_config(cfg)
  like = jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding),
      state,
  )
  with _Notice() as notice, contextlib.closing(trace):
    while True:
      try:
        return _attempt(
            state, frozen, step_fn, batches, key, cfg=cfg,
            checkpoints=checkpoints, writer=writer, meta=meta, guard=guard,
            trace=trace, validate=validate, schedule=schedule, counts=counts,
            progress=progress, clock=clock, notice=notice,
        )
      except BadStepError as error:
        progress("going back from", error.step, long=True)
        checkpoints.wait()
        saved = checkpoints.latest() or 0
        guard.skip(error, saved, writer.say)  # raises if it may not
        state = like if saved else fresh()


def _attempt(
    state, frozen, step_fn, batches, key, *, cfg, checkpoints, writer, meta,
    guard, trace, validate, schedule, counts, progress, clock, notice,
):
  """Trains from the newest checkpoint, or `state`, to the end or a bad step.

  Arguments, result and errors as for `run`.
  """
  total, start = cfg.total_steps, 0
  record = {}
  if checkpoints.latest() is not None:
    start, state, frozen = checkpoints.restore(state, frozen)
    record = checkpoints.read_meta(start)
  guard.resume(record)
  writer.start(start, total)
  if start:
    writer.say(f"resumed from the checkpoint of step {start}")
  if start > total:
    raise InputError(
        f"total_steps: got {total}, want {start} or more: the workdir's "
        "checkpoint is past it"
    )
  pace = Pace(cfg.batch_size, total, clock)
  pending = collections.deque()
  saved = start

  def settle(keep):
    """Reads the metrics of all but the newest `keep` steps."""
    while len(pending) > keep:
      step, metrics = pending.popleft()
      metrics = {n: float(x) for n, x in jax.device_get(metrics).items()}
      pace.finished(step)
      guard.judge(step, metrics, saved)
      if step % cfg.log_every == 0 or step in (1, total):
        row = {f"train/{name}": value for name, value in metrics.items()}
        if schedule is not None:
          row["train/lr"] = float(schedule(step - 1))
        writer.write(step, {**row, **counts(), **pace.report(step)})

  def busy():
    return bool(pending) and not pending[-1][1]["loss"].is_ready()

  rows = iter(batches(start)) if start < total else iter(())
  with contextlib.closing(_Closing(rows)):
    for step in range(start + 1, total + 1):
      progress("reading the batch of", step)
      batch = pace.next(rows, busy)
      if batch is None:
        raise InputError(
            f"batches: got {step - 1}, want {total} (total_steps)"
        )
      progress("computing", step)
      with trace.step(step, state):
        state, metrics = step_fn(state, frozen, batch, key)
      pending.append((step, metrics))
      faults.point("in_step", step)
      settle(keep=LAG)
      trace.end(step, state, writer.say)
      checkpoints.poll()
      faults.point("after_step", step)

      stop = notice.given(step)
      values = None
      if validate and not stop and _due(cfg.validate_every, step, total):
        progress("validating", step, long=True)
        settle(keep=0)
        with pace.paused():
          values = validate(state, frozen)
        writer.write(step, values)
      stop = stop or notice.given(step)
      if stop or _due(cfg.checkpoint_every, step, total):
        progress("saving", step, long=True)
        settle(keep=0)
        with pace.paused():
          checkpoints.wait()
          faults.point("before_save", step)
          checkpoints.save(
              step, state, frozen, {**meta, **guard.meta()}, values
          )
        saved = step
      if stop:
        checkpoints.wait()
        writer.say(f"SIGTERM: saved step {step}; run again to resume")
        raise Preempted(step)
  checkpoints.wait()
  return state


def check_config(cfg):
  """Raises InputError for step counts that cannot run."""
  for name, least in (
      ("total_steps", 1),
      ("batch_size", 1),
      ("log_every", 1),
      ("checkpoint_every", 1),
      ("validate_every", 0),
  ):
    if cfg[name] < least:
      raise InputError(
          f"{name}: got {cfg[name]}, want {least} or more; "
          f"set --config.{name}"
      )


class Pace:
  """Segments per second, share of time waited for data, and time left.

  The clock starts when the first step of the run has finished, so that
  compiling is not counted. Validation and saving count for the time left and
  for nothing else. Waiting for a batch counts only if the device had run out
  of steps by the time the batch came: an upper bound of what data cost.
  """

  def __init__(self, batch_size, total_steps, clock):
    self._batch_size, self._total, self._clock = batch_size, total_steps, clock
    self._first = None  # (step, time) when the first step finished
    self._last = None  # (step, time) at the last report
    self._now = None  # (step, time) when the newest step finished
    self._waited = self._paused = 0.0

  def next(self, rows, busy):
    """The next batch, or None at the end."""
    before = self._clock()
    batch = next(rows, None)
    if not busy():
      self._waited += self._clock() - before
    return batch

  @contextlib.contextmanager
  def paused(self):
    """Time inside is neither training nor waiting."""
    before = self._clock()
    yield
    self._paused += self._clock() - before

  def finished(self, step):
    """Says that a step's metrics have arrived."""
    self._now = (step, self._clock())
    if self._first is None:
      self._first = self._last = self._now
      self._waited = self._paused = 0.0

  def report(self, step):
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
  """Whether SIGTERM came: a preempted machine has seconds left to save.

  In a job of several processes jax spreads the notice and picks one step at
  which all of them save.
  """

  def __enter__(self):
    self._given, self._asked = False, None
    self._alone = jax.process_count() == 1
    self._ours = (
        self._alone and threading.current_thread() is threading.main_thread()
    )
    if self._ours:
      self._before = signal.signal(signal.SIGTERM, self._set)
    return self

  def __exit__(self, *unused):
    if self._ours:
      signal.signal(signal.SIGTERM, self._before)

  def _set(self, *unused):
    self._given = True

  def given(self, step):
    if not self._alone and self._asked != step:  # jax wants one call a step
      self._asked = step
      self._given = multihost_utils.reached_preemption_sync_point(step)
    return self._given


class _Closing:
  """Closes an iterator that can be closed (generators, loaders)."""

  def __init__(self, rows):
    self._rows = rows

  def close(self):
    getattr(self._rows, "close", lambda: None)()


def _due(every, step, total):
  return bool(every) and (step % every == 0 or step == total)
