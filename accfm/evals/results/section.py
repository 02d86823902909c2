"""A section of the report as plain data: text, tables and named plots.

An evaluator describes what it found with these; `report/` draws them. Text is
text: the templates escape it. A plot is named, with the data that the drawing
function of that name takes (`report/draw.py` lists them).
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from accfm.evals.results import words
from accfm.evals.results.figures import TESTED, Figure
from accfm.evals.stats.people import Estimate

MOST_POINTS = 3000  # more in one drawing only make a page slow


def pick_points(count: int, most: int = MOST_POINTS) -> np.ndarray:
  """Up to `most` of `count` row numbers: a fixed random choice, sorted."""
  if count <= most:
    return np.arange(count)
  return np.sort(np.random.default_rng(0).permutation(count)[:most])


def say_picked(picked: int, count: int) -> str:
  """What a caption says of points left out, "" where none are."""
  return "" if picked == count else (
      f" Drawn are {picked:,} of {count:,} points, chosen at random."
  )


@dataclasses.dataclass(frozen=True)
class Cell:
  """One cell of a table.

  Attributes:
    text: what it says.
    below: smaller text under it, such as an interval.
    mark: bold text after it.
    main: whether it is the best of what it is compared with.
    own: whether it is of the encoder under test.
  """

  text: str
  below: str = ""
  mark: str = ""
  main: bool = False
  own: bool = False


def number_cell(
    found: Figure | Estimate | None, digits: int = 3, main: bool = False,
    own: bool = False,
) -> Cell:
  """The cell of a number: its value and, under it, the interval."""
  if found is None or found.value is None:
    return Cell(words.DASH, main=main, own=own)
  return Cell(
      words.number(found.value, digits),
      words.interval(found.low, found.high, digits), main=main, own=own,
  )


def find_best(
    scores: Mapping[str, Figure | Estimate | None], less: bool,
    ceilings: Collection[str] = (),
) -> set[str]:
  """The rows with the best score.

  Args:
    scores: encoder or run -> score.
    less: whether less is better.
    ceilings: rows that are not compared.
  """
  known = {
      row: one.value for row, one in scores.items()
      if one is not None and one.value is not None
      and row not in ceilings
  }
  if len(known) < 2:  # the best of one says nothing
    return set()
  best = (min if less else max)(known.values())
  return {row for row, value in known.items() if value == best}


def score_cells(
    scores: Mapping[str, Figure | Estimate | None], digits: int, less: bool
) -> list[Cell]:
  """A cell for each encoder, the best marked; arguments as `find_best`."""
  best = find_best(scores, less, words.ceilings(scores))
  return [
      number_cell(one, digits, main=row in best, own=row == TESTED)
      for row, one in scores.items()
  ]


@dataclasses.dataclass(frozen=True)
class Line:
  """A line of cells; the first one names it."""

  cells: Sequence[Cell]
  kind: ClassVar[str] = "line"


@dataclasses.dataclass(frozen=True)
class Heading:
  """A line of a table that heads the lines under it."""

  title: str
  note: str = ""
  kind: ClassVar[str] = "heading"


@dataclasses.dataclass(frozen=True)
class Table:
  """A table.

  Attributes:
    heads: the columns' names.
    lines: Lines and Headings.
    title: a small heading above the table, "" for none.
  """

  heads: Sequence[str]
  lines: Sequence[Line | Heading]
  title: str = ""
  kind: ClassVar[str] = "table"


@dataclasses.dataclass(frozen=True)
class Sentences:
  """Sentences, one a line: (what it is of, what is said, how it looks).

  The look is "good", "bad" or "" for neither.
  """

  lines: Sequence[tuple[str, str, str]]
  kind: ClassVar[str] = "sentences"


@dataclasses.dataclass(frozen=True)
class Plot:
  """A drawing.

  Attributes:
    name: of a function in `report/draw.py`.
    data: its arguments, numbers and text.
    caption: under the drawing.
    title: a small heading above it, "" for none.
  """

  name: str
  data: dict[str, Any]
  caption: str
  title: str = ""
  kind: ClassVar[str] = "plot"


@dataclasses.dataclass(frozen=True)
class Gallery:
  """Small drawings side by side."""

  plots: Sequence[Plot]
  kind: ClassVar[str] = "gallery"


@dataclasses.dataclass(frozen=True)
class Folded:
  """Parts that a reader opens if interested."""

  summary: str
  parts: Sequence["Table | Plot | Gallery"]
  kind: ClassVar[str] = "folded"


@dataclasses.dataclass(frozen=True)
class Card:
  """A number to see at once, at the top of the page."""

  title: str
  value: str
  unit: str = ""
  lines: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Notice:
  """What a reader must not miss: a bold title, and text after it."""

  title: str
  text: str
  loud: bool = True


@dataclasses.dataclass(frozen=True)
class Section:
  """One section of the page.

  Attributes:
    title: its heading.
    lead: what it is about, "" for nothing to say.
    parts: in order.
    cards, notices: for the top of the page.
  """

  title: str
  lead: str
  parts: Sequence["Table | Sentences | Plot | Gallery | Folded"]
  cards: Sequence[Card] = ()
  notices: Sequence[Notice] = ()
