"""Supervised training: one encoder, one linear predictor of all targets."""

import jax
import jax.numpy as jnp

from accfm.base.mesh import ROWS
from accfm.losses import labelled


def make_loss(predict, targets):
  """The mean over targets of each one's mean loss over its labelled rows.

  Numbers (standardised by the training labels) are scored by the squared
  error, classes by the cross-entropy. A target that no row of the global
  batch knows counts 0.

  Args:
    predict: `predict(params, carried, frozen, key, batch) -> (outputs
      [b, O], carried)`.
    targets: `signals.targets.Target`s, in the order of `batch["labels"]`
      [b, K]; each has its columns of the outputs.

  Returns:
    `loss`, as `state.Objective`.
  """

  def loss_fn(params, carried, frozen, batch, key):
    outputs, carried = predict(params, carried, frozen, key, batch)
    losses, metrics, at = 0.0, {}, 0
    for k, target in enumerate(targets):
      label = batch["labels"][:, k]
      part = outputs[:, at:at + target.outputs]
      at += target.outputs
      if target.classes:
        errors = labelled.cross_entropy(part, label)
      else:
        errors = labelled.squared_error(part[:, 0], label)
      known = jnp.isfinite(label).sum().astype(jnp.float32)
      rows = jax.lax.psum(jnp.float32(label.shape[0]), ROWS)
      # Rows without a label add 0: those with one weigh more instead, so
      # that the mean over the batch is the mean over its labelled rows.
      count = jnp.maximum(jax.lax.psum(known, ROWS), 1.0)
      errors = errors * (rows / count)
      losses += errors / len(targets)
      metrics[f"loss/{target.task}"] = jax.lax.stop_gradient(errors).mean()
    return losses, metrics, carried

  return loss_fn
