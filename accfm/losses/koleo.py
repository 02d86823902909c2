"""KoLeo: spreads embeddings out by the distance to their nearest neighbours."""

import jax
import jax.numpy as jnp

from accfm.base import shapes
from accfm.losses import blocks
from accfm.losses import spans as spanlib
from accfm.losses.infonce import places

EPSILON = 1e-8


def koleo(z: jax.Array) -> jax.Array:
  """Kozachenko-Leonenko estimate of (minus) the entropy of a batch.

  -1/n sum_i log(d_i + 1e-8), with d_i the Euclidean distance from row i to
  the nearest other row, after rows are scaled to unit length (Sablayrolles
  et al. 2019, arXiv 1806.03198, eq. 4). Equal rows give the finite value
  -log 1e-8 and no gradient.

  Args:
    z: [N, D], N >= 2.

  Returns:
    [] float32; lower is more spread out.
  """
  return nearest(z, z).mean()


def nearest(
    z: jax.Array, others: jax.Array, first: int | jax.Array = 0,
    block: int = 0, spans: spanlib.Spans | None = None,
) -> jax.Array:
  """The term of each row in `koleo`.

  Args:
    z: [B, D] rows of this device.
    others: [N, D] rows of all devices.
    first: index in `others` of the first row of `z`.
    block: rows of the [B, N] distances that exist at once; 0 for all.
    spans: which rows overlap and are not counted as others, None for none.

  Returns:
    [B] float32, -log(distance to the nearest of the other rows + 1e-8).
  """
  shapes.check_all([(z, "z", "B D"), (others, "others", "N D")])
  z, others = _unit(z), _unit(others)
  fixed = jax.lax.stop_gradient(others)

  mine, theirs = spanlib.split(spans)

  def which(part, at):
    rows, span = part
    with jax.default_matmul_precision("highest"):
      cosine = rows @ fixed.T
    own = places(first + at, rows)
    out = jnp.arange(fixed.shape[0])[None] == own
    out |= spanlib.shared(span, theirs, own)
    return jnp.where(out, -2.0, cosine).argmax(1)

  # The choice of the nearest needs no gradient, but the distance to it does.
  # It is computed from the difference, since 2 - 2 cos would lose digits.
  near = blocks.by_rows(which, (jax.lax.stop_gradient(z), mine), block)
  square = jnp.square(z - others[near]).sum(1)
  apart = square > 0.0
  distance = jnp.where(apart, jnp.sqrt(jnp.where(apart, square, 1.0)), 0.0)
  return -jnp.log(distance + EPSILON)


def _unit(z):
  z = z.astype(jnp.float32)
  square = jnp.square(z).sum(1, keepdims=True)
  return z * jax.lax.rsqrt(jnp.maximum(square, 1e-12))
