"""Linear probes: what a frozen embedding knows, for people never seen.

One protocol for every row of a table, learned or not: standardise on the
fitting people, choose the penalty on the selecting people, score the rest.
Numbers are predicted by ridge regression, classes by logistic regression;
"predict the mean" is the same with no columns at all. Labels of windows are
predicted from their embedding, a person's traits from the embeddings of all
the person's windows.
"""

import dataclasses

import numpy as np

from accfm.evals.probes import fits, panel, roles, subgroups, tasks
from accfm.evals.probes import label_shares as fractions
from accfm.evals.probes.roles import FIT, SELECT, TEST
from accfm.evals.stats import bootstrap as stats
from accfm.evals.stats import scores
from accfm.signals.targets import known_rows


@dataclasses.dataclass(frozen=True)
class Predictions:
  """One task's scored rows, for the report and `predictions.parquet`.

  Attributes:
    task, unit: e.g. "hr", "bpm"; unit "log_odds" for two classes, "class"
      (their places) for more.
    rows: the task's row keys: column -> [M].
    true: [M]; predicted: row name -> [M], of the first draw of labels.
  """

  task: str
  unit: str
  rows: dict
  true: np.ndarray
  predicted: dict


def check(cfg):
  """Raises InputError for a config that no probe can follow."""
  fractions.check(cfg)
  panel.check(cfg)


def run(data, cfg, metrics):
  """Adds the probes of every label and attribute, for every row.

  Args:
    data: `inputs.Inputs`.
    cfg: `bootstrap_draws`, `seed`, `probe_folds`, `min_people`,
      `min_windows`, `min_participants`, `min_class`, `label_fractions`,
      `label_draws`, `label_seed`, `person_pooling`, `subgroups`.
    metrics: `stats.Metrics` to add to.

  Returns:
    List of Predictions.
  """
  if data.split == "train":
    metrics.skip(
        f"{data.split}/probe", "probes are fitted on the train split"
    )
    return []
  windows = panel.of_windows(data, cfg)
  persons = panel.of_people(windows, cfg.person_pooling)
  asked = [c for c in windows.columns if not c.startswith("attributes/")]
  labels = [c for c in asked if c.startswith("labels/")] or asked
  labelled = np.zeros(len(windows.people), bool)
  for column in labels:
    labelled |= known_rows(windows.columns[column])
  few, many = ((n, n) for n in (cfg.min_people, cfg.min_participants))
  out = []
  for share in fractions.plan(windows.roles, windows.people, labelled, cfg):
    least = (cfg.min_windows, cfg.min_people)
    least = {FIT: least, SELECT: least, TEST: least}
    if share.tail:  # few labelled people is then what is asked for
      least[FIT] = (2, 2)
    out += _Probes(data.split, cfg, metrics, windows, share, least).run(asked)
  traits = [c for c in persons.columns if c.startswith("attributes/")]
  if 1.0 in cfg.label_fractions:  # traits need people to fit on: all of them
    share = fractions.Share("", (persons.roles,), None)
    least = {FIT: many, SELECT: few, TEST: few}
    out += _Probes(data.split, cfg, metrics, persons, share, least).run(traits)
  return out


class _Probes:
  """The probes of one Panel on one share of the labels."""

  def __init__(self, split, cfg, metrics, panel, share, least):
    self.split, self.cfg, self.metrics = split, cfg, metrics
    self.panel, self.share, self.least = panel, share, least
    self.flat = [role for draw in share.draws for role in draw]
    self.tested = np.flatnonzero(roles.tested(self.flat))
    self.windows = "session" in panel.keys  # else a row is a person

  def run(self, columns):
    """The Predictions of every column that can be evaluated."""
    made = [
        tasks.make_task(
            c, self.panel.columns[c], self.panel.people, self.panel.roles,
            self.cfg.min_class,
        ) for c in columns
    ]
    reasons = [
        tasks.shortage(
            task, self.panel.people, self.flat, self.least,
            1 if self.share.tail else self.cfg.min_class, self.cfg.min_class,
        ) for task in made
    ]
    ready = [t for t, reason in zip(made, reasons, strict=True) if not reason]
    found = {
        **fits.predict_numbers(
            self.panel, self.share.draws,
            [t for t in ready if t.classes is None],
        ),
        **fits.predict_classes(
            self.panel, self.share.draws,
            [t for t in ready if t.classes is not None],
        ),
    }
    out = []
    for task, reason in zip(made, reasons, strict=True):
      self._count(task)
      if reason:
        self._skip(task, reason)
      elif task.classes is None:
        out.append(self._add_number(task, found[task.name]))
      else:
        out.append(self._add_class(task, found[task.name]))
    return out

  def _key(self, row, task):
    name = f"probe_{task.name}{self.share.tail}"
    return "/".join(filter(None, (self.split, row, name)))

  def _count(self, task):
    """Adds how many rows and people are tested and fitted."""
    name, add = self._key("", task), self.metrics.add
    known = self.tested[task.known[self.tested]]
    if self.windows:
      add(f"{name}/windows", len(known))
    add(f"{name}/people", len(np.unique(self.panel.people[known])))
    if task.classes is not None:
      add(f"{name}/classes", len(task.classes))
    if task.classes is not None and len(task.classes) == 2:
      add(f"{name}/positives", int(np.sum(task.y[known] == 1)))
    for value, reason in task.left_out.items():
      self.metrics.skip(f"{name}/auc_of_{tasks.slug(value)}", reason)
    if self.share.people is not None:
      add(f"{name}/labelled_people", self.share.people)
    if self.share.tail:
      add(f"{name}/draws", len(self.share.draws))

  def _skip(self, task, reason):
    for row, x, _ in self.panel.given([task.name]):
      if task.classes is None or x.shape[1]:
        self.metrics.skip(f"{self._key(row, task)}/{task.measure}", reason)

  def _add_number(self, task, found):
    """Adds the scores of every row of a regression."""
    some = task.known[self.tested]
    at = self.tested[some]
    y, crowd = task.y[at], self._crowd(self.panel.people[at])
    sums, predicted = {}, {}
    tail = f"_{task.unit}" if task.unit else ""
    for row, draws in found.items():
      predicted[row] = draws[0][some]
      mine = sums[row] = [
          crowd.sums(scores.moments(y, p[some])) for p in draws
      ]
      measures = {f"mae{tail}": scores.mae, f"rmse{tail}": scores.rmse,
                  "r2": scores.r2}
      if row != "mean":
        measures["pearson_r"] = scores.pearson
      for measure, score in measures.items():
        scores.add_mean(
            self.metrics, f"{self._key(row, task)}/{measure}", crowd,
            [scores.of_sums(score, s) for s in mine],
        )
    for other in ("mean", "untrained"):  # paired: the same people are drawn
      if other in sums:
        both = np.stack(
            [sum(s[:, 1] for s in sums[row]) for row in ("", other)], axis=1
        )
        self.metrics.add(
            f"{self._key('', task)}/mae_below_{other}_share",
            crowd.estimate(both, lambda s: 1 - stats.ratio(s)),
        )
    p = predicted[""]

    def first(rows, own, places):
      sums = own.sums(scores.moments(y[rows], p[rows]), places)
      return scores.of_sums(scores.mae, sums)

    self._groups(task, at, crowd, first)
    return self._predictions(task, task.unit, at, predicted)

  def _add_class(self, task, found):
    """Adds the scores of every row of a classification."""
    some = task.known[self.tested]
    at = self.tested[some]
    y, people = task.y[at], self.panel.people[at]
    crowd, size = self._crowd(people), len(task.classes)
    predicted = {}
    for row, draws in found.items():
      key = self._key(row, task)
      odds = [d.odds[some] for d in draws]
      chosen = [d.chosen[some] for d in draws]
      predicted[row] = odds[0][:, 0] if size == 2 else chosen[0]
      scores.add_mean(
          self.metrics, f"{key}/auc", crowd,
          [_make_auc(crowd.index, y, o) for o in odds],
      )
      if size == 2:
        scores.add_mean(
            self.metrics, f"{key}/average_precision", crowd,
            [scores.make_average_precision(crowd.index, y, o[:, 0])
             for o in odds],
        )
      if np.isnan(chosen).any():
        self.metrics.skip(
            f"{key}/balanced_accuracy",
            "the selecting people have one class: no threshold",
        )
        continue
      sums = [crowd.sums(scores.hits(y, c, size)) for c in chosen]
      scores.add_mean(
          self.metrics, f"{key}/balanced_accuracy", crowd,
          [scores.of_sums(scores.balanced_accuracy, s) for s in sums],
      )
    odds = found[""][0].odds[some]

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

    self._groups(task, at, crowd, first)
    unit = "log_odds" if size == 2 else "class"
    return self._predictions(task, unit, at, predicted)

  def _crowd(self, people):
    return stats.People(people, self.cfg.bootstrap_draws, self.cfg.seed)

  def _groups(self, task, at, crowd, first):
    """Adds the first score by subgroup, where all labels are fitted on."""
    if self.cfg.subgroups and not self.share.tail:
      subgroups.score(
          self.metrics, self.split, task,
          {name: v[at] for name, v in self.panel.groups.items()}, crowd,
          first, self.cfg.min_people, self.windows, self._crowd,
      )

  def _predictions(self, task, unit, at, predicted):
    rows = {c: v[at] for c, v in self.panel.keys.items()}
    return Predictions(
        task.name + self.share.tail, unit, rows, task.y[at], predicted
    )


def _make_auc(index, y, odds):
  """The AUC of two classes [N, 1], the mean of each against the rest of more.
  """
  if odds.shape[1] == 1:
    return scores.make_auc(index, y, odds[:, 0])
  return scores.make_macro_auc(index, y, odds)
