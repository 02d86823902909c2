"""A penalty chosen among the fitted people alone, by leaving some out.

The fitted people are dealt into five groups, or one group a person where they
are fewer. Each group is predicted by models that are fitted on the others. A
single person's rows are halved, the earlier and the later ones. So a probe on
a share of the labels needs no label of anybody else.
"""

import functools

import numpy as np

from accfm.evals.probes import gram

GROUPS = 5


def deal(people: np.ndarray) -> np.ndarray:
  """[n] the group of each fitted row; a group is left out at a time.

  Args:
    people: [n] ids of the rows, a person's rows in order of time.
  """
  names, index = np.unique(people, return_inverse=True)
  if len(names) > 1:
    return index % GROUPS
  return (2 * np.arange(len(people)) >= len(people)).astype(int)


def errors(
    x: np.ndarray, rows: np.ndarray, y: np.ndarray, people: np.ndarray,
    alphas: np.ndarray,
) -> np.ndarray:
  """Squared errors [A, K] of the rows of every group that is left out.

  Each regression standardises and centres on the rows that are left.

  Args:
    x: [N, D].
    rows: [n] the fitting rows.
    y: [n, K] their labels, all known.
    people: [n] ids.
    alphas: [A] penalties.
  """
  group = deal(people)
  held = [group == g for g in np.unique(group)]
  out = np.zeros((len(alphas), y.shape[1]))
  if len(held) < 2:
    return out
  few = len(rows) - max(mask.sum() for mask in held) < x.shape[1]
  whole, parts = None, []
  if not few:
    centre = gram.mean(x, rows)
    parts = [gram.sums(x, rows[mask], y[mask], centre) for mask in held]
    whole = functools.reduce(gram.Sums.with_also, parts)
  for place, mask in enumerate(held):
    if whole is None:
      out += _by_rows(x, rows, y, mask, alphas)
      continue
    part = parts[place]
    rest = whole.without(part)
    if rest.lost_digits(whole):
      rest = gram.sums(x, rows[~mask], y[~mask])
      part = gram.sums(x, rows[mask], y[mask], rest.centre)
    out += _by_sums(rest, part, alphas)
  return out


def _by_rows(x, rows, y, mask, alphas):
  """Errors of the rows `mask`, where few others are left to fit on."""
  middle = y[~mask].mean(axis=0)
  found = gram.dual(x, rows[~mask], y[~mask] - middle)
  return errors_on(x, rows[mask], y[mask] - middle, found, alphas)


def _by_sums(rest, held, alphas):
  """Errors on the rows of `held` of fits to `rest`, about one centre."""
  found = gram.primal(rest)
  shift, middle = rest.total / rest.n, rest.labels / rest.n
  square = held.gram - np.outer(shift, held.total) - np.outer(
      held.total, shift) + held.n * np.outer(shift, shift)
  product = held.product - np.outer(shift, held.labels) - np.outer(
      held.total - held.n * shift, middle)
  squares = held.squares - 2 * middle * held.labels + held.n * middle ** 2
  square = found.basis.T @ square @ found.basis  # [R, R]
  product = found.basis.T @ product  # [R, K]
  weights = found.loads / (found.size[:, None] + alphas[:, None, None])
  quadratic = np.sum(weights * (square @ weights), axis=1)  # [A, K]
  return squares - 2 * np.einsum("ark,rk->ak", weights, product) + quadratic


def errors_on(
    x: np.ndarray, rows: np.ndarray, y: np.ndarray, found: gram.Basis,
    alphas: np.ndarray,
) -> np.ndarray:
  """Squared errors [A, K] on some rows; never holds [A, rows, K].

  Args:
    x: [N, D].
    rows: [m].
    y: [m, K] their labels less the fitted mean, NaN where unknown.
    found: what was fitted.
    alphas: [A] penalties.
  """
  out = np.zeros((len(alphas), y.shape[1]))
  for part, block in gram.blocks(x, rows, found.mean):
    want = y[part]  # [b, K]
    known = np.isfinite(want)
    want = np.where(known, want, 0)
    along = block @ found.basis  # [b, R]
    for place, alpha in enumerate(alphas):
      miss = along @ (found.loads / (found.size[:, None] + alpha))
      miss -= want
      miss *= known
      out[place] += np.einsum("bk,bk->k", miss, miss)
  return out
