"""Batches of few people with several segments of each.

Where almost every row of a batch is of another person, who knows the person
solves a contrastive loss, and the loss says little of the minute. With m
segments of each person the other m - 1 are wrong answers that the person does
not rule out.
"""

from typing import Any

import numpy as np

from accfm.base.errors import InputError
from accfm.data import orders
from accfm.data.draw import Draw


class SegmentsOfPeople:
  """m segments of each of B / m people, everybody once an epoch.

  A person's segments are cut into groups of m, whose starts are at least
  `apart` rows from each other. Each epoch takes another group of the person.
  When all have had their turn, the segments are cut anew. So everybody's
  segments are used evenly: each is in at most one group of a cut, and the few
  that are in none are others in each cut.

  Attributes:
    left_out: number of people with fewer than m segments that far apart.
    why_left_out: the reason, as text.
  """

  def __init__(
      self, people: tuple[Any, Any], batch_size: int, each: int, seed: int,
      apart: int = 1, near: orders.Nearness = orders.EVERYWHERE,
  ):
    """Args:
      people: (first row [P], number of rows [P]) of each person, rows in the
        order of time.
      batch_size: B, a multiple of `each`; B / m is at most the number of
        people with enough segments.
      each: m.
      seed: of the order and of the groups.
      apart: least distance in rows between two segments of a person in a
        batch, see `overlaps.rows_apart`.
      near: as for rows, but counted in people.
    """
    first, count = map(np.asarray, people)
    fits = enough(count, each, apart)
    self.left_out = int((~fits).sum())
    self.why_left_out = (
        f"with fewer than {each} segments that do not overlap "
        "(minutes_per_person)"
    )
    self._who = np.flatnonzero(fits)
    self._first, self._count = first[fits], count[fits]
    self._people, self._each = batch_size // each, each
    self._seed, self._apart, self._near = seed, apart, near

  def __call__(self, k: int) -> Draw:
    people = len(self._first)
    chosen = orders.permuted(
        people, self._people, self._seed, k, near=self._near
    )
    epoch = k // orders.batches_of_epoch(people, self._people, self._near)
    rows = group(
        self._count[chosen], self._each, self._apart, epoch,
        orders.mixed(self._seed, self._who[chosen]),
    )
    return Draw((self._first[chosen, None] + rows).ravel())


def group(
    count: np.ndarray, each: int, apart: int, epoch: int, keys: np.ndarray
) -> np.ndarray:
  """One group of each person: [P, each] places among their rows.

  The rows of a person are seen as a circle that begins at a random one and
  is cut into `count // apart` cells of `apart` rows. Rows at the same place
  of different cells are far enough from each other. Of each such place the
  cells are shuffled and dealt out, `each` to a group.

  Args:
    count: [P] rows of each person, as `enough` allows.
    each: rows of a group.
    apart: least distance between two of them.
    epoch: number of the group; those of one cut follow one another.
    keys: [P] uint64, of each person.
  """
  cells = count // apart  # [P]
  deals = cells // each  # groups at one place of the cells
  cut, turn = np.divmod(epoch, apart * deals)
  mine = orders.mixed(keys, cut)
  turn = orders.shuffled_each(turn, apart * deals, orders.mixed(mine, 0))
  place, deal = np.divmod(turn, deals)
  dealt = deal[:, None] * each + np.arange(each)  # [P, each]
  cell = orders.shuffled_each(
      dealt.ravel(), np.repeat(cells, each),
      np.repeat(orders.mixed(mine, 1, place), each),
  ).reshape(dealt.shape)
  begin = orders.mixed(mine, 2) % count.astype(np.uint64)
  at = begin.astype(np.int64)[:, None] + cell * apart + place[:, None]
  return at % count[:, None]


def enough(count: np.ndarray, each: int, apart: int) -> np.ndarray:
  """[P] whether a person of [P] rows has `each` that are `apart` rows apart.
  """
  return np.asarray(count) // apart >= each


def check(batch_size: int, each: int) -> None:
  """Raises InputError unless a batch holds `each` rows of whole people."""
  if batch_size % each:
    fit = batch_size // each * each
    raise InputError(
        f"minutes_per_person: got {each} for a batch of {batch_size}, want a "
        f"divisor of {batch_size}" + (
            f"; set --config.batch_size={fit}" if fit else ""
        )
    )
