"""Projection heads: an embedding to the space in which towers meet."""

import flax.linen as nn
import jax.numpy as jnp


class MLPHead(nn.Module):
  """LayerNorm, one hidden layer, then a point on the unit sphere.

  Attributes:
    hidden: width of the hidden layer; 0 makes the head one linear map.
    out: P.
    dtype: compute type; the normalisation is float32.
  """

  hidden: int
  out: int
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x):
    """[B, D] -> [B, P] float32 rows of unit length."""
    x = nn.LayerNorm(dtype=self.dtype)(x)
    if self.hidden:
      x = nn.gelu(nn.Dense(self.hidden, dtype=self.dtype)(x))
    x = nn.Dense(self.out, dtype=self.dtype)(x).astype(jnp.float32)
    return unit(x)


def unit(x, epsilon=1e-12):
  """`x / |x|` along the last axis, safe (value and gradient) at zero."""
  square = jnp.square(x).sum(-1, keepdims=True)
  return x / jnp.sqrt(jnp.maximum(square, epsilon))
