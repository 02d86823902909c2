"""Linear probes: what a frozen embedding knows, for people never seen.

One protocol for every encoder, learned or not: standardise on the fitting
people, choose the penalty on the selecting people, score the others.
Numbers are predicted by ridge regression, classes by logistic regression;
"predict the mean" is the same with no columns at all. Labels of segments are
predicted from their embedding, a person's traits from the embeddings of all
the person's segments.
"""

import dataclasses
import functools

import numpy as np
from ml_collections import ConfigDict

from accfm.evals.inputs import Inputs
from accfm.evals.probes import (
  describe,
  fits,
  logistic,
  measures,
  panel,
  roles,
  subgroups,
  tasks,
)
from accfm.evals.probes import label_shares as fractions
from accfm.evals.probes.roles import FIT, SELECT, TEST
from accfm.evals.results.figures import TESTED, Figure, Figures
from accfm.evals.results.outcome import Outcome, Predictions
from accfm.evals.stats import intervals, scores
from accfm.evals.stats import people as stats
from accfm.signals.targets import known_rows


def score_probes(
    data: Inputs, cfg: ConfigDict, figures: Figures
) -> Outcome:
  """Adds the probes of every label and attribute, for every encoder.

  Args:
    data: what is measured; uses `tables`, `encoders`, `features`.
    cfg: `bootstrap_draws`, `seed`, `probe_folds`, `min_people`,
      `min_windows`, `min_participants`, `min_class`, `label_fractions`,
      `label_draws`, `label_seed`, `person_pooling`, `subgroups`.
    figures: to add to.
  """
  about = Figure(data.split, "probe")
  if data.split == "train":
    figures.skip(about, "probes are fitted on the train split")
    return Outcome()
  segments = panel.of_windows(data, cfg)
  persons = panel.of_people(segments, cfg.person_pooling)
  asked = [c for c in segments.columns if not c.startswith("attributes/")]
  labels = [c for c in asked if c.startswith("labels/")] or asked
  labelled = np.zeros(len(segments.people), bool)
  for column in labels:
    labelled |= known_rows(segments.columns[column])
  few, many = ((n, n) for n in (cfg.min_people, cfg.min_participants))
  found: list[Predictions] = []
  for share in fractions.plan(segments.roles, segments.people, labelled, cfg):
    least = (cfg.min_windows, cfg.min_people)
    least = {FIT: least, SELECT: least, TEST: least}
    if share.fraction < 1:  # few labelled people is then what is asked for
      least[FIT] = (2, 2)
    found += _Probes(about, cfg, figures, segments, share, least).score(asked)
  traits = [c for c in persons.columns if c.startswith("attributes/")]
  if 1.0 in cfg.label_fractions:  # traits need people to fit on: all of them
    share = fractions.Share(1.0, (persons.roles,), None)
    least = {FIT: many, SELECT: few, TEST: few}
    found += _Probes(about, cfg, figures, persons, share, least).score(traits)
  return Outcome(
      functools.partial(describe.describe_probes, cfg, figures, found),
      predictions=found,
  )


class _Probes:
  """The probes of one Panel on one share of the labels."""

  def __init__(
      self, about: Figure, cfg: ConfigDict, figures: Figures,
      panel: panel.Panel, share: fractions.Share,
      least: dict[int, tuple[int, int]],
  ):
    self.about = dataclasses.replace(about, share=share.fraction)
    self.cfg, self.figures = cfg, figures
    self.panel, self.share, self.least = panel, share, least
    self.flat = [role for draw in share.draws for role in draw]
    self.tested = np.flatnonzero(roles.tested(self.flat))
    self.segments = "session" in panel.keys  # else a row is a person

  def score(self, columns: list[str]) -> list[Predictions]:
    """Scores every column that can be evaluated, and says why others not."""
    some_labels = self.share.fraction < 1
    made = [
        tasks.make_task(
            c, self.panel.columns[c], self.panel.people, self.panel.roles,
            self.cfg.min_class,
        ) for c in columns
    ]
    reasons = [
        tasks.shortage(
            task, self.panel.people, self.flat, self.least,
            1 if some_labels else self.cfg.min_class, self.cfg.min_class,
        ) for task in made
    ]
    ready = [t for t, reason in zip(made, reasons, strict=True) if not reason]
    numbers = fits.predict_numbers(
        self.panel, self.share.draws, [t for t in ready if t.classes is None])
    classes = fits.predict_classes(
        self.panel, self.share.draws,
        [t for t in ready if t.classes is not None])
    out = []
    for task, reason in zip(made, reasons, strict=True):
      about = dataclasses.replace(self.about, subject=task.name)
      self._count(about, task)
      if reason:
        self._skip(about, task, reason)
      elif task.classes is None:
        out.append(self._add_number(about, task, numbers[task.name]))
      else:
        out.append(self._add_class(about, task, classes[task.name]))
    return out

  def _count(self, about: Figure, task: tasks.Task) -> None:
    """Adds how many rows and people are tested and fitted."""
    add = self.figures.add
    known = self.tested[task.known[self.tested]]
    if self.segments:
      add(about, len(known), measure="windows")
    add(about, len(np.unique(self.panel.people[known])), measure="people")
    if task.classes is not None:
      add(about, len(task.classes), measure="classes")
    if task.classes is not None and len(task.classes) == 2:
      add(about, int(np.sum(task.y[known] == 1)), measure="positives")
    for value, reason in task.left_out.items():
      self.figures.skip(about, reason, measure=f"auc_of_{tasks.slug(value)}")
    if self.share.people is not None:
      add(about, self.share.people, measure="labelled_people")
    if self.share.fraction < 1:
      add(about, len(self.share.draws), measure="draws")

  def _skip(self, about: Figure, task: tasks.Task, reason: str) -> None:
    for encoder, x, _ in self.panel.given([task.name]):
      if task.classes is None or x.shape[1]:
        self.figures.skip(
            about, reason, encoder=encoder, measure=task.measure,
            unit=task.unit, headline=encoder == TESTED,
        )

  def _add_number(
      self, about: Figure, task: tasks.Task,
      found: dict[str, list[np.ndarray]],
  ) -> Predictions:
    """Adds the scores of every encoder of a regression."""
    some = task.known[self.tested]
    at = self.tested[some]
    y, crowd = task.y[at], self._crowd(self.panel.people[at])
    sums, predicted = {}, {}
    for encoder, draws in found.items():
      predicted[encoder] = draws[0][some]
      mine = [p[some] for p in draws]
      sums[encoder] = [crowd.sums(scores.moments(y, p)) for p in mine]
      for one in measures.of_number(
          crowd, y, mine, task.unit, constant=encoder == "mean"):
        self.figures.add(
            about, one.estimate, encoder=encoder, measure=one.measure,
            unit=one.unit,
            headline=encoder == TESTED and one.measure == "mae",
        )
    for other in ("mean", "untrained"):  # paired: over the same people
      if other in sums:
        both = [
            np.stack([ours[:, 1], theirs[:, 1]], 1)
            for ours, theirs in zip(sums[TESTED], sums[other], strict=True)
        ]
        self.figures.add(
            about, scores.sums_over_draws(
                crowd, both, scores.below, intervals.BELOW_ONE),
            measure=f"mae_below_{other}_share",
        )
    p = predicted[TESTED]

    def first(rows, own, places):
      sums = own.sums(scores.moments(y[rows], p[rows]), places)
      return scores.of_sums(scores.mae, sums)

    self._score_subgroups(about, task, at, crowd, first)
    return self._predictions(task, task.unit, at, predicted)

  def _add_class(
      self, about: Figure, task: tasks.Task,
      found: dict[str, list[logistic.Decided]],
  ) -> Predictions:
    """Adds the scores of every encoder of a classification."""
    some = task.known[self.tested]
    at = self.tested[some]
    y, people = task.y[at], self.panel.people[at]
    crowd, size = self._crowd(people), len(task.classes or ())
    predicted = {}
    for encoder, draws in found.items():
      mine = dataclasses.replace(about, encoder=encoder)
      odds = [d.odds[some] for d in draws]
      chosen = [d.chosen[some] for d in draws]
      predicted[encoder] = odds[0][:, 0] if size == 2 else chosen[0]
      for one in measures.of_order(crowd, y, odds):
        self.figures.add(
            mine, one.estimate, measure=one.measure,
            headline=encoder == TESTED and one.measure == "auc",
        )
      if np.isnan(chosen).any():
        self.figures.skip(
            mine, "the selecting people have one class: no threshold",
            measure="balanced_accuracy",
        )
        continue
      for one in measures.of_decisions(crowd, y, chosen, size):
        self.figures.add(mine, one.estimate, measure=one.measure)
    odds = found[TESTED][0].odds[some]

    def first(rows, own, places):
      counts = roles.class_people(
          people[rows], y[rows], size, np.ones(len(rows), bool)
      )
      if counts.min() < self.cfg.min_class:
        return (
            f"{counts.min()} people of the rarer class in the group, want at "
            f"least {self.cfg.min_class}"
        )
      return _make_auc(own.index[places], y[rows], odds[rows])

    self._score_subgroups(about, task, at, crowd, first)
    unit = "log_odds" if size == 2 else "class"
    return self._predictions(task, unit, at, predicted)

  def _crowd(self, people: np.ndarray) -> stats.People:
    return stats.People(people, self.cfg.bootstrap_draws, self.cfg.seed)

  def _score_subgroups(
      self, about: Figure, task: tasks.Task, at: np.ndarray,
      crowd: stats.People, first: subgroups.Score,
  ) -> None:
    """Adds the first score by subgroup, where all labels are fitted on."""
    if self.cfg.subgroups and self.share.fraction == 1:
      subgroups.score_subgroups(
          self.figures, about, task,
          {name: v[at] for name, v in self.panel.groups.items()}, crowd,
          first, self.cfg.min_people, self.segments, self._crowd,
      )

  def _predictions(
      self, task: tasks.Task, unit: str, at: np.ndarray,
      predicted: dict[str, np.ndarray],
  ) -> Predictions:
    rows = {c: v[at] for c, v in self.panel.keys.items()}
    return Predictions(
        task.name, unit, rows, task.y[at], predicted,
        share=self.share.fraction,
    )


def _make_auc(
    index: np.ndarray, y: np.ndarray, odds: np.ndarray
) -> subgroups.Statistic:
  """The AUC of two classes [N, 1], the mean of each against the rest of more.
  """
  if odds.shape[1] == 1:
    return scores.make_auc(index, y, odds[:, 0])
  return scores.make_macro_auc(index, y, odds)
