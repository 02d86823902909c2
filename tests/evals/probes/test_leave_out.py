"""Penalties chosen among the fitted people, against a model at a time."""

import numpy as np
import pytest

from accfm.evals.probes import gram, leave_out, logistic, ridge
from tests.evals.probes import slow

ALPHAS = (0.1, 10.0, 1000.0)


def world(people, each, d, targets=3, seed=0, missing=0.0):
  """x, y [N, K] and ids; the last 20 rows are tested, their labels absent."""
  rng = np.random.default_rng(seed)
  n = people * each
  x = rng.normal(3, 2, size=(n + 20, d)) * rng.uniform(0.01, 100, d)
  y = 70 + (x / x.std(axis=0)) @ rng.normal(size=(d, targets))
  y += rng.normal(0, 3, size=y.shape)
  y[rng.random(y.shape) < missing] = np.nan
  who = np.repeat([f"x/{i}" for i in range(people)], each)
  fit = np.arange(n + 20) < n
  return x, y, np.append(who, ["x/t"] * 20), fit


def test_people_are_dealt_whole_and_one_person_is_halved():
  got = leave_out.deal(np.array(list("bbacddefg")))
  assert got.tolist() == [1, 1, 0, 2, 3, 3, 4, 0, 1]
  assert leave_out.deal(np.array(list("bab"))).tolist() == [1, 0, 1]
  assert leave_out.deal(np.array(list("aaaaa"))).tolist() == [0, 0, 0, 1, 1]
  assert leave_out.deal(np.array(["a"])).tolist() == [0]


@pytest.mark.parametrize("people, each, d, missing", [
    (12, 6, 8, 0.0), (12, 6, 8, 0.2), (12, 6, 8, 0.7), (3, 4, 8, 0.0),
    (2, 4, 30, 0.1), (1, 9, 4, 0.0), (1, 5, 8, 0.0), (7, 1, 5, 0.0),
])
def test_ridge_equals_a_model_at_a_time(people, each, d, missing):
  """More and fewer rows than columns, also once a group is left out."""
  x, y, who, fit = world(people, each, d, missing=missing)
  none = np.zeros(len(x), bool)
  got = ridge.predict(x, y, fit, none, ~fit, ALPHAS, who)
  for k in range(3):
    rows = np.flatnonzero(fit & np.isfinite(y[:, k]))
    want, alpha = slow.ridge_of(
        x[rows], y[rows, k], who[rows].tolist(), x[~fit], ALPHAS)
    np.testing.assert_allclose(got.predicted[:, k], want, rtol=1e-8)
    assert got.alpha[k] == alpha


def test_targets_choose_different_penalties():
  x, y, who, fit = world(12, 6, 8)
  y[:, 1] = np.random.default_rng(9).normal(70, 3, len(y))
  got = ridge.predict(x, y, fit, ~fit & False, ~fit, people=who)
  assert got.alpha[1] > 10 * got.alpha[0]


def test_a_group_that_alone_makes_a_column_vary():
  """Gram matrices by subtraction must not leave digits that are not there."""
  x, y, who, fit = world(10, 6, 5)
  own = who == "x/3"
  x[:, 0], x[:, 1] = 4.0, 2.0 + 1e-6 * np.random.default_rng(5).normal(
      size=len(x))
  x[own, 0] = np.arange(6)
  x[own, 1] = 1e3 * np.arange(6)
  rows = np.flatnonzero(fit)
  errors = leave_out.errors(
      x, rows, y[rows] - y[rows].mean(axis=0), who[rows], np.array(ALPHAS))
  want = np.zeros((3, 3))
  from sklearn.linear_model import Ridge
  for rest, held in slow.split(who[rows].tolist()):
    z = slow.scaled(x[rows], rest)
    for place, alpha in enumerate(ALPHAS):
      model = Ridge(alpha=alpha, solver="svd").fit(z[rest], y[rows][rest])
      miss = model.predict(z[held]) - y[rows][held]
      want[place] += np.sum(miss ** 2, axis=0)
  np.testing.assert_allclose(errors, want, rtol=1e-6)


def test_blocks_do_not_matter(monkeypatch):
  x, y, who, fit = world(12, 6, 8, missing=0.2)
  want = ridge.predict(x, y, fit, ~fit & False, ~fit, people=who)
  monkeypatch.setattr(gram, "BLOCK", 7)
  got = ridge.predict(x, y, fit, ~fit & False, ~fit, people=who)
  np.testing.assert_allclose(got.predicted, want.predicted, rtol=1e-10)
  np.testing.assert_array_equal(got.alpha, want.alpha)


def classes(people, each, seed=0):
  x, _, who, fit = world(people, each, 5, seed=seed)
  rng = np.random.default_rng(seed)
  y = (x[:, 0] / x[:, 0].std() + rng.normal(size=len(x)) > 2).astype(float)
  return x, y, who, fit


@pytest.mark.parametrize("people, each", [(12, 8), (3, 10), (1, 24)])
def test_logistic_equals_a_model_at_a_time(people, each):
  x, y, who, fit = classes(people, each)
  (got,) = logistic.predict(x, [y], [2], fit, ~fit & False, ~fit, who)
  odds, chosen = slow.logistic_of(
      x[fit], y[fit], who[fit].tolist(), x[~fit])
  np.testing.assert_allclose(got.odds[:, 0], odds, atol=5e-3)
  np.testing.assert_array_equal(got.chosen, chosen)


def test_the_usual_strength_where_no_group_can_be_left_out():
  """One person has every row of class 1."""
  x, y, who, fit = classes(2, 8)
  y = (who == "x/1").astype(float)
  (got,) = logistic.predict(x, [y], [2], fit, ~fit & False, ~fit, who)
  odds, chosen = slow.logistic_of(
      x[fit], y[fit], who[fit].tolist(), x[~fit])
  np.testing.assert_allclose(got.odds[:, 0], odds, atol=5e-3)
  np.testing.assert_array_equal(got.chosen, chosen)


def test_three_classes_decide_for_the_most_probable():
  x, y, who, fit = classes(10, 8)
  y += x[:, 1] > np.median(x[:, 1])
  (got,) = logistic.predict(x, [y], [3], fit, ~fit & False, ~fit, who)
  assert got.odds.shape == (20, 3)
  np.testing.assert_array_equal(got.chosen, got.odds.argmax(axis=1))
  assert np.mean(got.chosen == y[~fit]) > 0.5


def test_selecting_people_win_over_groups():
  x, y, who, fit = world(12, 6, 8)
  select = np.zeros(len(x), bool)
  select[-10:] = True
  with_them = ridge.predict(x, y, fit, select, ~fit, ALPHAS, who)
  without = ridge.predict(x, y, fit, select, ~fit, ALPHAS)
  np.testing.assert_array_equal(with_them.predicted, without.predicted)
