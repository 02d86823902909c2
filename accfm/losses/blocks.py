"""Rows in blocks: what is quadratic in the batch, a few rows at a time."""

import jax
import jax.numpy as jnp


def by_rows(fn, x, block):
  """`fn` of blocks of rows, one after another, recomputed going backwards.

  Of an [B, N] intermediate of `fn` no more than `block` rows exist at once,
  in the forward pass or in the backward one.

  Args:
    fn: `fn(rows [b, D], first row's index) -> pytree of [b, ...]`, each row
      of the result a function of that row alone.
    x: [B, D].
    block: rows at once; 0, or B and more, for all in one piece. It need not
      divide B.

  Returns:
    `fn(x, 0)`.
  """
  rows = x.shape[0]
  if not 0 < block < rows:
    return fn(x, 0)
  pieces = -(-rows // block)
  # The last block's surplus rows are computed and dropped.
  x = jnp.pad(x, ((0, pieces * block - rows), (0, 0)))
  x = x.reshape(pieces, block, -1)
  out = jax.lax.map(
      jax.checkpoint(lambda piece: fn(*piece)),
      (x, block * jnp.arange(pieces)),
  )
  return jax.tree.map(
      lambda y: y.reshape(pieces * block, *y.shape[2:])[:rows], out
  )
