"""Identity alone: what a matcher scores that knows only whose segment it is.

It puts the segments of the query's own person first, in random order, and
those of all other people behind them. A pool then hides the right answer
among the j + 1 segments of the person that it holds. How many others of the
person a pool holds is hypergeometric, so the scores of this matcher follow in
closed form, for the very queries, answers and pools that encoders are scored
on. What an encoder scores above this, it cannot have from the person.

The person's own segments are all alike to this matcher. Encoders' ties count
as misses; here the right answer has each of the j + 1 places equally often,
which is the best that a matcher can do that knows the person alone. With
ties as misses it would score P(j = 0) at recall@1.
"""

import dataclasses

import numpy as np

from accfm.evals.retrieval import pools
from accfm.evals.retrieval.masks import Mask
from accfm.evals.retrieval.ranks import Counts
from accfm.evals.stats import people as stats

ENCODER = "identity"


def count(
    mask: Mask, person: np.ndarray, control: np.ndarray | None = None,
    control_kin: np.ndarray | None = None,
) -> Counts:
  """The keys that this matcher cannot tell from the right answer.

  Args:
    mask: which keys each of N queries may meet; key i answers query i.
    person: [N, 2] the range of the keys of each query's person.
    control: [N] wrong keys that beat the control's right answer, or None.
    control_kin: [N] those of them that are the same person's, or None.

  Returns:
    Counts in which `beaten_by` are the other keys of the same person.
  """
  own = np.arange(len(person))
  kin = mask.within(person)
  return Counts(
      mask.sizes() + 1 - mask.allows(own, own),
      kin.sizes() - kin.allows(own, own), control, control_kin,
  )


def rank_sums(
    counts: Counts, pool: int | str, people: stats.People
) -> np.ndarray:
  """How the ranks of this matcher are distributed, by participant.

  Queries of a participant that may meet as many keys, and as many of their
  own, are alike and computed once: millions of queries take seconds.

  Args:
    counts: of N queries, from `count`.
    pool: as `pools.rank_sums`.
    people: the participants of the queries.

  Returns:
    [P, R + 1] as `pools.rank_sums`, with R one more than the most segments
    of the same person beside the right answer: no rank is above that.
  """
  alike, index, times = _alike(counts, people.index)
  most = int(counts.beaten_by.max(initial=0))
  if pool != "all":
    most = min(most, int(pool) - 1)
  held = np.zeros((len(people), most + 1))  # [P, J]: pools that hold j
  pools.add_masses(held, alike, pool, index, times)
  np.maximum(held, 0, out=held)  # a difference of sums can round below
  # Of the pools that hold j, a share min(r / (j + 1), 1) has a rank up to r.
  each = held / np.arange(1, most + 2)
  later = each.sum(axis=1, keepdims=True) - np.cumsum(each, axis=1)
  out = np.empty((len(people), most + 2))
  out[:, :-1] = np.cumsum(held, axis=1)
  out[:, :-1] += np.arange(1, most + 2) * np.maximum(later, 0)
  mass = times * pools.control_fails(alike, pool)
  out[:, -1] = np.bincount(index, mass, minlength=len(people))
  return out


def _alike(counts, index):
  """Counts of each kind of query once, its [G] person and [G] number."""
  names = [name for name, x in vars(counts).items() if x is not None]
  kinds = np.stack([index, *(getattr(counts, name) for name in names)])
  order = np.lexsort(kinds[::-1])
  kinds = kinds[:, order]
  new = np.append(True, (kinds[:, 1:] != kinds[:, :-1]).any(axis=0))
  first = np.flatnonzero(new)
  times = np.diff(np.append(first, len(index))).astype(float)
  fields = dict(zip(names, kinds[1:, first], strict=True))
  return dataclasses.replace(counts, **fields), kinds[0, first], times


def expect(
    people: int, each: int, pool: int, top: int = 1
) -> tuple[float, float]:
  """What identity scores where P people have equally many segments.

  Args:
    people: P.
    each: segments of a person.
    pool: size of the pools.
    top: the k of recall@k.

  Returns:
    (recall@k, mean rank).
  """
  counts = Counts(np.array([people * each]), np.array([each - 1]))
  sums = rank_sums(counts, pool, stats.People([""], 0, 0))
  total, mass = pools.total_rank(sums)[0]
  return float(sums[0, min(top, sums.shape[1] - 1) - 1] / mass), float(
      total / mass)
