"""Which rows make batch k: a pure function of (seed, k), for each objective.

A sampler is called with k and returns a `Draw`. Nothing but row numbers is
held, so the order of 20 million minutes costs no memory worth counting.
"""

import dataclasses

import grain
import numpy as np

from accfm.base.errors import InputError


@dataclasses.dataclass(frozen=True)
class Draw:
  """Row numbers of one batch.

  Attributes:
    rows: [B].
    pairs: [B], the row that each is paired with, or None.
  """

  rows: np.ndarray
  pairs: np.ndarray | None = None


def permuted(rows, count, seed, k, start=0):
  """Row numbers [count] of batch k of `rows` rows from `start` on.

  Each epoch is a permutation of all rows cut into whole batches, so no row
  occurs twice in a batch; the `rows % count` rows at the end of the
  permutation wait for another epoch's order.
  """
  epoch, place = divmod(k, rows // count)
  order = _order(rows, seed, epoch)
  first = place * count
  return start + np.array([order[first + i] for i in range(count)])


def _order(rows, seed, epoch):
  """The permutation of an epoch, read by place."""
  return grain.MapDataset.range(rows).shuffle(
      seed=(seed * 1_000_003 + epoch) % 2**32
  )


class Rows:
  """Every row of a range once an epoch."""

  left_out = 0

  def __init__(self, start, stop, batch_size, seed):
    """Rows start, ..., stop - 1 in batches of at most that many."""
    self._start, self._rows = start, stop - start
    self._count, self._seed = batch_size, seed

  def __call__(self, k):
    return Draw(
        permuted(self._rows, self._count, self._seed, k, self._start)
    )


class People:
  """Two different segments of each of B people, everybody once an epoch.

  Abbaspourazad et al. 2024 (arXiv 2312.05409): with more than one pair of a
  person in a batch, that person would be their own negative.

  Attributes:
    left_out: people with one segment, who cannot be paired.
  """

  def __init__(self, people, batch_size, seed):
    """Args:
      people: (first row [P], number of rows [P]) of each person.
      batch_size: B, at most the people that have two segments.
      seed: of the order and of the segments.
    """
    first, count = map(np.asarray, people)
    paired = count >= 2
    self.left_out = int((~paired).sum())
    self._first, self._count = first[paired], count[paired]
    self._size, self._seed = batch_size, seed

  def __call__(self, k):
    chosen = permuted(len(self._first), self._size, self._seed, k)
    first, count = self._first[chosen], self._count[chosen]
    rng = np.random.default_rng([self._seed, k])
    one = rng.integers(count)
    two = rng.integers(count - 1)
    two = two + (two >= one)  # any segment but the first one, evenly
    return Draw(first + one, first + two)


class Chosen:
  """Given rows in a seeded order, over and over; a batch may hold one twice.

  For labelled rows that may be fewer than a batch.
  """

  left_out = 0

  def __init__(self, rows, batch_size, seed):
    """`rows` [M] row numbers, M >= 1."""
    self._rows, self._size = np.asarray(rows), batch_size
    self._seed = seed

  def __call__(self, k):
    n = len(self._rows)
    places = np.arange(k * self._size, (k + 1) * self._size)
    orders = {
        epoch: _order(n, self._seed, epoch)
        for epoch in range(places[0] // n, places[-1] // n + 1)
    }
    return Draw(self._rows[[orders[p // n][p % n] for p in places]])


class Mixture:
  """Cohorts at fixed shares of each batch, in a seeded order of places."""

  def __init__(self, samplers, seed):
    """`samplers`: one a cohort; their batch sizes add up to the batch."""
    self._samplers, self._seed = samplers, seed
    self.left_out = sum(sampler.left_out for sampler in samplers)

  def __call__(self, k):
    draws = [sampler(k) for sampler in self._samplers]
    rows = np.concatenate([d.rows for d in draws])
    order = np.random.default_rng([self._seed, k]).permutation(len(rows))
    if draws[0].pairs is None:
      return Draw(rows[order])
    pairs = np.concatenate([d.pairs for d in draws])
    return Draw(rows[order], pairs[order])


def shares(weights, batch_size):
  """Whole rows of a batch for each weight, by largest remainder.

  Raises:
    InputError: a cohort would get no row.
  """
  exact = np.asarray(weights, np.float64) / np.sum(weights) * batch_size
  counts = np.floor(exact).astype(int)
  rest = np.argsort(-(exact - counts), kind="stable")
  counts[rest[:batch_size - counts.sum()]] += 1
  if counts.min() < 1:
    raise InputError(
        f"dataset: got weights {list(weights)} for a batch of {batch_size}, "
        "want at least one row of each data set; raise the smallest weight "
        "or --config.batch_size"
    )
  return [int(n) for n in counts]


def make(split, batch_size, seed, weights, by_people=False, multiple=1):
  """The sampler of self-supervised training.

  Args:
    split: a `pipeline.Joined`.
    batch_size: rows of the global batch.
    seed: of all orders.
    weights: one a cohort.
    by_people: pair two segments of a person, instead of taking rows.
    multiple: what a batch size has to divide by, for the message.

  Raises:
    InputError: a batch takes more rows, or people, than a data set has.
  """
  parts = []
  counts = shares(weights, batch_size)
  for place, (part, count) in enumerate(zip(split.parts, counts, strict=True)):
    start, stop = map(int, split.bounds[place:place + 2])
    there, what = len(part), "rows"
    if by_people:
      there = int((part.people[1] >= 2).sum())
      what = "people with two segments"
    if count > there:
      # Of a mixture this is one data set's share of the batch.
      most = there * batch_size // count // multiple * multiple
      fix = f"set --config.batch_size={most} or " if most else ""
      fix += "set --config.positives=segment or " if by_people else ""
      raise InputError(
          f"batch_size: got {count}, want at most the {there} {what} of "
          f"split {part.name} in {part.dataset_dir}; {fix}prepare more "
          "recordings"
      )
    # One cohort alone is drawn as ever; others by seeds of their own.
    own = seed + 7919 * place
    if by_people:
      first, rows = part.people
      parts.append(People((start + first, rows), count, own))
    else:
      parts.append(Rows(start, stop, count, own))
  return parts[0] if len(parts) == 1 else Mixture(parts, seed)
