"""Soft targets: a query may also be near the keys that its own key is like.

InfoNCE takes every other row of a batch as equally wrong. Here a teacher says
how much alike two rows are, and the query's distribution over the keys is
drawn towards the teacher's.
"""

import jax
import jax.numpy as jnp

from accfm.base import shapes
from accfm.losses import blocks
from accfm.losses import spans as spanlib
from accfm.losses.infonce import places


def soft_gap(
    query: jax.Array, keys: jax.Array, own: jax.Array, others: jax.Array,
    temperature: float | jax.Array, soft_temperature: float,
    first: int | jax.Array = 0, block: int = 0,
    spans: spanlib.Spans | None = None,
) -> jax.Array:
  """z_ii - sum_j q_ij z_ij, what soft targets add to InfoNCE.

  z_ij = query_i . keys_j / temperature, and q_i is the softmax over j of
  own_i . others_j / soft_temperature. The cross-entropy between the targets
  (1 - w) [j = i] + w q_ij and softmax(z_i) is InfoNCE + w times this gap: the
  logarithm of the sum is the same for every target. The targets are constants:
  no gradient passes through `own` and `others`. At its least the cross-entropy
  is the entropy of the targets, not 0.

  Args:
    query: [B, D] unit rows; row i's own key is `keys[first + i]`.
    keys: [N, D] unit rows, N >= B.
    own: [B, E] unit rows, the teacher's of the queries' segments.
    others: [N, E] unit rows, the teacher's of the keys' segments.
    temperature: scalar > 0, fixed or traced.
    soft_temperature: of the targets; towards 0 a row has itself alone.
    first: index in `keys` of the first query's own key.
    block: rows of the [B, N] similarities that exist at once; 0 for all.
    spans: which rows overlap and are no target, None for none.

  Returns:
    [B] float32, one gap for each query.
  """
  shapes.check_all([(query, "query", "B D"), (keys, "keys", "N D")])
  shapes.check_all([(own, "own", "B E"), (others, "others", "N E")])
  query, keys = query.astype(jnp.float32), keys.astype(jnp.float32)
  own, others = jax.lax.stop_gradient(
      (own.astype(jnp.float32), others.astype(jnp.float32))
  )

  near, theirs = spanlib.split(spans)

  def mean_keys(part, at):  # sum_j q_ij keys_j, [b, D]
    rows, span = part
    with jax.default_matmul_precision("highest"):
      alike = rows @ others.T / soft_temperature
      alike = spanlib.leave_out(alike, span, theirs, places(first + at, rows))
      q = jax.nn.softmax(alike, axis=-1)
      return q @ keys

  mine = jax.lax.dynamic_slice_in_dim(keys, first, query.shape[0])
  wanted = blocks.by_rows(mean_keys, (own, near), block)
  return (query * (mine - wanted)).sum(-1) / temperature


def centred(x: jax.Array, every: jax.Array) -> jax.Array:
  """Unit rows of x [B, E] after the mean of `every` [N, E] is taken off.

  The embeddings of an encoder lie in a narrow cone. Their cosines, all near 1,
  hardly tell two rows apart before their common part is taken off.
  """
  mean = every.astype(jnp.float32).mean(0, keepdims=True)
  x = x.astype(jnp.float32) - mean
  square = jnp.square(x).sum(1, keepdims=True)
  return x * jax.lax.rsqrt(jnp.maximum(square, 1e-12))
