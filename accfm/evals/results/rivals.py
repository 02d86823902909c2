"""The strongest rival: how the encoder differs from the best that needs less.

An encoder has shown something where it beats the best baseline, whichever
that is on the target. Two rivals are sought for each target and each way of
retrieval: the best row that learns no encoder (`UNLEARNED`), and the best of
those and the untrained encoder (`BASELINES`). The other encoder of the
checkpoint is never a rival: it is the ceiling. The difference is paired: its
interval is over the same people for both. The best is chosen by its value on
these very people, which favours the rival.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from accfm.evals.results.figures import CHANCE, TESTED, Figure, Figures
from accfm.evals.results.outcome import Predictions
from accfm.evals.stats import intervals, scores
from accfm.evals.stats import people as stats

UNLEARNED = ("mean", "demographics", "features", "traced", "harmonic",
             "envelope", "identity", CHANCE)
BASELINES = (*UNLEARNED, "untrained")
# What a figure's measure ends in -> the rows that its rival is chosen from.
KINDS = {"best_unlearned": UNLEARNED, "best_baseline": BASELINES}
LESS_IS_BETTER = ("mae",)
# Unit of Predictions -> what rivals are compared by; of numbers the error.
MEASURES = {"log_odds": "auc", "class": "balanced_accuracy"}
Difference = Callable[[str], stats.Estimate]


def name(measure: str, kind: str) -> str:
  """`mae_minus_best_unlearned`: the measure of a paired difference."""
  return f"{measure}_minus_{kind}"


def choose(
    values: Mapping[str, float], kind: str, less: bool
) -> str | None:
  """The best row of a kind; the first of equals, None where there is none.

  Args:
    values: row -> its score.
    kind: of KINDS.
    less: whether less is better.
  """
  known = [row for row in KINDS[kind] if np.isfinite(values.get(row, np.nan))]
  sign = -1 if less else 1
  return max(known, key=lambda row: sign * values[row], default=None)


def add(
    figures: Figures, about: Figure, values: Mapping[str, float],
    difference: Difference,
) -> None:
  """Adds the difference of the encoder under test from each kind of rival.

  Args:
    figures: to add to.
    about: the score of the encoder under test, with its measure and unit.
    values: row -> its score.
    difference: row -> the paired difference, the encoder's score minus the
      row's.
  """
  found: dict[str, stats.Estimate] = {}
  for kind in KINDS:
    rival = choose(values, kind, about.measure in LESS_IS_BETTER)
    if rival is not None:
      if rival not in found:
        found[rival] = difference(rival)
      figures.add(about, found[rival], encoder=TESTED, rival=rival,
                  headline=False, measure=name(about.measure, kind))


def add_hits(
    figures: Figures, about: Figure, hits: Mapping[str, np.ndarray],
    people: stats.People, chance: float | None,
) -> None:
  """Adds the rivals of one way of retrieval.

  Args:
    figures: to add to.
    about: the recall.
    hits: row -> [P, 2] of each person: the sum of hits, and of queries.
    people: the P people.
    chance: its recall, None where not known.
  """
  if TESTED not in hits:
    return
  values = {row: float(stats.ratio(s.sum(axis=0))) for row, s in hits.items()}
  if chance is not None:
    values[CHANCE] = chance

  def difference(row):
    mine = hits[TESTED]
    theirs = hits.get(row)
    if theirs is None:  # the same for all people
      theirs = np.stack([chance * mine[:, 1], mine[:, 1]], axis=1)
    return people.estimate(
        np.concatenate([mine, theirs], axis=1),
        lambda s: stats.ratio(s[..., :2]) - stats.ratio(s[..., 2:]),
        intervals.DIFFERENCE)

  add(figures, about, values, difference)


def add_predictions(
    figures: Figures, split: str, predictions: Sequence[Predictions],
    cfg: ConfigDict,
) -> None:
  """Adds the rivals of every target that was predicted.

  A predictor that was trained with the encoder meets the rows that were
  probed for the same target on the same rows.

  Args:
    figures: to add to.
    split: that was scored.
    predictions: of probes and direct predictions.
    cfg: `bootstrap_draws`, `seed`.
  """
  probed = {
      p.target: p for p in predictions
      if p.evaluator == "probe" and p.share == 1.0
  }
  for one in predictions:
    if TESTED not in one.predicted:
      continue
    others = one
    if one.evaluator != "probe":
      found = probed.get(one.target)
      if found is None or not _same_rows(one, found):
        continue
      others = found
    crowd = stats.People(
        one.rows["participant"], cfg.bootstrap_draws, cfg.seed)
    measure = MEASURES.get(one.unit, "mae")
    about = Figure(
        split, one.evaluator, subject=one.target, share=one.share,
        measure=measure, unit=one.unit if measure == "mae" else "")
    statistics = {
        row: _statistics(p, others, measure, crowd)
        for row, p in others.predicted.items() if row in BASELINES
    }
    mine = _statistics(one.predicted[TESTED], one, measure, crowd)
    if measure != "mae":
      by_chance = 1 / (2 if measure == "auc" else _classes(one))
      statistics[CHANCE] = [
          lambda w, c=by_chance: np.full(w.shape[:-1], c)] * len(mine)
    within = intervals.ANY if measure == "mae" else intervals.DIFFERENCE
    everybody = np.ones(len(crowd))
    values = {
        row: float(np.mean([s(everybody) for s in each]))
        for row, each in statistics.items()
    }

    def difference(
        row, mine=mine, statistics=statistics, crowd=crowd, within=within
    ):
      return scores.mean_over_draws(crowd, [
          lambda w, a=a, b=b: a(w) - b(w)
          for a, b in zip(mine, statistics[row], strict=False)
      ], within)

    add(figures, about, values, difference)


def _same_rows(one: Predictions, other: Predictions) -> bool:
  """Whether both are of the same rows in the same order."""
  return one.unit == other.unit and one.rows.keys() == other.rows.keys() and (
      all(np.array_equal(one.rows[c], other.rows[c]) for c in one.rows))


def _classes(of: Predictions) -> int:
  """How many classes there are, by their places."""
  return int(of.true.max()) + 1


def _statistics(
    predicted: np.ndarray, of: Predictions, measure: str, crowd: stats.People
) -> list[stats.Statistic]:
  """The measure as a function of weights, one a draw of labels."""
  out = []
  for p in np.atleast_2d(predicted):
    if measure == "auc":
      out.append(scores.make_auc(crowd.index, of.true, p, of.fold))
      continue
    if measure == "mae":
      columns = np.stack([np.abs(p - of.true), np.ones(len(p))], axis=1)
      out.append(scores.of_sums(stats.ratio, crowd.sums(columns)))
      continue
    columns = scores.hits(of.true, p, _classes(of))
    out.append(scores.of_sums(scores.balanced_accuracy, crowd.sums(columns)))
  return out
