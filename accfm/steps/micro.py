"""Micro-batches: a large batch's embeddings in the memory of a small one.

A contrastive loss needs all embeddings of a batch, but not the activations
that led to them. The rows are embedded one micro-batch after another, and only
the embeddings are kept; the backward pass embeds each micro-batch again (Gao
et al. 2021, arXiv 2101.06983). Gradients are those of the whole batch:
augmentation and dropout are keyed by global row.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from accfm.base.errors import InputError


def check(config: ConfigDict, rows: int) -> None:
  """Raises InputError unless micro-batches divide a device's rows.

  Args:
    config: with `micro_batches`.
    rows: of one device.
  """
  pieces = config.micro_batches
  if pieces < 1 or rows % pieces:
    fit = [k for k in range(1, rows + 1) if rows % k == 0]
    raise InputError(
        f"micro_batches: got {pieces} for {rows} rows per device, want one "
        f"of {fit}"
    )


def batched(
    embed: Callable, pieces: int, variables: Iterable[Mapping[str, Any]] = ()
) -> Callable:
  """Wraps `embed(params, carried, ..., batch) -> (z [b, P], carried)`.

  Args:
    embed: the function; each row of z depends on that row alone.
    pieces: micro-batches of a device's rows; 1 for `embed` itself.
    variables: variables of the encoders in it.

  Raises:
    InputError: an encoder has batch norm, which a micro-batch would change.
  """
  if pieces == 1:
    return embed
  if any("batch_stats" in v for v in variables):
    raise InputError(
        f"micro_batches: got {pieces} with batch norm, whose statistics are "
        "of the whole batch, want 1 or an encoder without it"
    )

  def run(params, carried, *context):
    *context, batch = context
    rows = jax.tree.leaves(batch)[0].shape[0]
    # Rows of a validation need not divide: the last piece is filled up with
    # copies of the last row, whose embeddings are dropped.
    spare = -rows % pieces
    if spare:
      batch = jax.tree.map(
          lambda x: jnp.concatenate([x, jnp.repeat(x[-1:], spare, 0)]), batch
      )
    parts = jax.tree.map(
        lambda x: x.reshape(pieces, -1, *x.shape[1:]), batch
    )

    def one(part):
      return embed(params, carried, *context, part)[0]

    z = jax.lax.map(jax.checkpoint(one), parts)
    return z.reshape(-1, z.shape[-1])[:rows], carried

  return run
