"""Probes by the definition: a model at a time, groups left out by a loop."""

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge

from accfm.evals.probes import logistic, ridge


def groups(people):
  """Sets of row numbers that are left out, one after the other."""
  names = sorted(set(people))
  if len(names) == 1:
    rows = list(range(len(people)))
    half = (len(rows) + 1) // 2
    return [s for s in (set(rows[:half]), set(rows[half:])) if s]
  out = [set() for _ in range(min(5, len(names)))]
  for row, person in enumerate(people):
    out[names.index(person) % 5].add(row)
  return out


def split(people):
  """(rows that are left [k], rows left out [n - k]) of each group."""
  every = set(range(len(people)))
  return [(sorted(every - g), sorted(g)) for g in groups(people)
          if every - g]


def scaled(x, rows):
  """x standardised on some rows."""
  sd = x[rows].std(axis=0)
  return np.where(sd > 0, (x - x[rows].mean(axis=0)) / np.where(sd, sd, 1), 0)


def ridge_of(x, y, people, test, alphas=ridge.ALPHAS):
  """(predictions [M] of x `test`, alpha) of ridge on x [n, D], y [n]."""
  best, chosen = np.inf, alphas[0]
  for alpha in alphas:
    error = 0.0
    for rest, held in split(people):
      z = scaled(x, rest)
      model = Ridge(alpha=alpha, solver="svd").fit(z[rest], y[rest])
      error += np.sum((model.predict(z[held]) - y[held]) ** 2)
    if error < best:
      best, chosen = error, alpha
  both = scaled(np.concatenate([x, test]), range(len(x)))
  model = Ridge(alpha=chosen, solver="svd").fit(both[:len(x)], y)
  return model.predict(both[len(x):]), chosen


def logistic_of(x, y, people, test):
  """(log-odds [M], chosen [M]) of two classes, fitted on x [n, D], y [n]."""
  prior = lambda y: np.log(np.mean(y) / np.mean(1 - y))  # noqa: E731
  parts = [(r, h) for r, h in split(people) if len(set(y[r])) == 2]
  best, chosen, limit = np.inf, 0.01, 0.0
  for strength in logistic.STRENGTHS if parts else ():
    loss, truth, beyond = 0.0, [], []
    for rest, held in parts:
      z = scaled(x, rest)
      model = _fit(strength, z[rest], y[rest])
      odds = model.decision_function(z[held])
      loss += np.sum(np.log1p(np.exp(-(2 * y[held] - 1) * odds)))
      truth.extend(y[held])
      beyond.extend(odds - prior(y[rest]))
    if loss < best:
      best, chosen = loss, strength
      limit = logistic.threshold(np.array(truth), np.array(beyond))
  both = scaled(np.concatenate([x, test]), range(len(x)))
  odds = _fit(chosen, both[:len(x)], y).decision_function(both[len(x):])
  return odds, (odds > limit + prior(y)).astype(float)


def _fit(strength, x, y):
  return LogisticRegression(C=strength, max_iter=5000, tol=1e-9).fit(x, y)
