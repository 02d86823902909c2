"""What the report says of scored targets: tables, agreement, ROC, shares.

Probes and direct predictions are described alike; subgroups and shares of
labels are of probes alone.
"""

import dataclasses
from collections.abc import Collection, Sequence

import numpy as np
from ml_collections import ConfigDict

from accfm.evals.probes import describe_subgroups
from accfm.evals.results import verdict, words
from accfm.evals.results.figures import TESTED, Figure, Figures
from accfm.evals.results.outcome import Predictions
from accfm.evals.results.section import (
  Card,
  Cell,
  Folded,
  Heading,
  Line,
  Plot,
  Section,
  Table,
  find_best,
  number_cell,
  pick_points,
  say_picked,
  score_cells,
)
from accfm.evals.results.verdict import DIRECTLY
from accfm.evals.stats import agreement, roc
from accfm.evals.stats.bootstrap import Estimate, People

FIRST = ("mae", "auc", "accuracy")  # what a target is first judged by
# The first measure stands in the main table, these in its details.
MORE = {
    "Numbers": {"median_abs_error": "median error",
                "within_5bpm_share": "share within 5 bpm", "rmse": "RMSE",
                "r2": "R\u00b2", "pearson_r": "Pearson r"},
    "Classes": {"auc_ridge": "AUC by ridge",
                "pauc_fpr10": "partial AUC to 10 % false positives",
                "average_precision": "average precision",
                "balanced_accuracy": "balanced accuracy",
                "macro_f1": "macro F1", "kappa": "kappa"},
}
LESS = ("mae", "rmse", "median_abs_error")  # of these less is better
IN_UNITS = ("rmse", "median_abs_error")
# What stands in the main table under the error of a heart rate, whose mean
# hides that most are near and some far off.
OF_RATES = {"median_abs_error": ("median error", "bpm"),
            "within_5bpm_share": ("share within 5 bpm", "")}


@dataclasses.dataclass(frozen=True)
class Target:
  """One target on one share of the labels, by its first measure.

  Attributes:
    about: the Figure without an encoder and a value.
    scores: encoder -> Figure.
  """

  about: Figure
  scores: dict[str, Figure]

  @property
  def title(self) -> str:
    """What it is called."""
    title = words.target(
        self.about.subject, self.scale, self.about.share)
    return title + (DIRECTLY if self.about.evaluator == "direct" else "")

  @property
  def scale(self) -> str:
    """What its scores are in."""
    return words.scale(self.about.measure, self.about.unit)

  @property
  def known(self) -> bool:
    """Whether an encoder has a score."""
    return any(f.value is not None for f in self.scores.values())


def find_targets(
    figures: Figures, *evaluators: str, share: float | None = None
) -> list[Target]:
  """The targets that were scored, or should have been, in order.

  Args:
    figures: of an evaluation.
    *evaluators: "probe", "direct".
    share: of labels, None for every share.
  """
  found: dict[Figure, dict[str, Figure]] = {}
  for f in figures:
    if f.evaluator in evaluators and f.measure in FIRST and (
        not f.attribute and share in (None, f.share)):
      about = Figure(
          f.split, f.evaluator, subject=f.subject, share=f.share,
          measure=f.measure, unit=f.unit,
      )
      found.setdefault(about, {})[f.encoder] = f
  return [Target(about, scores) for about, scores in found.items()]


def describe_probes(
    cfg: ConfigDict, figures: Figures, predictions: Sequence[Predictions]
) -> list[Section]:
  """The sections "Probes", "Fewer labels" and "Subgroups".

  Args:
    cfg: as `run.score_probes`.
    figures: with those of `run.score_probes`.
    predictions: what it predicted.
  """
  who = " people; the validation people choose its penalty"
  if cfg.probe_folds:
    who = (
        f" and validation people and the other unseen people in "
        f"{cfg.probe_folds} folds, who also choose its penalty; people are "
        "ranked within a fold"
    )
  main = describe_targets(
      "Probes", (
          "One linear model on the frozen embedding, fitted on the training"
          f"{who}. Numbers are mean absolute errors, lower is better; for "
          "classes the area under the ROC curve. The best of each line is "
          "bold; the ceiling is no rival."
      ), "probe", cfg, figures, predictions,
  )
  return [
      *main, *_describe_shares(figures),
      *describe_subgroups.describe_subgroups(figures),
  ]


def describe_targets(
    title: str, lead: str, evaluator: str, cfg: ConfigDict, figures: Figures,
    predictions: Sequence[Predictions],
) -> list[Section]:
  """Tables of the targets, agreement of one number, ROC curves of classes.

  Args:
    title, lead: of the section.
    evaluator: whose targets.
    cfg: `bootstrap_draws`, `seed`.
    figures: with those of the evaluator.
    predictions: what it predicted.

  Returns:
    One section, or none where nothing was scored.
  """
  targets = [t for t in find_targets(figures, evaluator, share=1.0) if t.known]
  if not targets:
    return []
  order = words.in_order(e for t in targets for e in t.scores)
  lines = []
  for t in targets:
    lines.append(Line([
        Cell(words.in_brackets(t.title, t.scale), _say_counts(figures, t)),
        *score_cells({e: t.scores.get(e) for e in order}, 2,
                     t.about.measure in LESS),
    ]))
    lines += _lines_of_rate(figures, t, order)
  whole = [p for p in predictions if p.share == 1.0]
  return [Section(title, lead, [
      Table(["", *map(words.encoder, order)], lines),
      *_describe_more(figures, evaluator), *_describe_agreement(whole, cfg),
      *_describe_roc(whole, targets, cfg),
  ], cards=_make_cards(figures, targets))]


def _say_counts(figures: Figures, target: Target) -> str:
  """How many segments and people a target was scored on."""
  counts = ((figures.value(target.about, measure=what, unit=""), what)
            for what in ("windows", "people"))
  return ", ".join(f"{n:,.0f} {what}" for n, what in counts if n is not None)


def _lines_of_rate(
    figures: Figures, target: Target, order: Sequence[str]
) -> list[Line]:
  """Median error and share within 5 bpm, under the error of a heart rate."""
  lines = []
  for measure, (title, unit) in OF_RATES.items():
    found = {e: figures.get(target.about, encoder=e, measure=measure, unit=unit)
             for e in order}
    if target.about.unit == "bpm" and any(
        f is not None and f.value is not None for f in found.values()):
      lines.append(Line([
          Cell(f"{target.title} {words.in_brackets(title, unit)}"),
          *score_cells(found, 2, measure in LESS)]))
  return lines


def _make_cards(figures: Figures, targets: Sequence[Target]) -> list[Card]:
  """The errors of the encoder under test."""
  cards = []
  for t in targets:
    found = t.scores.get(TESTED)
    if t.about.measure != "mae" or found is None or found.value is None:
      continue
    said = verdict.of_score(figures, found)
    median, near = (
        figures.value(t.about, measure=m, unit=u)
        for m, (_, u) in OF_RATES.items())
    cards.append(Card(
        f"{t.title} error", words.number(found.value, 1), t.scale, (
            words.interval(found.low, found.high, 1),
            "" if median is None or near is None else
            f"median {median:.1f}, {100 * near:.0f} % within 5 bpm",
            "" if said is None else verdict.short(said),
        )))
  return cards


def _describe_more(figures: Figures, evaluator: str) -> list[Folded]:
  """Other measures of every target and encoder."""
  tables = []
  for title, measures in MORE.items():
    blocks, used = [], set()
    for t in find_targets(figures, evaluator, share=1.0):
      unit, found = t.about.unit, {}
      for e in words.in_order(t.scores):
        mine = {
            m: f for m in measures if (f := figures.get(
                t.about, encoder=e, measure=m,
                unit=unit if m in IN_UNITS else "",
            )) is not None and f.value is not None
        }
        used |= set(mine)
        if mine:
          found[e] = mine
      if found:
        blocks.append((
            t.title, f"errors in {unit}" if unit else "", found))
    heads = {m: head for m, head in measures.items() if m in used}
    lines = []
    for name, note, found in blocks:
      lines += [Heading(name, note), *(
          Line([Cell(words.encoder(e)), *(
              number_cell(mine.get(m), 2, main=e in find_best(
                  {x: by.get(m) for x, by in found.items()}, m in LESS,
                  words.ceilings(found)), own=e == TESTED) for m in heads)])
          for e, mine in found.items()
      )]
    if lines:
      tables.append(Table(["", *heads.values()], lines, title=title))
  return [Folded("Other measures of the probes" if evaluator == "probe" else
                 "Other measures", tables)] if tables else []


def _people(found: Predictions, cfg: ConfigDict) -> People:
  """The people behind predictions, drawn as everywhere."""
  return People(found.rows["participant"], cfg.bootstrap_draws, cfg.seed)


def _describe_agreement(
    predictions: Sequence[Predictions], cfg: ConfigDict
) -> list[Plot]:
  """Predicted against true of heart rate, else of the first number."""
  numeric = [p for p in predictions if p.unit not in ("log_odds", "class")
             and np.asarray(p.true).dtype.kind == "f"
             and TESTED in p.predicted]
  if not numeric:
    return []
  best = min(numeric, key=lambda p: p.target != "hr")
  people = _people(best, cfg)
  true, predicted = best.true, best.predicted[TESTED][0]
  found = agreement.limits(people, true, predicted)
  name = words.target(best.target, best.unit)
  rows = pick_points(len(true))

  def say(one: Estimate) -> str:
    return words.with_interval(one.value, one.low, one.high, 1, best.unit)

  what = f"{len(people):,} people"
  if set(best.rows) != {"participant"}:  # else a row is a person
    what = f"{len(true):,} windows of {what}"
  if best.evaluator == "direct":
    name += DIRECTLY
  return [Plot("agreement", {
      "true": true[rows], "predicted": predicted[rows], "found": found,
      "unit": best.unit, "name": name,
  }, (
      f"{name} of {what}, each predicted by a model that never saw them. Bias "
      f"{say(found.bias)}, 95 % limits of agreement {say(found.lower)} and "
      f"{say(found.upper)}; bands and brackets are 95 % intervals over people."
      + say_picked(len(rows), len(true))
  ))]


def _describe_roc(
    predictions: Sequence[Predictions], targets: Sequence[Target],
    cfg: ConfigDict,
) -> list[Plot]:
  """ROC curves of all targets of two classes."""
  by_name = {t.about.subject: t for t in targets}
  panels = []
  for p in predictions:
    if p.unit != "log_odds" or {0, 1} != set(np.unique(p.true)):
      continue
    people, t = _people(p, cfg), by_name.get(p.target)
    auc = t and t.scores.get(TESTED)
    text = ""
    if auc is not None and auc.value is not None:
      text = "AUC " + words.with_interval(auc.value, auc.low, auc.high, 2)
    shown = [e for e in words.in_order(p.predicted)
             if e not in ("untrained", "mean")]
    panels.append((
        words.target(p.target) + (
            DIRECTLY if p.evaluator == "direct" else ""), text,
        {e: roc.curve(
            people, p.true, p.predicted[e][0], e == TESTED, p.fold)
         for e in shown},
    ))
  if not panels:
    return []
  return [Plot("roc", {"panels": panels}, (
      "ROC curves of the classes. The band holds the middle 95 % of the "
      "curves of this encoder over draws of people; brackets are 95 % "
      "intervals of the area. Over folds a curve is the average of the "
      "folds' curves, weighted by their pairs of rows."
  ))]


@dataclasses.dataclass(frozen=True)
class LabelCurve:
  """Scores of one target by the share of labelled people that were used.

  Attributes:
    title, scale: e.g. "HR", "bpm"; scale "AUC" for classes.
    shares: the shares, rising, 1.0 for all.
    people: share -> labelled people fitted on, where known.
    draws: share -> how many draws of people its score is the mean of.
    lines: name of an encoder or run -> {share: score}.
  """

  title: str
  scale: str
  shares: list[float]
  people: dict[float, int]
  draws: dict[float, int]
  lines: dict[str, dict[float, Estimate]]


def label_curves(figures: Figures) -> list[LabelCurve]:
  """LabelCurves of the targets that were probed on two shares or more."""
  by_target: dict[tuple, dict[float, Target]] = {}
  for t in find_targets(figures, "probe"):
    if t.known:
      name = (t.about.subject, t.about.measure, t.about.unit)
      by_target.setdefault(name, {})[t.about.share] = t
  out = []
  for by_share in by_target.values():
    if len(by_share) < 2:
      continue
    shares, lines, people, draws = sorted(by_share), {}, {}, {}
    for share in shares:
      t = by_share[share]
      for what, counts in (("labelled_people", people), ("draws", draws)):
        counted = figures.value(t.about, measure=what, unit="")
        if counted is not None:
          counts[share] = round(counted)
      for e, f in t.scores.items():
        if f.value is not None:
          lines.setdefault(e, {})[share] = Estimate(f.value, f.low, f.high)
    about = by_share[shares[0]].about
    scale = words.scale(about.measure, about.unit)
    out.append(LabelCurve(
        words.target(about.subject, scale), scale, shares, people, draws,
        {e: lines[e] for e in words.in_order(lines)},
    ))
  return out


def _describe_shares(figures: Figures) -> list[Section]:
  """How errors grow as fewer people are labelled."""
  curves = label_curves(figures)
  if not curves:
    return []
  draws = {n for one in curves for n in one.draws.values()}
  averaged = (
      f" and over the draws. Shares below 100 % are the mean of {max(draws)} "
      "draws of labelled people."
      if draws and max(draws) > 1 else ".")
  names = {e: words.encoder(e) for one in curves for e in one.lines}
  return [Section("Fewer labels", (
      "The same probes, fitted on a share of the labelled people, who also "
      "choose the penalty: no other label is read. At 100 % "
      "the validation people choose it. An encoder that has learned the "
      "label's physiology needs few of them."
  ), [Plot("label_curves", {"panels": curves, "names": names}, (
      "Error by the share of labelled people, "
      "their number under it where known. Band and whiskers are 95 % "
      "intervals over the people scored" + averaged
  )), table_of_curves(
      curves, names, words.ceilings(names))])]


def table_of_curves(
    curves: Sequence[LabelCurve], names: dict[str, str],
    ceilings: Collection[str] = (),
) -> Folded:
  """The figures behind LabelCurves, folded.

  Args:
    curves: LabelCurves.
    names: line -> what it is called.
    ceilings: the lines that are not compared.
  """
  tables = []
  for one in curves:
    lines = []
    if one.people:
      lines.append(Line([Cell("people fitted on"), *(
          Cell(f"{one.people[s]:,}" if s in one.people else words.DASH)
          for s in one.shares
      )]))
    if max(one.draws.values(), default=1) > 1:
      lines.append(Line([Cell("draws of people fitted on"), *(
          Cell(f"{one.draws.get(s, 1):,}") for s in one.shares
      )]))
    less = one.scale not in words.MEASURES.values()
    best = {
        s: find_best({n: by.get(s) for n, by in one.lines.items()}, less,
                     ceilings)
        for s in one.shares
    }
    for name, by in one.lines.items():
      lines.append(Line([
          Cell(names[name]),
          *(number_cell(by.get(s), 2, main=name in best[s],
                        own=name == TESTED) for s in one.shares),
      ]))
    tables.append(Table(
        ["labelled people", *(f"{100 * s:g} %" for s in one.shares)], lines,
        title=words.in_brackets(one.title, one.scale),
    ))
  return Folded("The figures of these curves", tables)
