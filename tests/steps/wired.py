"""What tests of wired objectives share: a batch, objectives, one step."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from accfm.base import mesh as meshes
from accfm.configs import (
  acc_distill,
  acc_supervised,
  finetune,
  ppg_contrastive,
  ppg_mae,
)
from accfm.signals import augment, targets
from accfm.signals.contract import Contract, SignalSpec
from accfm.steps import contrastive, distill, mae, nets, supervised, towers
from accfm.steps import state as states
from accfm.steps.given import Given, Start
from accfm.steps.record import Record
from accfm.train import parallel

B, T = 16, 512
CONTRACT = Contract(
    {"acc": SignalSpec(3, "g", "acc", True), "ppg": SignalSpec(2, "au", "ppg")},
    rate_hz=64.0, window_sec=8.0,
)
GIVEN = Given(CONTRACT)


def make_batch(seed=0):
  rng = np.random.default_rng(seed)
  out = {"row": np.arange(B, dtype=np.int32)}
  for name, spec in CONTRACT.signals.items():
    shape = (B, T, spec.channels)
    out[name] = rng.integers(-30_000, 30_000, shape).astype(np.int16)
    out[f"{name}_scale"] = np.full((B, spec.channels), 1e-4, np.float32)
  out["pair"] = {
      name: np.roll(value, 3, axis=1) if value.ndim == 3 else value
      for name, value in out.items() if name != "row"
  }
  out["labels"] = rng.normal(size=(B, 2)).astype(np.float32)
  out["labels"][:, 1] = rng.integers(0, 2, B)
  out["labels"][[1, 4, 5], 0] = np.nan  # not as many on every device
  return out


# What is kept here is kept for each initialiser (`fresh.initialisers`): other
# tests in the same process may use another one.


def teacher(preset="vit_tiny"):
  """(config, Start), untrained, of PPG."""
  return _teacher(preset, nets.init)


@functools.cache
def _teacher(preset, init):
  del init
  config = ppg_contrastive.get_config(f"tiny,encoder={preset}")
  made = contrastive.make_objective(config, GIVEN)
  variables = towers.encoder_variables(made.params, made.carried, {}, "encoder")
  return config, Start("ppg", config.encoder, variables)


def distill_config(arg="tiny", **fields):
  config = acc_distill.get_config(arg).unlock()
  config.augment = dict(student=augment.off(), teacher=augment.off())
  config.update(fields)
  return config


def make_distill(config, preset="vit_tiny"):
  return distill.make_objective(config, Given(CONTRACT, teacher(preset)[1]))


EFFICIENT = "tiny,encoder=efficientnet_tiny"
REGRESSION = dict(teacher_head="identity", head=dict(out=0))
TARGETS = (
    targets.Target("labels/hr_bpm", 70.0, 10.0),
    targets.Target("attributes/sex", classes=(0.0, 1.0)),
)
KINDS = {
    "mae": lambda: mae.make_objective(ppg_mae.get_config("tiny"), GIVEN),
    "contrastive": lambda: contrastive.make_objective(
        ppg_contrastive.get_config("tiny"), GIVEN),
    "momentum": lambda: contrastive.make_objective(
        ppg_contrastive.get_config("tiny,positives=participant"), GIVEN),
    "efficientnet": lambda: contrastive.make_objective(
        ppg_contrastive.get_config(f"{EFFICIENT},positives=participant"),
        GIVEN),
    "distill": lambda: make_distill(acc_distill.get_config("tiny")),
    "efficient_distill": lambda: make_distill(
        acc_distill.get_config(EFFICIENT), "efficientnet_tiny"),
    "soft": lambda: make_distill(distill_config(
        soft_weight=0.4, loss_block=2)),
    "joint": lambda: make_distill(distill_config(teacher_mode="scratch")),
    "cosine": lambda: make_distill(distill_config(loss="cosine", **REGRESSION)),
    "mse": lambda: make_distill(distill_config(loss="mse", **REGRESSION)),
    "supervised": lambda: supervised.make_objective(
        acc_supervised.get_config("tiny"), Given(CONTRACT, targets=TARGETS)),
    "linear": lambda: supervised.make_objective(
        acc_config(), Given(CONTRACT, acc_start(), TARGETS)),
}


def build(kind):
  """The Objective of a kind, with its own augmentation."""
  return _build(kind, nets.init)


@functools.cache
def _build(kind, init):
  del init
  return KINDS[kind]()


def acc_config():
  """A supervised config with a frozen encoder and no augmentation."""
  return ml_collections.ConfigDict({
      **finetune.get_config("tiny,linear"), "augment": augment.off(),
      "encoder": acc_supervised.get_config("tiny").encoder,
  })


def acc_start():
  """An acceleration encoder to start from."""
  variables = {"params": build("supervised").params["encoder"]}
  return Start("acc", acc_config().encoder, variables)


def distilled(config):
  """The record of a student of this config and of the teacher above."""
  parent = Record(
      "contrastive", teacher()[0].to_dict(), ("ppg",), CONTRACT
  )
  return Record(
      "distill", config.to_dict(), ("acc", "ppg"), CONTRACT, parent=parent
  )


@functools.cache
def compiled(loss, advance, devices):
  """(mesh, optimiser, step): plain SGD of rate 1, so updates are gradients."""
  mesh = meshes.make_mesh(jax.devices()[:devices])
  tx = optax.sgd(1.0)
  update = states.make_update(states.Objective(None, loss, advance=advance), tx)
  return mesh, tx, parallel.make_parallel(update, mesh)


def one_step(made, devices=1, at=0):
  """(state after update number `at`, metrics, frozen after)."""
  mesh, tx, step = compiled(made.loss, made.advance, devices)
  # The step takes its state's memory.
  made = dataclasses.replace(
      made, params=jax.tree.map(np.array, made.params),
      carried=jax.tree.map(np.array, made.carried),
  )
  state = states.create(made, tx).replace(step=jnp.int32(at))
  state = meshes.put_replicated(state, mesh)
  frozen = meshes.put_replicated(made.frozen, mesh)
  state, metrics = step(
      state, frozen, meshes.put_rows(make_batch(), mesh), jax.random.key(0)
  )
  return jax.device_get((state, metrics, frozen))


def infonce_oracle(query, keys, temperature):
  """Mean of -log p(own key), pair by pair in float64."""
  total = 0.0
  for i in range(len(query)):
    z = [np.float64(query[i]) @ np.float64(k) / temperature for k in keys]
    total += np.log(sum(np.exp(z))) - z[i]
  return total / len(query)


def projections(config, params, frozen):
  """What the towers of a checkpoint of this state give the batch."""
  made = towers.from_checkpoint(params, {}, frozen, distilled(config))
  batch = make_batch()
  return [
      np.asarray(jax.jit(type(t).project)(
          t, batch[name], batch[f"{name}_scale"]
      )) for name, t in made.items()
  ]
