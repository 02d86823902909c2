"""What the report says of subgroups: whom the encoder serves worse."""

import dataclasses
import re
from collections.abc import Sequence

from accfm.evals.results import words
from accfm.evals.results.figures import Figure, Figures
from accfm.evals.results.section import (
  Cell,
  Folded,
  Line,
  Plot,
  Section,
  Table,
  number_cell,
)

MOST_PANELS = 6  # of one attribute; tables have all targets


@dataclasses.dataclass(frozen=True)
class Group:
  """One group of a panel.

  Attributes:
    title: its name.
    score: a Figure, whose value is None where not evaluable.
    people, segments: how many it has, None where not known.
  """

  title: str
  score: Figure
  people: int | None
  segments: int | None

  @property
  def counted(self) -> str:
    """Its name and how many people it has."""
    if self.people is None:
      return self.title
    return f"{self.title} ({self.people:,})"


@dataclasses.dataclass(frozen=True)
class Panel:
  """One target's scores in the groups of one attribute.

  Attributes:
    attribute: e.g. "sex".
    title, scale: of the target, e.g. "HR", "bpm".
    whole: the Figure of everybody, or None.
    gap: the Figure of the worst gap, or None.
    groups: bands of numbers in order, names sorted.
  """

  attribute: str
  title: str
  scale: str
  whole: Figure | None
  gap: Figure | None
  groups: list[Group]


def find_panels(figures: Figures) -> list[Panel]:
  """The Panels of each attribute and target, in order."""
  found: dict[Figure, list[Figure]] = {}
  for f in figures:
    if f.group and f.measure in ("mae", "auc"):
      about = Figure(
          f.split, f.evaluator, subject=f.subject, attribute=f.attribute,
          measure=f.measure, unit=f.unit,
      )
      found.setdefault(about, []).append(f)
  out = []
  for about, scores in found.items():
    scale = words.scale(about.measure, about.unit)
    gap = "worst_gap" if about.measure == "mae" else (
        f"worst_gap_{about.measure}")
    groups = [Group(title_of(f.group), f, *(
        None if (n := figures.value(f, measure=what, unit="")) is None
        else round(n) for what in ("people", "windows")
    )) for f in sorted(scores, key=lambda f: order_of(f.group))]
    out.append(Panel(
        about.attribute, words.target(about.subject, scale), scale,
        figures.get(about, attribute=""),
        figures.get(about, measure=gap), groups,
    ))
  return out


def title_of(group: str) -> str:
  """`under40` -> "under 40", `40to60` -> "40 to 60", `60plus` -> "60 plus"."""
  return re.sub(r"(?<=\d)(?=[a-z])|(?<=[a-z])(?=\d)|_", " ", group)


def order_of(group: str) -> tuple[int, float, str]:
  """Sorts bands of numbers as numbers, and names as names."""
  found = re.search(r"\d+(?:\.\d+)?", group)
  if not found:
    return 0, 0.0, group
  below = re.match(r"(under|below|to)_?\d", group)
  return 1, float(found[0]) - 0.5 * bool(below), group


def describe_subgroups(figures: Figures) -> list[Section]:
  """The section "Subgroups": errors by group, and the worst gap."""
  by_attribute: dict[str, list[Panel]] = {}
  for panel in find_panels(figures):
    by_attribute.setdefault(panel.attribute, []).append(panel)
  parts: list[Plot | Folded] = []
  for attribute, panels in by_attribute.items():
    drawn = [  # a group alone has nobody beside it
        p for p in panels
        if sum(g.score.value is not None for g in p.groups) > 1]
    if not drawn:
      continue
    text = (
        "Numbers of people in brackets; thin lines are 95 % intervals over "
        "people, the dashed line is everybody.")
    shown = drawn[:MOST_PANELS]
    if len(shown) < len(drawn):
      text += f" More tasks in the table: {len(drawn) - len(shown)}."
    name = words.target(attribute)
    parts += [
        Plot("subgroups", {"panels": shown}, text, title=f"By {name}"),
        _table(panels, name),
    ]
  if not parts:
    return []
  return [Section("Subgroups", (
      "The same predictions, scored in groups. Where intervals lie apart, the "
      "encoder serves somebody worse. The worst gap is the largest score minus "
      "the smallest: it lies above zero even where groups are served alike, "
      "the more so the fewer people they have. Its interval ends at zero."
  ), parts)]


def _table(panels: Sequence[Panel], name: str) -> Folded:
  """The figures of one attribute."""
  return Folded(f"The figures by {name}", [Table(
      ["group", p.scale or "error", "people", "windows"], [Line([
          Cell(g.title), number_cell(g.score, 2),
          *(Cell(words.DASH if n is None else f"{n:,}")
            for n in (g.people, g.segments)),
      ]) for g in p.groups], title=p.title,
  ) for p in panels])
