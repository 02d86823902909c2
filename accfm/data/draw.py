"""The rows of one batch, as a sampler draws them."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Draw:
  """Row numbers of one batch.

  Attributes:
    rows: [B].
    pairs: [B], the row that each row is paired with, or None.
    only: [M], the rows that may replace a damaged one; None for all.
  """

  rows: np.ndarray
  pairs: np.ndarray | None = None
  only: np.ndarray | None = None
