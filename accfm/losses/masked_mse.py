"""Masked autoencoding's loss: squared error on the hidden patches only."""

import jax.numpy as jnp

from accfm.base import shapes


def normalize_patches(patches, epsilon=1e-6):
  """Each patch [.., P] to zero mean and unit variance (He et al. 2022)."""
  mean = patches.mean(-1, keepdims=True)
  variance = patches.var(-1, keepdims=True)
  return (patches - mean) / jnp.sqrt(variance + epsilon)


def masked_mse(prediction, target, hidden):
  """Mean squared error over the hidden patches of each example.

  He et al. 2022 (arXiv 2111.06377), section 3.

  Args:
    prediction: [B, L, P] predicted patch samples.
    target: [B, L, P] true ones.
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
