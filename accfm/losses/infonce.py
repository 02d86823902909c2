"""InfoNCE: each query has to find its own key among all keys."""

import jax
import jax.numpy as jnp

from accfm.base import shapes
from accfm.losses import blocks
from accfm.losses import spans as spanlib


def infonce(
    query: jax.Array, keys: jax.Array, temperature: float | jax.Array,
    first: int | jax.Array = 0, block: int = 0,
    spans: spanlib.Spans | None = None,
) -> jax.Array:
  """-log p(own key), with p the softmax of query . key / temperature.

  van den Oord et al. 2018 (arXiv 1807.03748), eq. 4. The own key of query
  row i is `keys[first + i]`. Where devices share a batch, `query` holds the
  rows of this device and `keys` those of all devices. Keys that share samples
  with the query have no part in its softmax.

  Args:
    query: [B, D] unit rows.
    keys: [N, D] unit rows, N >= B.
    temperature: scalar > 0, fixed or traced.
    first: index in `keys` of the first query's own key.
    block: rows of the [B, N] logits that exist at once; 0 for all.
    spans: which rows overlap, None for none.

  Returns:
    [B] float32, one loss for each query.
  """
  shapes.check_all([(query, "query", "B D"), (keys, "keys", "N D")])
  query, keys = query.astype(jnp.float32), keys.astype(jnp.float32)

  mine, theirs = spanlib.split(spans)

  def log_sum(part, at):
    rows, span = part
    # Logits are 25 times a cosine. At the default precision a TPU rounds
    # their factors to bfloat16, an error of 0.03.
    with jax.default_matmul_precision("highest"):
      logits = rows @ keys.T / temperature  # [b, N]
    logits = spanlib.leave_out(logits, span, theirs, places(first + at, rows))
    return jax.nn.logsumexp(logits, axis=-1)

  own = jax.lax.dynamic_slice_in_dim(keys, first, query.shape[0])
  positive = (query * own).sum(-1) / temperature
  return blocks.by_rows(log_sum, (query, mine), block) - positive


def places(first: int | jax.Array, rows: jax.Array) -> jax.Array:
  """[b, 1]: the places of the own keys of b rows, from `first` on."""
  return first + jnp.arange(rows.shape[0])[:, None]


def recall_at_1(
    query: jax.Array, keys: jax.Array, first: int | jax.Array = 0,
    block: int = 0, spans: spanlib.Spans | None = None,
) -> jax.Array:
  """[B] float32: 1 where every other key is farther than the own one, else 0.

  Arguments as for `infonce`.
  """

  mine, theirs = spanlib.split(spans)

  def found(part, at):
    rows, span = part
    with jax.default_matmul_precision("highest"):
      logits = rows @ keys.T  # [b, N]
    own = places(first + at, rows)
    is_own = jnp.arange(keys.shape[0])[None] == own
    # Taken from the same product as the others, so that rounding cannot
    # break a tie.
    positive = jnp.where(is_own, logits, -jnp.inf).max(-1)
    out = is_own | spanlib.shared(span, theirs, own)
    others = jnp.where(out, -jnp.inf, logits).max(-1)
    return (others < positive).astype(jnp.float32)

  return blocks.by_rows(found, (query, mine), block)
