"""Partial AUC, macro-F1, kappa and medians against scikit-learn and loops."""

import numpy as np
import pytest
from scipy import stats as sps
from sklearn import metrics as sk

from accfm.evals.probes import measures
from accfm.evals.stats import decisions, intervals, medians, partial, scores
from accfm.evals.stats import people as stats
from tests.evals.stats.oracle import t_ends


def windows(seed=0, n=80, people=9, classes=2):
  """People behind windows, their classes, and odds with ties."""
  rng = np.random.default_rng(seed)
  y = rng.integers(0, classes, n)
  odds = np.round(rng.normal(size=(n, classes)) + np.eye(classes)[y], 1)
  return stats.People(rng.integers(0, people, n), 40, 1), y, odds


def rows_of(people, counts):
  return np.repeat(np.arange(len(people.index)), counts[people.index])


@pytest.mark.parametrize("most", [0.1, 0.25])
def test_partial_auc_equals_scikit_learn_with_people_repeated(most):
  people, y, odds = windows(n=150)
  score = partial.make_partial_auc(people.index, y, odds[:, 1], most)
  got = score(people.weights)
  for one, counts in zip(got, people.weights, strict=True):
    rows = rows_of(people, counts)
    assert one == pytest.approx(
        sk.roc_auc_score(y[rows], odds[rows, 1], max_fpr=most))
  nobody = np.zeros(9)
  assert np.isnan(score(nobody))
  assert score(np.ones(9)) == pytest.approx(
      sk.roc_auc_score(y, odds[:, 1], max_fpr=most))


def test_partial_auc_has_a_curve_for_each_fold():
  """Scores of two folds have no order: a shift of one changes nothing."""
  people, y, odds = windows(n=150)
  fold = people.index % 3
  moved = odds[:, 1] + 100.0 * fold
  got = partial.make_partial_auc(people.index, y, moved, fold=fold)
  each = [sk.roc_auc_score(y[fold == k], moved[fold == k], max_fpr=0.1)
          for k in range(3)]
  pairs = [y[fold == k].sum() * (1 - y[fold == k]).sum() for k in range(3)]
  assert got(np.ones(9)) == pytest.approx(np.average(each, weights=pairs))


@pytest.mark.parametrize("classes", [2, 4])
def test_decisions_equal_scikit_learn(classes):
  people, y, odds = windows(classes=classes, n=120)
  chosen = odds.argmax(axis=1)
  counts = decisions.counts(people, y, chosen, classes)
  for weights in (np.ones(9, int), *people.weights):
    rows = rows_of(people, weights)
    assert decisions.macro_f1(weights @ counts) == pytest.approx(
        sk.f1_score(y[rows], chosen[rows], average="macro"))
    assert decisions.kappa(weights @ counts) == pytest.approx(
        sk.cohen_kappa_score(y[rows], chosen[rows]))


def test_decisions_with_a_class_that_is_missing():
  people = stats.People(list("abc"), 1, 0)
  y, chosen = np.array([0, 0, 1]), np.array([0, 0, 1])
  counts = decisions.counts(people, y, chosen, 3).sum(axis=0)
  assert decisions.macro_f1(counts) == 1 == decisions.kappa(counts)
  counts = decisions.counts(people, y * 0, y * 0, 3).sum(axis=0)
  assert np.isnan(decisions.kappa(counts))  # nothing to agree on
  assert np.isnan(decisions.macro_f1(counts * 0))


def test_median_of_repeated_rows():
  rng = np.random.default_rng(0)
  people = stats.People(rng.integers(0, 6, 31), 60, 0)
  x = np.round(rng.exponential(size=31), 1)
  median = medians.make_median(people.index, x)
  for weights in (np.ones(6, int), *people.weights):
    assert median(weights) == pytest.approx(
        np.median(x[rows_of(people, weights)]))
  assert np.isnan(median(np.zeros(6)))


def test_median_error_and_its_interval():
  """The t interval of the share below the median, read off the errors."""
  rng = np.random.default_rng(3)
  ids = rng.integers(0, 7, 200)
  x = rng.exponential(size=200) * (1 + ids)
  got = medians.mean_over_draws(stats.People(ids, 1, 0), [x])
  assert got.value == pytest.approx(np.median(x))
  shares = [np.mean(x[ids != i] <= got.value) for i in range(7)]
  se = np.sqrt(6 / 7 * np.sum((shares - np.mean(shares)) ** 2))
  reach = 4 * sps.t.ppf(0.975, 6) * se
  low, high = 1 / (1 + np.exp([reach, -reach]))
  assert got.low == pytest.approx(
      np.quantile(x, low, method="inverted_cdf"))
  assert got.high == pytest.approx(
      np.quantile(x, high, method="inverted_cdf"))
  few = medians.mean_over_draws(stats.People(ids % 4, 1, 0), [x])
  assert few == stats.Estimate(got.value)


def test_median_over_draws_has_the_mean_and_covers_the_draws():
  rng = np.random.default_rng(3)
  ids = rng.integers(0, 12, 400)
  people = stats.People(ids, 1, 0)
  one = rng.exponential(size=400) * (1 + ids / 6)
  draws = [one, 1.1 * one, 1.3 * one]
  alone = [np.median(x) for x in draws]
  got = medians.mean_over_draws(people, draws)
  assert got.value == pytest.approx(np.mean(alone))
  assert got.draws_sd == pytest.approx(np.std(alone, ddof=1))
  # Three draws that differ by a factor are three times the same people: the
  # interval over people alone is that of one draw, to first order.
  single = medians.mean_over_draws(people, [one])
  equal = medians.mean_over_draws(people, [one, one])
  assert equal.high - equal.low == pytest.approx(
      single.high - single.low, rel=0.05)
  assert got.high - got.low > 1.1 * (single.high - single.low)


def test_the_measures_of_a_number():
  rng = np.random.default_rng(0)
  people = stats.People(np.repeat(np.arange(6), 10), 1, 0)
  y = rng.normal(70, 9, 60)
  p = y + rng.normal(0, 6, 60)
  found = {s.measure: s for s in measures.of_number(people, y, [p], "bpm")}
  assert list(found) == [
      "mae", "rmse", "r2", "pearson_r", "median_abs_error",
      "within_5bpm_share"]
  near = np.abs(p - y) <= 5
  share = found["within_5bpm_share"].estimate
  assert share.value == pytest.approx(near.mean())
  assert (share.low, share.high) == pytest.approx(t_ends(
      people.index, lambda rows: near[rows].mean(), intervals.SHARE))
  assert found["median_abs_error"].unit == "bpm" == found["mae"].unit
  assert found["median_abs_error"].estimate.value == pytest.approx(
      sk.median_absolute_error(y, p))
  other = [s.measure for s in measures.of_number(people, y, [p], "ms", True)]
  assert other == ["mae", "rmse", "r2", "median_abs_error"]


def test_the_measures_of_classes():
  people, y, odds = windows(n=150)
  log_odds = odds[:, 1:] - odds[:, :1]
  found = {s.measure: s.estimate for s in [
      *measures.of_order(people, y, [log_odds]),
      *measures.of_decisions(people, y, [log_odds[:, 0] > 0], 2)]}
  assert list(found) == [
      "auc", "average_precision", "pauc_fpr10", "balanced_accuracy",
      "macro_f1", "kappa"]
  for name, got in found.items():
    low, high = scores.WITHIN[name]
    assert low < got.low < got.value < got.high < high
  more, y, odds = windows(n=150, classes=3)
  assert [s.measure for s in measures.of_order(more, y, [odds])] == ["auc"]
