"""Exact ranks: how many other keys are at least as near as the right one.

Similarities are float64 products, so that ranks depend neither on the device
nor on the order of the keys. A block of queries meets a block of keys at a
time: nothing that is held grows with queries times keys. The comparisons of a
block are packed into bits, whose running counts answer every mask at once.
"""

import concurrent.futures
import dataclasses
import os
from collections.abc import Sequence
from typing import Self

import numpy as np

from accfm.base import interrupts
from accfm.evals.retrieval.masks import Mask, check_vectors
from accfm.evals.stats import scaling

TIE = 2.0 ** -24  # float32's unit roundoff
BLOCK = (512, 2048)  # queries, keys: a thread's 8 MiB of products
_ONE = np.uint64(1)


@dataclasses.dataclass(frozen=True)
class Counts:
  """How many keys each of N queries may meet, and how many beat its answer.

  Attributes:
    candidates: [N] keys that the query may meet, the right answer included.
    beaten_by: [N] wrong keys at least as near as the right answer.
    control_beaten_by: [N] the same for the control's vectors, or None.
    both_beaten_by: [N] wrong keys that are counted in both, or None.
  """

  candidates: np.ndarray
  beaten_by: np.ndarray
  control_beaten_by: np.ndarray | None = None
  both_beaten_by: np.ndarray | None = None

  def take(self, rows: np.ndarray) -> Self:
    """The counts of some queries."""
    return dataclasses.replace(self, **{
        name: x[rows] for name, x in vars(self).items() if x is not None
    })


def count(
    query: np.ndarray, key: np.ndarray, masks: Sequence[Mask] | None = None,
    control: tuple[np.ndarray, np.ndarray] | None = None,
    answer: np.ndarray | None = None, block: tuple[int, int] = BLOCK,
) -> list[Counts]:
  """Counts the keys that beat or tie with the right answer.

  Similarities are inner products of unit rows. A key whose similarity is
  below the right answer's by no more than `TIE` ties with it: embeddings are
  float32, so a difference below that precision is none.

  Args:
    query: [Q, D]; key: [K, D].
    masks: one result each; by default every query may meet all keys. The
      right answer takes part whatever a mask says.
    control: None, or (query [Q, S], key [K, S]) of the control.
    answer: [Q] the right key of each query; by default that of its number.
    block: queries and keys of one product.

  Returns:
    One `Counts` per mask.

  Raises:
    InputError: shapes that do not fit, NaN or Inf.
  """
  import threadpoolctl  # only here: a plain install lacks it
  own = np.arange(len(query))
  answer = own if answer is None else np.asarray(answer)
  masks = masks or [Mask.everything(len(query), len(key))]
  kinds = [(query, key)] + ([] if control is None else [control])
  for pair in kinds:
    check_vectors(*pair)
  kinds = [_Similarity(*pair, answer) for pair in kinds]
  ranges = np.array([[m.keep, m.hole] for m in masks])  # [M, 2, Q, 2]
  wins = np.zeros((len(masks), 2 * len(kinds) - 1, len(query)), int)

  def tally(rows):
    """Counts the wins over one block of queries."""
    for keys in _slices(len(key), block[1]):
      interrupts.check()
      beats = [_Bits.pack(s.beats(rows, keys)) for s in kinds]
      if control is not None:
        beats.append(beats[0] & beats[1])
      for w, bits in enumerate(beats):
        found = bits.count(ranges[:, :, rows] - keys.start)  # [M, 2, q]
        wins[:, w, rows] += found[:, 0] - found[:, 1]

  # Threads that each multiply their own blocks do not wait for one another,
  # as those of one product do: that costs most where other programs run.
  with threadpoolctl.threadpool_limits(1), (
      concurrent.futures.ThreadPoolExecutor(os.cpu_count())) as pool:
    list(pool.map(tally, _slices(len(query), block[0])))
  return [
      Counts(m.sizes() + 1 - m.allows(own, answer), *found)
      for m, found in zip(masks, wins, strict=True)
  ]


class _Similarity:
  """Unit rows of one kind of vectors, compared with the right answer's."""

  def __init__(self, query, key, answer):
    self.queries, self.keys = scaling.unit_rows(query), scaling.unit_rows(key)
    self.answer = answer
    right = np.einsum("qd,qd->q", self.queries, self.keys[answer])
    self.level = right - TIE  # what a key must reach to tie

  def beats(self, rows, keys):
    """Whether keys are at least as near as the right answer, itself not.

    Args:
      rows, keys: slices of q queries and of k keys.

    Returns:
      [q, k].
    """
    near = self.queries[rows] @ self.keys[keys].T
    out = near >= self.level[rows, None]
    line, place = np.arange(len(out)), self.answer[rows] - keys.start
    here = (place >= 0) & (place < out.shape[1])
    out[line[here], place[here]] = False
    return out


class _Bits:
  """Booleans [q, k], 64 in a word, the first in the lowest bit.

  Attributes:
    words: [q, k // 64 + 1], what lies beyond k being 0.
    before: as large, how many are true in all earlier words.
    width: k.
  """

  def __init__(self, words, width):
    self.words, self.width = words, width
    self.before = np.zeros(words.shape, int)
    np.cumsum(np.bitwise_count(words[:, :-1]), axis=1, out=self.before[:, 1:])

  @classmethod
  def pack(cls, values):
    q, k = values.shape
    packed = np.packbits(values, axis=1, bitorder="little")
    size = 8 * (k // 64 + 1)
    packed = np.pad(packed, [(0, 0), (0, size - packed.shape[1])])
    return cls(packed.view("<u8"), k)

  def __and__(self, other):
    return _Bits(self.words & other.words, self.width)

  def count(self, ends):
    """[..., q] how many are true in ranges of columns, ends [..., q, 2]."""
    ends = np.clip(ends, 0, self.width)
    return self._first(ends[..., 1]) - self._first(ends[..., 0])

  def _first(self, n):
    """[..., q] how many of the first n [..., q] columns are true."""
    line = np.arange(len(self.words))
    word, bit = n >> 6, (n & 63).astype(np.uint64)
    part = self.words[line, word] & ((_ONE << bit) - _ONE)
    return self.before[line, word] + np.bitwise_count(part)


def _slices(n, size):
  return [slice(at, at + size) for at in range(0, n, size)]
