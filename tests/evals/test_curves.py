"""ROC curves, limits of agreement and maps against slow oracles."""

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from accfm.base.errors import InputError
from accfm.evals.embedding import projection
from accfm.evals.stats import agreement, intervals, roc
from accfm.evals.stats import people as stats
from accfm.evals.stats import scores as scores_lib
from tests.evals import toy
from tests.evals.stats.oracle import t_ends


def _scored(seed=0):
  rng = np.random.default_rng(seed)
  ids = rng.choice(list("abcdefgh"), 40)
  y = (rng.random(40) < 0.4).astype(float)
  return ids, y, np.round(y + rng.normal(size=40), 1)  # with ties


def _rates(y, scores, threshold):
  said = scores >= threshold
  return said[y == 0].mean(), said[y == 1].mean()


def test_roc_corners_are_those_of_every_threshold():
  ids, y, scores = _scored()
  got = roc.curve(stats.People(ids, 10, 0), y, scores)
  want = [(0.0, 0.0)] + [
      _rates(y, scores, t) for t in sorted(set(scores), reverse=True)]
  np.testing.assert_allclose(np.stack([got.fpr, got.tpr], 1), want)
  fpr, tpr, _ = roc_curve(y, scores, drop_intermediate=False)
  np.testing.assert_allclose(got.fpr, fpr)
  np.testing.assert_allclose(got.tpr, tpr)


def test_roc_band_is_that_of_copied_people():
  ids, y, scores = _scored(1)
  people = stats.People(ids, 80, 3)
  got = roc.curve(people, y, scores)
  drawn = []
  for counts in people.weights:
    rows = np.concatenate([
        np.tile(np.flatnonzero(ids == name), n)
        for name, n in zip(people.names, counts, strict=True)
    ]).astype(int)
    points = [(0.0, 0.0)] + [
        _rates(y[rows], scores[rows], t)
        for t in sorted(set(scores[rows]), reverse=True)]
    line = []
    for at in roc.GRID:
      # The highest corner at or before a rate, and a line to the next one.
      k = max(i for i, p in enumerate(points) if p[0] <= at + 1e-12)
      (x0, y0), (x1, y1) = points[k], points[min(k + 1, len(points) - 1)]
      line.append(y0 if x1 == x0 else y0 + (at - x0) * (y1 - y0) / (x1 - x0))
    drawn.append(line)
  low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
  np.testing.assert_allclose(got.low, low, atol=1e-9)
  np.testing.assert_allclose(got.high, high, atol=1e-9)
  assert np.any(high - low > 0.1)


def test_roc_has_no_band_where_draws_lack_a_class():
  y = np.array([1.0, 0, 0, 0])
  got = roc.curve(stats.People(list("abcd"), 200, 0), y, np.arange(4.0))
  np.testing.assert_allclose(got.fpr, [0, 1 / 3, 2 / 3, 1, 1])
  one = np.tile([1.0, 0, 0, 0, 0, 0], 4)  # of the first of six people
  got = roc.curve(stats.People(np.arange(24) % 6, 200, 0), one, np.arange(24.))
  assert got.low is None and got.high is None


def test_roc_has_no_band_of_few_people():
  y, scores = np.tile([0.0, 1], 20), np.arange(40.0) % 7
  of_four = roc.curve(stats.People(np.arange(40) // 10, 99, 0), y, scores)
  of_five = roc.curve(stats.People(np.arange(40) // 8, 99, 0), y, scores)
  assert of_four.low is None and of_five.low is not None


def test_limits_of_agreement_by_their_definition():
  rng = np.random.default_rng(2)
  ids = rng.choice(list("abcdef"), 50)
  true = rng.normal(70, 9, 50)
  predicted = true + rng.normal(1, 3, 50) + 2 * (ids == "a")
  got = agreement.limits(stats.People(ids, 60, 1), true, predicted)
  error = predicted - true
  bias = error.mean()
  for one, sds, within in (
      (got.bias, 0, intervals.ANY), (got.lower, -1.96, (-np.inf, bias)),
      (got.upper, 1.96, (bias, np.inf))):

    def limit(rows, sds=sds):
      e = error[rows]
      sd = np.sqrt(((e - e.mean()) ** 2).sum() / (len(e) - 1))
      return e.mean() + sds * sd

    assert one.value == pytest.approx(limit(np.arange(50)))
    assert (one.low, one.high) == pytest.approx(
        t_ends(ids, limit, within))


def test_principal_components_are_those_of_the_svd():
  x = np.random.default_rng(0).normal(size=(60, 7)) * np.arange(1, 8) + 5
  scores, shares = projection.pca(x)
  u, s, vt = np.linalg.svd(x - x.mean(0), full_matrices=False)
  np.testing.assert_allclose(shares, (s ** 2 / (s ** 2).sum())[:2])
  for i in range(2):
    sign = np.sign(vt[i][np.abs(vt[i]).argmax()])
    np.testing.assert_allclose(scores[:, i], sign * u[:, i] * s[i], atol=1e-8)
  again, _ = projection.pca(x[::-1])  # the order of rows does not turn it
  np.testing.assert_allclose(again[::-1], scores, atol=1e-8)


def test_components_of_a_constant_embedding():
  scores, shares = projection.pca(np.ones((5, 3)))
  np.testing.assert_array_equal(scores, 0)
  np.testing.assert_array_equal(shares, 0)


def test_tsne_keeps_two_clouds_apart_and_repeats():
  rng = np.random.default_rng(0)
  x = rng.normal(size=(40, 5)) + 30 * (np.arange(40) % 2)[:, None]
  got = projection.tsne(x)
  left, right = got[::2], got[1::2]
  reach = np.linalg.norm(left - left.mean(0), axis=1).max()
  assert np.linalg.norm(right - left.mean(0), axis=1).min() > reach
  np.testing.assert_array_equal(projection.tsne(x), got)


def test_column_of_a_map():
  table = toy.Split().table
  name, values = projection.column(table, "")
  assert name == "hr_bpm"
  np.testing.assert_array_equal(values, table["labels/hr_bpm"])
  assert projection.column(table, "age_years")[1].dtype.kind == "f"
  table["labels/a_text"] = np.array(["x"] * len(values))
  del table["labels/hr_bpm"]  # of the other label no number is known
  assert projection.column(table, "")[0] == "participant"


@pytest.mark.parametrize("fields, match", [
    ({"map_label": "hr", "map_method": "pca"},
     "map_label: got 'hr', want one of .*hr_bpm.*condition"),
    ({"map_label": "session", "map_method": "pca"}, "got 'session'"),
])
def test_a_map_that_cannot_be_drawn_is_refused(fields, match):
  with pytest.raises(InputError, match=match):
    projection.check(toy.make_config(**fields), toy.Split().table)


def test_roc_over_folds_averages_the_curves_of_each():
  """Its area is the AUC of pairs within folds; between folds nothing counts."""
  ids, y, scores = _scored(4)
  fold = (ids > "d").astype(int)
  people = stats.People(ids, 60, 2)
  got = roc.curve(people, y, scores + 100 * fold, fold=fold)
  want, total = np.zeros(101), 0
  for f in (0, 1):
    own = fold == f
    alone = roc.curve(
        stats.People(ids[own], 5, 0), y[own], scores[own], band=False)
    pairs = np.sum(y[own]) * np.sum(1 - y[own])
    want += pairs * np.interp(roc.GRID, alone.fpr, alone.tpr)
    total += pairs
  np.testing.assert_allclose(got.tpr[1:], want / total)
  np.testing.assert_allclose(got.fpr[1:], roc.GRID)
  area = scores_lib.make_auc(people.index, y, scores, fold)(
      np.ones(len(people)))
  assert np.trapezoid(got.tpr, got.fpr) == pytest.approx(area, abs=0.02)
  assert (got.low <= got.tpr[1:] + 1e-9).all()
  assert (got.high >= got.tpr[1:] - 1e-9).all()
