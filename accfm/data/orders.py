"""The order in which rows are read: random, and local where that is wanted.

A step on a pod reads thousands of rows of 54 kB. Some disks and buckets cannot
deliver them in random order. An order can stay within some of the rows for a
while (`block`, `window`). It can also give each place of a batch its own share
of the rows (`lanes`), so that a host reads only that share and can keep it in
memory. Both are part of the order, which is a pure function of (seed, k):
neither a restart nor another number of processes changes a batch.
"""

import dataclasses
import functools
import itertools

import numpy as np

from accfm.base import values
from accfm.base.errors import InputError

RULES = {
    "order.lanes": values.SOME, "order.block": values.COUNT,
    "order.window": values.SOME,
}


@dataclasses.dataclass(frozen=True)
class Nearness:
  """How far an order jumps.

  Attributes:
    lanes: number of parts into which the places of a batch, and the rows, are
      cut; part i of the places draws from part i of the rows.
    block: number of rows that are read together; 0 for single rows.
    window: number of blocks, taken in random order, whose rows are shuffled
      together.
  """

  lanes: int = 1
  block: int = 0
  window: int = 16

  def check(self, batch_size: int) -> None:
    """Raises InputError for a value out of range, or lanes that do not divide
    the batch size.
    """
    values.check({"order": dataclasses.asdict(self)}, RULES)
    if batch_size % self.lanes:
      raise InputError(
          f"order.lanes: got {self.lanes} for {batch_size} rows of a batch, "
          f"want a divisor of {batch_size}"
      )


EVERYWHERE = Nearness()
FEW = 1 << 16  # longest permutation that is kept in memory
GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # SplitMix64's step


def permuted(
    rows: int, count: int, seed: int, k: int, start: int = 0,
    near: Nearness = EVERYWHERE,
) -> np.ndarray:
  """Row numbers [count] of batch k.

  Each epoch is an order of all rows that is cut into whole batches, so no row
  occurs twice in a batch. The few rows at its end that fill no batch are left
  out of that epoch.

  Args:
    rows: number of rows, at least `count`.
    count: rows of a batch, a multiple of `near.lanes`.
    seed: of the order.
    k: number of the batch.
    start: number of the first row.
    near: how far the order jumps.
  """
  lanes = near.lanes
  each = count // lanes
  epoch, place = divmod(k, batches_of_epoch(rows, count, near))
  places = np.arange(place * each, (place + 1) * each)
  ends = [lane * rows // lanes for lane in range(lanes + 1)]
  out = [
      first + _order(places, end - first, (seed, epoch, lane), near)
      for lane, (first, end) in enumerate(itertools.pairwise(ends))
  ]
  return start + np.concatenate(out)


def batches_of_epoch(
    rows: int, count: int, near: Nearness = EVERYWHERE
) -> int:
  """How many batches one order of all rows makes; arguments as `permuted`."""
  return rows // near.lanes // (count // near.lanes)


def shuffled(places: np.ndarray, rows: int, *seed: int) -> np.ndarray:
  """The rows that a random permutation puts at `places`.

  A short permutation is drawn whole. For a long one each place goes through
  six rounds of a Feistel network over the next power of four, repeatedly
  until the result is a row (Black and Rogaway 2002, "Ciphers with arbitrary
  finite domains"). So nothing is kept, and a place costs the same among
  millions of rows.

  Args:
    places: [n] integers from 0 to rows - 1.
    rows: length of the permutation.
    *seed: integers that choose the permutation.

  Returns:
    [n] int64.
  """
  places = np.asarray(places)
  if rows <= FEW:
    return _whole(rows, seed)[places]
  keys = np.random.default_rng(seed).integers(2**64, size=6, dtype=np.uint64)
  return _walk(places, np.full(len(places), rows), keys[:, None])


def shuffled_each(
    places: np.ndarray, rows: np.ndarray, keys: np.ndarray
) -> np.ndarray:
  """As `shuffled`, with a permutation of its own for each place.

  Args:
    places: [n] integers from 0 to rows - 1.
    rows: [n] length of each permutation.
    keys: [n] uint64 that choose it; the same key and length, the same
      permutation.

  Returns:
    [n] int64.
  """
  rounds = np.arange(6, dtype=np.uint64)[:, None]
  return _walk(places, rows, mixed(keys, rounds))


def mixed(*numbers: np.ndarray | int) -> np.ndarray:
  """One uint64 of several whole numbers, arrays that broadcast; no two of
  nearby numbers are alike.
  """
  out = np.zeros(1, np.uint64)
  for number in numbers:
    part = np.asarray(number).astype(np.uint64)
    out = _finalised((out + GOLDEN) ^ part)
  return out


def _walk(places, rows, keys):
  """Feistel rounds from each place until the result is a row.

  Args:
    places, rows: [n].
    keys: uint64 [6, n] or [6, 1].
  """
  rows = np.asarray(rows)
  bits = np.frexp((rows - 1).astype(np.float64))[1]  # as int.bit_length
  half = ((bits + 1) // 2).astype(np.uint64)
  out = np.asarray(places).astype(np.uint64)
  keys = np.broadcast_to(keys, (6, len(out)))
  walking = np.arange(len(out))
  while len(walking):
    out[walking] = _feistel(out[walking], half[walking], keys[:, walking])
    walking = walking[out[walking] >= rows[walking]]
  return out.astype(np.int64)


def _feistel(x, half, keys):
  """A permutation of the numbers of 2 * half bits; x, half [n], keys [6, n].
  """
  mask = (np.uint64(1) << half) - np.uint64(1)
  left, right = x >> half, x & mask
  for key in keys:
    left, right = right, left ^ (_finalised(right + key) & mask)
  return (left << half) | right


def _finalised(z):
  """SplitMix64's finaliser (Steele et al. 2014): each bit affects all bits."""
  z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
  z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
  return z ^ (z >> np.uint64(31))


@functools.lru_cache(64)
def _whole(rows, seed):
  return np.random.default_rng(seed).permutation(rows)


def _order(places, rows, seed, near):
  """The rows [n] of one lane in one epoch at places [n]."""
  if not near.block:
    return shuffled(places, rows, *seed)
  size, span = near.block, near.block * near.window
  whole = rows // size
  # Blocks begin at another row in each epoch, so that the rows beyond the last
  # whole block, which come last, are different ones each time.
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
