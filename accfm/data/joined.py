"""Splits of several data sets under one numbering of rows.

Data sets need to agree only in the signals that are read: two cohorts with
the same acceleration are one for a model of acceleration, whatever their PPG.
"""

import dataclasses
import functools
import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from accfm.data import damage, overlaps
from accfm.data.pipeline import Split
from accfm.signals import contract as contract_lib


def open_joined(
    dataset_dirs: Iterable[str | os.PathLike], split: str,
    max_damaged_share: float = 0.0, signals: Iterable[str] | None = None,
) -> "Joined":
  """Opens the same split of several data sets as one; see `Joined`."""
  parts = [
      Split(folder, split, max_damaged_share > 0) for folder in dataset_dirs
  ]
  return Joined(parts, max_damaged_share, signals)


class Joined:
  """The same split of several data sets, one after the other.

  Attributes:
    parts: the open Splits, in order.
    bounds: [P + 1], number of the first row of each part, then the number of
      all rows.
    cohorts: name of each part's data set.
    contract: what all parts agree in: the rate, the length of a segment and
      the signals that are alike in all of them.
    ledger: the damaged rows found so far, which batches replace.
  """

  def __init__(
      self, parts: Iterable[Split], max_damaged_share: float = 0.0,
      signals: Iterable[str] | None = None,
  ):
    """Joins splits.

    Args:
      parts: the open splits.
      max_damaged_share: of rows that may be damaged.
      signals: names of those that will be read; all of the first part by
        default.

    Raises:
      InputError: the contracts differ in what will be read.
    """
    self.parts = tuple(parts)
    first = self.parts[0].contract
    read = [
        name for name in (first.signals if signals is None else signals)
        if name in first.signals
    ]
    self.cohorts = tuple(part.manifest["name"] for part in self.parts)
    self.bounds = np.cumsum([0, *map(len, self.parts)])
    self.ledger = damage.Ledger(len(self), max_damaged_share)
    for part in self.parts[1:]:
      contract_lib.check_match(
          part.contract, first, read,
          f"data set {part.manifest['name']}",
          f"{self.cohorts[0]}'s",
      )
    self.contract = dataclasses.replace(first, signals={
        name: spec for name, spec in first.signals.items() if not any(
            contract_lib.mismatch(part.contract, first, name)
            for part in self.parts[1:])
    })

  def __len__(self) -> int:
    return int(self.bounds[-1])

  def cohort(self, rows: Any) -> np.ndarray:
    """[n] int32: the place in `cohorts` of the data set of each row."""
    place = np.searchsorted(self.bounds, rows, side="right") - 1
    return np.asarray(place, np.int32)

  def read(
      self, indices: Sequence[int] | np.ndarray, signals: Sequence[str]
  ) -> dict[str, np.ndarray]:
    """As `Split.read`; errors name the row by the joined numbering."""
    indices = np.asarray(indices)
    if not len(indices):
      return self.parts[0].read(indices, signals)
    place, out = self.cohort(indices), {}
    for number, part in enumerate(self.parts):
      mine = np.flatnonzero(place == number)
      if not len(mine):
        continue
      start = int(self.bounds[number])
      try:
        rows = part.read(indices[mine] - start, signals)
      except damage.DamagedError as error:
        error.row += start
        raise
      if len(mine) == len(indices):
        return rows
      for name, values in rows.items():
        whole = out.setdefault(
            name, np.empty((len(indices), *values.shape[1:]), values.dtype)
        )
        whole[mine] = values
    return out

  @functools.cached_property
  def table(self) -> dict[str, np.ndarray]:
    """As `Split.table`; a column that a part lacks is NaN there.

    Damaged rows are added to the ledger; only their participant is known.
    """
    tables = []
    for part, start in zip(self.parts, self.bounds.tolist(), strict=False):

      def on_damage(error, start=start):
        error.row += start
        self.ledger.add(error)

      tables.append(part.read_table(on_damage))
    names = dict.fromkeys(name for table in tables for name in table)
    return {
        name: np.concatenate([
            t.get(name, np.full(len(part), np.nan, np.float32))
            for part, t in zip(self.parts, tables, strict=True)
        ])
        for name in names
    }

  def participant(self, row: int) -> str:
    """The participant of a row, from the manifests alone."""
    place = int(self.cohort(row))
    return self.parts[place].participant(row - int(self.bounds[place]))

  def people_of(self, row: int) -> damage.People:
    """(first row [P], rows [P]) of the people in the data set of a row."""
    place = int(self.cohort(row))
    first, count = self.parts[place].people
    return self.bounds[place] + first, count

  def apart_of(self, row: int) -> int:
    """Least distance in rows of a pair in the data set of a row."""
    return overlaps.rows_apart(self.parts[int(self.cohort(row))].manifest)
