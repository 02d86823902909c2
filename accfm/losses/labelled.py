"""Supervised losses where labels may be missing (NaN)."""

import jax
import jax.numpy as jnp

from accfm.base import shapes


def squared_error(prediction: jax.Array, label: jax.Array) -> jax.Array:
  """(prediction - label)^2 where the label is known, else 0: [B] x 2 -> [B].
  """
  shapes.check_all([(prediction, "prediction", "B"), (label, "label", "B")])
  known = jnp.isfinite(label)
  error = prediction.astype(jnp.float32) - jnp.where(known, label, 0.0)
  return jnp.where(known, jnp.square(error), 0.0)


def cross_entropy(logits: jax.Array, label: jax.Array) -> jax.Array:
  """-log softmax of the label's class where the label is known, else 0.

  Args:
    logits: [B, K].
    label: [B] float, number of the class from 0 to K - 1; NaN if unknown.

  Returns:
    [B] float32.
  """
  shapes.check_all([(logits, "logits", "B K"), (label, "label", "B")])
  known = jnp.isfinite(label)
  chosen = jnp.where(known, label, 0.0).astype(jnp.int32)
  log_p = jax.nn.log_softmax(logits.astype(jnp.float32), -1)
  picked = jnp.take_along_axis(log_p, chosen[:, None], 1)[:, 0]
  return jnp.where(known, -picked, 0.0)
