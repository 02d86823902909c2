"""The strongest rival: chosen by value, compared on the same people."""

import numpy as np
import pytest
from ml_collections import ConfigDict
from sklearn import metrics

from accfm.evals.results import rivals, verdict
from accfm.evals.results.figures import CHANCE, TESTED, Figure, Figures
from accfm.evals.results.outcome import Predictions
from accfm.evals.stats import people as stats
from accfm.evals.stats.people import Estimate

CFG = ConfigDict(dict(bootstrap_draws=200, seed=0))


def _rows(people, each):
  names = np.repeat([f"c/{i}" for i in range(people)], each)
  return {"participant": names, "start_s": np.arange(len(names))}


def _hr(rng, **errors):
  """Predictions whose absolute error is that of each row, in two draws."""
  rows = _rows(12, 5)
  true = rng.normal(70, 8, 60)
  predicted = {
      row: np.stack([true + error, true - error])
      for row, error in errors.items()
  }
  return Predictions("hr", "bpm", rows, true, predicted)


def _add(*predictions):
  figures = Figures()
  rivals.add_predictions(figures, "test", predictions, CFG)
  return figures


def test_the_difference_is_from_the_best_and_never_from_the_ceiling():
  rng = np.random.default_rng(0)
  mine = rng.uniform(2, 4, 60)
  figures = _add(_hr(rng, **{
      TESTED: mine, "mean": np.full(60, 7.0), "features": mine - 1,
      "untrained": mine - 1.5, "ppg": np.zeros(60), "aligned_cca": mine - 2,
  }))
  found = {f.measure: f for f in figures}
  assert set(found) == {
      "mae_minus_best_unlearned", "mae_minus_best_baseline"}
  one = found["mae_minus_best_unlearned"]
  assert (one.rival, one.unit, one.encoder) == ("features", "bpm", TESTED)
  assert one.value == pytest.approx(1)  # paired: people cancel out
  assert one.low == pytest.approx(1) == one.high
  other = found["mae_minus_best_baseline"]
  assert other.rival == "untrained" and other.value == pytest.approx(1.5)


@pytest.mark.parametrize("row", ["mean", "demographics", "features"])
def test_whichever_is_the_best_is_the_rival(row):
  rng = np.random.default_rng(1)
  errors = dict.fromkeys(("mean", "demographics", "features"), np.full(60, 5.0))
  errors[row] = np.full(60, 4.5)
  found = _add(_hr(rng, **{TESTED: np.full(60, 6.0), **errors}))
  assert {f.rival for f in found} == {row}


def test_a_difference_is_that_of_the_scores_by_loops():
  rng = np.random.default_rng(2)
  a, b = rng.uniform(0, 9, (2, 60))
  one = _hr(rng, **{TESTED: a, "features": b})
  (difference, _) = _add(one)
  want = np.mean([
      np.mean([abs(p - t) for p, t in zip(x, one.true, strict=True)])
      - np.mean([abs(p - t) for p, t in zip(y, one.true, strict=True)])
      for x, y in zip(one.predicted[TESTED], one.predicted["features"],
                      strict=True)
  ])
  assert difference.value == pytest.approx(want)
  assert difference.low < want < difference.high


def test_classes_are_compared_by_their_order_and_with_chance():
  rng = np.random.default_rng(3)
  rows, true = _rows(30, 2), np.tile([0.0, 1.0], 30)
  odds, worse = rng.normal(size=(2, 60))
  one = Predictions("sex", "log_odds", rows, true, {
      TESTED: odds + true, "features": worse - 2 * true})
  first = next(iter(_add(one)))
  assert first.rival == CHANCE and first.measure == "auc_minus_best_unlearned"
  assert first.value == pytest.approx(
      metrics.roc_auc_score(true, odds + true) - 0.5)


def test_several_classes_are_compared_by_balanced_accuracy():
  rng = np.random.default_rng(4)
  rows, true = _rows(30, 3), np.tile([0.0, 1.0, 2.0], 30)
  chosen = np.where(rng.random(90) < 0.6, true, 0)
  one = Predictions("stage", "class", rows, true, {TESTED: chosen})
  first = next(iter(_add(one)))
  assert first.measure == "balanced_accuracy_minus_best_unlearned"
  assert first.value == pytest.approx(
      metrics.balanced_accuracy_score(true, chosen) - 1 / 3)


def test_direct_predictions_meet_what_was_probed_on_the_same_rows():
  rng = np.random.default_rng(5)
  probed = _hr(rng, **{TESTED: np.full(60, 5.0), "mean": np.full(60, 3.0)})
  direct = Predictions("hr", "bpm", probed.rows, probed.true,
                       {TESTED: probed.true + 2}, "direct")
  figures = _add(probed, direct)
  (one, _) = figures.find(evaluator="direct")
  assert one.rival == "mean" and one.value == pytest.approx(-1)
  other = Predictions("hr", "bpm", _rows(12, 4), np.zeros(48),
                      {TESTED: np.ones(48)}, "direct")
  assert not _add(probed, other).find(evaluator="direct")


def test_retrieval_is_compared_with_the_best_control_and_with_chance():
  people = stats.People(np.array([f"c/{i}" for i in range(8)]), 200, 0)
  queries = np.full(8, 10.0)
  mine = np.stack([np.arange(8.0), queries], 1)
  hits = {TESTED: mine, "envelope": np.stack([0 * queries, queries], 1),
          "untrained": np.stack([queries, queries], 1), "ppg": mine + 1}
  about = Figure("test", "retrieval", subject="acc2ppg", measure="recall@1",
                 pool=8)
  figures = Figures()
  rivals.add_hits(figures, about, hits, people, 0.125)
  found = {f.measure: f for f in figures}
  first = found["recall@1_minus_best_unlearned"]
  assert first.rival == CHANCE
  assert first.value == pytest.approx(28 / 80 - 0.125)
  other = found["recall@1_minus_best_baseline"]
  assert other.rival == "untrained"
  assert other.value == pytest.approx(28 / 80 - 1)
  key = "test/acc2ppg/recall@1_minus_best_unlearned_pool8"
  assert key in figures.flat()


def _told(score, low_high, rival="features", measure="mae", unit="bpm", **more):
  figures = Figures()
  about = Figure("test", "probe", subject="hr", measure=measure, unit=unit)
  figures.add(about, score)
  figures.add(about, Estimate(*low_high), rival=rival,
              measure=f"{measure}_minus_best_unlearned")
  for kind, (values, name) in more.items():
    figures.add(about, Estimate(*values), rival=name,
                measure=f"{measure}_minus_{kind}")
  (one,) = verdict.find_verdicts(figures, ("acc", "ppg"))
  return one


def test_what_is_said_follows_the_interval():
  better = _told(7.1, (-0.9, -1.6, -0.3))
  assert verdict.say(better) == (
      "7.10 bpm, 0.90 better (0.30 to 1.60) than motion features, the best "
      "without learning.")
  assert verdict.look(better) == "good"
  worse = _told(7.1, (0.9, 0.3, 1.6))
  assert verdict.say(worse) == (
      "7.10 bpm, 0.90 worse (0.30 to 1.60) than motion features, the best "
      "without learning; this encoder shows nothing here.")
  assert verdict.look(worse) == "bad"
  same = _told(7.1, (-0.9, -1.6, 0.3), "mean")
  assert verdict.say(same) == (
      "7.10 bpm, not told apart from predicting the mean (0.90 better, "
      "\u22120.30 to 1.60), the best without learning.")
  assert verdict.look(same) == ""
  lost = _told(7.1, (0.9, -0.3, 1.6), "mean")
  assert "predicting the mean (0.90 worse, \u22120.30 to 1.60)" in (
      verdict.say(lost))
  few = _told(7.1, (-0.9, None, None))
  assert "no interval tells whether that is chance" in verdict.say(few)


def test_a_better_baseline_is_named_too():
  one = _told(0.8, (0.2, 0.1, 0.3), measure="auc", unit="",
              best_baseline=((-0.05, -0.08, -0.02), "untrained"))
  assert verdict.say(one) == (
      "AUC 0.80, 0.20 better (0.10 to 0.30) than motion features, the best "
      "without learning; 0.05 worse (0.02 to 0.08) than the untrained "
      "encoder, the best baseline.")
  assert verdict.look(one) == ""
