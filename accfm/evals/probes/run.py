"""Linear probes: what a frozen embedding knows, for people never seen.

One protocol for every encoder, learned or not: standardise on the fitting
people, choose the penalty on the selecting people, score the others. With
folds, and on a share of the labels, the fitting people select (`leave_out`).
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
  panel,
  roles,
  scoring,
  subgroups,
  tasks,
  unlike,
)
from accfm.evals.probes import label_shares as fractions
from accfm.evals.probes.roles import FIT, SELECT, TEST
from accfm.evals.results.figures import TESTED, Figure, Figures
from accfm.evals.results.outcome import Outcome, Predictions
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
  if data.split == data.fitted_on[0]:
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
      least[FIT] = (2, 1)
    found += _Probes(about, cfg, figures, segments, share, least).score(asked)
  _skip_unlike(data, about, figures, segments)
  traits = [c for c in persons.columns if c.startswith("attributes/")]
  if 1.0 in cfg.label_fractions:  # traits need people to fit on: all of them
    share = fractions.Share(1.0, (persons.roles,), None)
    least = {FIT: many, SELECT: few, TEST: few}
    found += _Probes(about, cfg, figures, persons, share, least).score(traits)
  return Outcome(
      functools.partial(describe.describe_probes, cfg, figures, found),
      predictions=found,
  )


def _skip_unlike(
    data: Inputs, about: Figure, figures: Figures, segments: panel.Panel
) -> None:
  """Adds why labels that the splits do not share are not evaluable."""
  for column, reason in segments.unlike.items():
    task = unlike.task_of(column, data.tables)
    for encoder, x, _ in segments.given([task.name]):
      if task.classes is None or x.shape[1]:
        figures.skip(
            about, reason, encoder=encoder, subject=task.name,
            measure=task.measure, unit=task.unit, headline=encoder == TESTED)


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
    self.fold = roles.fold_of(share.draws[0])
    self.segments = "session" in panel.keys  # else a row is a person

  def score(self, columns: list[str]) -> list[Predictions]:
    """Scores every column that can be evaluated, and says why others not."""
    fewest = 1 if self.share.fraction < 1 else self.cfg.min_class
    made = [
        tasks.make_task(
            c, self.panel.columns[c], self.panel.people, self.flat, fewest,
            self.cfg.min_class,
        ) for c in columns
    ]
    reasons = [
        tasks.shortage(
            task, self.panel.people, self.flat, self.least, fewest,
            self.cfg.min_class,
        ) for task in made
    ]
    ready = [t for t, reason in zip(made, reasons, strict=True) if not reason]
    numbers, classes = (
        [t for t in ready if (t.classes is None) == wanted]
        for wanted in (True, False))
    draws = self.share.draws
    predicted = fits.predict_numbers(self.panel, draws, numbers)
    decided = fits.predict_classes(self.panel, draws, classes)
    ranked = fits.rank_classes(self.panel, draws, classes)
    out = []
    for task, reason in zip(made, reasons, strict=True):
      about = dataclasses.replace(self.about, subject=task.name)
      self._count(about, task)
      if reason:
        self._skip(about, task, reason)
        continue
      some = task.known[self.tested]
      at = self.tested[some]
      crowd = self._crowd(self.panel.people[at])
      case = scoring.Case(
          self.figures, about, task, task.y[at], crowd, self.fold[some])
      if task.classes is None:
        found, first = scoring.add_number(case, {
            encoder: [p[some] for p in ps]
            for encoder, ps in predicted[task.name].items()
        })
      else:
        found, first = scoring.add_class(case, {
            encoder: [d.of(some) for d in ds]
            for encoder, ds in decided[task.name].items()
        }, {
            encoder: [p[some] for p in ps]
            for encoder, ps in ranked[task.name].items()
        }, self.cfg.min_class)
      self._score_subgroups(about, task, at, crowd, first)
      out.append(self._predictions(case, at, found))
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
      self, case: scoring.Case, at: np.ndarray,
      predicted: scoring.Predicted,
  ) -> Predictions:
    task = case.task
    unit = task.unit
    if task.classes is not None:
      unit = "log_odds" if len(task.classes) == 2 else "class"
    return Predictions(
        task.name, unit, {c: v[at] for c, v in self.panel.keys.items()},
        case.y, predicted, share=self.share.fraction, fold=case.fold,
    )
