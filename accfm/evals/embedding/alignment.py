"""Linear maps that bring the embeddings of two encoders together.

Two encoders that were trained apart know nothing of each other. A linear map
that is fitted on paired segments costs no training, so it is what distillation
has to beat. Two maps are fitted:

  aligned_ridge  ridge regression of one embedding on the other: the first is
                 mapped into the space of the second
  aligned_cca    regularised canonical correlation analysis: both are mapped
                 into the space of the combinations that correlate most, each
                 weighted by the root of its correlation

Everything follows from the sums of one pass over the fitting rows, in float64
and block by block. The penalty and the number of dimensions are those with
the best mean reciprocal rank among the selecting rows, both ways.
"""

import dataclasses
from collections.abc import Iterator
from typing import Self

import numpy as np

from accfm.base import interrupts, shapes
from accfm.evals.stats import scaling

RIDGE, CCA = "aligned_ridge", "aligned_cca"
# As shares of the variance of a standardised column.
PENALTIES = tuple(float(a) for a in 10.0 ** np.arange(-4, 1.5, 1.0))
DIMENSIONS = (4, 8, 16, 32, 64, 128, 256, 512)
SELECTING = 1024  # rows that the choice looks at, evenly spaced
BLOCK = 4096  # rows that are multiplied at once


@dataclasses.dataclass(frozen=True)
class Map:
  """x -> (x - mean) @ weights.

  Attributes:
    mean: [D]; weights: [D, K].
  """

  mean: np.ndarray
  weights: np.ndarray

  def __call__(self, x: np.ndarray) -> np.ndarray:
    """x [N, D] -> [N, K] float32, block by block."""
    out = np.empty((len(x), self.weights.shape[1]), np.float32)
    for part in _parts(len(x)):
      out[part] = (np.asarray(x[part], np.float64) - self.mean) @ self.weights
    return out


@dataclasses.dataclass(frozen=True)
class Aligned:
  """A map for each of two encoders; inner products of unit rows compare.

  Attributes:
    first, second: the maps.
    penalty, dimensions: what was chosen.
    score: the mean reciprocal rank on the selecting rows.
    correlations: [K] of the dimensions on the fitting rows, or None.
  """

  first: Map
  second: Map
  penalty: float
  dimensions: int
  score: float
  correlations: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Moments:
  """Means, scales and correlations of standardised x [N, D] and y [N, E].

  Attributes:
    mean, scale: of x and y, [D] and [E] each; the scale is 1 / SD, and 0 for
      constant columns.
    xx, yy, xy: [D, D], [E, E], [D, E].
  """

  mean: tuple[np.ndarray, np.ndarray]
  scale: tuple[np.ndarray, np.ndarray]
  xx: np.ndarray
  yy: np.ndarray
  xy: np.ndarray

  @classmethod
  def of(cls, x: np.ndarray, y: np.ndarray) -> Self:
    """Of paired rows, in one pass about the first row and one for the mean."""
    shapes.check_all([(x, "embeddings", "N D"), (y, "their partners", "N E")])
    d, n = x.shape[1], len(x)
    both = np.zeros(d + y.shape[1])
    for part in _parts(n):
      both += np.concatenate([
          x[part].sum(axis=0, dtype=np.float64),
          y[part].sum(axis=0, dtype=np.float64)])
    both /= n
    gram = np.zeros((len(both), len(both)))
    for part in _parts(n):
      z = np.concatenate([x[part], y[part]], axis=1) - both
      gram += z.T @ z
    gram /= n
    scale = scaling.inverse_sd(both, np.sqrt(np.diag(gram)))
    gram *= np.outer(scale, scale)
    return cls(
        (both[:d], both[d:]), (scale[:d], scale[d:]),
        gram[:d, :d], gram[d:, d:], gram[:d, d:],
    )

  def map(self, side: int, weights: np.ndarray) -> Map:
    """The Map of raw rows of a side (0: x, 1: y) by weights [D, K] of z."""
    return Map(self.mean[side], self.scale[side][:, None] * weights)


def fit_ridge(moments: Moments, penalty: float) -> tuple[Map, Map]:
  """Maps of x into the space of standardised y, and of y by itself.

  The weights W minimise mean |z_y - z_x W|^2 + penalty |W|^2.
  """
  size, vectors = np.linalg.eigh(moments.xx)
  size = np.maximum(size, 0)[:, None] + penalty
  weights = vectors @ ((vectors.T @ moments.xy) / size)
  return moments.map(0, weights), moments.map(1, np.eye(len(moments.yy)))


def fit_cca(
    moments: Moments, penalty: float, weigh: bool = True
) -> tuple[Map, Map, np.ndarray]:
  """Maps of x and y onto their canonical variates, largest first.

  Args:
    moments: of the fitting rows.
    penalty: added to the variance of each standardised column.
    weigh: multiply each variate by the root of its correlation.

  Returns:
    (map of x, map of y, correlations [K]).
  """
  white_x, white_y = (_whitener(c, penalty) for c in (moments.xx, moments.yy))
  left, found, right = np.linalg.svd(
      white_x.T @ moments.xy @ white_y, full_matrices=False)
  times = np.sqrt(found) if weigh else 1.0
  return (moments.map(0, white_x @ left * times),
          moments.map(1, white_y @ right.T * times), found)


def _whitener(covariance, penalty):
  """W [D, R] such that W' (covariance + penalty I) W = I; null space left out.
  """
  size, vectors = np.linalg.eigh(covariance)
  some = size > 1e-10 * max(size[-1], 1e-300)
  return vectors[:, some] / np.sqrt(size[some] + penalty)


def fit(
    x: np.ndarray, y: np.ndarray, x_select: np.ndarray, y_select: np.ndarray
) -> dict[str, Aligned]:
  """Both maps, each at what suits the selecting rows best.

  Args:
    x, y: [N, D] and [N, E], paired rows to fit on.
    x_select, y_select: [M, D] and [M, E], paired rows of other people.

  Returns:
    {RIDGE: Aligned, CCA: Aligned}.
  """
  moments = Moments.of(x, y)
  some = np.unique(np.linspace(
      0, len(x_select) - 1, min(len(x_select), SELECTING)).round().astype(int))
  x_select, y_select = x_select[some], y_select[some]
  ridges, variates = [], []
  for penalty in PENALTIES:
    interrupts.check()
    maps = fit_ridge(moments, penalty)
    score = reciprocal_rank(maps[0](x_select), maps[1](y_select))
    ridges.append(Aligned(*maps, penalty, y.shape[1], score))
    one, two, found = fit_cca(moments, penalty)
    a, b = one(x_select), two(y_select)
    sizes = {min(k, len(found)) for k in (*DIMENSIONS, len(found))}
    for k in sorted(sizes - {0}):
      variates.append(Aligned(
          Map(one.mean, one.weights[:, :k]), Map(two.mean, two.weights[:, :k]),
          penalty, k, reciprocal_rank(a[:, :k], b[:, :k]), found[:k]))
  out = {RIDGE: max(ridges, key=lambda made: made.score)}
  if variates:  # none where one side is constant
    out[CCA] = max(variates, key=lambda made: made.score)
  return out


def reciprocal_rank(a: np.ndarray, b: np.ndarray) -> float:
  """The mean of 1 / rank of the own row among all, from a to b and back.

  Args:
    a, b: [N, K]; row i of both is a pair. A tie counts against it.
  """
  near = scaling.unit_rows(a) @ scaling.unit_rows(b).T
  own = np.diag(near) - 1e-9
  ranks = (np.sum(near >= own[:, None], axis=1),
           np.sum(near >= own, axis=0))
  return float(np.mean([np.mean(1 / r) for r in ranks]))


def _parts(n: int) -> Iterator[slice]:
  for at in range(0, n, BLOCK):
    interrupts.check()
    yield slice(at, min(at + BLOCK, n))
