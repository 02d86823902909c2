"""Exact nearest neighbours on the devices, in blocks.

A block of queries meets a block of keys at a time, in one compiled product
for all blocks: nothing that is held grows with queries times keys. The rows
of a block of queries are spread over the devices.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from accfm.base import interrupts
from accfm.base import mesh as meshlib
from accfm.base.errors import InputError
from accfm.evals.embedding import forward
from accfm.evals.retrieval.masks import Mask, check_vectors

BLOCK = (512, 4096)  # queries per device, keys: 8 MiB stay in a CPU's cache
GROUP = 32  # keys whose largest similarity is looked at first
SMALLEST = 64  # rows of the smallest block: small inputs share a compilation


def top_k(
    queries: np.ndarray, keys: np.ndarray, k: int, mask: Mask | None = None,
    block: tuple[int, int] = BLOCK,
) -> tuple[np.ndarray, np.ndarray]:
  """The k keys of the largest inner product with each query.

  Args:
    queries: [Q, D]; keys: [K, D]; products are float32.
    k: how many; of equal ones the first key comes first.
    mask: which keys each query may meet, by default all.
    block: most queries (per device) and keys of one product.

  Returns:
    (scores [Q, k] float32, indices [Q, k] int32), largest first; -inf and -1
    where a query may meet fewer than k keys.

  Raises:
    InputError: shapes that do not fit, k below 1, NaN or Inf.
  """
  check_vectors(queries, keys)
  if k < 1:
    raise InputError(f"nearest neighbours: got k {k}, want at least 1")
  mask = mask or Mask.everything(len(queries), len(keys))
  blocks = Blocks(mask, len(keys), block)
  given = np.asarray(queries, np.float32), blocks.ranges
  none = (np.full((len(queries), k), -np.inf, np.float32),
          np.full((len(queries), k), -1, np.int32))
  key_blocks = blocks.put_keys(np.asarray(keys, np.float32))
  found = []
  for first in blocks.firsts:
    interrupts.check()
    best, here = blocks.put(first, none), blocks.put(first, given)
    for at in blocks.met(first):
      best = blocks.merge((best, *here), (key_blocks[at], at))
    found.append(best)
  scores, indices = zip(*map(forward.fetch, found), strict=True)
  return (np.concatenate(scores)[:len(queries)],
          np.concatenate(indices)[:len(queries)])


class Blocks:
  """A search cut into padded blocks of one shape.

  Attributes:
    rows, width: queries and keys of a block.
    firsts: the first query of each block.
    ranges: [Q, 4] the ends of the mask's two ranges; a padded query has none,
      and no range holds a padded key.
    merge: the compiled step from the best keys so far to those of one more
      block.
  """

  def __init__(self, mask: Mask, keys: int, block: tuple[int, int]):
    self.mesh = meshlib.make_mesh()
    size, queries = self.mesh.size, len(mask.keep)
    self.keys = keys
    self.rows = _size(queries, block[0] * size, size)
    self.width = _size(keys, block[1], GROUP)
    self.firsts = range(0, queries, self.rows)
    self.ranges = np.hstack([mask.keep, mask.drop]).astype(np.int32)
    self.merge = make_merge(self.mesh)

  def put(self, first: int, tree: Any) -> Any:
    """The block of queries from row `first` on, padded with zeros."""
    mine = meshlib.local_rows(self.rows)
    part = _part(tree, first, self.rows)
    return meshlib.put_rows(
        jax.tree.map(lambda x: x[mine], part), self.mesh
    )

  def put_keys(self, keys: np.ndarray) -> dict[int, Any]:
    """{first key: block} on every device."""
    return {
        at: meshlib.put_replicated(_part(keys, at, self.width), self.mesh)
        for at in range(0, self.keys, self.width)
    }

  def met(self, first: int) -> range:
    """First keys of the blocks that any query of a block may meet."""
    low, high = self.ranges[first:first + self.rows, :2].T
    some = high > low
    if not some.any():
      return range(0)
    start = low[some].min() // self.width * self.width
    return range(int(start), int(high.max()), self.width)


def _size(n, most, multiple):
  """A block's size: a power of two that holds n, but not above `most`."""
  size = min(most, max(SMALLEST, 1 << (n - 1).bit_length()))
  return -(-size // multiple) * multiple


def _part(tree, first, rows):
  """Some rows of every array, padded with zeros where there are fewer."""
  def cut(x):
    x = x[first:first + rows]
    return np.pad(x, [(0, rows - len(x))] + [(0, 0)] * (x.ndim - 1))

  return jax.tree.map(cut, tree)


@functools.lru_cache
def make_merge(mesh: Mesh) -> Callable:
  """`merge(by row, whole) -> best` of `_best` over a mesh, compiled once."""
  rows, whole = PartitionSpec(meshlib.ROW_AXES), PartitionSpec()
  return jax.jit(jax.shard_map(  # rows never meet: no collectives
      _best, mesh=mesh, in_specs=(rows, whole), out_specs=rows,
      check_vma=False,
  ))


def _best(by_row, whole):
  """The best so far (scores, indices), and those of one more block."""
  (scores, indices), query, ranges = by_row
  keys, at = whole
  column = at + jax.lax.broadcasted_iota(
      jnp.int32, (len(query), len(keys)), 1)
  low, high, out, back = (ranges[:, i, None] for i in range(4))
  allowed = (column >= low) & (column < high) & (
      (column < out) | (column >= back))
  # float32 also where bfloat16 is the habit
  near = jnp.matmul(query, keys.T, precision="highest")
  k = scores.shape[1]
  new, column = _select(jnp.where(allowed, near, -jnp.inf), k)
  scores = jnp.concatenate([scores, new], axis=1)
  column = jnp.where(new > -jnp.inf, at + column, -1)
  indices = jnp.concatenate([indices, column], axis=1)
  scores, place = jax.lax.top_k(scores, k)  # equal: the earlier key first
  return scores, jnp.take_along_axis(indices, place, axis=1)


def _select(near, k):
  """As `lax.top_k` of near [q, K], by way of groups of keys.

  The k largest are in the k groups with the largest maxima: any other group's
  best is preceded by k maxima. Of equal maxima `top_k` takes the first group,
  so it holds for equal keys too once the groups are in order again.
  """
  q, width = near.shape
  if width < 2 * k * GROUP:
    return jax.lax.top_k(near, min(k, width))
  groups = near.reshape(q, -1, GROUP)
  _, chosen = jax.lax.top_k(groups.max(axis=2), k)
  chosen = jnp.sort(chosen, axis=1)  # [q, k]
  few = jnp.take_along_axis(groups, chosen[..., None], axis=1)
  scores, place = jax.lax.top_k(few.reshape(q, -1), k)
  group = jnp.take_along_axis(chosen, place // GROUP, axis=1)
  return scores, group * GROUP + place % GROUP
