"""In which order rows are read: at random, but near each other if asked.

A step of a pod wants thousands of rows of 54 kB. Where disks or buckets cannot
give them at random, an order may keep to some of the rows for a while
(`block`, `window`) or give each place of a batch a share of the rows of its
own (`lanes`), so that a host reads that share alone and may keep it in
memory. Both are part of the order, a pure function of (seed, k): neither a
restart nor another number of processes changes a batch.
"""

import dataclasses
import functools
import itertools

import numpy as np

from accfm.base.errors import InputError


@dataclasses.dataclass(frozen=True)
class Nearness:
  """How far an order jumps.

  Attributes:
    lanes: the places of a batch, and the rows, are cut into so many parts;
      part i of the places draws from part i of the rows.
    block: rows that are read together, 0 for each by itself.
    window: blocks, in random order, whose rows are shuffled together.
  """

  lanes: int = 1
  block: int = 0
  window: int = 16

  def check(self, batch_size):
    """Raises InputError for values that cannot be, or a batch's not being
    whole lanes."""
    for name, least in (("lanes", 1), ("block", 0), ("window", 1)):
      if getattr(self, name) < least:
        raise InputError(
            f"order.{name}: got {getattr(self, name)}, want {least} or more; "
            f"set --config.order.{name}"
        )
    if batch_size % self.lanes:
      raise InputError(
          f"order.lanes: got {self.lanes} for {batch_size} rows of a batch, "
          f"want a divisor of {batch_size}"
      )


EVERYWHERE = Nearness()
FEW = 1 << 16  # rows of a permutation that is held whole


def permuted(rows, count, seed, k, start=0, near=EVERYWHERE):
  """Row numbers [count] of batch k of `rows` rows from `start` on.

  Each epoch is an order of all rows cut into whole batches, so no row occurs
  twice in a batch; the few rows at the end of the order that make no whole
  batch wait for another epoch's.

  Args:
    rows: how many there are, at least `count`.
    count: rows of a batch, a multiple of `near.lanes`.
    seed, k: what the order depends on.
    start: added to all.
    near: `Nearness`.
  """
  lanes = near.lanes
  each = count // lanes
  epoch, place = divmod(k, rows // lanes // each)
  places = np.arange(place * each, (place + 1) * each)
  ends = [lane * rows // lanes for lane in range(lanes + 1)]
  out = [
      first + _order(places, end - first, (seed, epoch, lane), near)
      for lane, (first, end) in enumerate(itertools.pairwise(ends))
  ]
  return start + np.concatenate(out)


def shuffled(places, rows, *seed):
  """Where a random permutation of `rows` rows has `places`.

  A few rows are permuted outright. Of more, each place goes through six
  rounds of a Feistel network over the next power of four, again and again
  until it is a row (Black and Rogaway 2002, "Ciphers with arbitrary finite
  domains"), so nothing is held and a place costs the same among millions.

  Args:
    places: [n] integers from 0 to rows - 1.
    rows: of the permutation.
    *seed: integers that choose it.

  Returns:
    [n] int64.
  """
  places = np.asarray(places)
  if rows <= FEW:
    return _whole(rows, seed)[places]
  half = (int(rows - 1).bit_length() + 1) // 2
  keys = np.random.default_rng(seed).integers(2**64, size=6, dtype=np.uint64)
  out = places.astype(np.uint64)
  walking = np.ones(len(out), bool)
  while walking.any():
    out[walking] = _feistel(out[walking], np.uint64(half), keys)
    walking = out >= rows
  return out.astype(np.int64)


def _feistel(x, half, keys):
  """A permutation of the numbers of 2 * half bits."""
  mask = (np.uint64(1) << half) - np.uint64(1)
  left, right = x >> half, x & mask
  for key in keys:
    # SplitMix64's finaliser (Steele et al. 2014): every bit moves every bit.
    z = right + key
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    left, right = right, left ^ ((z ^ (z >> np.uint64(31))) & mask)
  return (left << half) | right


@functools.lru_cache(64)
def _whole(rows, seed):
  return np.random.default_rng(seed).permutation(rows)


def _order(places, rows, seed, near):
  """The rows [n] of one lane in one epoch at places [n]."""
  if not near.block:
    return shuffled(places, rows, *seed)
  size, span = near.block, near.block * near.window
  whole = rows // size
  # Blocks begin elsewhere in each epoch, so that the rows beyond the last
  # whole block, which come last, are others each time.
  turn = np.random.default_rng(seed).integers(rows)
  windows = places // span
  at = np.empty_like(places)
  for window in np.unique(windows):
    first, mine = window * span, windows == window
    among = min(span, rows - first)
    at[mine] = first + shuffled(
        places[mine] - first, among, *seed, 1 + int(window)
    )
  block, inside = np.divmod(at, size)
  if whole:
    block = np.where(
        block < whole,
        shuffled(np.minimum(block, whole - 1), whole, *seed), block
    )
  return (block * size + inside + turn) % rows
