"""Configs to objectives: modules wired into each step's functions.

The one place where a training config, encoders, heads and losses meet. Every
maker returns a `state.Objective`.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from accfm.base import keys as keylib
from accfm.base.errors import InputError
from accfm.models import build, heads
from accfm.signals import augment, feed
from accfm.steps import contrastive, distill, mae, micro, nets, supervised
from accfm.steps.state import Objective


def make_contrastive(config, contract):
  """Two augmented views of `config.signal`, of one segment or one person."""
  encoder = nets.encoder(config.encoder)
  head = build.build_head(config.head)
  variables = nets.init_encoder(
      encoder, config.seed, "encoder", contract, config.signal
  )
  weights = {
      "encoder": variables["params"],
      "head": _init_head(head, config, "head", encoder.embed_dim),
  }
  prepare = feed.make_prepare(contract, config.signal, config.augment)

  def embed(params, carried, key, view, batch):
    rows = batch["row"]
    if view == "two":  # of another segment of the person, where there is one
      batch = {**batch, **batch.get("pair", {})}
    x = prepare(key, batch, view)
    x, carried = nets.forward(
        encoder, "encoder", params, carried, x,
        keylib.stream(key, f"view/{view}"), rows,
    )
    return nets.project(head, params["head"], x), carried

  embed = micro.batched(embed, config.micro_batches, [variables])
  carried = nets.carry(encoder=variables)
  advance = target = None
  if config.momentum:
    carried["target"] = jax.tree.map(jnp.copy, weights)

    def advance(params, carried):
      blend = jax.tree.map(
          lambda old, new: old + (1.0 - config.momentum) * (new - old),
          carried["target"], params,
      )
      return {**carried, "target": blend}

    def target(carried, key, view, batch):
      # Batch norm scales by this batch; the statistics of it are dropped.
      return embed(carried["target"], carried, key, view, batch)[0]

  loss = contrastive.make_loss(
      embed, config.temperature, target, config.koleo_weight,
      config.loss_block,
  )
  return Objective(weights, loss, carried, {}, advance)


def make_mae(config, contract):
  """Masked autoencoding of `config.signal`."""
  encoder = nets.encoder(config.encoder)
  build.check_maskable(encoder, contract.samples)
  channels = contract.signals[config.signal].channels
  patch, length = encoder.patch, contract.samples // encoder.patch
  decoder = build.build_mae_decoder(config.decoder, patch, channels)
  visible = jnp.zeros((1, 1, encoder.width))
  params = {
      "encoder": nets.init_encoder(
          encoder, config.seed, "encoder", contract, config.signal
      )["params"],
      "decoder": nets.init(
          decoder, config.seed, "decoder", visible, jnp.arange(length)[None]
      )["params"],
  }

  def encode(params, x, keep, key, rows):
    return encoder.apply(
        {"params": params["encoder"]}, x, keep, train=True,
        row_keys=keylib.row_streams(key, "dropout/encoder", rows),
        method="encode_visible",
    )

  def decode(params, visible, restore):
    return decoder.apply({"params": params["decoder"]}, visible, restore)

  def patchify(x):
    return x.reshape(len(x), length, patch * channels)  # [b, L, P*C]

  prepare = feed.make_prepare(contract, config.signal, config.augment)
  return Objective(params, mae.make_loss(
      encode, decode, prepare, patchify, length, config.mask_ratio,
      config.normalize_target,
  ))


PRETRAIN = {"contrastive": make_contrastive, "mae": make_mae}


def make_pretrain(config, contract):
  """The objective that `config.objective` names."""
  if config.objective not in PRETRAIN:
    raise InputError(
        f"objective: got {config.objective!r}, want one of {sorted(PRETRAIN)}"
    )
  return PRETRAIN[config.objective](config, contract)


@dataclasses.dataclass(frozen=True)
class Teacher:
  """An encoder to learn from.

  Attributes:
    signal: what it reads.
    cfg: its encoder config.
    variables: {"params", "batch_stats"?}; None for fresh ones.
  """

  signal: str
  cfg: Any
  variables: Any = None


def make_distill(config, contract, signal, teacher):
  """A student beside a teacher of another signal.

  Args:
    config: with encoder, head, teacher_head, teacher_mode, loss, augment (by
      the part played: "student", "teacher"), temperature, learn_temperature,
      student_weight.
    contract: the data set's Contract.
    signal: the student's.
    teacher: a Teacher.
  """
  encoder = nets.encoder(config.encoder)
  mentor = nets.encoder(teacher.cfg)
  my_head, their_head = _distill_heads(config, mentor.embed_dim)
  check_together(config.augment)
  mine, theirs = (
      feed.make_prepare(contract, name, config.augment[part])
      for part, name in (("student", signal), ("teacher", teacher.signal))
  )
  student = nets.init_encoder(
      encoder, config.seed, "student", contract, signal
  )
  params = {
      "student": student["params"],
      "student_head": _init_head(
          my_head, config, "student_head", encoder.embed_dim
      ),
      "teacher_head": _init_head(
          their_head, config, "teacher_head", mentor.embed_dim
      ),
  }
  if config.learn_temperature:
    params["log_temperature"] = jnp.log(jnp.float32(config.temperature))
  trained, frozen = {"student": student}, {}
  variables = teacher.variables
  if config.teacher_mode == "frozen":
    frozen["teacher"] = variables
  else:
    if variables is None:
      variables = nets.init_encoder(
          mentor, config.seed, "teacher", contract, teacher.signal
      )
    trained["teacher"] = variables
    params["teacher"] = variables["params"]

  def embed(params, carried, key, batch):
    x = mine(key, batch, signal)
    x, carried = nets.forward(
        encoder, "student", params, carried, x, key, batch["row"]
    )
    return nets.project(my_head, params["student_head"], x), carried

  def teach(params, carried, frozen, key, batch):
    x = theirs(key, batch, teacher.signal)
    if frozen:
      x = jax.lax.stop_gradient(mentor.apply(frozen["teacher"], x))
    else:
      x, carried = nets.forward(
          mentor, "teacher", params, carried, x, key, batch["row"]
      )
    return nets.project(their_head, params["teacher_head"], x), carried

  embed, teach = (
      micro.batched(fn, config.micro_batches, trained.values())
      for fn in (embed, teach)
  )
  loss = distill.make_loss(
      config.loss, embed, teach, config.temperature, config.student_weight,
      config.loss_block,
  )
  return Objective(params, loss, nets.carry(**trained), frozen)


def _distill_heads(config, teacher_dim):
  """(student's head, teacher's head) of a distillation config."""
  if config.loss != "contrastive" and (
      config.teacher_head != "identity" or config.teacher_mode != "frozen"
  ):
    raise InputError(
        f"loss {config.loss!r}: got teacher_head={config.teacher_head!r}, "
        f"teacher_mode={config.teacher_mode!r}, want 'identity' and 'frozen': "
        "a teacher that may move would agree by becoming constant"
    )
  mine, theirs = heads.distill_configs(
      config.head, config.teacher_head, config.loss, teacher_dim
  )
  return build.build_head(mine), build.build_head(theirs)


def check_together(augment_cfg):
  """Raises InputError unless student and teacher move alike in time.

  Jitter apart, which is small and meant to differ.
  """
  for name in ("time_shift", "time_warp"):
    mine, theirs = (
        dict(augment_cfg[part].get(name, {"prob": 0.0}))
        for part in ("student", "teacher")
    )
    if not (mine["prob"] or theirs["prob"]):
      continue
    shared = augment.FIELDS[name]["together"]
    if mine != theirs or not mine.get("together", shared):
      raise InputError(
          f"augment.*.{name}: got {mine} for the student and {theirs} for "
          "the teacher, want the same with together=True: a pair would lose "
          "its alignment"
      )


def make_supervised(config, contract, targets, start=None):
  """An encoder and a linear predictor of labels.

  Args:
    config: with encoder, freeze_encoder, signal, augment, seed.
    contract: the data set's Contract.
    targets: `signals.targets.Target`s.
    start: encoder variables to start from, or None for fresh ones.
  """
  encoder = nets.encoder(config.encoder)
  predictor = heads.Predictor(sum(t.outputs for t in targets))
  if start is None:
    start = nets.init_encoder(
        encoder, config.seed, "encoder", contract, config.signal
    )
  params = {
      "predictor": nets.init(
          predictor, config.seed, "predictor",
          jnp.zeros((1, encoder.embed_dim)),
      )["params"],
  }
  if not config.freeze_encoder:
    params["encoder"] = start["params"]
  prepare = feed.make_prepare(contract, config.signal, config.augment)

  def predict(params, carried, frozen, key, batch):
    x = prepare(key, batch, "one")
    if frozen:
      x = jax.lax.stop_gradient(encoder.apply(frozen["encoder"], x))
    else:
      x, carried = nets.forward(
          encoder, "encoder", params, carried, x, key, batch["row"]
      )
    return predictor.apply({"params": params["predictor"]}, x), carried

  loss = supervised.make_loss(predict, targets)
  if config.freeze_encoder:
    return Objective(params, loss, {}, {"encoder": start})
  return Objective(params, loss, nets.carry(encoder=start))


def _init_head(head, config, name, dim):
  """Parameters of a fresh head, {} for one without any."""
  return nets.init(head, config.seed, name, jnp.zeros((1, dim))).get(
      "params", {}
  )
