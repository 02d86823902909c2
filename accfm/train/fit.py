"""Fits: an objective and its data -> a trained state, saved in a workdir."""

import contextlib

import jax

from accfm.base import mesh as meshlib
from accfm.base.processes import cluster, facts, heartbeat
from accfm.data import batches as batchlib
from accfm.data import splits
from accfm.steps import state as statelib
from accfm.train import checkpoints as checkpoints_lib
from accfm.train import guard as guard_lib
from accfm.train import loop, optim, parallel, record, sharding
from accfm.train import trace as trace_lib
from accfm.train import workdir as workdir_lib
from accfm.train import writer as writer_lib
from accfm.train.checkpoints import reader


def make_step(config, objective, cohorts, mesh):
  """The update of a run, compiled when first called.

  Args:
    config: see `optim.make_optimizer`.
    objective: a `state.Objective`; its weights are not used.
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


def fit(config, workdir, data, objective, meta, validate, best, sampler,
        extra=None):
  """Trains from the start or from the workdir's newest checkpoint.

  Args:
    config: the run's config; see `loop.run` and `optim.make_optimizer`.
    workdir: folder of the run.
    data: its `opening.TrainingData`.
    objective: a `state.Objective`.
    meta: as `record.make_meta`.
    validate: `validate(state, frozen) -> {metric: number}`.
    best: (metric, "max" or "min") that ranks checkpoints.
    sampler: `sampler(k) -> samplers.Draw`.
    extra: as `batches.train_batches`.

  Returns:
    The last TrainState.
  """
  mesh = data.mesh
  step_fn, tx, schedule = make_step(
      config, objective, data.train.cohorts, mesh
  )
  record.check_same_data(workdir, meta)
  progress = heartbeat.make_progress(config.stall_seconds)
  if not cluster.alone():
    cluster.agree(facts.collect(
        config, workdir, data, objective, meta,
        reader.newest_whole(workdir),
    ))
  workdir = workdir_lib.claim(workdir, config)
  count = sum(x.size for x in jax.tree.leaves(objective.params))
  start = statelib.create(objective, tx)
  state = sharding.place(start, mesh)
  # A rollback to the start needs it again; the steps take the devices' copy.
  start = jax.device_get(start) if config.on_bad_step == "skip" else None
  frozen = meshlib.put_replicated(objective.frozen, mesh)

  def who(k):
    rows = sampler(k).rows
    people = dict.fromkeys(data.train.person(row) for row in rows)
    salt = config.pseudonym_salt
    return rows, [splits.pseudonym(p, salt) if salt else p for p in people]

  guard = guard_lib.Guard(workdir, config, who)

  def batches(start):
    rows = batchlib.train_batches(
        data.train, data.signals, guard.sampler(sampler), start,
        meshlib.local_rows(config.batch_size), config.prefetch,
        config.workers, extra,
    )
    with contextlib.closing(rows):
      for batch in rows:
        yield meshlib.put_rows(batch, mesh)

  metric, mode = best
  with checkpoints_lib.Checkpoints(
      workdir / "checkpoints", config.keep_latest, config.keep_best, metric,
      mode,
  ) as checkpoints, writer_lib.Writer(workdir) as writer:
    writer.say(
        f"{meta['kind']} of {'+'.join(data.signals)}: {count:,} trained "
        f"parameters, {len(data.train):,} segments, {mesh.size} device(s)"
    )
    if sampler.left_out:
      writer.say(
          f"left out: {sampler.left_out} people with one segment, who cannot "
          "be paired"
      )
    return loop.run(
        step_fn, state, frozen, batches, jax.random.key(config.seed),
        cfg=config, checkpoints=checkpoints, writer=writer, meta=meta,
        guard=guard, trace=trace_lib.Trace(workdir, trace_lib.parse(
            config.profile_steps, config.total_steps
        )),
        fresh=lambda: sharding.place(start, mesh),
        validate=validate, schedule=schedule,
        counts=data.train.ledger.counts,
        progress=progress,
    )
