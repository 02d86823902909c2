"""Exact ranks: how many other keys are at least as near as the right one.

They do not depend on the device. The last bits of a float32 product differ
between devices, even between places in a block, so a difference counts only
where it exceeds the worst rounding; the few pairs within it are multiplied
again in float64 on the host. Equal keys tie wherever they stand.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from accfm.evals.embedding import forward
from accfm.evals.retrieval import nearest
from accfm.evals.stats import scaling

UNIT = 2.0 ** -24  # float32's unit roundoff
TIE = UNIT
RUN, BITS = nearest.GROUP, 10  # RUN < 2 ** BITS, 3 BITS < 32


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

  def take(self, rows):
    """The counts of some queries."""
    return Counts(*(
        x if x is None else x[rows] for x in (
            self.candidates, self.beaten_by, self.control_beaten_by,
            self.both_beaten_by,
        )
    ))


def count(
    query, key, masks=None, control=None, answer=None, block=nearest.BLOCK
):
  """Counts the keys that beat or tie with the right answer.

  Similarities are inner products of unit rows in float64. Those below the
  right answer's by no more than `TIE` tie with it: embeddings are float32, so
  less than its precision is no difference.

  Args:
    query: [Q, D]; key: [K, D].
    masks: list of `Mask`, one result each; by default all keys may be met.
      The right answer takes part whatever a mask says.
    control: None, or (query [Q, S], key [K, S]) of the control.
    answer: [Q] the right key of each query; by default that of its number.
    block: as `top_k`.

  Returns:
    List of `Counts`, one per mask.

  Raises:
    InputError: shapes that do not fit, NaN or Inf.
  """
  own = np.arange(len(query))
  answer = own if answer is None else np.asarray(answer)
  masks = masks or [nearest.Mask.everything(len(query), len(key))]
  kinds = [(query, key)] + ([] if control is None else [control])
  for pair in kinds:
    nearest.check(*pair)
  kinds = [_Similarity(*pair, answer) for pair in kinds]
  blocks = nearest.Blocks(len(query), len(key), masks, block)
  given = (
      tuple(s.queries for s in kinds), tuple(s.right for s in kinds),
      answer.astype(np.int32), blocks.ranges,
  )
  key_blocks = blocks.put_keys(tuple(s.keys for s in kinds))
  slack = tuple(np.float32(s.slack) for s in kinds)
  wins = np.zeros((len(query), len(masks), 2 * len(kinds) - 1), np.int32)
  zeros = np.zeros_like(wins)
  for first in blocks.firsts:
    sure, here = blocks.put(first, zeros), blocks.put(first, given)
    waiting = ()
    for at in blocks.met(first):
      sure, unsure = blocks.compiled(_tally)(
          (sure, *here), (key_blocks[at], slack, at, len(key))
      )
      for one in waiting:  # settled while the devices are at work
        _settle(wins, *one, kinds, masks)
      waiting = ((first, at, unsure),)
    for one in waiting:
      _settle(wins, *one, kinds, masks)
    part = wins[first:first + blocks.rows]
    part += forward.fetch(sure)[:len(part)]
  return [
      Counts(m.sizes() + 1 - m.allows(own, answer), *wins[:, i].T)
      for i, m in enumerate(masks)
  ]


class _Similarity:
  """One kind of vectors, for the devices and for settling what they leave.

  Taking the keys' mean from each key changes no difference between two
  similarities of a query, only their rounding: the embeddings of a poor
  encoder are nearly equal.

  Attributes:
    exact: (queries [Q, D], keys [K, D]), float64 unit rows.
    level: [Q], what a similarity must reach to tie with the right answer.
    queries: [Q, D] float32; keys: [K, D] float32, centred.
    right: [Q] float32, the similarity of the right answer when centred.
    slack: the most by which rounding changes a difference. With u float32's
      unit roundoff and R the length of the longest centred key, a sum of D
      products in any order errs by D u R at most (Higham, Accuracy and
      Stability of Numerical Algorithms, 3.1), its factors add 2 u R and
      `right` u R; doubled, for devices that multiply float32 in parts. A
      difference of up to TIE is open in any case.
  """

  def __init__(self, query, key, answer):
    q, k = self.exact = scaling.unit_rows(query), scaling.unit_rows(key)
    self.level = np.einsum("qd,qd->q", q, k[answer]) - TIE
    centred = k - k.mean(axis=0)
    self.queries, self.keys = q.astype(np.float32), centred.astype(np.float32)
    right = np.einsum("qd,qd->q", q, centred[answer])
    self.right = right.astype(np.float32)
    longest = np.linalg.norm(centred, axis=1).max()
    self.slack = 2 * UNIT * (q.shape[1] + 3) * longest + 2 * TIE

  def at_least(self, query, key):
    """Whether keys are at least as near as the right answer, exactly.

    Args:
      query, key: row numbers [M] and [M] of pairs, or [q, 1] and [1, k] of
        all pairs of theirs.
    """
    q, k = self.exact[0][query], self.exact[1][key]
    if query.ndim == 1:
      return np.einsum("md,md->m", q, k) >= self.level[query]
    return q[:, 0] @ k[0].T >= self.level[query]


def _settle(wins, first, at, unsure, kinds, masks):
  """Adds to `wins` [Q, M, W] the pairs that float32 has left open.

  Args:
    first, at: the block's first query and first key.
    unsure: [q, k / 8] packed bits: the block's open pairs.
    kinds: list of _Similarity; masks: list of nearest.Mask.
  """
  unsure = forward.fetch(unsure)[:len(wins) - first]
  for start in range(0, len(unsure), 256):
    bits = unsure[start:start + 256]
    found = np.count_nonzero(bits)
    if not found:
      continue
    few = 8 * found < bits.size
    if few:  # pair by pair
      line, byte = np.nonzero(bits)
      place, bit = np.nonzero(np.unpackbits(bits[line, byte][:, None], axis=1))
      line, key = line[place], 8 * byte[place] + bit
    else:  # all pairs of their rows and columns
      is_open = np.unpackbits(bits, axis=1).astype(bool)
      lines, keys = is_open.any(axis=1), is_open.any(axis=0)
      is_open = is_open[lines][:, keys]
      line, key = np.ix_(np.flatnonzero(lines), np.flatnonzero(keys))
    query, key = first + start + line, at + key
    beats = [s.at_least(query, key) for s in kinds]
    if len(beats) == 2:
      beats.append(beats[0] & beats[1])
    part = wins[first + start:first + start + len(bits)]
    for m, mask in enumerate(masks):
      allowed = mask.allows(query, key)
      for w, beat in enumerate(beats):
        if few:
          won = np.bincount(line[beat & allowed], minlength=len(bits))
          part[:, m, w] += won
        else:
          part[line[:, 0], m, w] += (beat & allowed & is_open).sum(axis=1)


def _tally(by_row, whole):
  """Adds the wins that are sure [q, M, W]; packs the pairs that are not."""
  wins, queries, right, answer, ranges = by_row
  keys, slack, at, total = whole
  column = nearest.columns(at, len(answer), len(keys[0]))
  other = (column != answer[:, None]) & (column < total)
  beats, unsure = [], jnp.zeros_like(other)
  for q, k, level, most in zip(queries, keys, right, slack, strict=True):
    gap = nearest.product(q, k) - level[:, None]
    beats.append(gap > most)
    unsure |= jnp.abs(gap) <= most
  if len(beats) == 2:
    beats.append(beats[0] & beats[1])
  unsure &= other
  # All wins of a pair in one number, of which RUN can be added: one sum.
  code = sum(beat.astype(jnp.int32) << (BITS * w)
             for w, beat in enumerate(beats))
  code = jnp.where(other & ~unsure, code, 0)

  def sums(ends):  # one mask after another: together they are slower
    some = jnp.where(nearest.inside(column, ends), code, 0)
    return some.reshape(len(code), -1, RUN).sum(axis=2)  # [q, k / RUN]

  runs = jax.lax.map(sums, jnp.moveaxis(ranges, 1, 0))  # [M, q, k / RUN]
  new = jnp.stack([
      ((runs >> (BITS * w)) % 2 ** BITS).sum(axis=2) for w in range(len(beats))
  ], axis=2)
  return wins + jnp.moveaxis(new, 0, 1), jnp.packbits(unsure, axis=1)
