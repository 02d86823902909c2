"""A main in miniature: two linear towers, the real loop, one command.

`python tests/train/toy_main.py WORKDIR [field=value ...]` trains, resumes
when run again, and writes what it ends with to WORKDIR/final.npz. Tests call
`run` or start it as a process, or several, and kill it.
"""

import functools
import json
import os
import pathlib
import resource
import signal
import threading

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from accfm.base import errors, quiet
from accfm.base import mesh as meshes
from accfm.base.processes import cluster, heartbeat
from accfm.steps import state as states
from accfm.train import (
  checkpoints,
  guard,
  loop,
  optim,
  parallel,
  trace,
  workdir,
  writer,
)
from tests import killer

B, D = 16, 4
FAULTS = ("nan_at", "sigterm_at", "full_at", "spike_at", "stop_at", "hang_at",
          "break_at")
OPTIM = (
    "lr",
    "weight_decay",
    "warmup_steps",
    "total_steps",
    "clip_norm",
    "b1",
    "b2",
)


def get_config(**overrides):
  config = dict(
      seed=0,
      lr=0.05,
      weight_decay=0.1,
      warmup_steps=3,
      total_steps=14,
      clip_norm=1.0,
      b1=0.9,
      b2=0.99,
      batch_size=B,
      log_every=1,
      validate_every=4,
      checkpoint_every=4,
      stall_seconds=300,
      keep_latest=2,
      keep_best=1,
      width=D,
      nan_at=-1,  # the batch that holds a NaN
      sigterm_at=-1,  # the batch before which SIGTERM comes
      full_at=-1,  # the batch from which no file can grow
      spike_at=-1,  # the batch whose inputs are a thousand times too large
      stop_at=-1,  # the batch at which the batches end
      hang_at=-1,  # the batch that process 1 reads for ever
      break_at=-1,  # the batch that process 1 breaks at
      on_bad_step="stop",
      max_skipped=10,
      spike_factor=0.0,
      profile_steps="",
  )
  assert not set(overrides) - set(config), overrides
  return ml_collections.ConfigDict({**config, **overrides})


def batch_numpy(seed, k):
  """Batch k: a pure function of (seed, k)."""
  rng = np.random.default_rng([seed, k])
  x = rng.normal(size=(B, 6)).astype(np.float32)
  y = x @ np.linspace(-1, 1, 6 * 5).reshape(6, 5).astype(np.float32)
  return {"x": x, "y": y, "row": np.arange(B * k, B * (k + 1), dtype=np.int32)}


def init_params(seed, width=D):
  rng = np.random.default_rng([seed, 10**6])
  return {
      "student": {"w": rng.normal(size=(6, width)).astype(np.float32)},
      "bias": np.zeros(width, np.float32),
      "log_temperature": np.float32(-1.0),
      "bulk": rng.normal(size=(100, 100)).astype(np.float32),  # decays only
  }


def init_frozen(seed, width=D):
  rng = np.random.default_rng([seed, 10**6 + 1])
  return {"teacher": {"w": rng.normal(size=(5, width)).astype(np.float32)}}


def loss_fn(params, carried, frozen, batch, key):
  """InfoNCE over the global batch, noise by global row. losses: [b]."""
  noise = jax.vmap(
      lambda row: jax.random.normal(jax.random.fold_in(key, row), (6,))
  )(batch["row"])
  x = batch["x"] + 0.1 * noise
  s = x @ params["student"]["w"] + params["bias"][None]
  t = batch["y"] @ frozen["teacher"]["w"]
  t = jax.lax.all_gather(t, meshes.ROW_AXES, tiled=True)  # [B, D]
  first = jax.lax.axis_index(meshes.ROW_AXES) * s.shape[0]
  own = first + jnp.arange(s.shape[0])
  logits = jnp.tanh(s) @ jnp.tanh(t).T / jnp.exp(params["log_temperature"])
  logp = jax.nn.log_softmax(logits, axis=-1)
  losses = -jnp.take_along_axis(logp, own[:, None], axis=1)[:, 0]
  metrics = {"temperature": jnp.exp(params["log_temperature"])}
  seen = carried["seen"] + jax.lax.psum(jnp.float32(len(x)), meshes.ROW_AXES)
  return losses, metrics, {"seen": seen}


@functools.cache
def compiled(optim_json, devices, loss_fn):
  """The parts of a run that are compiled; runs of a process share them."""
  config = ml_collections.ConfigDict(json.loads(optim_json))
  mesh = meshes.make_mesh(jax.devices()[:devices])
  tx, schedule = optim.make_optimizer(config)
  objective = states.Objective(None, loss_fn)
  step = parallel.make_parallel(states.make_update(objective, tx), mesh)
  return mesh, tx, schedule, step


def run(path, config, devices=1, loss_fn=loss_fn):
  """Trains in `path` on so many devices; returns the last state."""
  progress = heartbeat.make_progress(config.stall_seconds)
  cluster.agree({f"config/{name}": config[name] for name in config})
  path = workdir.claim(path, config, volatile=workdir.VOLATILE + FAULTS)
  parts = {name: config[name] for name in OPTIM}
  mesh, tx, schedule, step = compiled(json.dumps(parts), devices, loss_fn)

  def fresh():
    return meshes.put_replicated(states.create(states.Objective(
        init_params(config.seed, config.width), loss_fn,
        carried={"seen": np.float32(0)},  # rows so far
    ), tx), mesh)

  frozen = meshes.put_replicated(init_frozen(config.seed, config.width), mesh)

  guards = guard.Guard(path, config, lambda k: (
      batch_numpy(config.seed, k)["row"], ["toy/a", "toy/b"]
  ))

  def batches(start):
    for k in range(start, 10**6):
      if k == config.sigterm_at:
        os.kill(os.getpid(), signal.SIGTERM)
      if k == config.full_at:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
      if k == config.stop_at:
        return
      if k == config.hang_at and jax.process_index() == 1:
        threading.Event().wait()
      if k == config.break_at and jax.process_index() == 1:
        raise ZeroDivisionError(f"batch {k} of process 1")
      k = guards.number(k)
      batch = batch_numpy(config.seed, k)
      if k == config.nan_at:
        batch["x"][3, 2] = np.nan
      if k == config.spike_at:
        batch["x"] *= 1000
      mine = {name: x[meshes.local_rows(B)] for name, x in batch.items()}
      yield meshes.put_rows(mine, mesh)

  def validate(state, frozen):
    w = np.asarray(state.params["student"]["w"])
    return {"val/size": float(np.abs(w).sum())}

  with (
      checkpoints.Checkpoints(
          path / "checkpoints",
          keep_latest=config.keep_latest,
          keep_best=config.keep_best,
          best_metric="val/size",
      ) as saver,
      writer.Writer(path) as out,
  ):
    return loop.train(loop.Run(
        step=step,
        state=fresh(),
        frozen=frozen,
        batches=batches,
        key=jax.random.key(config.seed),
        config=config,
        checkpoints=saver,
        writer=out,
        meta={"kind": "toy", "config": config.to_dict()},
        guard=guards,
        trace=trace.Trace(path, trace.parse(
            config.profile_steps, config.total_steps
        )),
        fresh=fresh,
        validate=validate,
        schedule=schedule,
        progress=progress,
    ))


def leaves(state):
  """{name: array} of a TrainState on the host."""
  flat = jax.tree_util.tree_flatten_with_path(state)[0]
  return {jax.tree_util.keystr(p): np.asarray(x) for p, x in flat}


def main(argv):
  quiet.quiet_libraries()  # as mains.start
  cluster.start()
  path = pathlib.Path(argv[1])
  fields = dict(item.split("=") for item in argv[2:])
  like = get_config()
  config = get_config(**{n: type(like[n])(v) for n, v in fields.items()})
  state = run(path, config, 1 if cluster.alone() else jax.device_count())
  if jax.process_index() == 0:
    np.savez(path / "final.npz", **leaves(state))


if __name__ == "__main__":
  killer.install()
  errors.run_main(cluster.guarded(main, last=True))
