"""Scores against scikit-learn, their intervals against repeated rows."""

import numpy as np
import pytest
from scipy import stats as sps
from sklearn import metrics as sk

from accfm.evals.stats import intervals, scores
from accfm.evals.stats import people as stats
from tests.evals.stats.oracle import t_ends


def rows_of(people, counts):
  """Row numbers of one draw: each person's rows as often as drawn."""
  return np.concatenate([
      np.flatnonzero(people.index == p).repeat(times)
      for p, times in enumerate(counts)
  ])


def windows(seed=0, n=60, people=9, classes=2):
  """People behind windows, their classes, and odds with ties."""
  rng = np.random.default_rng(seed)
  y = rng.integers(0, classes, n)
  odds = np.round(rng.normal(size=(n, classes)) + np.eye(classes)[y], 1)
  return stats.People(rng.integers(0, people, n), 40, 1), y, odds


def test_scores_equal_their_definitions():
  rng = np.random.default_rng(0)
  y = rng.normal(70, 8, 50)
  p = 0.5 * y + 30 + rng.normal(0, 4, 50)
  s = scores.moments(y, p).sum(axis=0)
  assert scores.mae(s) == pytest.approx(np.mean(np.abs(y - p)))
  assert scores.rmse(s) == pytest.approx(np.sqrt(np.mean((y - p) ** 2)))
  assert scores.r2(s) == pytest.approx(sk.r2_score(y, p))
  assert scores.pearson(s) == pytest.approx(np.corrcoef(y, p)[0, 1])
  assert np.isnan(scores.pearson(scores.moments(y, y * 0 + 70).sum(axis=0)))


@pytest.mark.parametrize("make, want", [
    (scores.make_auc, sk.roc_auc_score),
    (scores.make_average_precision, sk.average_precision_score),
])
def test_ranked_scores_of_every_draw_equal_scikit_learn(make, want):
  people, y, odds = windows()
  score = make(people.index, y, odds[:, 0])
  assert score(np.ones(9)) == pytest.approx(want(y, odds[:, 0]))
  got = score(people.weights)
  for draw, counts in zip(got, people.weights, strict=True):
    rows = rows_of(people, counts)
    assert draw == pytest.approx(want(y[rows], odds[rows, 0]))


@pytest.mark.parametrize("make", [
    scores.make_auc, scores.make_average_precision])
def test_ranked_scores_by_blocks_and_without_a_class(make, monkeypatch):
  people, y, odds = windows()
  score = make(people.index, y, odds[:, 0])
  want = score(people.weights)
  monkeypatch.setattr(scores, "BLOCK", 150)  # two draws at a time
  np.testing.assert_array_equal(score(people.weights), want)
  y = (people.index == 0).astype(float)
  none = np.arange(9) > 0  # everybody but the only positive person
  assert np.isnan(make(people.index, y, odds[:, 0])(none.astype(float)))


def test_macro_auc_is_the_mean_of_one_against_the_rest():
  people, y, odds = windows(classes=3, n=90)
  p = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
  score = scores.make_macro_auc(people.index, y, p)
  want = sk.roc_auc_score(y, p, multi_class="ovr", average="macro")
  assert score(np.ones(9)) == pytest.approx(want)
  for got, counts in zip(
      score(people.weights[:5]), people.weights, strict=False):
    rows = rows_of(people, counts)
    assert got == pytest.approx(
        sk.roc_auc_score(y[rows], p[rows], multi_class="ovr"))


@pytest.mark.parametrize("classes", [2, 4])
def test_balanced_accuracy_equals_scikit_learn(classes):
  people, y, odds = windows(classes=classes, n=120)
  chosen = odds.argmax(axis=1)
  sums = people.sums(scores.hits(y, chosen, classes))
  got = people.estimate(
      sums, scores.balanced_accuracy, intervals.SHARE)
  assert got.value == pytest.approx(sk.balanced_accuracy_score(y, chosen))
  low, high = t_ends(
      people.index,
      lambda rows: sk.balanced_accuracy_score(y[rows], chosen[rows]),
      intervals.SHARE)
  assert (got.low, got.high) == pytest.approx((low, high))


def test_auc_interval_equals_a_loop_that_leaves_people_out():
  people, y, odds = windows()
  got = scores.auc(people, y, odds[:, 0])
  low, high = t_ends(
      people.index, lambda rows: sk.roc_auc_score(y[rows], odds[rows, 0]),
      intervals.SHARE)
  assert got.value == pytest.approx(sk.roc_auc_score(y, odds[:, 0]))
  assert (got.low, got.high) == pytest.approx((low, high))


def test_fifty_thousand_rows():
  """Where all pairs would be 20 GB."""
  rng = np.random.default_rng(0)
  y = rng.integers(0, 2, 50_000)
  odds = y + rng.normal(size=len(y))
  people = stats.People(rng.integers(0, 80, len(y)), 20, 0)
  got = scores.auc(people, y, odds)
  assert got.value == pytest.approx(sk.roc_auc_score(y, odds))
  assert got.low < got.value < got.high
  got = people.weighted(
      scores.make_average_precision(people.index, y, odds))
  assert got.value == pytest.approx(sk.average_precision_score(y, odds))


def test_mean_over_draws_of_labels_covers_people_and_draws():
  rng = np.random.default_rng(0)
  ids = np.repeat(np.arange(6), 5)
  people = stats.People(ids, 60, 2)
  y = rng.normal(70, 8, 30)
  made = [y + rng.normal(0, s, 30) for s in (1, 2, 4)]
  sums = [people.sums(scores.moments(y, p)) for p in made]
  alone = [np.mean(np.abs(p - y)) for p in made]
  # By hand: the jackknife of the mean of three, and their own spread.
  without = [np.mean([np.abs(p - y)[ids != i].mean() for p in made])
             for i in range(6)]
  of_people = 5 / 6 * np.sum((without - np.mean(without)) ** 2)
  of_draws = np.var(alone, ddof=1) / 3
  both = of_people + of_draws
  df = both ** 2 / (of_people ** 2 / 5 + of_draws ** 2 / 2)
  reach = sps.t.ppf(0.975, df) * np.sqrt(both)
  moments = [s[:, [1, 0]] for s in sums]
  for got in (
      scores.mean_over_draws(
          people, [scores.of_sums(scores.mae, s) for s in sums]),
      scores.sums_over_draws(people, moments, stats.ratio),
  ):
    assert got.value == pytest.approx(np.mean(alone))
    assert (got.low, got.high) == pytest.approx(
        (got.value - reach, got.value + reach))
  got = scores.mean_over_draws(
      people, [scores.of_sums(scores.mae, s) for s in sums],
      intervals.POSITIVE)
  assert got.draws_sd == pytest.approx(np.std(alone, ddof=1))
  assert got.high / got.value == pytest.approx(
      np.exp(reach / got.value)) == pytest.approx(got.value / got.low)


def test_one_draw_has_no_spread_and_an_undefined_mean_is_said():
  people = stats.People(list("aabb"), 20, 0)
  y = np.array([60.0, 70, 80, 90])
  good = people.sums(scores.moments(y, y + 1))
  flat = people.sums(scores.moments(y, y * 0 + 70))
  one = scores.mean_over_draws(
      people, [scores.of_sums(scores.pearson, good)])
  two = scores.mean_over_draws(people, [
      scores.of_sums(scores.pearson, s) for s in (good, flat)])
  assert one.value == pytest.approx(1) and one.draws_sd is None
  assert np.isnan(two.value) and two.draws_sd is None


# --- folds -------------------------------------------------------------------


def folded(seed=0):
  """People in three folds, classes, and odds with ties in and over folds."""
  rng = np.random.default_rng(seed)
  ids = rng.integers(0, 9, 60)
  people = stats.People(ids, 40, 1)
  y = rng.integers(0, 2, 60)
  fold = 7 * (ids % 3)
  odds = np.round(rng.normal(size=60) + y + 5 * fold, 1)
  return people, y, odds, fold


def pairs_of(people, y, odds, fold, counts):
  """AUC by a loop over the pairs of each fold, with weights of people."""
  w = counts[people.index]
  wins = pairs = 0.0
  for i in range(len(y)):
    for j in range(len(y)):
      if fold[i] == fold[j] and y[i] == 1 and y[j] == 0:
        pairs += w[i] * w[j]
        wins += w[i] * w[j] * (
            (odds[i] > odds[j]) + 0.5 * (odds[i] == odds[j]))
  return wins / pairs if pairs else np.nan


def precision_of(people, y, odds, fold, counts):
  """AP by a loop over positive rows, ranked within their fold."""
  w = counts[people.index]
  total = weight = 0.0
  for i in np.flatnonzero(y):
    above = (fold == fold[i]) & (odds >= odds[i])
    taken = np.sum(w[above])
    if w[i]:
      total += w[i] * np.sum(w[above & (y == 1)]) / taken
      weight += w[i]
  return total / weight if weight else np.nan


@pytest.mark.parametrize("make, slow", [
    (scores.make_auc, pairs_of),
    (scores.make_average_precision, precision_of),
])
def test_ranked_scores_within_folds_equal_loops(make, slow):
  people, y, odds, fold = folded()
  score = make(people.index, y, odds, fold)
  drawn = [*people.weights[:8], np.ones(9), np.linspace(0.1, 2, 9)]
  got = score(np.stack(drawn))
  for value, counts in zip(got, drawn, strict=True):
    assert value == pytest.approx(slow(people, y, odds, fold, counts))
  # What a fold adds to all of its rows does not matter; over folds it would.
  shifted = make(people.index, y, odds - 9.0 * fold, fold)
  np.testing.assert_allclose(shifted(np.stack(drawn)), got)
  whole = make(people.index, y, odds)(np.ones(9))
  assert whole != pytest.approx(got[-2], abs=1e-3)


def test_no_pair_within_a_fold_is_undefined():
  people = stats.People(list("aabb"), 5, 0)
  y, fold = np.array([1, 1, 0, 0]), np.array([0, 0, 1, 1])
  for make in (scores.make_auc, scores.make_macro_auc):
    odds = np.arange(4.0) if make is scores.make_auc else np.eye(4)[:, :2]
    assert np.isnan(make(people.index, y, odds, fold)(np.ones(2)))


def test_macro_auc_within_folds():
  people, y, odds, fold = folded()
  y = (y + (people.index > 4)).astype(int)  # three classes
  many = np.stack([odds, -odds, odds ** 2], axis=1)
  want = [pairs_of(people, (y == c).astype(int), many[:, c], fold, np.ones(9))
          for c in range(3)]
  got = scores.make_macro_auc(people.index, y, many, fold)(np.ones(9))
  assert got == pytest.approx(np.mean(want))


def test_correlation_within_folds_equals_standardised_rows():
  people, y, odds, fold = folded()
  true = 70 + 3 * y + odds - 5.0 * fold
  score = scores.make_pearson(people.index, true, odds, fold)
  drawn = people.weights[:8]
  for value, counts in zip(score(drawn), drawn, strict=True):
    rows = rows_of(people, counts)
    a, b = true[rows].copy(), odds[rows].copy()
    for f in set(fold[rows]):
      same = fold[rows] == f
      a[same] -= a[same].mean()
      b[same] = (b[same] - b[same].mean()) / b[same].std()
    assert value == pytest.approx(np.corrcoef(a, b)[0, 1])
  one = scores.make_pearson(people.index, true, odds, 0 * fold)
  assert one(np.ones(9)) == pytest.approx(np.corrcoef(true, odds)[0, 1])
  assert np.isnan(scores.make_pearson(
      people.index, true, odds, np.arange(60))(np.ones(9)))
  # A fold whose model says one number for all has no correlation, and counts.
  flat = np.where(fold == 0, 3.0, odds)
  value = scores.make_pearson(people.index, true, flat, fold)(np.ones(9))
  parts = [(np.var(true[fold == f]) * np.sum(fold == f),
            np.sum(fold == f), fold == f) for f in (0, 7, 14)]
  want = sum(
      np.sqrt(v * n) * np.corrcoef(true[r], odds[r])[0, 1]
      for v, n, r in parts[1:]
  ) / np.sqrt(sum(v for v, _, _ in parts) * 60)
  assert value == pytest.approx(want)
