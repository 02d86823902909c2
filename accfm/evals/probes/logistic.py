"""Logistic probes: classes from embeddings, two or more.

The same protocol as the ridge: standardised on the fitting rows, the penalty
and, for two classes, the threshold chosen on the selecting rows alone.
"""

import dataclasses
import functools

import numpy as np
import threadpoolctl

from accfm.evals.probes import ridge
from accfm.evals.stats import scaling

SMALL = 1 << 22  # numbers in x up to which threads cost more than they bring
STRENGTHS = tuple(float(c) for c in 10.0 ** np.arange(-4, 1.5))


@dataclasses.dataclass(frozen=True)
class Decided:
  """What a logistic probe says of M tested rows.

  Attributes:
    odds: [M, C] log-probabilities of the classes; of two classes [M, 1], the
      log-odds of the second.
    chosen: [M] places of the classes decided for: the likeliest, or of two
      by `threshold`; NaN where the selecting rows have only one class.
  """

  odds: np.ndarray
  chosen: np.ndarray


def predict(x, y, classes, fit, select, test):
  """Logistic regressions of several labels on one embedding.

  Labels known on the same fitting rows share one standardisation.

  Args:
    x: [N, D].
    y: K labels [N] of places of classes, NaN where unknown; tested labels
      are not read.
    classes: K numbers of classes; each has a fitting row.
    fit, select, test: [N] booleans.

  Returns:
    K Decided, their rows those of `test` in order.
  """
  out = [None] * len(y)
  known = np.stack([np.isfinite(label) for label in y], axis=1) & fit[:, None]
  threads = 1 if fit.sum() * x.shape[1] < SMALL else None
  with _controller().limit(limits=threads):
    for mask, members in ridge.patterns(known):
      scaled = scaling.make_scaler(x, np.flatnonzero(mask))
      x_fit, x_test = scaled(x[mask]), scaled(x[test])
      for k in members:
        chosen = np.isfinite(y[k]) & select
        out[k] = _one(
            x_fit, y[k][mask], scaled(x[chosen]), y[k][chosen], x_test,
            classes[k],
        )
  return out


@functools.cache
def _controller():
  """Sets how many threads linear algebra uses; finds it once, not per fit."""
  from sklearn import linear_model
  del linear_model  # only so that its libraries are there to be found
  return threadpoolctl.ThreadpoolController()


def _one(x_fit, y_fit, x_select, y_select, x_test, classes):
  """Decided of one label; all x are standardised."""
  from sklearn.linear_model import LogisticRegression
  # Each strength starts from the last one's weights: they lie near.
  model = LogisticRegression(max_iter=2000, warm_start=True)
  best, odds, tested = np.inf, None, None
  for strength in STRENGTHS:
    model.set_params(C=strength).fit(x_fit, y_fit)
    line = _odds(model, x_select)
    loss = np.mean(_losses(line, y_select))
    if loss < best:
      best, odds, tested = loss, line, _odds(model, x_test)
  if classes > 2:
    return Decided(tested, tested.argmax(axis=1).astype(np.float64))
  limit = threshold(y_select, odds[:, 0])
  chosen = np.where(np.isnan(limit), np.nan, tested[:, 0] > limit)
  return Decided(tested, chosen)


def _odds(model, x):
  """[N, 1] log-odds of two classes, [N, C] log-probabilities of more."""
  line = model.decision_function(x)
  if line.ndim == 1:
    return line[:, None]
  return line - np.logaddexp.reduce(line, axis=1, keepdims=True)


def _losses(odds, y):
  """[N] minus the log-probability of the true class."""
  if odds.shape[1] == 1:
    return np.logaddexp(0, -(2 * y - 1) * odds[:, 0])
  return -odds[np.arange(len(y)), y.astype(int)]


def threshold(y, odds):
  """The log-odds above which a row is decided for class 1.

  Of the middles between neighbouring scores, and of what lies below all and
  above all, the one with the highest balanced accuracy on these (selecting)
  rows; of equals the one nearest to 0.

  Args:
    y: [N] 0 or 1; odds: [N].

  Returns:
    The threshold, NaN unless there are rows of both classes.
  """
  odds, place = np.unique(odds, return_inverse=True)
  up = np.bincount(place, y == 1, len(odds))
  down = np.bincount(place, y == 0, len(odds))
  if not up.any() or not down.any():
    return np.nan
  middles = np.concatenate([
      [odds[0] - 1], 0.5 * (odds[1:] + odds[:-1]), [odds[-1] + 1]
  ])
  missed = np.concatenate([[0], np.cumsum(up)]) / up.sum()
  spared = np.concatenate([[0], np.cumsum(down)]) / down.sum()
  good = spared - missed  # 2 x balanced accuracy - 1
  best = middles[good >= good.max() - 1e-12]
  return best[np.argmin(np.abs(best))]
