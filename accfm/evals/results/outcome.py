"""What an evaluator returns beside the figures that it adds."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from accfm.evals.results import figures
from accfm.evals.results.section import Section


@dataclasses.dataclass(frozen=True)
class Predictions:
  """One target's scored rows, as `predictions.parquet` holds them.

  Attributes:
    target, unit: e.g. "hr", "bpm"; the unit is "log_odds" for two classes
      and "class" (their places) for more.
    rows: the row keys: column -> [M].
    true: [M].
    predicted: encoder -> [K, M], a line a draw of labelled people; [M]
      stands for one draw.
    evaluator: "probe", or "direct" for the checkpoint's own predictor.
    share: the share of the labelled people that was fitted on.
    fold: [M] the fold that tested each row: rows of two folds were predicted
      by differently fitted models. 0 for all rows where nothing is said.
  """

  target: str
  unit: str
  rows: dict[str, np.ndarray]
  true: np.ndarray
  predicted: dict[str, np.ndarray]
  evaluator: str = "probe"
  share: float = 1.0
  fold: np.ndarray = dataclasses.field(
      default_factory=lambda: np.zeros(0, int))

  def __post_init__(self):
    object.__setattr__(self, "predicted", {
        encoder: np.atleast_2d(x) for encoder, x in self.predicted.items()
    })
    if not len(self.fold):
      object.__setattr__(self, "fold", np.zeros(len(self.true), int))

  @property
  def task(self) -> str:
    """The name of the task in the file."""
    return task_name(self.evaluator, self.target, self.share)


def task_name(evaluator: str, target: str, share: float = 1.0) -> str:
  """`hr`, `hr_at_10pct` or `direct_hr`: a task of `predictions.parquet`."""
  name = target + figures.share_tail(share)
  return name if evaluator == "probe" else f"{evaluator}_{name}"


@dataclasses.dataclass(frozen=True)
class Queries:
  """The rank of each query of the encoder under test, among all segments.

  Attributes:
    rows: [M] numbers of the queries in the split's table, rising.
    ranks: direction -> (segments [M] that were searched, rank [M] of the right
      one, ties counted against it).
  """

  rows: np.ndarray
  ranks: dict[str, tuple[np.ndarray, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Outcome:
  """What an evaluator gives beside its figures.

  Attributes:
    describe: the evaluator's sections of the report, made when asked for; []
      where it has nothing to show.
    predictions: for `predictions.parquet`.
    queries: for `queries.parquet`, or None.
  """

  describe: Callable[[], Sequence[Section]] = lambda: ()
  predictions: Sequence[Predictions] = ()
  queries: Queries | None = None


# score(data: Inputs, cfg, figures) -> Outcome
Evaluator = Callable[[Any, Any, figures.Figures], Outcome]
