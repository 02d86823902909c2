"""Every score of a prediction: which measures there are, and their intervals.

Numbers are judged by their errors, classes by the order of the rows and by
what was decided. Each score is the mean over draws of labelled people; one
draw is a mean over one. A score that orders rows, or draws a line through
them, does so within each fold, because every fold was predicted by another
model.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from accfm.evals.stats import decisions, medians, partial, scores
from accfm.evals.stats import people as stats
from accfm.evals.stats.people import Statistic

NEAR_BPM = 5.0  # a heart rate within it is near enough to be of use


@dataclasses.dataclass(frozen=True)
class Score:
  """One measure of one prediction."""

  measure: str
  unit: str
  estimate: stats.Estimate


def of_number(
    crowd: stats.People, y: np.ndarray, predicted: Sequence[np.ndarray],
    unit: str, constant: bool = False, fold: np.ndarray | None = None,
) -> list[Score]:
  """Scores of a regression, the mean absolute error first.

  Args:
    crowd: the participants behind the N rows.
    y: [N] true numbers.
    predicted: [N] numbers, one array a draw of labels.
    unit: of both.
    constant: whether nothing can be correlated: no correlation then.
    fold: [N] the fold of each row; None for one fold.
  """
  fold = np.zeros(len(y), int) if fold is None else fold
  sums = [crowd.sums(scores.moments(y, p)) for p in predicted]
  errors = [np.abs(p - y) for p in predicted]
  plain = [("mae", unit, scores.mae), ("rmse", unit, scores.rmse),
           ("r2", "", scores.r2)]
  out = [_over_draws(crowd, measure, [scores.of_sums(f, s) for s in sums], of)
         for measure, of, f in plain]
  if not constant:
    out.append(_over_draws(crowd, "pearson_r", [
        scores.make_pearson(crowd.index, y, p, fold) for p in predicted]))
  out.append(Score(
      "median_abs_error", unit, medians.mean_over_draws(crowd, errors)))
  if unit == "bpm":
    near = [crowd.sums(np.stack([e <= NEAR_BPM, np.ones(len(e))], 1))
            for e in errors]
    out.append(_over_draws(crowd, "within_5bpm_share", [
        scores.of_sums(stats.ratio, s) for s in near]))
  return out


def of_order(
    crowd: stats.People, y: np.ndarray, odds: Sequence[np.ndarray],
    fold: np.ndarray | None = None,
) -> list[Score]:
  """Scores of the order of rows, the AUC first.

  Args:
    crowd: the participants behind the N rows.
    y: [N] places of classes.
    odds: [N, 1] the log-odds of the second of two classes, or [N, C] a score
      of each of more; one array a draw of labels.
    fold: [N] the fold of each row; None for one fold.
  """
  index, out = crowd.index, [of_ranks(crowd, y, odds, "auc", fold)]
  if odds[0].shape[1] > 1:
    return out
  return [*out, _over_draws(crowd, "average_precision", [
      scores.make_average_precision(index, y, o[:, 0], fold) for o in odds
  ]), _over_draws(crowd, "pauc_fpr10", [
      partial.make_partial_auc(index, y, o[:, 0], fold=fold) for o in odds
  ])]


def of_ranks(
    crowd: stats.People, y: np.ndarray, odds: Sequence[np.ndarray],
    measure: str, fold: np.ndarray | None = None,
) -> Score:
  """The AUC of `of_order` alone, under a name.

  Args:
    crowd, y, odds, fold: as `of_order`.
    measure: "auc", or "auc_ridge" where ridge regression ranks.
  """
  return _over_draws(
      crowd, measure, [make_auc(crowd.index, y, o, fold) for o in odds])


def make_auc(
    index: np.ndarray, y: np.ndarray, odds: np.ndarray,
    fold: np.ndarray | None = None,
) -> Statistic:
  """The AUC of two classes, the mean of each against the rest of more.

  Args:
    index, y, fold: as `scores.make_auc`.
    odds: [N, 1] or [N, C] as in `of_order`.
  """
  if odds.shape[1] == 1:
    return scores.make_auc(index, y, odds[:, 0], fold)
  return scores.make_macro_auc(index, y, odds, fold)


def of_decisions(
    crowd: stats.People, y: np.ndarray, chosen: Sequence[np.ndarray],
    classes: int,
) -> list[Score]:
  """Scores of decided classes, the balanced accuracy first.

  Args:
    crowd: the participants behind the N rows.
    y: [N] places of the true classes.
    chosen: [N] places of the predicted ones, one array a draw of labels.
    classes: their number.
  """
  hits = [crowd.sums(scores.hits(y, c, classes)) for c in chosen]
  counts = [decisions.counts(crowd, y, c, classes) for c in chosen]
  return [
      _over_draws(crowd, measure, [scores.of_sums(f, s) for s in sums])
      for measure, f, sums in (
          ("balanced_accuracy", scores.balanced_accuracy, hits),
          ("macro_f1", decisions.macro_f1, counts),
          ("kappa", decisions.kappa, counts),
      )
  ]


def _over_draws(
    crowd: stats.People, measure: str, statistics: Sequence[Statistic],
    unit: str = "",
) -> Score:
  return Score(measure, unit, scores.mean_over_draws(
      crowd, statistics, scores.WITHIN[measure]))
