"""Random keys by name, step and global row: no chains of splits.

A key depends on its purpose alone, not on what was drawn before. So a restart,
another number of devices or a new consumer draws the same numbers.
"""

import zlib
from typing import Any

import jax


def stream(root: jax.Array, name: str, *indices: Any) -> jax.Array:
  """The key of stream `name` at `indices` (step, global row, ...).

  Args:
    root: a jax key, usually `jax.random.key(config.seed)`.
    name: the stream, e.g. "augment"; folded in by its CRC-32.
    *indices: integers or traced integer scalars, folded in in order.

  Returns:
    One jax key.
  """
  key = jax.random.fold_in(root, zlib.crc32(name.encode()) & 0x7FFFFFFF)
  for index in indices:
    key = jax.random.fold_in(key, index)
  return key


def row_streams(root: jax.Array, name: str, rows: Any) -> jax.Array:
  """Keys [B] of stream `name`, one per global row in `rows` [B]."""
  base = stream(root, name)
  return jax.vmap(lambda row: jax.random.fold_in(base, row))(rows)
