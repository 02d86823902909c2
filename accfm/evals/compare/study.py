"""The table of a study: every run on the same people, label by label.

A self-supervised run is judged by ridge probes on its frozen encoder, fitted
on each fraction of the labelled people; a supervised run, trained on one
fraction, by its own predictions.
"""

import json
import os

import numpy as np

from accfm.base import files
from accfm.base.errors import InputError
from accfm.evals.compare import paired as compare


def write(config, order, work, out):
  """Writes OUT.json, OUT.md and OUT.png.

  Args:
    config: as `configs/study.py`.
    order: names of the runs.
    work: pathlib.Path of the study.
    out: path without ending.

  Returns:
    As `tabulate`.
  """
  table = tabulate(config, order, work)
  os.makedirs(os.path.dirname(out) or ".", exist_ok=True)
  files.write_atomic(f"{out}.json", json.dumps(table, indent=1) + "\n")
  text = markdown(config, table)
  files.write_atomic(f"{out}.md", text)
  draw(config, table, f"{out}.png")
  print(f"\n{text}\n{out}.md, .json and .png", flush=True)
  return table


def tabulate(config, order, work):
  """All numbers of a study.

  Returns:
    {"errors": {title: {"task@fraction": [value, low, high]}},
    "improvements": {title: the same, of the subject over that row},
    "retrieval": {title: {"a2b": [value, low, high] or mean over data
    sets}}, "runs": {name: facts}}.
  """
  scored, errors, retrieval, facts = {}, {}, {}, {}
  for name in order:
    spec = config.runs[name]
    folders = [work / d / name / "evaluation" for d in config.datasets]
    found = compare.load([f / "predictions.parquet" for f in folders])
    metrics = [_metrics(f / "metrics.json") for f in folders]
    rows = {"encoder": spec.title}
    if name == config.subject:
      rows |= dict(config.shared_rows)
    for row, title in rows.items():
      # Runs of one title share a row: a supervised run a label fraction.
      cells = _cells(config, spec, found, row)
      scored.setdefault(title, {}).update(cells)
      errors.setdefault(title, {}).update({
          key: compare.score(s, config.bootstrap_draws, config.seed)
          for key, s in cells.items()
      })
      where = "" if row == "encoder" else f"{row}/"
      retrieval.setdefault(title, {}).update(
          _retrieval(config, metrics, where)
      )
    facts[name] = {
        "title": spec.title, "main": spec.main,
        "steps": [m["_meta"]["step"] for m in metrics],
        "split_hash": [m["_meta"]["split_hash"] for m in metrics],
        "people": [m["_meta"]["people"]["test"] for m in metrics],
        "windows": [m["_meta"]["windows"]["test"] for m in metrics],
        "effective_rank": [
            m.get("test/health/effective_rank") for m in metrics
        ],
        "seen_people": sum(len(m["_meta"].get("seen") or ()) for m in metrics),
    }
  mine = scored[config.runs[config.subject].title]
  improvements = {
      title: {
          key: compare.improvement(
              mine[key], s, config.bootstrap_draws, config.seed
          ) for key, s in cells.items() if key in mine
      }
      for title, cells in scored.items() if cells is not mine
  }
  return {
      "errors": errors, "improvements": improvements, "retrieval": retrieval,
      "runs": facts, "datasets": list(config.datasets),
      "subject": config.runs[config.subject].title,
  }


def _metrics(path):
  try:
    return json.loads(path.read_text())
  except (OSError, ValueError) as error:
    raise InputError(
        f"{path}: cannot be read ({error}); run the study again"
    ) from error


def _cells(config, spec, found, row):
  """{"task@fraction": Scored} of one row of one run."""
  out = {}
  for task in config.tasks:
    for fraction in config.evaluate.label_fractions:
      if spec.main == "supervise" and row == "encoder":
        name = f"direct_{task}" if fraction == spec.fraction else None
      else:
        name = task if fraction == 1.0 else f"{task}_at_{100 * fraction:g}pct"
      if (name, row) in found:
        out[f"{task}@{fraction:g}"] = found[name, row]
  return out


def _retrieval(config, metrics, where):
  """{"acc2ppg": [value, low, high]}; over several data sets the mean alone."""
  out = {}
  for way in ("acc2ppg", "ppg2acc"):
    key = f"test/{where}{way}/recall@1_pool{config.evaluate.pools[0]}"
    values = [m.get(key) for m in metrics]
    if None in values:
      continue
    ends = [None, None]
    if len(metrics) == 1:
      ends = [metrics[0].get(f"{key}_ci95_{end}") for end in ("low", "high")]
    out[way] = [float(np.mean(values)), *ends]
  return out


def markdown(config, table):
  """The tables as text."""
  keys = [
      (task, fraction) for task in config.tasks
      for fraction in config.evaluate.label_fractions
  ]
  heads = [
      f"{task.upper()}, {100 * fraction:g} %" for task, fraction in keys
  ]
  names = [f"{task}@{fraction:g}" for task, fraction in keys]

  def body(part, digits, percent=False):
    shown = [i for i, n in enumerate(names)
             if any(n in row for row in part.values())]
    rows = [
        [title, *(compare.cell(row.get(names[i]), digits, percent)
                  for i in shown)]
        for title, row in part.items() if row
    ]
    if not rows:
      return "Not evaluable: the metrics.json of each run says why."
    return compare.table(["encoder", *(heads[i] for i in shown)], rows)

  ways = [
      [title, *(compare.cell(row.get(w), 3) for w in ("acc2ppg", "ppg2acc"))]
      for title, row in table["retrieval"].items() if row
  ]
  pool = config.evaluate.pools[0]
  note = compare.seen_note({
      facts["title"]: facts.get("seen_people", 0)
      for facts in table["runs"].values()
  })
  return compare.with_note(note, "\n\n".join([
      f"Mean absolute error{'' if note else ' on unseen people'} (HR in bpm, "
      "others in ms) by share of the labelled people; brackets are 95 % "
      "intervals over people.",
      body(table["errors"], 2),
      f"How far the error of the {table['subject']} is below each row's, "
      "paired over people.",
      body(table["improvements"], 0, percent=True),
      f"Recall@1 among {pool}.",
      compare.table(["encoder", "acc→PPG", "PPG→acc"], ways),
  ]) + "\n")


def draw(config, table, path):
  """Errors by share of labels, one panel a task, as PNG."""
  from matplotlib import figure
  fractions = list(config.evaluate.label_fractions)
  fig = figure.Figure(
      figsize=(3.6 * len(config.tasks), 3.6), layout="constrained"
  )
  axes = fig.subplots(1, len(config.tasks), squeeze=False)[0]
  rows = [(t, r) for t, r in table["errors"].items() if r]
  for ax, task in zip(axes, config.tasks, strict=True):
    for place, (title, row) in enumerate(rows):
      known = [f for f in fractions if f"{task}@{f:g}" in row]
      if not known:
        continue
      value, low, high = np.array(
          [[np.nan if x is None else x for x in row[f"{task}@{f:g}"]]
           for f in known]
      ).T
      x = np.array([fractions.index(f) for f in known], float)
      x += 0.5 * (place / max(len(rows) - 1, 1) - 0.5)
      ax.errorbar(
          x, value, [value - low, high - value], fmt="o", capsize=2,
          markersize=5, linewidth=1, color=f"C{place}", label=title,
      )
    unit = "bpm" if task == "hr" else "ms"
    ax.set_title(f"{task.upper()}, mean absolute error ({unit})", fontsize=10)
    ax.set_xticks(range(len(fractions)), [f"{100 * f:g} %" for f in fractions])
    ax.set_xlim(-0.5, len(fractions) - 0.5)
    ax.set_xlabel("labelled people used")
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", alpha=0.3)
  handles = {}
  for ax in axes:
    for handle, title in zip(*ax.get_legend_handles_labels(), strict=True):
      handles.setdefault(title, handle)
  fig.legend(
      handles.values(), handles.keys(), loc="outside upper center", ncols=4,
      frameon=False, fontsize=9,
  )
  fig.savefig(path, dpi=130)
