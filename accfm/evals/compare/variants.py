"""The table of ablations: a line a variant, beside what the paper claims.

Runs that differ in nothing but their seed are one variant. Its figures are the
mean over the seeds, with their range: two people-level intervals say nothing
of what another start of training would have given.
"""

import json
import os
import pathlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from accfm.base import files
from accfm.evals.compare import paired, study
from accfm.evals.results import marks, saved
from accfm.evals.results.figures import TESTED, Figure, key
from accfm.evals.results.outcome import task_name

STUDENT, TEACHER = "acc", "ppg"
# What a line shows beside the errors: column, its fields by signal, digits.
COLUMNS = (
    ("acc→PPG", "acc2ppg", 3), ("PPG→acc", "ppg2acc", 3),
    ("rank acc", STUDENT, 1), ("rank PPG", TEACHER, 1),
)


def write_tables(
    config: ConfigDict, order: Sequence[str], work: pathlib.Path, out: str
) -> dict[str, Any]:
  """Writes the table of a study, a line a run or a line a variant.

  Args:
    config, order, work, out: as `study.write_table`. With `by_variant` OUT has
      the variants, and WORK/runs the runs.

  Returns:
    As `study.tabulate_study` or `tabulate_variants`.
  """
  if not config.get("by_variant"):
    return study.write_table(config, order, work, out)
  study.write_table(config, order, work, str(work / "runs"))
  return write_table(config, order, work, out)


def write_table(
    config: ConfigDict, order: Sequence[str], work: pathlib.Path, out: str
) -> dict[str, Any]:
  """Writes OUT.json and OUT.md; arguments as `study.write_table`.

  Returns:
    As `tabulate_variants`.
  """
  table = tabulate_variants(config, order, work)
  os.makedirs(os.path.dirname(out) or ".", exist_ok=True)
  files.write_atomic(
      f"{out}.json", json.dumps(table, indent=1, ensure_ascii=False) + "\n")
  text = markdown(config, table)
  files.write_atomic(f"{out}.md", text)
  print(f"\n{text}\n{out}.md and .json", flush=True)
  return table


def tabulate_variants(
    config: ConfigDict, order: Sequence[str], work: pathlib.Path
) -> dict[str, Any]:
  """All figures of the variants.

  Args:
    config: as `configs/ablations.py`.
    order: names of the runs.
    work: folder of the study.

  Returns:
    {"variants": {variant: {"title", "claim", "runs": names, "values":
    {column: one a seed and data set, in order}, "change": {task: [value, low,
    high], how far its error is above the subject's}}}, "datasets", "subject"}.
    The change pools the seeds and has an interval over people.
  """
  found: dict[str, dict[str, Any]] = {}
  for name in order:
    spec = config.runs[name]
    line = found.setdefault(spec.get("variant", name), {
        "title": spec.title, "claim": spec.get("claim", ""), "runs": [],
        "folders": [],
    })
    line["runs"].append(name)
    line["folders"] += [work / d / name / "evaluation" for d in config.datasets]
  mine = _scored(found[config.subject]["folders"])
  out = {}
  for variant, line in found.items():
    folders = line.pop("folders")
    metrics = [
        saved.load_metrics(f / "metrics.json", *study.NEEDED, "student")
        for f in folders
    ]
    line["values"] = _values(config, metrics)
    line["seen_people"] = 0
    line |= marks.to_facts(sum(
        (Counter(marks.count(m["_meta"])) for m in metrics), Counter()))
    line["change"] = {}
    if variant != config.subject and metrics[0]["_meta"]["student"] == STUDENT:
      line["change"] = _changes(config, _scored(folders), mine)
    out[variant] = line
  return {
      "variants": out, "datasets": list(config.datasets),
      "subject": config.subject,
  }


def _scored(folders: Sequence[pathlib.Path]) -> dict[Any, paired.Scored]:
  return paired.load([folder / "predictions.parquet" for folder in folders])


def _values(
    config: ConfigDict, metrics: Sequence[Mapping[str, Any]]
) -> dict[str, list[Any]]:
  """{column: its figures} of one variant; only what all of its runs have."""
  names = {}
  student = metrics[0]["_meta"]["student"]
  for signal in (STUDENT, TEACHER):
    encoder = TESTED if signal == student else signal
    names[signal] = key(Figure(
        "test", "health", encoder, measure="effective_rank"))
    for task in config.tasks:
      names[f"{signal}/{task}"] = key(Figure(
          "test", "probe", encoder, task, measure="mae",
          unit=study.UNITS.get(task, "ms"),
      ))
  for way in study.WAYS:
    names[way] = key(Figure(
        "test", "retrieval", TESTED, way, measure="recall@1",
        pool=config.evaluate.pools[0],
    ))
  return {
      column: values for column, name in names.items()
      if None not in (values := [m.get(name) for m in metrics])
  }


def _changes(
    config: ConfigDict, scored: Mapping[Any, paired.Scored],
    subject: Mapping[Any, paired.Scored],
) -> dict[str, list[float | None]]:
  """{task: [value, low, high]}: relative error above the subject's."""
  out = {}
  for task in config.tasks:
    cell = task_name("probe", task, 1.0), TESTED
    if cell in scored and cell in subject:
      below = paired.improvement(
          scored[cell], subject[cell], config.bootstrap_draws, config.seed)
      value, low, high = (None if x is None else -x for x in below)
      out[task] = [value, high, low]
  return out


def markdown(config: ConfigDict, table: Mapping[str, Any]) -> str:
  """The table as text."""
  lines = table["variants"]
  tasks = [t for t in config.tasks if any(
      f"{STUDENT}/{t}" in line["values"] for line in lines.values())]
  title = lines[table["subject"]]["title"]
  heads = ["variant"]
  for task in tasks:
    unit = study.UNITS.get(task, "ms")
    heads += [f"{task.upper()}, {unit}", f"v. {title}"]
  heads += [column for column, _, _ in COLUMNS]
  heads += [f"{task.upper()} from PPG" for task in tasks[:1]] + ["the paper"]
  rows = []
  for line in lines.values():
    values, row = line["values"], [line["title"]]
    for task in tasks:
      row.append(ranged(values.get(f"{STUDENT}/{task}"), 2))
      row.append(_signed(line["change"].get(task)))
    row += [ranged(values.get(name), digits) for _, name, digits in COLUMNS]
    row += [ranged(values.get(f"{TEACHER}/{task}"), 2) for task in tasks[:1]]
    rows.append([*row, line["claim"] or paired.cell(None, 0)])
  note = marks.note({
      line["title"]: marks.count_saved(line) for line in lines.values()
  })
  seeds = max(len(line["runs"]) for line in lines.values())
  return marks.with_note(note, "\n\n".join([
      "Mean absolute errors of probes on the frozen encoder of acceleration, "
      f"on unseen people of {', '.join(table['datasets'])}; recall@1 among "
      f"{config.evaluate.pools[0]}; smooth effective rank of both embeddings; "
      f"the error of the PPG encoder itself. Each is the mean over {seeds} "
      f"seed{'s' if seeds > 1 else ''}, with the range in parentheses; "
      f"\"v. {title}\" is how far the error is above that row's, seeds pooled, "
      "with the 95 % interval over people. A claim is of the paper itself [D] "
      "or of second-hand accounts of it [D2]; – where neither names the "
      "variant.",
      paired.table(heads, rows),
  ]) + "\n")


def ranged(values: Sequence[float] | None, digits: int) -> str:
  """`1.95 (1.90 to 2.00)`, the mean and the range; a dash for None."""
  if not values:
    return paired.cell(None, digits)
  text = f"{np.mean(values):.{digits}f}"
  if len(values) == 1:
    return text
  return f"{text} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def _signed(change: Sequence[float | None] | None) -> str:
  """`+45 % [30, 60]`; a dash for None."""
  text = paired.cell(change, 0, percent=True)
  return f"+{text}" if change and (change[0] or 0) > 0 else text
