"""Scores of one target: the figures of every encoder that was probed for it.

A score below 100 % of the labels is the mean over several draws of labelled
people. A score that orders rows, or draws a line through them, does so within
each fold, because every fold was predicted by another model.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from accfm.evals.probes import logistic, roles, subgroups
from accfm.evals.probes.tasks import Task
from accfm.evals.results.figures import TESTED, Figure, Figures
from accfm.evals.stats import bootstrap as stats
from accfm.evals.stats import scores

Predicted = dict[str, np.ndarray]  # encoder -> [K, M]


@dataclasses.dataclass(frozen=True)
class Case:
  """What one target is scored on.

  Attributes:
    figures: to add to.
    about: the target.
    task: what was asked.
    y: [M] its true values.
    crowd: the people behind the M rows.
    fold: [M] the fold that tested each row.
  """

  figures: Figures
  about: Figure
  task: Task
  y: np.ndarray
  crowd: stats.People
  fold: np.ndarray

  @property
  def people(self) -> np.ndarray:
    """[M] ids."""
    return self.crowd.names[self.crowd.index]

  def add(
      self, encoder: str, measure: str,
      statistics: Sequence[scores.Statistic], unit: str = "",
      headline: bool = False,
  ) -> None:
    """Adds the mean of a score over the draws of labelled people."""
    self.figures.add(
        self.about, scores.mean_over_draws(self.crowd, statistics),
        encoder=encoder, measure=measure, unit=unit, headline=headline,
    )


def add_number(
    s: Case, found: Mapping[str, Sequence[np.ndarray]]
) -> tuple[Predicted, subgroups.Score]:
  """Adds the scores of every encoder of a regression.

  Args:
    s: what is scored.
    found: encoder -> [[M], one a draw].

  Returns:
    (what was predicted, the first score of the encoder under test by rows).
  """
  predicted = {encoder: np.stack(draws) for encoder, draws in found.items()}
  unit, sums = s.task.unit, {}
  for encoder, draws in predicted.items():
    sums[encoder] = [s.crowd.sums(scores.moments(s.y, p)) for p in draws]
    measures = [("mae", unit, scores.mae), ("rmse", unit, scores.rmse),
                ("r2", "", scores.r2)]
    for measure, its_unit, score in measures:
      s.add(encoder, measure, [
          scores.of_sums(score, each) for each in sums[encoder]
      ], its_unit, encoder == TESTED and measure == "mae")
    if encoder != "mean":
      _add_pearson(s, encoder, draws)
  for other in ("mean", "untrained"):  # paired: the same people are drawn
    if other in sums:
      s.add(TESTED, f"mae_below_{other}_share", [
          scores.of_sums(_below, np.stack([mine[:, 1], theirs[:, 1]], axis=1))
          for mine, theirs in zip(sums[TESTED], sums[other], strict=True)
      ])
  first = predicted[TESTED][0]

  def score_rows(rows, own, places):
    each = own.sums(scores.moments(s.y[rows], first[rows]), places)
    return scores.of_sums(scores.mae, each)

  return predicted, score_rows


def _below(sums):
  """How far the first of two errors is below the second, as a share."""
  return 1 - stats.ratio(sums)


def _add_pearson(s, encoder, draws):
  """Pearson's r within folds; not evaluable where each has one row."""
  if np.bincount(s.fold).max() < 2:
    s.figures.skip(
        s.about, "each fold tests one row, and rows of two folds are never "
        "correlated; want fewer folds", encoder=encoder, measure="pearson_r")
    return
  s.add(encoder, "pearson_r", [
      scores.make_pearson(s.crowd.index, s.y, p, s.fold) for p in draws
  ])


def add_class(
    s: Case, found: Mapping[str, Sequence[logistic.Decided]],
    ranked: Mapping[str, Sequence[np.ndarray]], min_class: int,
) -> tuple[Predicted, subgroups.Score]:
  """Adds the scores of every encoder of a classification.

  Args:
    s: what is scored.
    found: encoder -> [Decided of M rows, one a draw].
    ranked: encoder -> [[M, C] by ridge regression, one a draw].
    min_class: people of the rarer class that a subgroup needs.

  Returns:
    As `add_number`.
  """
  size, index, predicted = len(s.task.classes or ()), s.crowd.index, {}
  for encoder, draws in found.items():
    odds = [d.odds for d in draws]
    chosen = np.stack([d.chosen for d in draws])
    predicted[encoder] = (
        np.stack([o[:, 0] for o in odds]) if size == 2 else chosen)
    s.add(encoder, "auc", [
        _make_auc(index, s.y, o, s.fold) for o in odds
    ], headline=encoder == TESTED)
    s.add(encoder, "auc_ridge", [
        _make_auc(index, s.y, o, s.fold) for o in ranked[encoder]
    ])
    if size == 2:
      s.add(encoder, "average_precision", [
          scores.make_average_precision(index, s.y, o[:, 0], s.fold)
          for o in odds
      ])
    if np.isnan(chosen).any():
      s.figures.skip(
          s.about, "the selecting people have one class: no threshold",
          encoder=encoder, measure="balanced_accuracy",
      )
      continue
    s.add(encoder, "balanced_accuracy", [
        scores.of_sums(
            scores.balanced_accuracy,
            s.crowd.sums(scores.hits(s.y, c, size)))
        for c in chosen
    ])
  odds, people = found[TESTED][0].odds, s.people

  def score_rows(rows, own, places):
    counts = roles.class_people(
        people[rows], s.y[rows], size, np.ones(len(rows), bool))
    if counts.min() < min_class:
      return (
          f"{counts.min()} people of the rarer class in the group, want at "
          f"least {min_class}"
      )
    return _make_auc(own.index[places], s.y[rows], odds[rows], s.fold[rows])

  return predicted, score_rows


def _make_auc(
    index: np.ndarray, y: np.ndarray, odds: np.ndarray, fold: np.ndarray
) -> scores.Statistic:
  """The AUC of two classes [M, 1], the mean of each against the rest of more.
  """
  if odds.shape[1] == 1:
    return scores.make_auc(index, y, odds[:, 0], fold)
  return scores.make_macro_auc(index, y, odds, fold)
