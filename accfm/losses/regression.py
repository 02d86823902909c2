"""Distillation without negatives: the student predicts the teacher's output."""

import jax
import jax.numpy as jnp

from accfm.base import shapes


def cosine(
    prediction: jax.Array, target: jax.Array, epsilon: float = 1e-12
) -> jax.Array:
  """1 - cos(prediction, target).

  Args:
    prediction: [B, D].
    target: [B, D].
    epsilon: least product of squared lengths, so that zero rows are finite.

  Returns:
    [B] float32, 0 to 2.
  """
  a, b = _pair(prediction, target)
  lengths = jnp.square(a).sum(1) * jnp.square(b).sum(1)
  return 1.0 - (a * b).sum(1) / jnp.sqrt(jnp.maximum(lengths, epsilon))


def mse(prediction: jax.Array, target: jax.Array) -> jax.Array:
  """Squared error, averaged over dimensions: [B, D] x 2 -> [B]."""
  a, b = _pair(prediction, target)
  return jnp.square(a - b).mean(1)


def _pair(prediction, target):
  shapes.check_all(
      [(prediction, "prediction", "B D"), (target, "target", "B D")]
  )
  return prediction.astype(jnp.float32), target.astype(jnp.float32)
