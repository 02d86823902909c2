"""Configs to (parameters, loss): modules wired into each step's functions.

The one place where a training config, encoders, heads and losses meet. Every
maker returns `(params, loss)`, or `(params, frozen, loss)` where something
stays frozen; `loss(params, frozen, batch, key) -> (losses [b], metrics)`.
"""

import jax
import jax.numpy as jnp

from accfm.base import keys
from accfm.base.errors import InputError
from accfm.models import build
from accfm.signals import feed
from accfm.steps import contrastive, distill, mae


def _init_encoder(module, config, name, contract, signal):
  """Parameters of a fresh encoder for a signal."""
  channels = contract.signals[signal].channels
  return _init(
      module, config, name, jnp.zeros((1, contract.samples, channels))
  )


def _init(module, config, name, *inputs):
  """Parameters of a fresh module, by seed and name."""
  key = keys.stream(jax.random.key(config.seed), f"init/{name}")
  return jax.jit(module.init)(key, *inputs)["params"]


def make_contrastive(config, contract):
  """Two augmented views of one segment of `config.signal`."""
  encoder = build.build_encoder(config.encoder)
  head = build.build_head(config.head)
  params = {
      "encoder": _init_encoder(
          encoder, config, "encoder", contract, config.signal
      ),
      "head": _init(head, config, "head", jnp.zeros((1, encoder.embed_dim))),
  }

  def embed(params, x):
    x = encoder.apply({"params": params["encoder"]}, x, train=True)
    return head.apply({"params": params["head"]}, x)

  prepare = feed.make_prepare(contract, config.signal, config.augment)
  return params, contrastive.make_loss(embed, prepare, config.temperature)


def make_mae(config, contract):
  """Masked autoencoding of `config.signal`."""
  encoder = build.build_encoder(config.encoder)
  build.check_maskable(encoder, contract.samples)
  channels = contract.signals[config.signal].channels
  patch, length = encoder.patch, contract.samples // encoder.patch
  decoder = build.build_mae_decoder(config.decoder, patch, channels)
  visible = jnp.zeros((1, 1, encoder.width))
  params = {
      "encoder": _init_encoder(
          encoder, config, "encoder", contract, config.signal
      ),
      "decoder": _init(
          decoder, config, "decoder", visible, jnp.arange(length)[None]
      ),
  }

  def encode(params, x, keep):
    return encoder.apply(
        {"params": params["encoder"]}, x, keep, method="encode_visible"
    )

  def decode(params, visible, restore):
    return decoder.apply({"params": params["decoder"]}, visible, restore)

  def patchify(x):
    return x.reshape(len(x), length, patch * channels)  # [b, L, P*C]

  prepare = feed.make_prepare(contract, config.signal, config.augment)
  return params, mae.make_loss(
      encode, decode, prepare, patchify, length, config.mask_ratio,
      config.normalize_target,
  )


PRETRAIN = {"contrastive": make_contrastive, "mae": make_mae}


def make_pretrain(config, contract):
  """The maker that `config.objective` names."""
  if config.objective not in PRETRAIN:
    raise InputError(
        f"objective: got {config.objective!r}, want one of {sorted(PRETRAIN)}"
    )
  return PRETRAIN[config.objective](config, contract)


def make_distill(config, contract, signals, teacher_params, teacher_cfg):
  """A student beside a frozen teacher.

  Args:
    config: with encoder, head, augment (by the part played: "student",
      "teacher"), temperature, learn_temperature, student_weight.
    contract: the data set's Contract.
    signals: (student's, teacher's).
    teacher_params: the teacher's encoder parameters.
    teacher_cfg: the teacher's encoder config.

  Returns:
    (params, frozen, loss).
  """
  student = build.build_encoder(config.encoder)
  teacher = build.build_encoder(teacher_cfg)
  head = build.build_head(config.head)
  check_together(config.augment)
  mine, theirs = (
      feed.make_prepare(contract, signal, config.augment[part])
      for part, signal in zip(("student", "teacher"), signals, strict=True)
  )
  params = {
      "student": _init_encoder(
          student, config, "student", contract, signals[0]
      ),
      "student_head": _init(
          head, config, "student_head", jnp.zeros((1, student.embed_dim))
      ),
      "teacher_head": _init(
          head, config, "teacher_head", jnp.zeros((1, teacher.embed_dim))
      ),
  }
  if config.learn_temperature:
    params["log_temperature"] = jnp.log(jnp.float32(config.temperature))

  def embed(params, key, batch):
    x = mine(key, batch, signals[0])
    x = student.apply({"params": params["student"]}, x, train=True)
    return head.apply({"params": params["student_head"]}, x)

  def teach(params, frozen, key, batch):
    x = theirs(key, batch, signals[1])
    x = teacher.apply({"params": frozen["teacher"]}, x)
    x = jax.lax.stop_gradient(x)
    return head.apply({"params": params["teacher_head"]}, x)

  loss = distill.make_loss(
      embed, teach, config.temperature, config.student_weight
  )
  return params, {"teacher": teacher_params}, loss


def check_together(augment_cfg):
  """Raises InputError unless student and teacher shift alike in time."""
  mine, theirs = (
      dict(augment_cfg[part].get("time_shift", {"prob": 0.0}))
      for part in ("student", "teacher")
  )
  if mine != theirs and (mine["prob"] or theirs["prob"]):
    raise InputError(
        f"augment.*.time_shift: got {mine} for the student and {theirs} for "
        "the teacher, want the same: a pair would lose its alignment"
    )
