"""Projection heads: an embedding to the space in which towers meet."""

import flax.linen as nn
import jax.numpy as jnp

from accfm.base.errors import InputError


class MLPHead(nn.Module):
  """LayerNorm, one hidden layer, then a point on the unit sphere.

  With `bins` the same small head is applied to each of that many equal parts
  of the embedding, and the parts are put side by side before normalising:
  for a grid-pooled encoder, similarity is then a sum over time of local
  similarities, and what holds at one second holds at all.

  Attributes:
    hidden: width of the hidden layer; 0 makes the head one linear map.
    out: P; with bins, P / bins values a part.
    bins: parts of the embedding, 1 for the whole.
    dtype: compute type; the normalisation is float32.
  """

  hidden: int
  out: int
  bins: int = 1
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x):
    """[B, D] -> [B, P] float32 rows of unit length."""
    b, d = x.shape
    if d % self.bins:
      raise InputError(
          f"head.bins: got {self.bins} for embeddings of {d} values, want a "
          "divisor"
      )
    x = x.reshape(b, self.bins, d // self.bins)
    x = nn.LayerNorm(dtype=self.dtype)(x)
    if self.hidden:
      x = nn.gelu(nn.Dense(self.hidden, dtype=self.dtype)(x))
    x = nn.Dense(self.out // self.bins, dtype=self.dtype)(x)
    return unit(x.reshape(b, self.out).astype(jnp.float32))


def unit(x, epsilon=1e-12):
  """`x / |x|` along the last axis, safe (value and gradient) at zero."""
  square = jnp.square(x).sum(-1, keepdims=True)
  return x / jnp.sqrt(jnp.maximum(square, epsilon))
