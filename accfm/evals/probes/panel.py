"""What probes are fitted and scored on: all segments, or all participants.

A Panel stacks the rows of all splits with everything that a linear model may
be given: each encoder's embedding, hand-made features, the participant's age,
sex and BMI, or nothing at all.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from accfm.base.errors import InputError
from accfm.evals.probes import roles as roles_lib
from accfm.evals.probes import subgroups, unlike
from accfm.evals.probes.tasks import slug
from accfm.evals.results.words import split_unit
from accfm.evals.stats import people as stats

# Facts of a participant, each with the facts that must not help to predict it.
DEMOGRAPHICS = {
    "age": {"age"}, "sex": {"sex"}, "bmi": {"bmi", "height", "weight"},
    "height": {"height", "bmi"}, "weight": {"weight", "bmi"},
}
READINGS = ("traced", "harmonic")
POOLINGS = ("mean", "mean_sd")


@dataclasses.dataclass(frozen=True)
class Panel:
  """N rows over all splits.

  Attributes:
    people: [N] ids.
    keys: column -> [N], what identifies a row in `predictions.parquet`.
    roles: [N] each, one a fold.
    columns: column -> [N] labels.
    rows: encoder (or baseline) -> [N, D], what its probe is given.
    facts: demographic -> [N], NaN where unknown.
    groups: attribute of subgroups -> [N] text, the group of each tested row,
      "" for none.
    readings: task -> row -> [N] predictions that need no fit.
    unlike: column that splits do not share -> why.
  """

  people: np.ndarray
  keys: dict[str, np.ndarray]
  roles: list[np.ndarray]
  columns: dict[str, np.ndarray]
  rows: dict[str, np.ndarray]
  facts: dict[str, np.ndarray]
  groups: dict[str, np.ndarray]
  readings: dict[str, dict[str, np.ndarray]] = dataclasses.field(
      default_factory=dict
  )
  unlike: dict[str, str] = dataclasses.field(default_factory=dict)

  def given(
      self, names: Sequence[str]
  ) -> list[tuple[str, np.ndarray, list[int]]]:
    """What the probe of each encoder and baseline is given for some tasks.

    The baseline "demographics" is not given what a task asks for, nor what
    follows from it. The baseline "mean" is given no column.

    Args:
      names: K names of tasks.

    Returns:
      [(encoder or baseline, [N, D], places of the tasks)].
    """
    everything = list(range(len(names)))
    out = [(row, x, everything) for row, x in self.rows.items()]
    sets = {}
    for place, name in enumerate(names):
      sets.setdefault(_allowed(name, self.facts), []).append(place)
    fit = np.all([r == roles_lib.FIT for r in self.roles], axis=0)
    for allowed, places in sets.items():
      x = _filled([self.facts[f] for f in allowed], fit)
      if x.shape[1]:
        out.append(("demographics", x, places))
    return [*out, ("mean", np.zeros((len(self.people), 0)), everything)]


def of_windows(data: Any, cfg: ConfigDict) -> Panel:
  """The Panel of segments.

  Args:
    data: `inputs.Inputs`.
    cfg: `probe_folds`, `seed`.
  """
  names = sorted(data.tables)
  tables = [data.tables[s] for s in names]
  alone = unlike.find_unlike(data.tables, data.split, data.fitted_on)
  common = set.intersection(*(set(t) for t in tables)) - set(alone)
  stack = {c: np.concatenate([t[c] for t in tables]) for c in sorted(common)}
  rows = {**data.encoders}
  if data.features:
    rows["features"] = data.features
  whole = np.concatenate([
      np.full(len(t["participant"]), s == data.split)
      for s, t in zip(names, tables, strict=True)
  ])
  groups = {}
  for name, values in subgroups.groups(data.table).items():
    groups[name] = np.zeros(len(whole), values.dtype)
    groups[name][whole] = values
  return Panel(
      stack["participant"],
      {c: stack[c] for c in ("participant", "session", "start_s")},
      roles_lib.deal(
          data.tables, data.split, cfg.probe_folds, cfg.seed, data.fitted_on),
      _columns(stack),
      {
          row: np.concatenate([parts[s] for s in names])
          for row, parts in rows.items() if set(names) <= set(parts)
      },
      _facts(stack), groups, {"hr": {
          row: np.concatenate([data.readings[s][row] for s in names])
          for row in READINGS if set(names) <= set(data.readings)
      }}, alone,
  )


def _columns(stack):
  """The columns that are labels; no two of them name the same task."""
  out, names = {}, {}
  for column, values in stack.items():
    if column == "condition" and not (values != "").any():
      continue
    if column == "condition" or column.startswith(("labels/", "attributes/")):
      name = split_unit(slug(column.split("/", 1)[-1]))[0]
      if names.setdefault(name, column) != column:
        raise InputError(
            f"probes: got labels {names[name]!r} and {column!r}, both of task "
            f"{name!r}; want one: give one another name"
        )
      out[column] = values
  return out


def _facts(stack):
  """The demographics of every row; a text of two values becomes 0 and 1."""
  out = {}
  for column, values in stack.items():
    name = split_unit(column.removeprefix("attributes/"))[0]
    if not column.startswith("attributes/") or name not in DEMOGRAPHICS:
      continue
    if values.dtype.kind == "f":
      out[name] = values.astype(np.float64)
      continue
    texts = np.unique(values[values != ""])
    if len(texts) == 2:
      out[name] = np.where(
          values == "", np.nan, (values == texts[1]).astype(np.float64))
  return out


def of_people(panel: Panel, pooling: str) -> Panel:
  """The Panel of participants, from that of their segments.

  Args:
    panel: of segments.
    pooling: "mean" gives a participant the mean of the embeddings [D];
      "mean_sd" the mean and the SD over the segments [2 D].
  """
  crowd = stats.People(panel.people, 1, 0)
  first = np.unique(panel.people, return_index=True)[1]
  return Panel(
      crowd.names, {"participant": crowd.names},
      [role[first] for role in panel.roles],
      {c: v[first] for c, v in panel.columns.items()},
      {row: pool(crowd, x, pooling) for row, x in panel.rows.items()},
      {name: v[first] for name, v in panel.facts.items()},
      {name: v[first] for name, v in panel.groups.items()
       if name not in subgroups.OF_WINDOWS},
  )


def pool(crowd: stats.People, x: np.ndarray, pooling: str) -> np.ndarray:
  """Embeddings [N, D] of segments as [P, D] or [P, 2 D] of participants."""
  count = crowd.sums(np.ones((len(x), 1)))
  mean = crowd.sums(np.asarray(x, np.float64)) / count
  if pooling == "mean":
    return mean
  spread = crowd.sums((x - mean[crowd.index]) ** 2) / count
  return np.concatenate([mean, np.sqrt(spread)], axis=1)


def _allowed(task: str, facts: Iterable[str]) -> tuple[str, ...]:
  """The demographics that may help with a task, sorted."""
  hidden = set()
  for word in task.split("_"):
    hidden |= DEMOGRAPHICS.get(word, set())
  return tuple(sorted(set(facts) - hidden))


def _filled(columns: Iterable[np.ndarray], fit: np.ndarray) -> np.ndarray:
  """Facts [N] as [N, C]; the mean of the fitting rows stands for unknown ones.

  A fact that is unknown for somebody brings a second column that says for
  whom it is known, so that a probe can tell what was filled in.
  """
  out = []
  for values in columns:
    known = np.isfinite(values)
    if not (known & fit).any():
      continue
    out.append(np.where(known, values, values[known & fit].mean()))
    if not known.all():
      out.append(known.astype(np.float64))
  return np.stack(out, axis=1) if out else np.zeros((len(fit), 0))
