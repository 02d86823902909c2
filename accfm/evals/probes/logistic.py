"""Logistic probes: two or more classes from embeddings.

The protocol is that of the ridge: embeddings are standardised on the fitting
rows, and the penalty is chosen on the selecting rows alone. So is, for two
classes, the threshold. Without selecting rows, groups of the fitted people
are left out one at a time (`leave_out`).
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from accfm.base import interrupts
from accfm.evals.probes import leave_out, ridge
from accfm.evals.stats import scaling

SMALL = 1 << 22  # numbers in x up to which threads cost more than they save
STRENGTHS = tuple(float(c) for c in 10.0 ** np.arange(-4, 1.5))
# Where no group can be left out, as the others lack a class.
USUAL = STRENGTHS[2]


@dataclasses.dataclass(frozen=True)
class Decided:
  """What a logistic probe says of M tested rows.

  Attributes:
    odds: [M, C] log-probabilities of the classes; for two classes [M, 1],
      the log-odds of the second.
    chosen: [M] places of the classes that the probe decides for: the most
      probable one; of two classes, by `threshold`. NaN where the selecting
      rows have only one class.
  """

  odds: np.ndarray
  chosen: np.ndarray

  def of(self, rows: np.ndarray) -> "Decided":
    """The same of some rows."""
    return Decided(self.odds[rows], self.chosen[rows])


def predict(
    x: np.ndarray, y: Sequence[np.ndarray], classes: Sequence[int],
    fit: np.ndarray, select: np.ndarray, test: np.ndarray,
    people: np.ndarray | None = None,
) -> list[Decided]:
  """Logistic regressions of several labels on one embedding.

  Labels that are known on the same fitting rows share one standardisation.

  Args:
    x: [N, D].
    y: K labels [N], places of classes, NaN where unknown. The labels of
      tested rows are not read.
    classes: K numbers of classes; each class has a fitting row.
    fit, select, test: [N] booleans.
    people: [N] ids; None where others select.

  Returns:
    K Decided; their rows are those of `test`, in order.
  """
  out = {}
  known = np.stack([np.isfinite(label) for label in y], axis=1) & fit[:, None]
  threads = 1 if fit.sum() * x.shape[1] < SMALL else None
  with _controller().limit(limits=threads):
    for mask, members in ridge.patterns(known):
      rows = np.flatnonzero(mask)
      scaled = scaling.make_scaler(x, rows)
      x_fit, x_test = scaled(x[rows]), scaled(x[test])
      for k in members:
        label, size = y[k], classes[k]
        if select.any() or people is None:
          chosen = np.isfinite(label) & select
          out[k] = _by_others(
              x_fit, label[rows], scaled(x[chosen]), label[chosen], x_test,
              size,
          )
        else:
          out[k] = _by_groups(
              x_fit, label[rows], people[rows], x[rows], x_test, size)
  return [out[k] for k in range(len(y))]


@functools.cache
def _controller() -> Any:
  """Sets how many threads linear algebra uses; finds its libraries once."""
  import threadpoolctl  # both only here: who fits no classes needs neither
  from sklearn import linear_model
  del linear_model  # imported so that its libraries are there to be found
  return threadpoolctl.ThreadpoolController()


def _path(x, y, last=STRENGTHS[-1]):
  """Yields the model of each strength up to `last`.

  Each fit starts from the weights of the last strength, which are close.
  """
  from sklearn.linear_model import LogisticRegression
  model = LogisticRegression(max_iter=2000, warm_start=True)
  for strength in STRENGTHS:
    if strength <= last:
      interrupts.check()
      yield model.set_params(C=strength).fit(x, y)


def _by_others(x_fit, y_fit, x_select, y_select, x_test, classes):
  """The Decided of one label, by other people; all x are standardised."""
  best, odds, tested = np.inf, np.empty(0), np.empty(0)
  for model in _path(x_fit, y_fit):
    selecting = _odds(model, x_select)
    loss = np.mean(_losses(selecting, y_select))
    if loss < best:
      best, odds, tested = loss, selecting, _odds(model, x_test)
  limit = np.nan if classes > 2 else threshold(y_select, odds[:, 0])
  return _decide(tested, limit)


def _by_groups(x_fit, y_fit, people, x, x_test, classes):
  """The Decided of one label, by leaving out groups of the fitted people.

  Models of different groups differ in how common class 1 was among the rows
  that they were fitted on. So the threshold is chosen, and used, on log-odds
  beyond those of the fitting rows.

  Args:
    x_fit, x_test: standardised; x: [n, D] the fitting rows as they are.
  """
  groups, losses, seen = leave_out.deal(people), [], []
  for group in np.unique(groups):
    held = groups == group
    rest = np.flatnonzero(~held)
    if len(np.unique(y_fit[rest])) < classes:
      continue  # a class is missing
    scaled = scaling.make_scaler(x, rest)
    x_held = scaled(x[held])
    odds = [_odds(model, x_held) for model in _path(
        scaled(x[rest]), y_fit[rest])]
    losses.append([np.sum(_losses(o, y_fit[held])) for o in odds])
    seen.append((y_fit[held], [o - _prior(y_fit[rest]) for o in odds]))
  best, limit = STRENGTHS.index(USUAL), 0.0
  if seen:
    best = int(np.argmin(np.sum(losses, axis=0)))
    if classes == 2:
      limit = threshold(
          np.concatenate([y for y, _ in seen]),
          np.concatenate([odds[best][:, 0] for _, odds in seen]),
      )
  *_, model = _path(x_fit, y_fit, STRENGTHS[best])
  return _decide(
      _odds(model, x_test),
      np.nan if classes > 2 else limit + _prior(y_fit))


def _prior(y):
  """Log-odds of class 1 among rows of both classes."""
  share = np.mean(y == 1)
  return np.log(share / (1 - share)) if 0 < share < 1 else 0.0


def _decide(odds, limit):
  """The Decided of log-odds above `limit`, or of the most probable class."""
  if odds.shape[1] > 1:
    return Decided(odds, odds.argmax(axis=1).astype(np.float64))
  chosen = np.where(np.isnan(limit), np.nan, odds[:, 0] > limit)
  return Decided(odds, chosen)


def _odds(model, x):
  """[N, 1] log-odds of two classes, [N, C] log-probabilities of more."""
  odds = model.decision_function(x)
  if odds.ndim == 1:
    return odds[:, None]
  return odds - np.logaddexp.reduce(odds, axis=1, keepdims=True)


def _losses(odds, y):
  """[N] minus the log-probability of the true class."""
  if odds.shape[1] == 1:
    return np.logaddexp(0, -(2 * y - 1) * odds[:, 0])
  return -odds[np.arange(len(y)), y.astype(int)]


def threshold(y: np.ndarray, odds: np.ndarray) -> float:
  """The log-odds above which the probe decides for class 1.

  Candidates are the middles between neighbouring scores, a value below all
  scores and one above all. The best has the highest balanced accuracy on
  these (selecting) rows; of equally good ones it is the nearest to 0.

  Args:
    y: [N] 0 or 1; odds: [N].

  Returns:
    The threshold; NaN unless there are rows of both classes.
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
