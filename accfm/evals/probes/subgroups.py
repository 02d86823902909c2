"""Whom a probe fails: its first score by sex, age, BMI, movement and setting.

An average over people hides a group that is served badly, so each group with
enough people is scored alone, and the worst is set beside the best.
"""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from accfm.evals.probes.tasks import Task, slug
from accfm.evals.results.figures import Figure, Figures
from accfm.evals.results.words import split_unit
from accfm.evals.stats import intervals
from accfm.evals.stats.people import People, Statistic
from accfm.evals.stats.scores import WITHIN

BANDS = {
    "age": ((40, "under40"), (60, "40to60"), (np.inf, "60plus")),
    "bmi": ((25, "under25"), (30, "25to30"), (np.inf, "30plus")),
}
SEX = {0.0: "female", 1.0: "male"}
OF_WINDOWS = ("motion", "condition")  # the others are of people
PLACES = ("device", "cohort")
# (rows [m], crowd, places of the rows in the crowd) -> Statistic, or text
Score = Callable[[np.ndarray, People, np.ndarray | slice], Statistic | str]


def groups(table: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """The groups of the rows of a split.

  age: below 40, 40 to below 60, from 60 years; bmi: below 25, 25 to below
  30, from 30 kg/m2; sex: 0 female, 1 male; motion: the rows whose `motion_g`
  is at most the split's median ("still") and the others ("moving");
  condition, device and cohort: as they stand in the table.

  Args:
    table: column -> [N] (attributes with or without their folder).

  Returns:
    {attribute: [N] text, "" where unknown}; attributes that group at least
    one row.
  """
  out = {}
  for column, values in table.items():
    name = split_unit(column.removeprefix("attributes/"))[0]
    number = values.dtype.kind == "f"
    if name in BANDS and number:
      out[name] = _banded(values, BANDS[name])
    elif name == "sex" and number:
      out[name] = _text(values, lambda v: SEX.get(v, slug(v)))
    elif column == "motion_g" and np.isfinite(values).any():
      limit = np.nanmedian(values)
      out["motion"] = np.where(values <= limit, "still", "moving")
      out["motion"][np.isnan(values)] = ""
    elif column == "condition" or name in PLACES or (
        name == "sex" and not number):
      out[name] = _text(values, slug)
  return {name: v for name, v in out.items() if (v != "").any()}


def _banded(
    values: np.ndarray, bands: tuple[tuple[float, str], ...]
) -> np.ndarray:
  """[N] names of the first band whose end is above a value, "" for NaN."""
  ends, names = zip(*bands, strict=True)
  place = np.searchsorted(ends, np.nan_to_num(values), side="right")
  return np.where(np.isfinite(values), np.array(names)[place], "")


def _text(values: np.ndarray, name: Callable[..., str]) -> np.ndarray:
  """[N] names of values, "" where unknown (NaN or "")."""
  found, place = np.unique(values, return_inverse=True)
  known = found == found if found.dtype.kind == "f" else found != ""
  texts = [name(v) if k else "" for v, k in zip(
      found.tolist(), known, strict=True)]
  return np.array(texts)[place]


def score_subgroups(
    figures: Figures, about: Figure, task: Task,
    groups: Mapping[str, np.ndarray], crowd: People, first: Score,
    least: int, segments: bool, draw: Callable[[np.ndarray], People],
) -> None:
  """Adds the first score of the encoder's probe for each group.

  It adds the score, `people` (and `windows`) of each group, and the
  `worst_gap` of each attribute: the largest minus the smallest score of the
  groups with enough people. For the gap's interval people are left out of all
  groups at once and the gap is taken anew. The gap is a range, so it lies above
  zero even for equal groups, the more so the fewer people they have.

  Args:
    figures: to add to.
    about: the probe.
    task: what it was asked.
    groups: attribute -> [M] text of the scored rows.
    crowd: the people of the scored rows.
    first: gives the score of some rows as a function of weights over the
      people of a crowd, or a text that says why there is none.
    least: people that a group needs.
    segments: whether rows are segments, else people.
    draw: ids [m] -> their People.
  """
  people = crowd.names[crowd.index]
  for attribute, values in groups.items():
    if task.classes is not None and attribute in task.name.split("_"):
      continue  # each group has one class
    found: list[Statistic] = []
    for group in sorted(set(values) - {""}):
      rows = np.flatnonzero(values == group)
      at = dataclasses.replace(about, attribute=attribute, group=str(group))
      count = len(np.unique(people[rows]))
      if segments:
        figures.add(at, len(rows), measure="windows")
      figures.add(at, count, measure="people")
      at = dataclasses.replace(at, measure=task.measure, unit=task.unit)
      if count < least:
        figures.skip(
            at, f"{count} people in the group, want at least {least}")
        continue
      own = draw(people[rows])
      mine = first(rows, own, slice(None))
      among_all = first(rows, crowd, rows)
      if isinstance(mine, str) or isinstance(among_all, str):
        figures.skip(at, str(mine))
        continue
      got = own.weighted(mine, WITHIN.get(task.measure, intervals.ANY))
      figures.add(at, got)
      if np.isfinite(got.value):
        found.append(among_all)
    gap = dataclasses.replace(
        about, attribute=attribute, unit=task.unit,
        measure="worst_gap" if task.measure == "mae" else (
            f"worst_gap_{task.measure}"),
    )
    if len(found) < 2:
      figures.skip(gap, f"{len(found)} groups with a score, want two")
    else:
      got = crowd.weighted(_range_of(found))
      low = None if got.low is None else max(got.low, 0.0)
      figures.add(gap, dataclasses.replace(got, low=low))


def _range_of(statistics: list[Statistic]) -> Statistic:
  """Largest minus smallest of functions of weights, NaN where one is."""
  return lambda weights: np.ptp([score(weights) for score in statistics], 0)
