"""What the report says of fewer labels: errors by the share of people."""

import dataclasses
from collections.abc import Collection, Sequence

from accfm.evals.probes.found import Target, find_targets
from accfm.evals.results import words
from accfm.evals.results.figures import TESTED, Figures
from accfm.evals.results.section import (
  Cell,
  Folded,
  Line,
  Plot,
  Section,
  Table,
  find_best,
  number_cell,
)
from accfm.evals.stats.people import Estimate


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


def describe_shares(figures: Figures) -> list[Section]:
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
