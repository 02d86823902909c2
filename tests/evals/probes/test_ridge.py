"""Shared ridge regressions against scikit-learn, target by target."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from accfm.evals.probes import gram, ridge

ALPHAS = (0.1, 10.0, 1000.0)


def world(n, d, targets=4, seed=0, missing=0.0):
  """x [n + 40, d], y with NaN, and masks: fit n rows, select 20, test 20."""
  rng = np.random.default_rng(seed)
  size = n + 40
  x = rng.normal(3, 2, size=(size, d)) * rng.uniform(0.01, 100, d)
  weights = rng.normal(size=(d, targets)) / x.std(axis=0)[:, None]
  y = 70 + x @ weights + rng.normal(0, 3, size=(size, targets))
  y[rng.random(y.shape) < missing] = np.nan
  part = np.repeat([0, 1, 2], [n, 20, 20])
  order = rng.permutation(size)
  return x[order], y[order], *(part[order] == k for k in range(3))


def oracle(x, y, fit, select, test, alphas):
  """One target at one penalty at a time: (predicted [M, K], alpha [K])."""
  out, chosen = np.full((test.sum(), y.shape[1]), np.nan), []
  for k in range(y.shape[1]):
    known = np.isfinite(y[:, k])
    rows = fit & known
    sd = x[rows].std(axis=0)
    z = (x - x[rows].mean(axis=0)) / np.where(sd > 0, sd, 1)
    z[:, sd == 0] = 0
    best = np.inf
    for alpha in alphas:
      model = Ridge(alpha=alpha, solver="svd").fit(z[rows], y[rows, k])
      chosen_rows = select & known
      error = np.mean((model.predict(z[chosen_rows]) - y[chosen_rows, k]) ** 2)
      if error < best:
        best, alpha_k, p = error, alpha, model.predict(z[test])
    out[:, k] = p
    chosen.append(alpha_k)
  return out, np.array(chosen)


@pytest.mark.parametrize("n, d, missing", [
    (60, 8, 0.0), (60, 8, 0.1), (60, 8, 0.7), (20, 30, 0.0), (20, 30, 0.4),
    (45, 30, 0.4), (1, 3, 0.0),
])
def test_equals_scikit_learn(n, d, missing):
  """More and fewer rows than columns, and patterns on both sides of that."""
  x, y, *parts = world(n, d, missing=missing)
  got = ridge.predict(x, y, *parts, ALPHAS)
  want, alpha = oracle(x, y, *parts, ALPHAS)
  np.testing.assert_allclose(got.predicted, want, rtol=1e-9)
  np.testing.assert_array_equal(got.alpha, alpha)


def test_targets_choose_different_penalties():
  x, y, *parts = world(60, 8)
  y[:, 1] = np.random.default_rng(9).normal(70, 3, len(y))  # nothing to learn
  got = ridge.predict(x, y, *parts)
  want, alpha = oracle(x, y, *parts, ridge.ALPHAS)
  np.testing.assert_array_equal(got.alpha, alpha)
  np.testing.assert_allclose(got.predicted, want, rtol=1e-9)
  assert alpha[1] > 10 * alpha[0]


def test_blocks_do_not_matter(monkeypatch):
  x, y, *parts = world(60, 8, missing=0.2)
  want = ridge.predict(x, y, *parts)
  monkeypatch.setattr(gram, "BLOCK", 7)
  got = ridge.predict(x, y, *parts)
  np.testing.assert_allclose(got.predicted, want.predicted, rtol=1e-11)
  np.testing.assert_array_equal(got.alpha, want.alpha)


def test_columns_that_a_pattern_makes_constant_or_nearly_so():
  """Taking rows out of a Gram matrix must not leave digits that are not there.

  Column 0 varies only in the rows that the second target lacks, column 1
  varies a billion times less without them.
  """
  x, y, fit, select, test = world(60, 8, targets=2)
  lacking = np.flatnonzero(fit)[:12]
  y[lacking, 1] = np.nan
  rng = np.random.default_rng(5)
  x[:, 0], x[:, 1] = 4.0, 2.0 + 1e-6 * rng.normal(size=len(x))
  x[lacking, 0] = rng.normal(size=12)
  x[lacking, 1] = 1e3 * rng.normal(size=12)
  got = ridge.predict(x, y, fit, select, test, ALPHAS)
  want, alpha = oracle(x, y, fit, select, test, ALPHAS)
  np.testing.assert_allclose(got.predicted, want, rtol=1e-7)
  np.testing.assert_array_equal(got.alpha, alpha)


def test_large_offsets_and_float32():
  x, y, *parts = world(200, 8, missing=0.1)
  x = (x + 1e4 * x.std(axis=0)).astype(np.float32)
  got = ridge.predict(x, y, *parts, ALPHAS)
  want, _ = oracle(x.astype(np.float64), y, *parts, ALPHAS)
  np.testing.assert_allclose(got.predicted, want, rtol=1e-6)


def test_no_columns_predict_the_mean_of_the_fitting_rows():
  y = np.array([[1.0], [2.0], [6.0], [100.0]])
  fit, select, test = (np.arange(4) < 2), np.arange(4) == 2, np.arange(4) == 3
  got = ridge.predict(np.zeros((4, 0)), y, fit, select, test)
  assert got.predicted.tolist() == [[1.5]]


def test_constant_columns_do_not_matter():
  x, y, *parts = world(60, 8)
  more = np.insert(x, 3, 4.1, axis=1)
  np.testing.assert_allclose(
      ridge.predict(more, y, *parts).predicted,
      ridge.predict(x, y, *parts).predicted, rtol=1e-10)


def test_test_labels_are_not_read():
  x, y, fit, select, test = world(60, 8)
  other = np.where(test[:, None], 1e6, y)
  other[np.flatnonzero(test)[:3]] = np.nan
  one, two = (ridge.predict(x, v, fit, select, test) for v in (y, other))
  np.testing.assert_array_equal(one.predicted, two.predicted)


def test_a_target_without_rows_says_nothing_and_spoils_nothing():
  x, y, fit, select, test = world(60, 8, targets=4)
  alone = ridge.predict(x, y[:, 2:], fit, select, test)
  y[fit, 0] = np.nan
  y[select, 1] = np.nan
  got = ridge.predict(x, y, fit, select, test)
  assert np.isnan(got.predicted[:, :2]).all() and np.isnan(got.alpha[:2]).all()
  np.testing.assert_allclose(
      got.predicted[:, 2:], alone.predicted, rtol=1e-11)
  none = ridge.predict(x, y[:, :2], fit, select, test)
  assert np.isnan(none.predicted).all()


def test_patterns_group_equal_columns():
  known = np.array([[1, 1, 0, 1], [1, 0, 1, 1], [0, 1, 1, 0]], bool)
  got = [(m.tolist(), c.tolist()) for m, c in ridge.patterns(known)]
  assert got == [
      ([True, True, False], [0, 3]), ([True, False, True], [1]),
      ([False, True, True], [2]),
  ]


def test_many_targets_decompose_once(monkeypatch):
  """Twenty targets of three patterns: three decompositions, one whole Gram."""
  x, y, *parts = world(90, 8, targets=20)
  rows = np.flatnonzero(parts[0])
  y[rows[:5], 5:12] = np.nan
  y[rows[3:12], 12:] = np.nan
  calls = []
  eigh = np.linalg.eigh
  monkeypatch.setattr(
      np.linalg, "eigh", lambda a: calls.append(a.shape) or eigh(a))
  read = []
  sums = gram.sums
  monkeypatch.setattr(gram, "sums", lambda x, rows, *a: read.append(
      len(rows)) or sums(x, rows, *a))
  got = ridge.predict(x, y, *parts, ALPHAS)
  assert calls == [(8, 8)] * 3 and read == [90, 5, 9]
  monkeypatch.undo()
  want, _ = oracle(x, y, *parts, ALPHAS)
  np.testing.assert_allclose(got.predicted, want, rtol=1e-9)
