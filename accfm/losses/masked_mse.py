"""The loss of masked autoencoding: squared error on the hidden patches only."""

import jax
import jax.numpy as jnp

from accfm.base import shapes


def normalize_patches(
    patches: jax.Array, epsilon: float = 1e-6
) -> jax.Array:
  """Scales each patch [..., P] to mean 0 and variance 1 (He et al. 2022)."""
  mean = patches.mean(-1, keepdims=True)
  variance = patches.var(-1, keepdims=True)
  return (patches - mean) / jnp.sqrt(variance + epsilon)


def masked_mse(
    prediction: jax.Array, target: jax.Array, hidden: jax.Array
) -> jax.Array:
  """Mean squared error over the hidden patches of each example.

  He et al. 2022 (arXiv 2111.06377), section 3.

  Args:
    prediction: [B, L, P] predicted samples of the patches.
    target: [B, L, P] true samples.
    hidden: [B, L], 1 where the encoder did not see the patch.

  Returns:
    [B] float32.
  """
  shapes.check_all([
      (prediction, "prediction", "B L P"), (target, "target", "B L P"),
      (hidden, "hidden", "B L"),
  ])
  error = jnp.square(
      prediction.astype(jnp.float32) - target.astype(jnp.float32)
  ).mean(-1)
  return (error * hidden).sum(-1) / hidden.sum(-1)
