"""Scores of one target: the figures of every encoder that was probed for it.

A score below 100 % of the labels is the mean over several draws of labelled
people. A score that orders rows, or draws a line through them, does so within
each fold, because every fold was predicted by another model.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from accfm.evals.probes import logistic, measures, roles, subgroups
from accfm.evals.probes.tasks import Task
from accfm.evals.results.figures import TESTED, Figure, Figures
from accfm.evals.stats import intervals, scores
from accfm.evals.stats import people as stats

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

  def add(self, encoder: str, found: Sequence[measures.Score]) -> None:
    """Adds scores of an encoder; the first of the one under test is followed.
    """
    for one in found:
      self.figures.add(
          self.about, one.estimate, encoder=encoder, measure=one.measure,
          unit=one.unit,
          headline=encoder == TESTED and one.measure == self.task.measure,
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
  alone, errors = bool(np.bincount(s.fold).max() < 2), {}
  for encoder, draws in predicted.items():
    errors[encoder] = np.abs(draws - s.y)
    constant = encoder == "mean"
    s.add(encoder, measures.of_number(
        s.crowd, s.y, list(draws), s.task.unit, alone or constant, s.fold))
    if alone and not constant:
      s.figures.skip(
          s.about, "each fold tests one row, and rows of two folds are never "
          "correlated; want fewer folds", encoder=encoder,
          measure="pearson_r")
  for other in ("mean", "untrained"):  # paired: over the same people
    if other in errors:
      pairs = zip(errors[TESTED], errors[other], strict=True)
      s.figures.add(
          s.about, scores.sums_over_draws(
              s.crowd, [s.crowd.sums(np.stack(p, axis=1)) for p in pairs],
              scores.below, intervals.BELOW_ONE),
          measure=f"mae_below_{other}_share",
      )
  first = predicted[TESTED][0]

  def score_rows(rows, own, places):
    each = own.sums(scores.moments(s.y[rows], first[rows]), places)
    return scores.of_sums(scores.mae, each)

  return predicted, score_rows


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
  size, predicted = len(s.task.classes or ()), {}
  for encoder, draws in found.items():
    odds = [d.odds for d in draws]
    chosen = np.stack([d.chosen for d in draws])
    predicted[encoder] = (
        np.stack([o[:, 0] for o in odds]) if size == 2 else chosen)
    s.add(encoder, [
        *measures.of_order(s.crowd, s.y, odds, s.fold),
        measures.of_ranks(
            s.crowd, s.y, ranked[encoder], "auc_ridge", s.fold),
    ])
    if np.isnan(chosen).any():
      s.figures.skip(
          s.about, "the selecting people have one class: no threshold",
          encoder=encoder, measure="balanced_accuracy",
      )
      continue
    s.add(encoder, measures.of_decisions(s.crowd, s.y, list(chosen), size))
  odds, people = found[TESTED][0].odds, s.people

  def score_rows(rows, own, places):
    counts = roles.class_people(
        people[rows], s.y[rows], size, np.ones(len(rows), bool))
    if counts.min() < min_class:
      return (
          f"{counts.min()} people of the rarer class in the group, want at "
          f"least {min_class}"
      )
    return measures.make_auc(
        own.index[places], s.y[rows], odds[rows], s.fold[rows])

  return predicted, score_rows
