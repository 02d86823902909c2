"""Logistic probes against scikit-learn, and their threshold against a loop."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, log_loss

from accfm.evals.probes import logistic


def world(classes, n=240, d=5, seed=0):
  rng = np.random.default_rng(seed)
  y = rng.integers(0, classes, n).astype(float)
  x = rng.normal(3, 2, size=(n, d))
  x[:, :2] += 2 * rng.normal(size=(classes, 2))[y.astype(int)]
  part = rng.integers(0, 3, n)
  return x, y, *(part == k for k in range(3))


def oracle(x, y, fit, select, test):
  """(probabilities [M, C] of the test rows) of the best single model."""
  known = np.isfinite(y)
  rows, chosen = fit & known, select & known
  z = (x - x[rows].mean(axis=0)) / x[rows].std(axis=0)
  best, found = np.inf, None
  for strength in logistic.STRENGTHS:
    model = LogisticRegression(C=strength, max_iter=5000, tol=1e-9)
    model.fit(z[rows], y[rows])
    loss = log_loss(
        y[chosen], model.predict_proba(z[chosen]), labels=model.classes_)
    if loss < best:
      best, found = loss, model.predict_proba(z[test])
  return found


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_equals_one_model_at_a_time(classes):
  x, y, *parts = world(classes)
  (got,) = logistic.predict(x, [y], [classes], *parts)
  want = oracle(x, y, *parts)
  if classes == 2:
    p = 1 / (1 + np.exp(-got.odds[:, 0]))
    np.testing.assert_allclose(p, want[:, 1], atol=2e-3)
  else:
    np.testing.assert_allclose(np.exp(got.odds), want, atol=2e-3)
    np.testing.assert_array_equal(got.chosen, got.odds.argmax(axis=1))


def test_labels_share_an_embedding_but_not_their_rows():
  x, y, *parts = world(2)
  _, other, *_ = world(3, seed=4)
  other[::4] = np.nan
  third = np.where(np.arange(240) % 5 == 0, np.nan, y)
  together = logistic.predict(x, [y, other, third], [2, 3, 2], *parts)
  for label, size, got in zip(
      (y, other, third), (2, 3, 2), together, strict=True):
    (alone,) = logistic.predict(x, [label], [size], *parts)
    np.testing.assert_array_equal(got.odds, alone.odds)
    np.testing.assert_array_equal(got.chosen, alone.chosen)
  assert together[1].odds.shape == (parts[2].sum(), 3)


def test_test_labels_are_not_read():
  x, y, fit, select, test = world(2)
  (one,) = logistic.predict(x, [y], [2], fit, select, test)
  (two,) = logistic.predict(
      x, [np.where(test, 1 - y, y)], [2], fit, select, test)
  np.testing.assert_array_equal(one.odds, two.odds)
  np.testing.assert_array_equal(one.chosen, two.chosen)


def test_threshold_is_the_best_of_all():
  rng = np.random.default_rng(0)
  for trial in range(20):
    y = rng.integers(0, 2, 25)
    odds = np.round(3 + y + rng.normal(size=25), 1)  # ties, far from 0
    limit = logistic.threshold(y, odds)

    def accuracy(t, y=y, odds=odds):
      return ((odds[y == 1] > t).mean() + (odds[y == 0] <= t).mean()) / 2

    assert accuracy(limit) == pytest.approx(
        balanced_accuracy_score(y, odds > limit))
    values = np.unique(odds)
    tried = [-99, *(values[1:] + values[:-1]) / 2, 99]
    best = max(map(accuracy, tried))
    assert accuracy(limit) == pytest.approx(best), trial
    # No middle nearer to 0 is as good.
    assert all(accuracy(t) < best - 1e-9 for t in tried
               if abs(t) < abs(limit) - 1e-9)


def test_without_both_classes_to_select_on_nothing_is_decided():
  assert np.isnan(logistic.threshold(np.ones(4), np.arange(4.0)))
  x, y, fit, select, test = world(2)
  y[select] = 1.0
  (got,) = logistic.predict(x, [y], [2], fit, select, test)
  assert np.isnan(got.chosen).all() and np.isfinite(got.odds).all()
