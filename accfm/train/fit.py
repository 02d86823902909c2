"""Fits: an objective and its data -> a trained state, saved in a workdir."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
from ml_collections import ConfigDict

from accfm.base import errors, interrupts
from accfm.base import mesh as meshlib
from accfm.base.processes import cluster, facts, heartbeat
from accfm.base.pseudonyms import pseudonym
from accfm.data import batches as batchlib
from accfm.steps import kinds
from accfm.steps import record as recordlib
from accfm.steps import state as statelib
from accfm.train import checkpoints as checkpoints_lib
from accfm.train import guard as guard_lib
from accfm.train import loop, optim, parallel, resume, sharding
from accfm.train import trace as trace_lib
from accfm.train import workdir as workdir_lib
from accfm.train import writer as writer_lib
from accfm.train.checkpoints import reader
from accfm.train.opening import TrainingData


@dataclasses.dataclass(frozen=True)
class Training:
  """All that a main has put together for a run.

  Attributes:
    config: the run's config; see `loop.Run` and `optim.make_optimizer`.
    workdir: folder of the run.
    data: what it trains and validates on.
    objective: what it trains, and how a batch is scored.
    record: what its checkpoints say of it.
    sampler: `sampler(k) -> samplers.Draw` of batch k.
    validate: `validate(state, frozen) -> {metric: number}`.
    extra: as `batches.train_batches`; the labels of a supervised run.
    ranked: whether validation ranks the checkpoints. Otherwise there is no
      best one.
  """

  config: ConfigDict
  workdir: str | pathlib.Path
  data: TrainingData
  objective: statelib.Objective
  record: recordlib.Record
  sampler: Any
  validate: Callable[[Any, Any], dict[str, float]]
  extra: Callable | None = None
  ranked: bool = True


def fit(training: Training) -> Any:
  """Trains from the start or from the workdir's newest checkpoint.

  Returns:
    The last TrainState.
  """
  config, data, record = training.config, training.data, training.record
  interrupts.check()
  writer_lib.check(training.workdir)
  made = make_step(
      config, training.objective, data.train.cohorts, data.mesh
  )
  resume.check_same_data(training.workdir, record)
  progress = heartbeat.make_progress(config.stall_seconds)
  if not cluster.alone():
    cluster.agree(facts.collect(
        config, training.workdir, data, training.objective, record,
        reader.newest_whole(training.workdir),
    ))
  what = f"accfm {kinds.of_record(record).main}"
  with workdir_lib.held(training.workdir, config, what) as workdir:
    return _train(training, workdir, progress, *made)


def _train(
    training: Training, workdir: pathlib.Path, progress: Callable,
    step: Callable, tx: Any, schedule: Callable,
) -> Any:
  """`fit`, in a workdir that is this run's."""
  config, data, objective = training.config, training.data, training.objective
  mesh = data.mesh
  start = statelib.create(objective, tx)
  state = sharding.place(start, mesh)
  interrupts.check()
  # A rollback to the start needs it again; the steps take the devices' copy.
  start = jax.device_get(start) if config.on_bad_step == "skip" else None
  guard = guard_lib.Guard(workdir, config, _who(training))
  trace = trace_lib.Trace(
      workdir, trace_lib.parse(config.profile_steps, config.total_steps)
  )
  with (
      errors.of_system(workdir),
      _open_checkpoints(training, workdir) as checkpoints,
      writer_lib.Writer(workdir) as writer,
  ):
    for line in _first_lines(training):
      writer.say(line)
    return loop.train(loop.Run(
        config=config, step=step, state=state,
        frozen=meshlib.put_replicated(objective.frozen, mesh),
        batches=_batches(training, guard), key=jax.random.key(config.seed),
        checkpoints=checkpoints, writer=writer,
        meta=recordlib.to_plain(training.record), guard=guard, trace=trace,
        fresh=lambda: sharding.place(start, mesh),
        validate=training.validate, schedule=schedule,
        counts=data.train.ledger.counts, progress=progress,
    ))


def make_step(
    config: ConfigDict, objective: statelib.Objective, cohorts: Sequence[str],
    mesh: jax.sharding.Mesh,
) -> tuple[Any, Any, Callable]:
  """The update of a run, compiled when first called.

  Args:
    config: see `optim.make_optimizer`.
    objective: what is trained; its weights are not used.
    cohorts: names of the data sets.
    mesh: the data mesh.

  Returns:
    (step, tx, schedule): as `parallel.make_parallel`, the optax
    transformation that its TrainState is made with, the learning rate.
  """
  tx, schedule = optim.make_optimizer(config)
  specs = sharding.state_specs(statelib.shapes(objective, tx), mesh)
  update = statelib.make_update(
      objective, tx, cohorts, sharding.split_dims(specs.params)
  )
  step = parallel.make_parallel(update, mesh, sharding.row_specs(specs))
  return step, tx, schedule


def _open_checkpoints(
    training: Training, workdir: pathlib.Path
) -> checkpoints_lib.Checkpoints:
  """The run's checkpoints, ranked as its kind says."""
  config, record = training.config, training.record
  ranking = recordlib.Ranking()
  if training.ranked:
    ranking = kinds.of_record(record).rank_by(record.signals)
  return checkpoints_lib.Checkpoints(
      workdir / "checkpoints", config.keep_latest, config.keep_best,
      ranking.metric, ranking.mode,
  )


def _who(training: Training) -> Callable[[int], tuple[Any, list[str]]]:
  """`who(k) -> (rows, participants)` of batch k, for the guard's messages."""
  salt = training.config.pseudonym_salt

  def who(k):
    rows = training.sampler(k).rows
    people = dict.fromkeys(training.data.train.participant(row) for row in rows)
    return rows, [pseudonym(person, salt) for person in people]

  return who


def _batches(
    training: Training, guard: guard_lib.Guard
) -> Callable[[int], Iterator[Any]]:
  """`batches(start) -> iterator` of the device batches that guard leaves."""
  config, data = training.config, training.data

  def batches(start):
    rows = batchlib.train_batches(
        data.train, data.signals, guard.sampler(training.sampler), start,
        meshlib.local_rows(config.batch_size), config.prefetch,
        config.workers, training.extra,
    )
    with contextlib.closing(rows):
      for batch in rows:
        yield meshlib.put_rows(batch, data.mesh)

  return batches


def _first_lines(training: Training) -> Iterator[str]:
  """What a run says of itself before it begins."""
  data, sampler = training.data, training.sampler
  count = sum(x.size for x in jax.tree.leaves(training.objective.params))
  yield (
      f"{training.record.kind} of {'+'.join(data.signals)}: {count:,} trained "
      f"parameters, {len(data.train):,} segments, {data.mesh.size} device(s)"
  )
  if sampler.left_out:
    yield f"left out: {sampler.left_out} people {sampler.why_left_out}"
