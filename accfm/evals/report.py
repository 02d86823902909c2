"""What an evaluation leaves behind: numbers, predictions, one page.

`metrics.json` is flat (`split/task/measure_unit` -> number, null where not
evaluable) with everything about the run under `_meta`. `report.html` is one
file without scripts or links; `page.py` assembles it.
"""

import csv
import json
import os

from accfm.base import configlib, files
from accfm.evals import candidates
from accfm.version import __version__

LABELS = {
    "": "this encoder", "untrained": "untrained encoder",
    "envelope": "motion envelope", "mean": "predict the mean",
    "features": "motion features", "chance": "chance",
}


def label(row):
  """A row's name for people."""
  return LABELS.get(row, f"{row} encoder (ceiling)")


def write_metrics(path, metrics, meta):
  """Writes `metrics.json`; `meta` is plain data, kept under `_meta`."""
  plain = {**metrics.values, "_meta": {
      **meta, "not_evaluable": metrics.missing,
  }}
  files.write_atomic(path, json.dumps(plain, indent=1, allow_nan=False) + "\n")


def write_predictions(path, predictions):
  """Writes one line per scored window (or person), task and row."""
  fields = ("task", "unit", "row", "participant", "session", "start_s",
            "true", "predicted")
  with open(path + ".tmp", "w", newline="", encoding="utf-8") as f:
    out = csv.writer(f)
    out.writerow(fields)
    for p in predictions:
      n = len(p.true)
      keys = [p.rows.get(c, [""] * n) for c in fields[3:6]]
      for row, predicted in p.predicted.items():
        for i in range(n):
          out.writerow([
              p.task, p.unit, row or "encoder", *(k[i] for k in keys),
              f"{p.true[i]:.6g}", f"{predicted[i]:.6g}",
          ])
  os.replace(path + ".tmp", path)


def facts(config, loaded, splits, data, seen):
  """Everything about a run that its numbers depend on, as plain data.

  Args:
    config: the evaluation's ConfigDict.
    loaded: the checkpoint (`accfm.train.checkpoints.Loaded`).
    splits: name -> open split.
    data: `inputs.Inputs`.
    seen: scored people that training saw.
  """
  meta = loaded.meta
  manifest = splits[data.split].manifest
  table = data.table
  rows = candidates.thin(
      table["participant"], table["session"], table["start_s"],
      data.window_sec,
  )
  return {
      "dataset": manifest["name"],
      "split": data.split,
      "split_hash": manifest["split_hash"],
      "checkpoint": str(loaded.path),
      "step": int(loaded.step),
      "kind": meta["kind"],
      "student": data.student,
      "teacher": data.teacher,
      "trained_on": [
          {k: cohort[k] for k in ("dataset", "split_hash")}
          for cohort in meta["cohorts"]
      ],
      "seen": list(seen),
      "windows": {name: len(split) for name, split in splits.items()},
      "people": {
          name: len(set(split.table["participant"]))
          for name, split in splits.items()
      },
      "retrieval_windows": len(rows),
      "pools": list(config.pools),
      "seed": config.seed,
      "code_version": __version__,
      "checkpoint_code_version": meta["code_version"],
      "shards_code_version": manifest["code_version"],
      "config": json.loads(configlib.to_json(config)),
      "trained_config": meta["config"],
  }


def number(value, digits=3):
  """A value for a table: a dash where there is none."""
  return "\u2013" if value is None else f"{value:.{digits}f}"


def probe_rows(values, split):
  """Which probes there are and what each row scored.

  Returns:
    [(title, key suffix, {row: key})] in the order of `values`.
  """
  found = {}
  for key in values:
    parts = key.split("/")
    task = parts[-2] if len(parts) > 2 else ""
    measure = parts[-1]
    good = measure.startswith("mae") or measure == "auc"
    if (parts[0] != split or not good
        or not task.startswith(("probe_", "direct_"))
        or "_ci95_" in measure or "_below_" in measure):
      continue
    row = "/".join(parts[1:-2])
    unit = measure.removeprefix("mae").strip("_")
    title = task_title(task, unit)
    found.setdefault((task, title, measure), {})[row] = key
  return [(*name, keys) for name, keys in found.items()]


def task_title(task, unit):
  """`probe_hr_at_10pct` -> "HR, 10 % of labels"; for tables."""
  way, _, name = task.partition("_")
  name, _, fraction = name.partition("_at_")
  name = name.upper() if unit in ("bpm", "ms") else name.replace("_", " ")
  if fraction:
    name += f", {fraction.removesuffix('pct')} % of labels"
  return name + (", predicted directly" if way == "direct" else "")


def console(metrics, meta):
  """A short table: what was found, beside what needs no learning.

  Args:
    metrics: stats.Metrics.
    meta: as `write_metrics` takes; `split`, `pools`, `student`, `teacher`.

  Returns:
    Lines of text.
  """
  values, split = metrics.values, meta["split"]
  columns = ("", "mean", "untrained", "features", "envelope")
  heads = ("encoder", "mean", "untrained", "features", "envelope")
  lines = [
      f"{split}: {meta['windows'][split]} windows of {meta['people'][split]} "
      "unseen people" + (" (SOME SEEN IN TRAINING)" if meta["seen"] else ""),
      f"{'':30}" + "".join(f"{h:>11}" for h in heads) + f"{'chance':>11}",
  ]
  ways = [(meta["student"], meta["teacher"])]
  ways += [way[::-1] for way in ways]
  for a, b in ways if meta["teacher"] else ():
    for pool in (*meta["pools"], "all"):
      tail = f"recall@1_pool{pool}"
      got = [values.get("/".join(filter(
          None, (split, row, f"{a}2{b}", tail)))) for row in columns]
      got.append(values.get(f"{split}/chance/{tail}"))
      lines.append(f"{f'recall@1 {a}->{b}, pool {pool}':30}" + "".join(
          f"{number(v):>11}" for v in got))
  for task, title, measure, keys in probe_rows(values, split):
    got = [values.get(keys[row]) if row in keys else None for row in columns]
    if all(v is None for v in got):
      continue
    unit = measure.removeprefix("mae").strip("_") or measure
    name = f"{title} {'AUC' if unit == 'auc' else f'error, {unit}'}"
    count = values.get(f"{split}/{task}/windows")
    name += f" (n={count:.0f})" if count is not None else ""
    lines.append(f"{name:30}" + "".join(f"{number(v, 2):>11}" for v in got))
  if metrics.missing:
    reason = metrics.missing[0]
    lines.append(
        f"not evaluable: {len(metrics.missing)} figures, e.g. "
        f"{reason['key']}: {reason['reason']}"
    )
  return lines


def hr_first(predictions):
  """The regression to draw: heart rate if it was probed, else the first."""
  numeric = [p for p in predictions if p.unit not in ("log_odds", "class")]
  numeric.sort(key=lambda p: p.task != "hr")
  return numeric[0] if numeric else None
