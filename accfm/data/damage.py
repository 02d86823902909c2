"""Damaged rows: reported, counted, and in training replaced up to a limit.

What replaces a damaged row depends on the global draw and on which rows are
damaged, not on when or where the damage was found. So neither a restart nor
another number of processes changes a batch. Two damaged rows of a batch may
get the same replacement. Evaluation never replaces a row.
"""

import io
import math
import sys
import threading
from collections.abc import Callable, Collection, Sequence
from typing import TextIO

import numpy as np

from accfm.base.errors import InputError
from accfm.data.draw import Draw

People = tuple[np.ndarray, np.ndarray]  # (first row [P], rows [P]) of each


class DamagedError(InputError):
  """A stored row is not what preparation wrote.

  Attributes:
    row: its number, in the split it was read from.
  """

  def __init__(self, row: int, text: str):
    super().__init__(text)
    self.row = row

  def __reduce__(self):  # a worker sends it to its parent
    return type(self), (self.row, str(self))


def found(shard: str, split: str, row: int, what: str) -> DamagedError:
  """The DamagedError of a row of a shard file; `what` says what is wrong."""
  return DamagedError(row, (
      f"{shard}: row {row} of split {split} {what}; the shard is damaged: "
      "prepare the data set again, or let training replace such rows up to "
      "--config.max_damaged_share"
  ))


class Ledger:
  """The damaged rows of a split that this process has found since it started.

  Threads that read ahead share it.
  """

  def __init__(
      self, rows: int, share: float = 0.0, out: TextIO | None = None
  ):
    """Args:
      rows: number of rows in the split.
      share: share of them that may be damaged; 0 for none.
      out: file to which each damaged row is reported, by default stdout.
    """
    if not 0 <= share < 1:
      raise InputError(
          f"max_damaged_share: got {share}, want 0 or more and less than 1"
      )
    self._rows, self._share, self._out = rows, share, out
    self._found, self._news = set(), []
    self._lock = threading.Lock()

  def __reduce__(self):
    return _silent, (self._rows, self._share, sorted(self._found))

  def __len__(self):
    return len(self._found)

  def __contains__(self, row):
    return row in self._found

  def counts(self) -> dict[str, float]:
    """The metric of a run that may replace rows; {} if it may not."""
    return {"train/damaged_rows": len(self)} if self._share else {}

  def add(self, error: DamagedError) -> None:
    """Counts the row of a DamagedError and reports it, both once.

    Raises:
      DamagedError: no row may be damaged.
      InputError: more rows are damaged than may be.
    """
    if not self._share:
      raise error
    most = math.floor(self._share * self._rows + 1e-9)
    with self._lock:
      if error.row in self._found:
        return
      self._found.add(error.row)
      self._news.append((error.row, str(error)))
      found = len(self._found)
      print(f"damaged row {found} of at most {most}, replaced: {error}",
            file=self._out or sys.stdout, flush=True)
    if found > most:
      raise InputError(
          f"max_damaged_share: got {found} damaged of {self._rows:,} rows, "
          f"want at most {most} ({self._share:g}); the last one is: {error}"
      ) from error

  def news(self) -> list[tuple[int, str]]:
    """[(row, text of its DamagedError)] of rows added since the last call."""
    with self._lock:
      news, self._news = self._news, []
    return news

  def mend(
      self, draw: Draw, local: slice, people_of: Callable[[int], People],
      apart_of: Callable[[int], int] = lambda row: 1,
  ) -> tuple[np.ndarray, np.ndarray | None]:
    """The local rows of a draw, with known damaged rows replaced.

    Args:
      draw: of the global batch.
      local: the slice of the draw that this process reads.
      people_of: `people_of(row) -> (first row [P], rows [P])` of the people
        in the data set of that row.
      apart_of: `apart_of(row) -> rows`, the least distance of a pair there.

    Returns:
      (rows [n], pairs [n] or None).

    Raises:
      InputError: no undamaged row is left as a replacement.
    """
    rows = np.array(draw.rows[local])
    pairs = None if draw.pairs is None else np.array(draw.pairs[local])
    with self._lock:
      damaged = set(self._found)
    known = np.fromiter(damaged, np.int64)
    bad = np.isin(rows, known)
    groups = rows[:, None]
    if pairs is not None:
      bad |= np.isin(pairs, known)
      groups = np.stack([rows, pairs], axis=1)  # [n, 2]
    drawn = draw.rows
    if draw.pairs is not None:
      drawn = np.concatenate([draw.rows, draw.pairs])
    for place in np.flatnonzero(bad):
      group = groups[place].tolist()
      rows[place], *second = stand_in(
          group, damaged, drawn, people_of(group[0]), draw.only,
          apart_of(group[0]),
      )
      if pairs is not None:
        pairs[place] = second[0]
    return rows, pairs


def _silent(rows, share, known):
  """A worker's Ledger: the parent reports the rows that the worker sends it."""
  ledger = Ledger(rows, share, io.StringIO())
  ledger._found.update(known)
  return ledger


def stand_in(
    group: Sequence[int], damaged: Collection[int], drawn: np.ndarray,
    people: People, only: np.ndarray | None = None, apart: int = 1,
) -> list[int]:
  """Undamaged rows that replace a row, or a pair of rows of one person.

  They are searched among the person's own rows first, from the damaged row on
  and round again, then among the people after that person. Rows that the
  batch draws already come last. For a pair, so do people whom the batch draws
  already: a person in it twice would be their own negative.

  Args:
    group: [row] or [row, paired row], at least one of them damaged.
    damaged: numbers of the damaged rows.
    drawn: [B] rows of the global batch.
    people: (first row [P], rows [P]) of each person.
    only: [M] the rows that may be used; None for all.
    apart: least distance in rows of a pair, see `overlaps.rows_apart`.

  Returns:
    As many rows of one person as the group has.

  Raises:
    InputError: there are none.
  """
  first, count = people
  own = int(np.searchsorted(first, group[0], side="right")) - 1
  hurt = next(row for row in group if row in damaged)
  for spare in (True, False):
    for k in range(len(first)):
      person = (own + k) % len(first)
      rows = first[person] + np.arange(count[person])
      if k == 0:
        rows = np.roll(rows, first[person] - hurt - 1)
      taken = np.isin(rows, drawn)
      if spare and k and len(group) > 1 and taken.any():
        continue
      usable = ~taken if spare else ~np.isin(rows, group)
      if only is not None:
        usable &= np.isin(rows, only)
      order = [*(group if k == 0 else ()), *rows[usable].tolist()]
      whole = [row for row in order if row not in damaged]
      if len(group) == 1 and whole:
        return whole[:1]
      for place, one in enumerate(whole[:-1]):
        far = [row for row in whole[place + 1:] if abs(row - one) >= apart]
        if len(group) == 2 and far:
          return [one, far[0]]
  raise InputError(
      f"row {hurt} is damaged and no whole one is left in its place; prepare "
      "the data set again"
  )
