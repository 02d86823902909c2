"""Projection heads: from an embedding to the space where towers are compared.
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from accfm.base.errors import InputError


class MLPHead(nn.Module):
  """LayerNorm, one hidden layer, then a point on the unit sphere.

  With `bins` the embedding is split into that many equal parts, the same
  small head is applied to each, and the results are joined before they are
  normalised. For a grid-pooled encoder the similarity is then a sum over time
  of local similarities, by the same weights at every second.

  Attributes:
    hidden: width of the hidden layer; 0 makes the head one linear map.
    out: P, size of a projection; with bins, P / bins values for each part.
    bins: parts of the embedding; 1 for the whole.
    dtype: compute type; the normalisation is float32.
    normalize: False leaves the length of the rows free, for regression.
  """

  hidden: int
  out: int
  bins: int = 1
  dtype: jnp.dtype = jnp.float32
  normalize: bool = True

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[B, D] -> [B, P] float32 rows, of unit length if `normalize`."""
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
    x = x.reshape(b, self.out).astype(jnp.float32)
    return unit(x) if self.normalize else x


class IdentityHead(nn.Module):
  """The embedding itself: [B, D] -> [B, D] float32, no parameters."""

  normalize: bool = True

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    x = x.astype(jnp.float32)
    return unit(x) if self.normalize else x


class Predictor(nn.Module):
  """One linear map of the embedding: [B, D] -> [B, O] float32."""

  outputs: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    return nn.Dense(self.outputs, name="out")(x.astype(jnp.float32))


def distill_configs(
    head: Mapping[str, Any],
    teacher_head: str,
    normalize: bool,
    teacher_dim: int,
) -> tuple[dict[str, Any], dict[str, Any]]:
  """The head configs of student and teacher in distillation.

  Args:
    head: config of the student's head, and of the teacher's if it is "mlp".
    teacher_head: "mlp", or "identity" for the teacher's embedding itself;
      the student's head then has as many outputs (`out` 0 or that number).
    normalize: whether both give rows of unit length; the squared error needs
      free lengths.
    teacher_dim: size of the teacher's embedding.

  Returns:
    (student's, teacher's), dicts for `build.build_head`.

  Raises:
    InputError: an unknown `teacher_head`, or sizes that do not agree.
  """
  head = {**head, "normalize": normalize}
  if teacher_head == "mlp":
    if not head["out"]:
      raise InputError("head.out: got 0, want the size of both projections")
    return head, head
  if teacher_head != "identity":
    raise InputError(
        f"teacher_head: got {teacher_head!r}, want 'mlp' or 'identity'"
    )
  if head["out"] not in (0, teacher_dim):
    raise InputError(
        f"head.out: got {head['out']} beside a teacher's embedding of "
        f"{teacher_dim}, want that number or 0 for it; set --config.head.out=0"
    )
  mine = {**head, "out": teacher_dim}
  return mine, {"kind": "identity", "normalize": head["normalize"]}


def unit(x: jax.Array, epsilon: float = 1e-12) -> jax.Array:
  """`x / |x|` along the last axis; at zero, value and gradient are finite."""
  square = jnp.square(x).sum(-1, keepdims=True)
  return x / jnp.sqrt(jnp.maximum(square, epsilon))
