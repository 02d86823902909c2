"""What every training main shares: open the data, then fit.

The order is the order of checks: nothing is written before the data, the
batch size and the config have been found fit to run.
"""

import contextlib
import dataclasses
import json

import jax

from accfm.base import configlib
from accfm.base import mesh as meshlib
from accfm.base.errors import InputError
from accfm.base.processes import cluster, facts, heartbeat
from accfm.data import batches as batchlib
from accfm.data import manifest as manifest_lib
from accfm.data import orders, pipeline, splits
from accfm.steps import micro
from accfm.steps import state as statelib
from accfm.train import checkpoints as checkpoints_lib
from accfm.train import guard as guard_lib
from accfm.train import loop, optim, parallel, sharding
from accfm.train import trace as trace_lib
from accfm.train import workdir as workdir_lib
from accfm.train import writer as writer_lib
from accfm.train.checkpoints import reader
from accfm.version import __version__


@dataclasses.dataclass(frozen=True)
class Session:
  """Data and devices of one training run.

  Attributes:
    train, val: `pipeline.Joined` splits of the data sets.
    weights: share of each data set in a batch, up to a factor.
    mesh: the data mesh.
    signals: names of the signals that batches hold.
  """

  train: pipeline.Joined
  val: pipeline.Joined
  weights: tuple
  mesh: jax.sharding.Mesh
  signals: tuple

  @property
  def contract(self):
    """The data sets' input contract."""
    return self.train.contract


def open_session(config, signals):
  """Opens the data sets of a config and checks that they can be trained on.

  Args:
    config: with data_dir, dataset ("name", or "name:weight,name:weight" for
      a mixture), batch_size.
    signals: names of the signals that the run feeds.

  Raises:
    InputError: no such data set, an absent signal, or a batch that does not
      divide over the devices.
  """
  loop.check_config(config)
  batchlib.check(config)
  guard_lib.check(config)
  trace_lib.parse(config.profile_steps, config.total_steps)
  mixture = parse_mixture(config.dataset)
  folders = [manifest_lib.find(config.data_dir, name) for name in mixture]
  train = pipeline.open_joined(folders, "train", config.max_damaged_share)
  for part in train.parts:
    part.keep_records(config.cache_mb * 2**20 // len(train.parts))
  mesh = meshlib.make_mesh(fsdp=config.fsdp, model=config.model)
  check_signals(signals, train.contract, folders[0])
  check_mesh(config, mesh)
  return Session(
      train, pipeline.open_joined(folders, "val"), tuple(mixture.values()),
      mesh, tuple(signals),
  )


def check_mesh(config, mesh):
  """Raises InputError for a batch or blocks that a mesh cannot be given."""
  meshlib.check_batch(config.batch_size, mesh)
  sharding.check_blocks(config, mesh)
  if "micro_batches" in config:
    micro.check(config, config.batch_size // meshlib.row_shards(mesh))


def check_signals(signals, contract, where):
  """Raises InputError unless the data of a contract have the signals."""
  for name in signals:
    if name not in contract.signals:
      raise InputError(
          f"signal: got {name!r}, want one of {sorted(contract.signals)} of "
          f"{where}"
      )


def near(config):
  """The `orders.Nearness` of a config."""
  return orders.Nearness(**config.order)


def by_people(config):
  """Whether a self-supervised config pairs two segments of a person."""
  positives = config.get("positives", "segment")
  if positives not in ("segment", "participant"):
    raise InputError(
        f"positives: got {positives!r}, want 'segment' or 'participant'"
    )
  return positives == "participant"


def parse_mixture(text):
  """{"a": 2.0, "b": 1.0} of "a:2,b:1"; a name without a weight has 1.

  Raises:
    InputError: no name, a name twice, or a weight that is not above 0.
  """
  out = {}
  for item in text.split(","):
    name, _, weight = item.strip().partition(":")
    try:
      value = float(weight or 1)
    except ValueError:
      value = 0.0
    if not name or name in out or not 0 < value < float("inf"):
      raise InputError(
          f"dataset: got {text!r}, want a name or name:weight,name:weight "
          "with different names and weights above 0"
      )
    out[name] = value
  return out


def make_meta(kind, config, session, teacher=None, **more):
  """What a checkpoint says of itself, plain JSON data.

  With `config.pseudonym_salt` it holds nobody's id, see `hide_people`.

  Args:
    kind: "mae", "contrastive", "distill" or "supervised".
    config: the run's config.
    session: its Session; the trained signal first.
    teacher: the teacher checkpoint's meta, or None.
    **more: further plain data.
  """
  meta = {
      "kind": kind,
      "config": config.to_dict(),
      "contract": session.contract.to_dict(),
      "cohorts": [
          {
              "dataset": part.manifest["name"],
              "split_hash": part.manifest["split_hash"],
              "splits": part.manifest["splits"],
              "windows": part.manifest["windows"],
          } for part in session.train.parts
      ],
      "signals": list(session.signals),
      "teacher": teacher,
      "code_version": __version__,
      **more,
  }
  salt = config.pseudonym_salt
  return hide_people(meta, salt) if salt else meta


def hide_people(meta, salt):
  """A checkpoint's meta, and its teacher's inside, without anybody's id.

  The salt is kept beside the pseudonyms, so that the leak guard can tell who
  was trained on. So nobody reads an id there, but a guess of one can be
  tested. What a teacher's record hides already stays as it is.
  """
  if "cohorts" not in meta:  # a teacher that no run made
    return meta
  cohorts = [
      cohort if "salt" in cohort else {
          **cohort, "salt": salt, "splits": {
              name: [splits.pseudonym(person, salt) for person in people]
              for name, people in cohort["splits"].items()
          },
      } for cohort in meta["cohorts"]
  ]
  teacher = meta["teacher"] and hide_people(meta["teacher"], salt)
  return {**meta, "cohorts": cohorts, "teacher": teacher}


def resumed(workdir, kind, main):
  """The newest whole checkpoint of a run's own workdir, loaded, or None.

  Raises:
    InputError: the workdir is one of another kind of run.
  """
  newest = reader.newest_whole(workdir)
  if newest is None:
    return None
  mine = reader.load(newest)
  if mine.meta["kind"] != kind:
    raise InputError(
        f"workdir {workdir}: got a {mine.meta['kind']!r} run, want one of "
        f"accfm.{main}; choose another --workdir"
    )
  return mine


def check_same_data(workdir, meta):
  """Raises InputError if a run would resume on other data than it began on.

  Batch k would be another one, and people may have changed sides.
  """
  newest = reader.newest_whole(workdir)
  if newest is None:
    return
  before, now = reader.read_meta(newest), json.loads(json.dumps(meta))
  lines = configlib.differences(
      {"contract": _fixed(before["contract"])},
      {"contract": _fixed(now["contract"])},
  )
  old, new = (
      {cohort["dataset"]: _fixed(cohort) for cohort in meta["cohorts"]}
      for meta in (before, now)
  )
  lines += configlib.differences(old, new)
  if lines:
    raise InputError(
        f"workdir {workdir}: its run is on other data, differing in "
        f"{'; '.join(lines)}; restore that data set or choose another "
        "--workdir"
    )


def _fixed(part):
  """Without what is told by a hash (splits) or may differ (version)."""
  return {k: v for k, v in part.items() if k not in ("splits", "code_version")}


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


def fit(config, workdir, session, objective, meta, validate, best, sampler,
        extra=None):
  """Trains from the start or from the workdir's newest checkpoint.

  Args:
    config: the run's config; see `loop.run` and `optim.make_optimizer`.
    workdir: folder of the run.
    session: its Session.
    objective: a `state.Objective`.
    meta: as `make_meta`.
    validate: `validate(state, frozen) -> {metric: number}`.
    best: (metric, "max" or "min") that ranks checkpoints.
    sampler: `sampler(k) -> samplers.Draw`.
    extra: as `batches.train_batches`.

  Returns:
    The last TrainState.
  """
  mesh = session.mesh
  step_fn, tx, schedule = make_step(
      config, objective, session.train.cohorts, mesh
  )
  check_same_data(workdir, meta)
  progress = heartbeat.make_progress(config.stall_seconds)
  if not cluster.alone():
    cluster.agree(facts.collect(
        config, workdir, session, objective, meta,
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
    people = dict.fromkeys(session.train.person(row) for row in rows)
    salt = config.pseudonym_salt
    return rows, [splits.pseudonym(p, salt) if salt else p for p in people]

  guard = guard_lib.Guard(workdir, config, who)

  def batches(start):
    rows = batchlib.train_batches(
        session.train, session.signals, guard.sampler(sampler), start,
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
        f"{meta['kind']} of {'+'.join(session.signals)}: {count:,} trained "
        f"parameters, {len(session.train):,} segments, {mesh.size} device(s)"
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
        counts=session.train.ledger.counts,
        progress=progress,
    )
