"""Ridge regression of many targets at every penalty from one decomposition.

Targets that are known on the same fitting rows share one Gram matrix and its
eigenvectors. Where a few labels are missing, their rows are subtracted from
the common Gram matrix instead of computing another. Every penalty and target
is then a product with the eigenvalues: fifty targets cost little more than
one.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from accfm.base import interrupts, shapes
from accfm.evals.stats import scaling

ALPHAS = tuple(float(a) for a in 10.0 ** np.arange(-2, 6.5, 0.5))
BLOCK = 4096  # rows that are centred and multiplied at once


@dataclasses.dataclass(frozen=True)
class Chosen:
  """What ridge probes say of M tested rows and K targets.

  Attributes:
    predicted: [M, K]; NaN for a target without a row to fit or to select on.
    alpha: [K] the chosen penalties; NaN for the same targets.
  """

  predicted: np.ndarray
  alpha: np.ndarray


@dataclasses.dataclass(frozen=True)
class _Basis:
  """Decomposition of the fitting rows that have the same labels.

  At penalty a, the weights of x - mean are basis @ (loads / (size + a)).
  """

  mean: np.ndarray  # [D]
  basis: np.ndarray  # [D, R]
  size: np.ndarray  # [R] eigenvalues
  loads: np.ndarray  # [R, K]


def predict(
    x: np.ndarray, y: np.ndarray, fit: np.ndarray, select: np.ndarray,
    test: np.ndarray, alphas: Sequence[float] = ALPHAS,
) -> Chosen:
  """Ridge regressions, each at the penalty that suits the selecting rows.

  For every target this minimises |y - mean(y) - z w|^2 + alpha |w|^2 over the
  fitting rows that have the label, where z is x standardised on these rows
  alone (constant columns are 0). It takes the alpha with the least squared
  error on the selecting rows that have the label; of equal ones the first.

  Args:
    x: [N, D]; D may be 0, which predicts the mean.
    y: [N, K], NaN where unknown. The labels of tested rows are not read.
    fit, select, test: [N] booleans.
    alphas: A penalties above 0.

  Returns:
    Chosen; its rows are those of `test`, in order.
  """
  shapes.check_all([(x, "embeddings", "N D"), (y, "labels", "N K")])
  chosen, tested = np.flatnonzero(select), np.flatnonzero(test)
  predicted = np.full((len(tested), y.shape[1]), np.nan)
  penalty = np.full(y.shape[1], np.nan)
  able = np.isfinite(y[fit]).any(axis=0) & np.isfinite(y[chosen]).any(axis=0)
  targets = np.flatnonzero(able)
  if not len(targets):
    return Chosen(predicted, penalty)
  rows = np.flatnonzero(fit)
  rows = rows[np.isfinite(y[rows][:, targets]).any(axis=1)]
  labels = y[rows][:, targets]
  known = np.isfinite(labels)
  labels = np.where(known, labels, 0)
  middle = labels.sum(axis=0) / known.sum(axis=0)  # [K]
  labels = np.where(known, labels - middle, 0)
  whole = None  # with fewer rows than columns no pattern needs it
  if len(rows) >= x.shape[1]:
    whole = _sums(x, rows, labels)
  for mask, members in patterns(known):
    mine, centre = targets[members], middle[members]
    if whole is None or mask.sum() < x.shape[1]:
      found = _dual(x, rows[mask], labels[mask][:, members])
    else:
      some = dataclasses.replace(whole, product=whole.product[:, members])
      found = _primal(_part(x, rows, mask, labels[:, members], some))
    errors = _errors(x, y[:, mine] - centre, chosen, found, alphas)
    best = np.asarray(alphas)[np.argmin(errors, axis=0)]  # [these]
    weights = found.basis @ (found.loads / (found.size[:, None] + best))
    penalty[mine] = best
    for part, block in _blocks(x, tested, found.mean):
      predicted[part, mine] = centre + block @ weights
  return Chosen(predicted, penalty)


def patterns(known: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
  """Groups of equal columns of `known` [N, K]: [(mask [N], columns)]."""
  found = {}
  for column in range(known.shape[1]):
    mask = np.ascontiguousarray(known[:, column])
    found.setdefault(mask.tobytes(), (mask, []))[1].append(column)
  return [(mask, np.array(columns)) for mask, columns in found.values()]


def _blocks(
    x: np.ndarray, rows: np.ndarray, centre: np.ndarray
) -> Iterator[tuple[slice, np.ndarray]]:
  """x[rows] - centre in float64, block by block: (slice of rows, [b, D])."""
  for at in range(0, len(rows), BLOCK):
    interrupts.check()
    part = slice(at, at + BLOCK)
    yield part, x[rows[part]] - centre


def _mean(x, rows):
  total = np.zeros(x.shape[1])
  for _, block in _blocks(x, rows, total.copy()):
    total += block.sum(axis=0)
  return total / len(rows)


@dataclasses.dataclass(frozen=True)
class _Sums:
  """Sums over n rows of c = x - centre and of labels y.

  `total` [D] of c, `gram` [D, D] of c' c, `product` [D, K] of c' y.
  """

  n: int
  centre: np.ndarray
  total: np.ndarray
  gram: np.ndarray
  product: np.ndarray

  @property
  def spread(self):
    """[D] squared deviations from the mean of these rows."""
    return np.diag(self.gram) - self.total ** 2 / self.n


def _sums(x, rows, y, centre=None):
  """_Sums of x[rows] and y [n, K], about their mean or another centre [D]."""
  d = x.shape[1]
  centre = _mean(x, rows) if centre is None else centre
  total, gram = np.zeros(d), np.zeros((d, d))
  product = np.zeros((d, y.shape[1]))
  for part, block in _blocks(x, rows, centre):
    total += block.sum(axis=0)
    gram += block.T @ block
    product += block.T @ y[part]
  return _Sums(len(rows), centre, total, gram, product)


def _part(x, rows, mask, y, whole):
  """The _Sums of the fitting rows that have a label, from those of all rows.

  Args:
    rows: [n] fitting rows; mask: [n] which of them have the label.
    y: [n, K] the labels, 0 where unknown.
    whole: _Sums of all fitting rows and these labels.
  """
  others = rows[~mask]
  if not len(others):
    return whole
  if 2 * len(others) <= len(rows):
    less = _sums(x, others, y[~mask], whole.centre)
    found = _Sums(
        whole.n - less.n, whole.centre, whole.total - less.total,
        whole.gram - less.gram, whole.product,  # unknown labels are 0
    )
    sd = np.sqrt(whole.spread / whole.n)
    varies = scaling.inverse_sd(whole.centre, sd) > 0
    if not (varies & (found.spread < 1e-6 * whole.spread)).any():
      return found  # otherwise the subtraction lost too many digits
  return _sums(x, rows[mask], y[mask])


def _primal(sums):
  """The _Basis of at least as many rows as columns, from their sums."""
  mean = sums.centre + sums.total / sums.n
  scale = scaling.inverse_sd(mean, np.sqrt(np.maximum(sums.spread, 0) / sums.n))
  gram = sums.gram - np.outer(sums.total, sums.total) / sums.n
  size, vectors = np.linalg.eigh(gram * np.outer(scale, scale))
  return _Basis(
      mean, scale[:, None] * vectors, np.maximum(size, 0),
      vectors.T @ (scale[:, None] * sums.product),
  )


def _dual(x, rows, y):
  """The _Basis of fewer rows than columns, from the rows' inner products."""
  x = np.asarray(x[rows], np.float64)
  mean = x.mean(axis=0)
  scale = scaling.inverse_sd(mean, x.std(axis=0))
  z = (x - mean) * scale
  size, vectors = np.linalg.eigh(z @ z.T)
  return _Basis(
      mean, scale[:, None] * (z.T @ vectors), np.maximum(size, 0),
      vectors.T @ y,
  )


def _errors(x, y, rows, found, alphas):
  """Squared errors [A, K] on the selecting rows; never holds [A, rows, K]."""
  errors = np.zeros((len(alphas), y.shape[1]))
  for part, block in _blocks(x, rows, found.mean):
    want = y[rows[part]]  # [b, K]
    known = np.isfinite(want)
    want = np.where(known, want, 0)
    along = block @ found.basis  # [b, R]
    for place, alpha in enumerate(alphas):
      miss = along @ (found.loads / (found.size[:, None] + alpha))
      miss -= want
      miss *= known
      errors[place] += np.einsum("bk,bk->k", miss, miss)
  return errors
