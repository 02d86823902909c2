"""Figures of an evaluation, structured until they are written.

A Figure says what was measured, of whom and how, beside its value. Sections
of the report, comparisons and histories read these fields. `key` alone knows
how `metrics.json` names a figure, and nothing reads a key back.
"""

import dataclasses
import json
import math
import os
from collections.abc import Iterator
from typing import Any

from accfm.base import files, jsonfile
from accfm.base import plain as plainlib
from accfm.base.errors import InputError
from accfm.evals.stats.people import Estimate

TESTED = "encoder"  # the encoder under test
CHANCE = "chance"  # what a random order would score
VERSION = 1


@dataclasses.dataclass(frozen=True)
class Figure:
  """One number of an evaluation.

  Attributes:
    split: the split under evaluation.
    evaluator: who measured it, e.g. "probe".
    encoder: what was scored: TESTED, "untrained", "mean", CHANCE, ... or a
      signal, for the other encoder of the checkpoint.
    subject: a direction of retrieval ("acc2ppg") or a target ("hr"); "" for
      a figure of neither.
    variant: which wrong answers a query meets, e.g. "still"; "" for all.
    attribute, group: of a subgroup of people or segments, e.g. "sex" and
      "female"; the group is "" for a figure over all groups.
    share: the share of the labelled people that probes were fitted on.
    measure: e.g. "recall@1", "mae", "people".
    unit: of the value, e.g. "bpm"; "" for none.
    pool: how many segments a query is sought among, or "all"; None where
      nothing is sought.
    headline: whether it is one of the few to follow a training by.
    value: None where not evaluable.
    low, high: ends of the 95 % interval, None where there is none.
    rival: of a paired difference, the row that it is a difference from.
    draws_sd: SD over draws of labelled people, None for one draw.
    reason: why not evaluable, else "".
  """

  split: str
  evaluator: str
  encoder: str = TESTED
  subject: str = ""
  variant: str = ""
  attribute: str = ""
  group: str = ""
  share: float = 1.0
  measure: str = ""
  unit: str = ""
  pool: int | str | None = None
  headline: bool = False
  value: float | None = None
  low: float | None = None
  high: float | None = None
  draws_sd: float | None = None
  reason: str = ""
  rival: str = ""


def share_tail(share: float) -> str:
  """`0.1` -> "_at_10pct", the end of a task's name; "" for all labels."""
  return "" if share == 1.0 else f"_at_{100 * share:g}pct"


def key(figure: Figure) -> str:
  """How `metrics.json` names a figure: `split/task/measure_unit`.

  Between split and task stand the encoder, unless it is the one under test,
  and the variant or the subgroup.
  """
  f = figure
  sought = f.evaluator in ("retrieval", "reidentify")  # they name CHANCE below
  encoder = "" if f.encoder == TESTED or (
      sought and f.encoder == CHANCE) else f.encoder
  place, measure = f.variant, f.measure
  task = _join("_", f.evaluator, f.subject) + share_tail(f.share)
  if f.attribute:
    place = _join("_", "by", f.attribute, f.group)
  if f.evaluator == "retrieval":  # named by its direction or variant alone
    task = f.subject or ("" if f.variant else f.evaluator)
    if f.encoder == CHANCE:  # alike in both directions
      task = CHANCE
  elif f.evaluator == "reidentify":  # its variant ends the name
    if f.encoder == CHANCE:
      measure = CHANCE + measure.removeprefix("recall").removesuffix("@1")
    place, measure = "", _join("_", measure, f.variant)
  pool = "" if f.pool is None else f"pool{f.pool}"
  return _join(
      "/", f.split, encoder, place, task, _join("_", measure, f.unit, pool)
  )


def _join(mark: str, *parts: str) -> str:
  return mark.join(filter(None, parts))


class Figures:
  """The figures of one evaluation, in the order in which they were added."""

  def __init__(self):
    self._by_key: dict[str, Figure] = {}

  def __iter__(self) -> Iterator[Figure]:
    return iter(self._by_key.values())

  def __len__(self) -> int:
    return len(self._by_key)

  def add(
      self, about: Figure, value: float | Estimate, **fields: Any
  ) -> None:
    """Adds a figure.

    Args:
      about: a Figure that says what the value is of.
      value: a number, or an Estimate with its interval. One that is not
        finite is not evaluable.
      **fields: replace those of `about`.
    """
    figure = dataclasses.replace(about, **fields)
    name = key(figure)
    if name in self._by_key:
      raise ValueError(f"metric {name!r} is reported twice")
    found = value if isinstance(value, Estimate) else Estimate(float(value))
    if not math.isfinite(found.value):
      self.skip(figure, "the statistic is undefined on these windows")
      return
    self._by_key[name] = dataclasses.replace(
        figure, value=float(found.value), low=found.low, high=found.high,
        draws_sd=found.draws_sd,
    )

  def skip(self, about: Figure, reason: str, **fields: Any) -> None:
    """Adds a figure that is not evaluable, with the reason.

    Arguments as for `add`.
    """
    figure = dataclasses.replace(about, reason=reason, **fields)
    self._by_key[key(figure)] = figure

  def get(self, about: Figure, **fields: Any) -> Figure | None:
    """The figure that `add` would be refused for; None where there is none."""
    return self._by_key.get(key(dataclasses.replace(about, **fields)))

  def value(self, about: Figure, **fields: Any) -> float | None:
    """The value of `get`; None too where not evaluable."""
    found = self.get(about, **fields)
    return None if found is None else found.value

  def find(self, **fields: Any) -> list[Figure]:
    """All figures that have these fields, in order."""
    return [
        figure for figure in self
        if all(getattr(figure, name) == x for name, x in fields.items())
    ]

  def headlines(self) -> dict[str, float | None]:
    """The few to follow a training by, as in `metrics.json`."""
    chosen = Figures()
    for figure in self.find(headline=True):
      chosen._by_key[key(figure)] = dataclasses.replace(figure, draws_sd=None)
    return chosen.flat()

  def flat(self) -> dict[str, float | None]:
    """The figures as `metrics.json` holds them: key -> number or None."""
    out: dict[str, float | None] = {}
    for name, figure in self._by_key.items():
      out[name] = figure.value
      if figure.low is not None:
        out[f"{name}_ci95_low"] = figure.low
        out[f"{name}_ci95_high"] = figure.high
      if figure.draws_sd is not None:
        out[f"{name}_draws_sd"] = figure.draws_sd
    return out

  def missing(self) -> list[dict[str, str]]:
    """{"key", "reason"} of each figure that is not evaluable."""
    return [
        {"key": name, "reason": figure.reason}
        for name, figure in self._by_key.items() if figure.value is None
    ]


def write_metrics(
    path: str | os.PathLike, figures: Figures, facts: dict[str, Any]
) -> None:
  """Writes `metrics.json`.

  Args:
    path: the file.
    figures: its numbers.
    facts: plain data about the run, kept under `_meta`.
  """
  plain = {**figures.flat(), "_meta": {
      **facts, "not_evaluable": figures.missing(),
  }}
  files.write_atomic(path, json.dumps(plain, indent=1, allow_nan=False) + "\n")


def write_figures(path: str | os.PathLike, figures: Figures) -> None:
  """Writes `figures.json`: one line a figure, fields at their default left out.
  """
  lines = ",\n".join(
      json.dumps(_plain(figure), allow_nan=False) for figure in figures
  )
  files.write_atomic(
      path, f'{{"version": {VERSION}, "figures": [\n{lines}\n]}}\n'
  )


def _plain(figure: Figure) -> dict[str, Any]:
  return {
      field.name: value for field in dataclasses.fields(figure)
      if (value := getattr(figure, field.name)) != field.default
  }


def load_figures(path: str | os.PathLike) -> Figures:
  """The figures that `write_figures` wrote.

  Raises:
    InputError: there is no such file, or another version wrote it.
  """
  want = "the figures.json of an evaluation by this version; evaluate again"
  found = jsonfile.read_object(path, want)
  if found.get("version") != VERSION or "figures" not in found:
    raise InputError(
        f"{path}: cannot be read (version {found.get('version')!r}, want "
        f"{VERSION}), want {want}"
    )
  out = Figures()
  for figure in plainlib.from_plain(
      tuple[Figure, ...], found["figures"], f"{path}: figures"
  ):
    out._by_key[key(figure)] = figure
  return out
