"""Which rows make batch k: a pure function of (seed, k), for each objective.

A sampler is called with k and returns a `Draw`. It holds no order of all rows,
so shuffling 20 million minutes takes almost no memory.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from accfm.base.errors import InputError
from accfm.data import orders, overlaps, people_batches
from accfm.data.draw import Draw


class Rows:
  """Every row of a range once an epoch."""

  left_out = 0

  def __init__(
      self, start: int, stop: int, batch_size: int, seed: int,
      near: orders.Nearness = orders.EVERYWHERE,
  ):
    """Rows start, ..., stop - 1; a batch has at most that many."""
    self._start, self._rows = start, stop - start
    self._count, self._seed, self._near = batch_size, seed, near

  def __call__(self, k: int) -> Draw:
    return Draw(orders.permuted(
        self._rows, self._count, self._seed, k, self._start, self._near
    ))


class People:
  """Two segments without a common sample of each of B people, everybody once
  an epoch.

  Abbaspourazad et al. 2024 (arXiv 2312.05409): with more than one pair of a
  person in a batch, that person would be their own negative.

  Attributes:
    left_out: number of people without two such segments.
    why_left_out: the reason, as text.
  """

  why_left_out = "without two segments that do not overlap, not to be paired"

  def __init__(
      self, people: tuple[Any, Any], batch_size: int, seed: int,
      near: orders.Nearness = orders.EVERYWHERE, apart: int = 1,
  ):
    """Args:
      people: (first row [P], number of rows [P]) of each person.
      batch_size: B, at most the number of people who can be paired.
      seed: of the order and of the segments.
      near: as for rows, but counted in people.
      apart: least distance in rows of a pair, see `overlaps.rows_apart`.
    """
    first, count = map(np.asarray, people)
    fits = can_be_paired(count, apart)
    self.left_out = int((~fits).sum())
    self._first, self._count = first[fits], count[fits]
    self._size, self._seed, self._near = batch_size, seed, near
    self._apart = apart

  def __call__(self, k: int) -> Draw:
    chosen = orders.permuted(
        len(self._first), self._size, self._seed, k, near=self._near
    )
    first, count = self._first[chosen], self._count[chosen]
    rng, apart = np.random.default_rng([self._seed, k]), self._apart
    # Rows before `ends` have partners after them, those from `apart` on have
    # partners before them. With few rows, those between have none.
    ends = count - apart
    one = rng.integers(np.minimum(count, 2 * ends))
    one = np.where((one >= ends) & (ends < apart), one - ends + apart, one)
    before = np.maximum(one - apart + 1, 0)
    two = rng.integers(before + np.maximum(ends - one, 0))
    two = np.where(two < before, two, two - before + one + apart)
    return Draw(first + one, first + two)


def can_be_paired(count: np.ndarray, apart: int) -> np.ndarray:
  """[P] whether people of [P] rows have two that are `apart` rows apart."""
  return np.asarray(count) > apart


class Chosen:
  """Given rows in a seeded order, over and over.

  For labelled rows, which may be fewer than a batch: a batch may hold a row
  twice.
  """

  left_out = 0

  def __init__(self, rows: np.ndarray, batch_size: int, seed: int):
    """`rows` [M] row numbers, M >= 1."""
    self._rows, self._size = np.asarray(rows), batch_size
    self._seed = seed

  def __call__(self, k: int) -> Draw:
    n = len(self._rows)
    places = np.arange(k * self._size, (k + 1) * self._size)
    chosen = np.empty_like(places)
    for epoch in np.unique(places // n):
      mine = places // n == epoch
      chosen[mine] = orders.shuffled(
          places[mine] % n, n, self._seed, int(epoch)
      )
    return Draw(self._rows[chosen], only=self._rows)


class Mixture:
  """Data sets at fixed shares of each batch, shuffled within the batch."""

  def __init__(self, samplers: Sequence[Any], seed: int, lanes: int = 1):
    """Args:
      samplers: one for each data set; their batch sizes add up to the batch.
      seed: of the order within a batch.
      lanes: of each sampler; rows stay in their lane.
    """
    self._samplers, self._seed, self._lanes = samplers, seed, lanes
    self.left_out = sum(sampler.left_out for sampler in samplers)
    self.why_left_out = getattr(samplers[0], "why_left_out", "")

  def __call__(self, k: int) -> Draw:
    draws = [sampler(k) for sampler in self._samplers]
    rng = np.random.default_rng([self._seed, k])

    def mixed(parts):  # each [B_i] -> [B]
      by_lane = [part.reshape(self._lanes, -1) for part in parts]
      return np.take_along_axis(
          np.concatenate(by_lane, axis=1), order, axis=1
      ).ravel()

    count = sum(len(d.rows) for d in draws) // self._lanes
    order = np.stack([rng.permutation(count) for _ in range(self._lanes)])
    if draws[0].pairs is None:
      return Draw(mixed([d.rows for d in draws]))
    return Draw(mixed([d.rows for d in draws]), mixed([d.pairs for d in draws]))


def shares(weights: Sequence[float], batch_size: int) -> list[int]:
  """Number of rows of a batch for each weight, by largest remainder.

  Raises:
    InputError: a data set would get no row.
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


def make(
    split: Any, batch_size: int, seed: int, weights: Sequence[float],
    by_people: bool = False, multiple: int = 1,
    near: orders.Nearness = orders.EVERYWHERE, each: int = 1,
) -> Any:
  """The sampler of self-supervised training.

  Args:
    split: a `joined.Joined`.
    batch_size: rows of the global batch.
    seed: of all orders.
    weights: one for each data set.
    by_people: whether to pair two segments of a person, instead of single
      rows.
    multiple: a number that divides every batch size, for the message.
    near: how far the order jumps; with `by_people` or `each` counted in
      people.
    each: segments of each person in a batch; 1 for rows of anybody.

  Raises:
    InputError: a batch takes more rows, or people, than a data set has, or
      the share of a data set cannot be split into lanes.
  """
  parts = []
  people_batches.check(batch_size, each)
  counts = shares(weights, batch_size // each)  # rows, or people
  for place, (part, count) in enumerate(zip(split.parts, counts, strict=True)):
    start, stop = map(int, split.bounds[place:place + 2])
    there, what, other = len(part), "rows", ""
    apart = 1
    if by_people or each > 1:
      apart = overlaps.rows_apart(part.manifest)
    if by_people:
      there = int(can_be_paired(part.people[1], apart).sum())
      what, other = "people with two segments", "positives=segment"
    elif each > 1:
      there = int(people_batches.enough(part.people[1], each, apart).sum())
      what = f"people with {each} segments that do not overlap"
      other = "minutes_per_person=1"
    if count > there:
      # In a mixture `count` is one data set's share of the batch.
      most = there * batch_size // count // multiple * multiple
      most = most // each * each if each > 1 else most
      fix = f"set --config.batch_size={most} or " if most else ""
      fix += f"set --config.{other} or " if other else ""
      got = f"{each} of each of {count} people" if each > 1 else count
      raise InputError(
          f"batch_size: got {got}, want at most the {there} {what} of "
          f"split {part.name} in {part.dataset_dir}; {fix}prepare more "
          "recordings"
      )
    near.check(count)
    # The first data set keeps the seed; each other one has its own.
    own = seed + 7919 * place
    first, rows = part.people if by_people or each > 1 else (0, 0)
    if by_people:
      parts.append(People((start + first, rows), count, own, near, apart))
    elif each > 1:
      parts.append(people_batches.SegmentsOfPeople(
          (start + first, rows), count * each, each, own, apart, near
      ))
    else:
      parts.append(Rows(start, stop, count, own, near))
  return parts[0] if len(parts) == 1 else Mixture(parts, seed, near.lanes)
