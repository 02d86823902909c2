"""Exact nearest neighbours on the devices, in blocks.

A block of queries meets a block of keys at a time, in one compiled product
for all blocks: nothing held grows with queries times keys. The rows of a
block of queries are spread over the devices.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from accfm.base import mesh as meshlib
from accfm.base import shapes
from accfm.base.errors import InputError
from accfm.evals.embedding import forward

BLOCK = (512, 4096)  # queries per device, keys: 8 MiB stay in a CPU's cache
GROUP = 32  # keys whose largest similarity is looked at first
SMALLEST = 64  # rows of the smallest block: small inputs share a compilation


@dataclasses.dataclass(frozen=True)
class Mask:
  """Which keys a query may meet: those in `keep` that are not in `drop`.

  With keys sorted by person, recording and time, two ranges are enough.

  Attributes:
    keep, drop: [Q, 2] the first key and one past the last; equal for none.
  """

  keep: np.ndarray
  drop: np.ndarray

  @classmethod
  def everything(cls, queries, keys):
    """Q queries that may meet all K keys."""
    return cls(np.tile([0, keys], (queries, 1)), np.zeros((queries, 2), int))

  def take(self, rows):
    """The mask of some queries."""
    return Mask(self.keep[rows], self.drop[rows])

  def allows(self, query, key):
    """Whether queries may meet keys: row numbers of any, equal shapes."""
    def inside(ends):
      return (key >= ends[query, 0]) & (key < ends[query, 1])

    return inside(self.keep) & ~inside(self.drop)

  def sizes(self):
    """[Q] how many keys each query may meet."""
    low = np.maximum(self.keep[:, 0], self.drop[:, 0])
    high = np.minimum(self.keep[:, 1], self.drop[:, 1])
    return np.diff(self.keep)[:, 0] - np.maximum(high - low, 0)


def top_k(queries, keys, k, mask=None, block=BLOCK):
  """The k keys of the largest inner product with each query.

  Args:
    queries: [Q, D]; keys: [K, D]; products are float32.
    k: how many; of equal ones the first key comes first.
    mask: `Mask` of the keys each query may meet, by default all.
    block: most queries (per device) and keys of one product.

  Returns:
    (scores [Q, k] float32, indices [Q, k] int32), largest first; -inf and -1
    where a query may meet fewer than k keys.

  Raises:
    InputError: shapes that do not fit, k below 1, NaN or Inf.
  """
  check(queries, keys)
  if k < 1:
    raise InputError(f"nearest neighbours: got k {k}, want at least 1")
  mask = mask or Mask.everything(len(queries), len(keys))
  blocks = Blocks(len(queries), len(keys), [mask], block)
  given = np.asarray(queries, np.float32), blocks.ranges
  none = (np.full((len(queries), k), -np.inf, np.float32),
          np.full((len(queries), k), -1, np.int32))
  key_blocks = blocks.put_keys(np.asarray(keys, np.float32))
  found = []
  for first in blocks.firsts:
    best, here = blocks.put(first, none), blocks.put(first, given)
    for at in blocks.met(first):
      best = blocks.compiled(_best)((best, *here), (key_blocks[at], at))
    found.append(best)
  found = [forward.fetch(best) for best in found]
  return tuple(
      np.concatenate(x)[:len(queries)] for x in zip(*found, strict=True)
  )


def check(queries, keys):
  """Raises InputError unless [Q, D] meets [K, D], all finite."""
  shapes.check_all([(queries, "queries", "Q D"), (keys, "keys", "K D")])
  for x, name in ((queries, "queries"), (keys, "keys")):
    if not len(x) or not np.isfinite(x).all():
      raise InputError(
          f"nearest neighbours: got {len(x)} {name}, "
          f"{np.sum(~np.isfinite(x).all(axis=1))} of them with NaN or Inf, "
          "want at least 1, all finite"
      )


class Blocks:
  """A problem cut into padded blocks of one shape, and what meets what.

  Attributes:
    rows, width: queries and keys of a block.
    firsts: the first query of each block.
    ranges: [Q, M, 4] the two ranges of each mask; a padded query has none,
      and no range holds a padded key.
  """

  def __init__(self, queries, keys, masks, block):
    self.mesh = meshlib.make_mesh()
    self.queries, self.keys = queries, keys
    size = self.mesh.size
    self.rows = _size(queries, block[0] * size, size)
    self.width = _size(keys, block[1], GROUP)
    self.firsts = range(0, queries, self.rows)
    self.ranges = np.stack(
        [np.hstack([m.keep, m.drop]) for m in masks], axis=1
    ).astype(np.int32)

  def compiled(self, function):
    """`function(by row, whole)` over the mesh."""
    return _compiled(function, self.mesh)

  def put(self, first, tree):
    """The block of queries from row `first` on, padded with zeros."""
    mine = meshlib.local_rows(self.rows)
    part = _part(tree, first, self.rows)
    return meshlib.put_rows(
        jax.tree.map(lambda x: x[mine], part), self.mesh
    )

  def put_keys(self, tree):
    """{first key: block} on every device."""
    return {
        at: meshlib.put_replicated(
            _part(tree, at, self.width), self.mesh
        )
        for at in range(0, self.keys, self.width)
    }

  def met(self, first):
    """First keys of the blocks that any query of a block may meet."""
    low, high = np.moveaxis(
        self.ranges[first:first + self.rows, :, :2], -1, 0
    )
    some = high > low
    if not some.any():
      return range(0)
    low = low[some].min() // self.width * self.width
    return range(int(low), int(high.max()), self.width)


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
def _compiled(function, mesh):
  rows, whole = PartitionSpec(meshlib.ROWS), PartitionSpec()
  return jax.jit(jax.shard_map(  # rows never meet: no collectives
      function, mesh=mesh, in_specs=(rows, whole), out_specs=rows,
      check_vma=False,
  ))


def product(queries, keys):
  """[q, D] and [k, D] -> [q, k], in float32 where bfloat16 is the habit."""
  return jnp.matmul(queries, keys.T, precision="highest")


def columns(at, rows, width):
  """Numbers of a block's keys, alike for its queries: [q, k]."""
  return at + jax.lax.broadcasted_iota(jnp.int32, (rows, width), 1)


def inside(column, ends):
  """Whether queries may meet keys: [q, k], with one mask's ends [q, 4]."""
  low, high, out, back = (ends[:, i, None] for i in range(4))
  return (column >= low) & (column < high) & (
      (column < out) | (column >= back)
  )


def _best(by_row, whole):
  """The best so far (scores, indices), and those of one more block."""
  (scores, indices), query, ranges = by_row
  keys, at = whole
  allowed = inside(columns(at, len(query), len(keys)), ranges[:, 0])
  near = jnp.where(allowed, product(query, keys), -jnp.inf)
  k = scores.shape[1]
  new, column = _select(near, k)
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


