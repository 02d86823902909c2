"""Which keys a query may meet, and whether vectors can be searched at all."""

import dataclasses
from typing import Self

import numpy as np

from accfm.base import shapes
from accfm.base.errors import InputError


@dataclasses.dataclass(frozen=True)
class Mask:
  """Which keys each of Q queries may meet: those in `keep`, less `drop`.

  Two ranges are enough, because keys are sorted by participant, recording
  and time.

  Attributes:
    keep, drop: [Q, 2] the first key and one past the last; equal for none.
  """

  keep: np.ndarray
  drop: np.ndarray

  @classmethod
  def everything(cls, queries: int, keys: int) -> Self:
    """Q queries that may meet all K keys."""
    return cls(np.tile([0, keys], (queries, 1)), np.zeros((queries, 2), int))

  @property
  def hole(self) -> np.ndarray:
    """[Q, 2] the part of `drop` that lies in `keep`; equal ends for none."""
    low = np.maximum(self.keep[:, 0], self.drop[:, 0])
    high = np.minimum(self.keep[:, 1], self.drop[:, 1])
    return np.stack([low, np.maximum(low, high)], axis=1)

  def within(self, ranges: np.ndarray) -> Self:
    """Those keys of each query that lie in a range [Q, 2], too."""
    low = np.maximum(self.keep[:, 0], ranges[:, 0])
    high = np.minimum(self.keep[:, 1], ranges[:, 1])
    keep = np.stack([low, np.maximum(low, high)], axis=1)
    return dataclasses.replace(self, keep=keep)

  def allows(self, query: np.ndarray, key: np.ndarray) -> np.ndarray:
    """Whether queries may meet keys: row numbers of any, equal shapes."""
    def inside(ends):
      return (key >= ends[query, 0]) & (key < ends[query, 1])

    return inside(self.keep) & ~inside(self.drop)

  def sizes(self) -> np.ndarray:
    """[Q] how many keys each query may meet."""
    return (np.diff(self.keep) - np.diff(self.hole))[:, 0]


def check_vectors(queries: np.ndarray, keys: np.ndarray) -> None:
  """Raises InputError unless queries [Q, D] and keys [K, D] are finite."""
  shapes.check_all([(queries, "queries", "Q D"), (keys, "keys", "K D")])
  for x, name in ((queries, "queries"), (keys, "keys")):
    if not len(x) or not np.isfinite(x).all():
      raise InputError(
          f"nearest neighbours: got {len(x)} {name}, "
          f"{np.sum(~np.isfinite(x).all(axis=1))} of them with NaN or Inf, "
          "want at least 1, all finite"
      )
