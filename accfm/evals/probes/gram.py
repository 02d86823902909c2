"""Sums over rows that ridge regressions are solved from, by decomposition.

A Gram matrix of some rows is that of all rows minus that of the others. So
regressions that leave out a few rows, or a group of people, need one pass
over the embeddings together.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from accfm.base import interrupts
from accfm.evals.stats import scaling

BLOCK = 4096  # rows that are centred and multiplied at once


@dataclasses.dataclass(frozen=True)
class Basis:
  """Decomposition of the fitting rows that have the same labels.

  At penalty a, the weights of x - mean are basis @ (loads / (size + a)).
  """

  mean: np.ndarray  # [D]
  basis: np.ndarray  # [D, R]
  size: np.ndarray  # [R] eigenvalues
  loads: np.ndarray  # [R, K]


@dataclasses.dataclass(frozen=True)
class Sums:
  """Sums over n rows of c = x - centre and of labels y.

  `total` [D] of c, `gram` [D, D] of c' c, `product` [D, K] of c' y, `labels`
  [K] of y, `squares` [K] of y y.
  """

  n: int
  centre: np.ndarray
  total: np.ndarray
  gram: np.ndarray
  product: np.ndarray
  labels: np.ndarray
  squares: np.ndarray

  @property
  def spread(self) -> np.ndarray:
    """[D] squared deviations from the mean of these rows."""
    return np.diag(self.gram) - self.total ** 2 / self.n

  def columns(self, members: np.ndarray) -> "Sums":
    """The same of some labels."""
    return dataclasses.replace(
        self, product=self.product[:, members], labels=self.labels[members],
        squares=self.squares[members],
    )

  def without(self, less: "Sums") -> "Sums":
    """The sums of the rows that `less`, about the same centre, has not."""
    return Sums(
        self.n - less.n, self.centre, self.total - less.total,
        self.gram - less.gram, self.product - less.product,
        self.labels - less.labels, self.squares - less.squares,
    )

  def with_also(self, more: "Sums") -> "Sums":
    """The sums of these rows and those of `more`, about the same centre."""
    return Sums(
        self.n + more.n, self.centre, self.total + more.total,
        self.gram + more.gram, self.product + more.product,
        self.labels + more.labels, self.squares + more.squares,
    )

  def lost_digits(self, whole: "Sums") -> bool:
    """Whether `whole.without(...)` has left a column with too few digits."""
    sd = np.sqrt(np.maximum(whole.spread, 0) / whole.n)
    varies = scaling.inverse_sd(whole.centre + whole.total / whole.n, sd) > 0
    return bool((varies & (self.spread < 1e-6 * whole.spread)).any())


def blocks(
    x: np.ndarray, rows: np.ndarray, centre: np.ndarray
) -> Iterator[tuple[slice, np.ndarray]]:
  """x[rows] - centre in float64, block by block: (slice of rows, [b, D])."""
  for at in range(0, len(rows), BLOCK):
    interrupts.check()
    part = slice(at, at + BLOCK)
    yield part, x[rows[part]] - centre


def mean(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
  """The mean [D] of x[rows]."""
  total = np.zeros(x.shape[1])
  for _, block in blocks(x, rows, total.copy()):
    total += block.sum(axis=0)
  return total / len(rows)


def sums(
    x: np.ndarray, rows: np.ndarray, y: np.ndarray,
    centre: np.ndarray | None = None,
) -> Sums:
  """Sums of x[rows] and y [n, K], about their mean or another centre [D]."""
  d = x.shape[1]
  centre = mean(x, rows) if centre is None else centre
  total, gram = np.zeros(d), np.zeros((d, d))
  product = np.zeros((d, y.shape[1]))
  for part, block in blocks(x, rows, centre):
    total += block.sum(axis=0)
    gram += block.T @ block
    product += block.T @ y[part]
  return Sums(
      len(rows), centre, total, gram, product, y.sum(axis=0),
      np.einsum("nk,nk->k", y, y),
  )


def part(
    x: np.ndarray, rows: np.ndarray, mask: np.ndarray, y: np.ndarray,
    whole: Sums,
) -> Sums:
  """The Sums of the fitting rows that have a label, from those of all rows.

  Args:
    x: [N, D].
    rows: [n] fitting rows.
    mask: [n] which of them have the label.
    y: [n, K] the labels, 0 where unknown.
    whole: Sums of all fitting rows and these labels.
  """
  others = rows[~mask]
  if not len(others):
    return whole
  if 2 * len(others) <= len(rows):
    found = whole.without(sums(x, others, y[~mask], whole.centre))
    if not found.lost_digits(whole):
      return found
  return sums(x, rows[mask], y[mask])


def primal(found: Sums) -> Basis:
  """The Basis of at least as many rows as columns, from their sums."""
  middle = found.total / found.n
  mean = found.centre + middle
  scale = scaling.inverse_sd(
      mean, np.sqrt(np.maximum(found.spread, 0) / found.n))
  gram = found.gram - np.outer(found.total, middle)
  product = found.product - np.outer(middle, found.labels)
  size, vectors = np.linalg.eigh(gram * np.outer(scale, scale))
  return Basis(
      mean, scale[:, None] * vectors, np.maximum(size, 0),
      vectors.T @ (scale[:, None] * product),
  )


def dual(x: np.ndarray, rows: np.ndarray, y: np.ndarray) -> Basis:
  """The Basis of fewer rows than columns, from the rows' inner products.

  Args:
    x: [N, D].
    rows: [n].
    y: [n, K], of mean 0.
  """
  x = np.asarray(x[rows], np.float64)
  mean = x.mean(axis=0)
  scale = scaling.inverse_sd(mean, x.std(axis=0))
  z = (x - mean) * scale
  size, vectors = np.linalg.eigh(z @ z.T)
  return Basis(
      mean, scale[:, None] * (z.T @ vectors), np.maximum(size, 0),
      vectors.T @ y,
  )
