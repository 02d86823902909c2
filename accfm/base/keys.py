"""Random keys by name, step and global row: no chains of splits.

A key depends on what it is for and not on who asked before, so a restart,
another device count or an added consumer draws the same numbers.
"""

import zlib

import jax


def stream(root, name, *indices):
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


def row_streams(root, name, rows):
  """Keys [B] of stream `name`, one per global row in `rows` [B]."""
  base = stream(root, name)
  return jax.vmap(lambda row: jax.random.fold_in(base, row))(rows)
