"""Who a probe fails: its first score by sex, age, BMI, movement and setting.

An average over people hides a group that is served badly, so each group with
enough people is scored alone, and the worst is set beside the best.
"""

import numpy as np

from accfm.evals.probes.tasks import slug, task_and_unit

BANDS = {
    "age": ((40, "under40"), (60, "40to60"), (np.inf, "60plus")),
    "bmi": ((25, "under25"), (30, "25to30"), (np.inf, "30plus")),
}
SEX = {0.0: "female", 1.0: "male"}
OF_WINDOWS = ("motion", "condition")  # the others are of people
PLACES = ("device", "cohort")


def groups(table):
  """The groups of the rows of a split.

  age: below 40, 40 to below 60, from 60 years; bmi: below 25, 25 to below
  30, from 30 kg/m2; sex: 0 female, 1 male; motion: the rows whose `motion_g`
  is at most the split's median ("still") and the others ("moving");
  condition, device and cohort: as they stand in the table.

  Args:
    table: column -> [N] (attributes with or without their folder).

  Returns:
    {name: [N] text, "" where unknown}, names that group any row only.
  """
  out = {}
  for column, values in table.items():
    name = task_and_unit(column.removeprefix("attributes/"))[0]
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


def _banded(values, bands):
  """[N] names of the first band whose end is above a value, "" for NaN."""
  ends, names = zip(*bands, strict=True)
  place = np.searchsorted(ends, np.nan_to_num(values), side="right")
  return np.where(np.isfinite(values), np.array(names)[place], "")


def _text(values, name):
  """[N] names of values, "" where unknown (NaN or "")."""
  found, place = np.unique(values, return_inverse=True)
  known = found == found if found.dtype.kind == "f" else found != ""
  texts = [name(v) if k else "" for v, k in zip(
      found.tolist(), known, strict=True)]
  return np.array(texts)[place]


def score(metrics, split, task, groups, crowd, first, least, windows, draw):
  """Adds the first score of the encoder's probe for each group.

  Keys: `<split>/by_<name>_<group>/probe_<task>/<measure>` with `people` (and
  `windows`), and `<split>/by_<name>/probe_<task>/worst_gap_<unit>`, the
  largest minus the smallest score of the groups with enough people. In the
  gap's interval all people are drawn together and the gap is taken anew in
  each draw; it is a range, so it lies above zero even for equal groups, the
  more so the fewer people they have.

  Args:
    metrics: `stats.Metrics`.
    split: under evaluation.
    task: `tasks.Task`.
    groups: name -> [M] text of the scored rows.
    crowd: `stats.People` of the scored rows.
    first: (rows [m], crowd, places) -> the score as a function of weights
      over the people of a crowd, whose rows `places` the `rows` are; or text,
      why there is none.
    least: people that a group needs.
    windows: whether rows are windows, else people.
    draw: ids [m] -> their `stats.People`.
  """
  people = crowd.names[crowd.index]
  for name, values in groups.items():
    if task.classes is not None and name in task.name.split("_"):
      continue  # each group has one class
    found = []
    for group in sorted(set(values) - {""}):
      rows = np.flatnonzero(values == group)
      prefix = f"{split}/by_{name}_{group}/probe_{task.name}"
      count = len(np.unique(people[rows]))
      if windows:
        metrics.add(f"{prefix}/windows", len(rows))
      metrics.add(f"{prefix}/people", count)
      got = f"{count} people in the group, want at least {least}"
      if count >= least:
        own = draw(people[rows])
        got = first(rows, own, slice(None))
      if isinstance(got, str):
        metrics.skip(f"{prefix}/{task.measure}", got)
        continue
      got = own.weighted(got)
      metrics.add(f"{prefix}/{task.measure}", got)
      if np.isfinite(got.value):
        found.append(first(rows, crowd, rows))
    tail = task.measure.removeprefix("mae").strip("_")
    key = "_".join(filter(None, ("worst_gap", tail)))
    key = f"{split}/by_{name}/probe_{task.name}/{key}"
    if len(found) < 2:
      metrics.skip(key, f"{len(found)} groups with a score, want two")
    else:
      metrics.add(key, crowd.weighted(_range_of(found)))


def _range_of(statistics):
  """Largest minus smallest of functions of weights, NaN where one is."""
  return lambda weights: np.ptp([score(weights) for score in statistics], 0)
