"""Rows in blocks: computes what is quadratic in the batch a few rows at a time.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def by_rows(fn: Callable, x: Any, block: int) -> Any:
  """`fn(x, 0)`, computed for one block of rows after another.

  The backward pass computes each block again. So at most `block` rows of an
  intermediate [B, N] array exist at once, in either pass.

  Args:
    fn: `fn(rows, first) -> pytree of [b, ...]`, where `rows` are b rows of `x`
      and `first` is the index of the first one. Each row of the result depends
      on its own row alone.
    x: [B, D], or a pytree of such arrays.
    block: rows in a block; it need not divide B. 0, or B and more, for all
      at once.
  """
  rows = jax.tree.leaves(x)[0].shape[0]
  if not 0 < block < rows:
    return fn(x, 0)
  pieces = -(-rows // block)
  # The rows that pad the last block are computed and dropped.
  x = jax.tree.map(
      lambda y: jnp.pad(y, ((0, pieces * block - rows), (0, 0))).reshape(
          pieces, block, -1), x,
  )
  out = jax.lax.map(
      jax.checkpoint(lambda piece: fn(*piece)),
      (x, block * jnp.arange(pieces)),
  )
  return jax.tree.map(
      lambda y: y.reshape(pieces * block, *y.shape[2:])[:rows], out
  )
