"""Ridge regression of many targets at every penalty from one decomposition.

Targets that are known on the same fitting rows share one Gram matrix and its
eigenvectors. Where a few labels are missing, their rows are subtracted from
the common Gram matrix instead of computing another. Every penalty and target
is then a product with the eigenvalues: fifty targets cost little more than
one.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from accfm.base import shapes
from accfm.evals.probes import gram, leave_out

ALPHAS = tuple(float(a) for a in 10.0 ** np.arange(-2, 6.5, 0.5))


@dataclasses.dataclass(frozen=True)
class Chosen:
  """What ridge probes say of M tested rows and K targets.

  Attributes:
    predicted: [M, K]; NaN for a target without a row to fit or to select on.
    alpha: [K] the chosen penalties; NaN for the same targets.
  """

  predicted: np.ndarray
  alpha: np.ndarray


def predict(
    x: np.ndarray, y: np.ndarray, fit: np.ndarray, select: np.ndarray,
    test: np.ndarray, alphas: Sequence[float] = ALPHAS,
    people: np.ndarray | None = None,
) -> Chosen:
  """Ridge regressions, each at the penalty that suits the selecting rows.

  For every target this minimises |y - mean(y) - z w|^2 + alpha |w|^2 over the
  fitting rows that have the label, where z is x standardised on these rows
  alone (constant columns are 0). It takes the alpha with the least squared
  error on the selecting rows that have the label; of equal ones the first.
  Without a selecting row it leaves out groups of the fitted `people`
  (`leave_out`).

  Args:
    x: [N, D]; D may be 0, which predicts the mean.
    y: [N, K], NaN where unknown. The labels of tested rows are not read.
    fit, select, test: [N] booleans.
    alphas: A penalties above 0.
    people: [N] ids; None where others select.

  Returns:
    Chosen; its rows are those of `test`, in order.
  """
  shapes.check_all([(x, "embeddings", "N D"), (y, "labels", "N K")])
  chosen, tested = np.flatnonzero(select), np.flatnonzero(test)
  penalties = np.asarray(alphas)
  predicted = np.full((len(tested), y.shape[1]), np.nan)
  penalty = np.full(y.shape[1], np.nan)
  able = np.isfinite(y[fit]).any(axis=0)
  if len(chosen) or people is None:
    able &= np.isfinite(y[chosen]).any(axis=0)
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
    whole = gram.sums(x, rows, labels)
  for mask, members in patterns(known):
    mine, centre = targets[members], middle[members]
    own = rows[mask], labels[mask][:, members]
    if whole is None or mask.sum() < x.shape[1]:
      found = gram.dual(x, *own)
    else:
      found = gram.primal(gram.part(
          x, rows, mask, labels[:, members], whole.columns(members)))
    if len(chosen) or people is None:
      errors = leave_out.errors_on(
          x, chosen, y[chosen][:, mine] - centre, found, penalties)
    else:
      errors = leave_out.errors(x, *own, people[own[0]], penalties)
    best = penalties[np.argmin(errors, axis=0)]  # [these]
    weights = found.basis @ (found.loads / (found.size[:, None] + best))
    penalty[mine] = best
    for part, block in gram.blocks(x, tested, found.mean):
      predicted[part, mine] = centre + block @ weights
  return Chosen(predicted, penalty)


def patterns(known: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
  """Groups of equal columns of `known` [N, K]: [(mask [N], columns)]."""
  found = {}
  for column in range(known.shape[1]):
    mask = np.ascontiguousarray(known[:, column])
    found.setdefault(mask.tobytes(), (mask, []))[1].append(column)
  return [(mask, np.array(columns)) for mask, columns in found.values()]
