"""Reads flat metrics back: which probes, shares of labels, groups there are.

Keys are `split[/row...]/task/measure_unit`; a row "" is the encoder under
test. What a dictionary lacks gives nothing, so older evaluations can be read.
"""

import dataclasses
import re

WAYS = ("probe", "direct")
ACRONYMS = {"bmi": "BMI", "hr": "HR", "ecg": "ECG", "af": "AF"}
SIGNALS = {"acc": "acceleration", "ppg": "PPG", "ecg": "ECG"}
LABELS = {
    "": "this encoder", "untrained": "untrained encoder",
    "envelope": "motion envelope", "mean": "predict the mean",
    "features": "motion features", "demographics": "demographics",
    "chance": "chance",
}
# Left to right: what was learned, then what needs less and less.
ORDER = ("features", "demographics", "untrained", "mean")


def label(row):
  """A row's name for people."""
  if row in LABELS:
    return LABELS[row]
  return f"{signal(row)} encoder (ceiling)"


def signal(name):
  """A signal's name for people."""
  return SIGNALS.get(name, name)


def in_order(rows):
  """Rows from this encoder and its ceiling down to predicting the mean."""
  rows = set(rows)
  first = sorted(rows - {"", *ORDER})
  return [r for r in ("", *first, *ORDER) if r in rows]


def key(*parts):
  """A key of its parts; empty ones are left out."""
  return "/".join(p for p in parts if p)


@dataclasses.dataclass(frozen=True)
class Score:
  """A metric and its 95 % interval, ends None where not evaluable."""

  value: float
  low: float | None = None
  high: float | None = None


def score(values, name):
  """Score of a metric, None where there is none."""
  value = values.get(name)
  if value is None:
    return None
  ends = (values.get(f"{name}_ci95_{end}") for end in ("low", "high"))
  return Score(value, *ends)


def probe_rows(values, split):
  """Which probes of the whole split there are and what each row scored.

  Scores of subgroups (rows that start with `by_`) are not among them.

  Returns:
    [(task, title, measure, {row: key})] in the order of `values`; measure
    is "mae", "mae_<unit>", "auc" or "accuracy".
  """
  found = {}
  for name in values:
    parts = name.split("/")
    if len(parts) < 3 or parts[0] != split or not _is_score(parts[-1]):
      continue
    rows, task, measure = parts[1:-2], parts[-2], parts[-1]
    if not _is_task(task) or any(r.startswith("by_") for r in rows):
      continue
    title = task_title(task, unit_of(measure))
    found.setdefault((task, title, measure), {})["/".join(rows)] = name
  return [(*name, keys) for name, keys in found.items()]


def _is_task(name):
  return name.partition("_")[0] in WAYS and "_" in name


def _is_score(measure):
  """Whether a measure is the one that a task is first judged by."""
  if measure.endswith(("_ci95_low", "_ci95_high", "_draws_sd")):
    return False
  if "_below_" in measure:
    return False
  return measure.partition("_")[0] == "mae" or measure in ("auc", "accuracy")


def unit_of(measure):
  """`mae_bpm` -> "bpm"; "auc" -> "AUC"; "mae" -> ""."""
  if measure.startswith("mae"):
    return measure.removeprefix("mae").strip("_")
  return {"auc": "AUC"}.get(measure, measure)


def task_title(task, unit=""):
  """`probe_hr_at_10pct` -> "HR, 10 % of labels"."""
  way, _, name = task.partition("_")
  if way not in WAYS:
    way, name = "", task
  name, fraction = split_share(name)
  name = name.removeprefix("target_")
  if unit in ("bpm", "ms") and len(name) < 6:
    name = name.upper()
  name = ACRONYMS.get(name, name.replace("_", " "))
  if fraction != 1.0:
    name += f", {100 * fraction:g} % of labels"
  return name + (", predicted directly" if way == "direct" else "")


def split_share(task):
  """`probe_hr_at_2.5pct` -> ("probe_hr", 0.025); a whole one has 1.0."""
  name, at, share = task.rpartition("_at_")
  if at and share.endswith("pct"):
    try:
      return name, float(share.removesuffix("pct")) / 100
    except ValueError:
      pass
  return task, 1.0


@dataclasses.dataclass(frozen=True)
class LabelCurve:
  """Scores of one task by the share of labelled people that were used.

  Attributes:
    task, title, unit: e.g. "probe_hr", "HR", "bpm"; unit "AUC" for classes.
    shares: the shares, rising, 1.0 for all.
    people: share -> labelled people fitted on, where known.
    draws: share -> how many draws of people its score is the mean of.
    rows: row -> {share: Score}.
  """

  task: str
  title: str
  unit: str
  shares: list
  people: dict
  draws: dict
  rows: dict


def label_curves(values, split):
  """LabelCurves of the tasks that were scored on two shares or more."""
  tasks = {}
  for task, _, measure, keys in probe_rows(values, split):
    base, share = split_share(task)
    if any(values[k] is not None for k in keys.values()):
      tasks.setdefault((base, measure), {})[share] = task, keys
  out = []
  for (base, measure), by_share in tasks.items():
    if len(by_share) < 2:
      continue
    shares, rows, people, draws = sorted(by_share), {}, {}, {}
    for share in shares:
      task, keys = by_share[share]
      counted = values.get(f"{split}/{task}/labelled_people")
      drawn = values.get(f"{split}/{task}/draws")
      people |= {share: round(counted)} if counted is not None else {}
      draws |= {share: round(drawn)} if drawn is not None else {}
      for row, name in keys.items():
        if values[name] is not None:
          rows.setdefault(row, {})[share] = score(values, name)
    unit = unit_of(measure)
    rows = {row: rows[row] for row in in_order(rows)}
    out.append(LabelCurve(
        base, task_title(base, unit), unit, shares, people, draws, rows
    ))
  return out


@dataclasses.dataclass(frozen=True)
class Subgroups:
  """One task's scores in the groups of one attribute.

  Attributes:
    name: of the attribute; task, title, unit: as `LabelCurve`.
    whole: Score of everybody, or None.
    gap: Score of the worst gap between two groups, or None.
    groups: [(value, Score or None, people, windows)], bands of numbers in
      order; counts None where not known.
  """

  name: str
  task: str
  title: str
  unit: str
  whole: Score | None
  gap: Score | None
  groups: list


def subgroups(values, split):
  """Subgroups of each attribute and task, in the order of `values`."""
  names, scored = set(), {}
  for name in values:
    parts = name.split("/")
    if len(parts) != 4 or parts[0] != split or not parts[1].startswith("by_"):
      continue
    _, group, task, measure = parts
    if measure.startswith("worst_gap") and "_ci95_" not in measure:
      names.add(group.removeprefix("by_"))
    elif _is_task(task) and _is_score(measure):
      scored.setdefault((task, measure), []).append(group.removeprefix("by_"))
  out = {}
  for (task, measure), groups in scored.items():
    for group in groups:
      # A name may hold underscores: the worst gap tells where it ends.
      known = [n for n in names if group.startswith(f"{n}_")]
      name = max(known, key=len) if known else group.partition("_")[0]
      out.setdefault((name, task, measure), []).append((
          group[len(name) + 1:],
          score(values, f"{split}/by_{group}/{task}/{measure}"),
          *(_count(values, f"{split}/by_{group}", task, c)
            for c in ("people", "windows")),
      ))
  return [
      Subgroups(
          name, task, task_title(task, unit_of(measure)), unit_of(measure),
          score(values, f"{split}/{task}/{measure}"),
          score(values, "/".join((
              split, f"by_{name}", task, measure.replace(
                  "mae", "worst_gap") if measure != "auc" else "worst_gap_auc",
          ))),
          sorted(groups, key=lambda g: group_order(g[0])),
      )
      for (name, task, measure), groups in out.items()
  ]


def group_title(value):
  """`under40` -> "under 40", `40to60` -> "40 to 60", `60plus` -> "60 plus"."""
  return re.sub(r"(?<=\d)(?=[a-z])|(?<=[a-z])(?=\d)|_", " ", value)


def group_order(value):
  """Sorts bands of numbers as numbers, and names as names."""
  found = re.search(r"\d+(?:\.\d+)?", value)
  if not found:
    return 0, 0.0, value
  below = re.match(r"(under|below|to)_?\d", value)
  return 1, float(found[0]) - 0.5 * bool(below), value


def _count(values, group, task, what):
  for name in (f"{group}/{task}/{what}", f"{group}/{what}"):
    if values.get(name) is not None:
      return round(values[name])
  return None


def rows_of(values, split, tail):
  """{row: key} of every key `split[/row]/tail`, in `in_order`."""
  found = {}
  for name in values:
    if name.startswith(f"{split}/") and name.endswith(f"/{tail}"):
      row = name[len(split) + 1:-len(tail)].strip("/")
      if "/" not in row and not row.startswith("by_"):
        found[row] = name
  return {row: found[row] for row in in_order(found)}


def collapsed(values, split, row=""):
  """Whether an encoder's embedding has collapsed.

  An evaluation says so; of one that does not, an effective rank below 3.
  """
  said = values.get(key(split, row, "health/collapsed"))
  if said is not None:
    return bool(said)
  rank = values.get(key(split, row, "health/effective_rank"))
  return rank is not None and rank < 3
