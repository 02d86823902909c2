"""What every training main shares: open the data, then fit.

The order is the order of checks: nothing is written before the data, the
batch size and the config have been found fit to run.
"""

import dataclasses
import json

import jax

from accfm.base import configlib
from accfm.base import mesh as meshlib
from accfm.base.errors import InputError
from accfm.data import manifest as manifest_lib
from accfm.data import pipeline
from accfm.steps import state as statelib
from accfm.train import checkpoints as checkpoints_lib
from accfm.train import loop, optim, parallel, stored
from accfm.train import workdir as workdir_lib
from accfm.train import writer as writer_lib
from accfm.version import __version__


@dataclasses.dataclass(frozen=True)
class Session:
  """Data and devices of one training run.

  Attributes:
    train, val: open splits.
    mesh: the data mesh.
    signals: names of the signals that batches hold.
  """

  train: pipeline.Split
  val: pipeline.Split
  mesh: jax.sharding.Mesh
  signals: tuple

  @property
  def contract(self):
    """The data set's input contract."""
    return self.train.contract


def open_session(config, signals):
  """Opens the data set of a config and checks that it can be trained on.

  Args:
    config: with data_dir, dataset, batch_size.
    signals: names of the signals that the run feeds.

  Raises:
    InputError: no such data set, an absent signal, a batch that is larger
      than the split or does not divide over the devices.
  """
  loop.check_config(config)
  dataset_dir = manifest_lib.find(config.data_dir, config.dataset)
  train = pipeline.open_split(dataset_dir, "train")
  mesh = meshlib.make_mesh()
  for name in signals:
    if name not in train.contract.signals:
      raise InputError(
          f"signal: got {name!r}, want one of "
          f"{sorted(train.contract.signals)} of {dataset_dir}"
      )
  meshlib.check_batch(config.batch_size, mesh)
  pipeline.check_batch_size(train, config.batch_size, mesh.size)
  return Session(
      train, pipeline.open_split(dataset_dir, "val"), mesh, tuple(signals)
  )


def make_meta(kind, config, session, teacher=None):
  """What a checkpoint says of itself, plain JSON data.

  Args:
    kind: "mae", "contrastive" or "distill".
    config: the run's config.
    session: its Session; the trained signal first.
    teacher: the teacher checkpoint's meta, or None.
  """
  manifest = session.train.manifest
  return {
      "kind": kind,
      "config": config.to_dict(),
      "contract": session.contract.to_dict(),
      "manifest": {
          "dataset": manifest["name"],
          "split_hash": manifest["split_hash"],
          "splits": manifest["splits"],
          "windows": manifest["windows"],
      },
      "signals": list(session.signals),
      "teacher": teacher,
      "code_version": __version__,
  }


def check_same_data(workdir, meta):
  """Raises InputError if a run would resume on other data than it began on.

  Batch k would be another one, and people may have changed sides.
  """
  newest = stored.newest_whole(workdir)
  if newest is None:
    return
  before, now = stored.read_meta(newest), json.loads(json.dumps(meta))
  lines = []
  for part in ("manifest", "contract"):
    for name, old in before[part].items():
      if name not in ("splits", "code_version"):  # told by a hash; may differ
        lines += configlib.differences({name: old}, {name: now[part].get(name)})
  if lines:
    raise InputError(
        f"workdir {workdir}: its run is on other data, differing in "
        f"{'; '.join(lines)}; restore that data set or choose another "
        "--workdir"
    )


def fit(config, workdir, session, loss_fn, params, frozen, meta, validate,
        best):
  """Trains from the start or from the workdir's newest checkpoint.

  Args:
    config: the run's config; see `loop.run` and `optim.make_optimizer`.
    workdir: folder of the run.
    session: its Session.
    loss_fn: `loss(params, frozen, batch, key) -> (losses [b], metrics)`.
    params: pytree of what is trained.
    frozen: pytree of what is not, or {}.
    meta: as `make_meta`.
    validate: `validate(params, frozen) -> {metric: number}`.
    best: (metric, "max" or "min") that ranks checkpoints.

  Returns:
    The last TrainState.
  """
  mesh = session.mesh
  tx, schedule = optim.make_optimizer(config)
  check_same_data(workdir, meta)
  workdir = workdir_lib.claim(workdir, config)
  state = meshlib.put_replicated(statelib.create(params, tx), mesh)
  frozen = meshlib.put_replicated(frozen, mesh)
  step_fn = parallel.make_parallel(
      statelib.make_update(loss_fn, tx), mesh
  )
  count = sum(x.size for x in jax.tree.leaves(params))

  def batches(start):
    rows = pipeline.train_batches(
        session.train, session.signals, config.batch_size, config.seed,
        start, meshlib.local_rows(config.batch_size), config.prefetch,
    )
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
    return loop.run(
        step_fn, state, frozen, batches, jax.random.key(config.seed),
        cfg=config, checkpoints=checkpoints, writer=writer, meta=meta,
        validate=lambda state, frozen: validate(state.params, frozen),
        schedule=schedule,
    )
