"""Supervised training: one encoder and one linear predictor of all labels."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from accfm.base.errors import InputError
from accfm.base.mesh import ROW_AXES
from accfm.losses import labelled
from accfm.models import build, heads
from accfm.signals import feed
from accfm.signals.targets import Target
from accfm.steps import nets
from accfm.steps.given import Given, Start
from accfm.steps.state import Objective

ENCODER = "vit_s"  # that a plan assumes where the config names none
TIMED = ("_bpm", "_hz", "_ms", "_s")  # ends of labels that time decides


def make_loss(predict: Callable, targets: Sequence[Target]) -> Callable:
  """The mean over targets of each one's mean loss over its labelled rows.

  Numbers (standardised by the training labels) are scored by the squared
  error, classes by the cross-entropy. A target that no row of the global
  batch knows counts 0.

  Args:
    predict: `predict(params, carried, frozen, key, batch) -> (outputs
      [b, O], carried)`.
    targets: in the order of `batch["labels"]` [b, K]; each has its columns
      of the outputs.

  Returns:
    `loss`, as `state.Objective`.
  """

  def loss_fn(params, carried, frozen, batch, key):
    outputs, carried = predict(params, carried, frozen, key, batch)
    losses: Any = 0.0
    metrics, at = {}, 0
    for k, target in enumerate(targets):
      label = batch["labels"][:, k]
      part = outputs[:, at:at + target.outputs]
      at += target.outputs
      if target.classes:
        errors = labelled.cross_entropy(part, label)
      else:
        errors = labelled.squared_error(part[:, 0], label)
      known = jnp.isfinite(label).sum().astype(jnp.float32)
      rows = jax.lax.psum(jnp.float32(label.shape[0]), ROW_AXES)
      # Rows without a label add 0. Rows with one weigh more instead, so that
      # the mean over the batch is the mean over its labelled rows.
      count = jnp.maximum(jax.lax.psum(known, ROW_AXES), 1.0)
      errors = errors * (rows / count)
      losses += errors / len(targets)
      metrics[f"loss/{target.task}"] = jax.lax.stop_gradient(errors).mean()
    return losses, metrics, carried

  return loss_fn


def make_objective(config: ConfigDict, given: Given) -> Objective:
  """An encoder, drawn or of a checkpoint, and a predictor of labels.

  Args:
    config: with signal, encoder, freeze_encoder, augment, seed.
    given: with the targets, and the encoder to start from, if any.
  """
  contract, targets, start = given.contract, given.targets, given.start
  check_warp(config.augment, targets)
  encoder = nets.encoder(config.encoder)
  predictor = make_predictor(targets)
  variables = start and start.variables
  if variables is None:
    variables = nets.init_encoder(
        encoder, config.seed, "encoder", contract, config.signal
    )
  params = {
      "predictor": nets.init_head(
          predictor, config.seed, "predictor", encoder.embed_dim
      ),
  }
  if not config.freeze_encoder:
    params["encoder"] = variables["params"]
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

  loss = make_loss(predict, targets)
  if config.freeze_encoder:
    return Objective(params, loss, {}, {"encoder": variables})
  return Objective(params, loss, nets.carry(encoder=variables))


def check_warp(
    augmentation: Mapping[str, Any], targets: Sequence[Target]
) -> None:
  """Raises InputError where a time warp would leave a label that is wrong.

  A rate or an interval of beats changes with the warp, its label does not.
  What else a label of a segment says is not known, so all of them count. A
  fact about a person stays, unless its name ends in a unit of time.

  Args:
    augmentation: resolved, see `augment.resolve`.
    targets: of the predictor.
  """
  timed = [
      t.column for t in targets
      if t.column.startswith("labels/") or t.column.endswith(TIMED)
  ]
  prob = dict(augmentation.get("time_warp", {})).get("prob", 0.0)
  if prob and timed:
    raise InputError(
        f"augment.time_warp.prob: got {prob:g} with labels {timed}, which a "
        "warp of time may change, want 0; set "
        "--config.augment.time_warp.prob=0 or choose other labels"
    )


def make_predictor(targets: Sequence[Target]) -> heads.Predictor:
  """The linear map of an embedding to all outputs of the targets."""
  return heads.Predictor(sum(target.outputs for target in targets))


def assume_start(config: ConfigDict) -> tuple[Start | None, tuple[str, ...]]:
  """(start, sentences): what a plan assumes without --config.init."""
  if "encoder" in config:
    return None, ()
  return (
      Start(config.signal, build.encoder_config(ENCODER)),
      (f"no --config.init: an encoder {ENCODER}",),
  )
