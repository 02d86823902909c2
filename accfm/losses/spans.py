"""Keys that share samples with a query: neither its own nor a wrong answer."""

from typing import Any

import jax
import jax.numpy as jnp

# (spans of the queries [B, 2], spans of the keys [N, 2]): start and end of
# each row on a line on which rows that may share samples overlap.
Spans = tuple[jax.Array, jax.Array]


def split(spans: Spans | None) -> tuple[Any, Any]:
  """(spans of the queries, spans of the keys); None twice for None."""
  return (None, None) if spans is None else spans


def shared(
    query: jax.Array | None, keys: jax.Array | None, own: jax.Array
) -> jax.Array | bool:
  """Which keys other than its own each query overlaps.

  Args:
    query: [b, 2] spans, or None for rows that do not overlap.
    keys: [N, 2] spans, or None.
    own: [b, 1] the place of each query's own key.

  Returns:
    [b, N] booleans; False without spans.
  """
  if query is None or keys is None:
    return False
  meet = (query[:, :1] < keys[None, :, 1]) & (keys[None, :, 0] < query[:, 1:])
  return meet & (jnp.arange(keys.shape[0])[None] != own)


def leave_out(
    logits: jax.Array, query: jax.Array | None, keys: jax.Array | None,
    own: jax.Array,
) -> jax.Array:
  """Logits [b, N] with -inf for keys that share samples with the query."""
  if query is None or keys is None:
    return logits
  return jnp.where(shared(query, keys, own), -jnp.inf, logits)
