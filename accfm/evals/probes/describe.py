"""What the report says of scored targets: tables, agreement, ROC, shares.

Probes and direct predictions are described alike; subgroups and shares of
labels are of probes alone.
"""

from collections.abc import Sequence

import numpy as np
from ml_collections import ConfigDict

from accfm.evals.probes import describe_shares, describe_subgroups
from accfm.evals.probes.found import Target, find_targets
from accfm.evals.results import verdict, words
from accfm.evals.results.figures import TESTED, Figures
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
from accfm.evals.stats.people import Estimate, People

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
      *main, *describe_shares.describe_shares(figures),
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
