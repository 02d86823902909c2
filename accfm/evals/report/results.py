"""What an evaluation leaves behind: numbers, predictions, one page.

`metrics.json` is flat (`split/task/measure_unit` -> number, null where not
evaluable) with everything about the run under `_meta`. `report.html` is one
file without scripts or links; `page.py` assembles it.
"""

import json

from accfm.base import configlib, files
from accfm.evals.embedding import cache
from accfm.evals.files import privacy
from accfm.evals.report import readings
from accfm.evals.retrieval import windows as candidates
from accfm.version import __version__


def write_metrics(path, metrics, meta):
  """Writes `metrics.json`; `meta` is plain data, kept under `_meta`."""
  plain = {**metrics.values, "_meta": {
      **meta, "not_evaluable": metrics.missing,
  }}
  files.write_atomic(path, json.dumps(plain, indent=1, allow_nan=False) + "\n")


def facts(config, loaded, splits, data, seen, mask):
  """Everything about a run that its numbers depend on, as plain data.

  Args:
    config: the evaluation's ConfigDict.
    loaded: the checkpoint (`accfm.train.checkpoints.Loaded`).
    splits: name -> open split.
    data: `inputs.Inputs`.
    seen: scored people that training saw.
    mask: `privacy.Naming`, for their names.
  """
  record = loaded.record
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
      "rows_hash": cache.rows_hash(table),
      "redaction": mask.token,
      "checkpoint": str(loaded.path),
      "step": int(loaded.step),
      "kind": record.kind,
      "student": data.student,
      "teacher": data.teacher,
      "trained_on": [
          {"dataset": cohort.dataset, "split_hash": cohort.split_hash}
          for cohort in record.cohorts or ()
      ],
      "seen": [str(p) for p in mask({"participant": seen})[0]["participant"]],
      "windows": {name: len(split) for name, split in splits.items()},
      "people": {
          name: len(set(split.table["participant"]))
          for name, split in splits.items()
      },
      "retrieval_windows": len(rows),
      "pools": list(config.pools),
      "seed": config.seed,
      "code_version": __version__,
      "checkpoint_code_version": record.code_version,
      "shards_code_version": manifest["code_version"],
      "config": privacy.public(json.loads(configlib.to_json(config))),
      "trained_config": privacy.public(record.config),
  }


def number(value, digits=3):
  """A value for a table: a dash where there is none."""
  return "\u2013" if value is None else f"{value:.{digits}f}"


def console(metrics, meta):
  """A short table: what was found, beside what needs no learning.

  Args:
    metrics: stats.Metrics.
    meta: as `write_metrics` takes; `split`, `pools`, `student`, `teacher`.

  Returns:
    Lines of text.
  """
  values, split = metrics.values, meta["split"]
  probes = readings.probe_rows(values, split)
  columns = ["", "mean", "untrained", "features"]
  if any("demographics" in keys for *_, keys in probes):
    columns.append("demographics")
  columns.append("envelope")
  heads = [column or "encoder" for column in columns] + ["chance"]
  width = 2 + max(map(len, heads))
  lines = [
      f"{split}: {meta['windows'][split]} windows of {meta['people'][split]} "
      "unseen people" + (" (SOME SEEN IN TRAINING)" if meta["seen"] else ""),
      f"{'':42}" + "".join(f"{h:>{width}}" for h in heads),
  ]

  def line(name, got, digits=3):
    if any(value is not None for value in got):
      lines.append(f"{name:42}" + "".join(
          f"{number(v, digits):>{width}}" for v in got))

  ways = [(meta["student"], meta["teacher"])]
  ways += [way[::-1] for way in ways]
  for a, b in ways if meta["teacher"] else ():
    for pool in (*meta["pools"], "all"):
      tail = f"recall@1_pool{pool}"
      line(f"recall@1 {a}->{b}, pool {pool}", [
          *(values.get(readings.key(split, row, f"{a}2{b}", tail))
            for row in columns), values.get(f"{split}/chance/{tail}")])
  for task, title, measure, keys in probes:
    unit = readings.unit_of(measure)
    what = "error" + (f", {unit}" if unit else "")
    name = f"{title} {what if measure.startswith('mae') else unit}"
    count = values.get(f"{split}/{task}/windows")
    name += f" (n={count:.0f})" if count is not None else ""
    line(name, [values.get(keys.get(row)) for row in columns], 2)
  if readings.collapsed(values, split):
    lines.append("THE EMBEDDING HAS COLLAPSED: it uses next to no dimensions")
  if metrics.missing:
    reason = metrics.missing[0]
    lines.append(
        f"not evaluable: {len(metrics.missing)} figures, e.g. "
        f"{reason['key']}: {reason['reason']}"
    )
  return lines
