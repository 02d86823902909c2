"""InfoNCE: the own key against all others."""

import jax
import jax.numpy as jnp

from accfm.base import shapes
from accfm.losses import blocks


def infonce(query, keys, temperature, first=0, block=0):
  """-log p(own key), with p the softmax of query . key / temperature.

  van den Oord et al. 2018 (arXiv 1807.03748), eq. 4. The own key of query
  row i is `keys[first + i]`; with a sharded batch `query` holds this
  device's rows and `keys` those of all devices.

  Args:
    query: [B, D] unit rows.
    keys: [N, D] unit rows, N >= B.
    temperature: scalar > 0, fixed or traced.
    first: index in `keys` of the first query's own key.
    block: rows of the [B, N] logits that exist at once; 0 for all.

  Returns:
    [B] float32, one loss per query.
  """
  shapes.check_all([(query, "query", "B D"), (keys, "keys", "N D")])
  query, keys = query.astype(jnp.float32), keys.astype(jnp.float32)

  def log_sum(rows, _):
    # Logits are 25 times a cosine: on TPU the default precision would round
    # their factors to bfloat16 and be off by 0.03.
    with jax.default_matmul_precision("highest"):
      logits = rows @ keys.T / temperature  # [b, N]
    return jax.nn.logsumexp(logits, axis=-1)

  own = jax.lax.dynamic_slice_in_dim(keys, first, query.shape[0])
  positive = (query * own).sum(-1) / temperature
  return blocks.by_rows(log_sum, query, block) - positive


def recall_at_1(query, keys, first=0, block=0):
  """[B] float32, 1 where no other key is as near as the own one."""

  def found(rows, at):
    with jax.default_matmul_precision("highest"):
      logits = rows @ keys.T  # [b, N]
    own = first + at + jnp.arange(rows.shape[0])[:, None]
    is_own = jnp.arange(keys.shape[0])[None] == own
    # The own key's from the same product, so that rounding breaks no tie.
    positive = jnp.where(is_own, logits, -jnp.inf).max(-1)
    others = jnp.where(is_own, -jnp.inf, logits).max(-1)
    return (others < positive).astype(jnp.float32)

  return blocks.by_rows(found, query, block)
