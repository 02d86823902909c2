"""The table of a study: every run on the same people, label by label.

A self-supervised run is judged by ridge probes on its frozen encoder, fitted
on each fraction of the labelled people; a supervised run, trained on one
fraction, by its own predictions. Below 100 % both are the mean over the same
draws of labelled people: a probe is fitted on each, and a supervised run is
trained on each.
"""

import json
import os
import pathlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from accfm.base import configlib, files
from accfm.base.errors import InputError
from accfm.evals.compare import paired
from accfm.evals.results import marks, notes, saved
from accfm.evals.results.figures import TESTED, Figure, key
from accfm.evals.results.outcome import task_name
from accfm.evals.stats import intervals
from accfm.steps import kinds

WAYS = {"acc2ppg": "acc→PPG", "ppg2acc": "PPG→acc"}
NEEDED = ("step", "split_hash", "people", "windows")
UNITS = {"hr": "bpm"}  # of errors; others are in ms
Table = Mapping[str, Any]


def check_order(config: ConfigDict) -> list[str]:
  """The runs in an order in which teachers come first.

  Raises:
    InputError: an unknown main, or a run that needs one that is not there.
  """
  order, mains = [], {kind.main for kind in kinds.KINDS.values()}
  for name in config.order:
    if name not in config.runs:
      raise InputError(
          f"order: got {name!r}, want one of {sorted(config.runs)}"
          f"{configlib.nearest(name, config.runs)}"
      )
    spec = config.runs[name]
    if spec.main not in mains:
      raise InputError(
          f"runs.{name}.main: got {spec.main!r}, want one of {sorted(mains)}"
      )
    if spec.needs and spec.needs not in order:
      raise InputError(
          f"runs.{name}.needs: got {spec.needs!r}, which does not come before "
          f"it in order {list(config.order)}"
      )
    order.append(name)
  return order


def write_table(
    config: ConfigDict, order: Sequence[str], work: pathlib.Path, out: str
) -> dict[str, Any]:
  """Writes OUT.json, OUT.md and OUT.png.

  Args:
    config: as `configs/study.py`.
    order: names of the runs.
    work: folder of the study.
    out: path without ending.

  Returns:
    As `tabulate_study`.
  """
  table = tabulate_study(config, order, work)
  os.makedirs(os.path.dirname(out) or ".", exist_ok=True)
  files.write_atomic(f"{out}.json", json.dumps(table, indent=1) + "\n")
  text = markdown(config, table)
  files.write_atomic(f"{out}.md", text)
  draw_errors(config, table, f"{out}.png")
  print(f"\n{text}\n{out}.md, .json and .png", flush=True)
  return table


def tabulate_study(
    config: ConfigDict, order: Sequence[str], work: pathlib.Path
) -> dict[str, Any]:
  """All numbers of a study.

  Args:
    config, order, work: as `write_table`.

  Returns:
    {"errors": {title: {"task@fraction": [value, low, high]}},
    "draws": {title: {"task@fraction": draws of labelled people}},
    "typical": {title: {"task@fraction": `paired.typical`}} of heart rates,
    "ceilings": titles of encoders of another signal than the subject's,
    "improvements": {title: the same for how far the subject is below},
    "retrieval": {title: {"a2b": [value, low, high]}}, "runs": {name: facts}}.
    Retrieval on several data sets has their mean, without an interval.
  """
  scored, retrieval, facts = {}, {}, {}
  rank = key(Figure("test", "health", measure="effective_rank"))
  for name in order:
    spec = config.runs[name]
    folders = [work / d / name / "evaluation" for d in config.datasets]
    found = paired.load([f / "predictions.parquet" for f in folders])
    metrics = [
        saved.load_metrics(f / "metrics.json", *NEEDED) for f in folders
    ]
    for folder, one in zip(folders, metrics, strict=True):
      saved.check_counts(folder / "metrics.json", one["_meta"], "test")
    rows = {TESTED: spec.title}
    if name == config.subject:
      rows |= dict(config.shared_rows)
    for row, title in rows.items():
      # Runs of one title share a row: one supervised run a label fraction
      # and draw.
      cells = scored.setdefault(title, {})
      for cell, found_here in _cells(config, spec, found, row).items():
        cells[cell] = found_here if cell not in cells else (
            paired.join_draws(cells[cell], found_here))
      retrieval.setdefault(title, {}).update(
          _retrieval(config, metrics, row)
      )
    facts[name] = {
        "title": spec.title, "main": spec.main,
        "steps": [m["_meta"]["step"] for m in metrics],
        "split_hash": [m["_meta"]["split_hash"] for m in metrics],
        "people": [m["_meta"]["people"]["test"] for m in metrics],
        "windows": [m["_meta"]["windows"]["test"] for m in metrics],
        "effective_rank": [m.get(rank) for m in metrics],
        "seen_people": 0,
        **marks.to_facts(sum(
            (Counter(marks.count(m["_meta"])) for m in metrics), Counter()
        )),
    }
    told = notes.of_runs({
        str(f): m["_meta"] for f, m in zip(folders, metrics, strict=True)})
    if told:
      facts[name]["notes"] = told
  errors = {
      title: {
          cell: paired.score(s, config.bootstrap_draws, config.seed)
          for cell, s in cells.items()
      } for title, cells in scored.items()
  }
  draws = {
      title: {cell: s.draws for cell, s in cells.items()}
      for title, cells in scored.items()
  }
  typical = {
      title: {
          cell: paired.typical(s, config.bootstrap_draws, config.seed)
          for cell, s in cells.items() if s.unit == "bpm"
      } for title, cells in scored.items()
  }
  mine = scored[config.runs[config.subject].title]
  improvements = {
      title: {
          cell: paired.improvement(
              mine[cell], s, config.bootstrap_draws, config.seed
          ) for cell, s in cells.items() if cell in mine
      }
      for title, cells in scored.items() if cells is not mine
  }
  return {
      "errors": errors, "draws": draws, "typical": typical,
      "improvements": improvements, "retrieval": retrieval, "runs": facts,
      "ceilings": _ceilings(config, order), "datasets": list(config.datasets),
      "subject": config.runs[config.subject].title,
  }


def _ceilings(config: ConfigDict, order: Sequence[str]) -> list[str]:
  """Titles of the runs of another signal: no rivals, they see more."""
  mine = config.runs[config.subject].config.signal
  return list(dict.fromkeys(
      config.runs[name].title for name in order
      if config.runs[name].config.signal != mine
  ))


def _cells(
    config: ConfigDict, spec: ConfigDict,
    found: Mapping[tuple[str, str], paired.Scored], row: str,
) -> dict[str, paired.Scored]:
  """{"task@fraction": Scored} of one row of one run."""
  out = {}
  for task in config.tasks:
    for fraction in config.evaluate.label_fractions:
      name = task_name("probe", task, fraction)
      if spec.main == "supervise" and row == TESTED:
        if fraction != spec.fraction:
          continue
        name = task_name("direct", task)
      if (name, row) in found:
        out[f"{task}@{fraction:g}"] = found[name, row]
  return out


def _retrieval(
    config: ConfigDict, metrics: Sequence[Mapping[str, Any]], row: str
) -> dict[str, list[float | None]]:
  """{"acc2ppg": [value, low, high]}; over several data sets the mean alone."""
  out = {}
  for way in WAYS:
    name = key(Figure(
        "test", "retrieval", row, way, measure="recall@1",
        pool=config.evaluate.pools[0],
    ))
    values = [m[name] for m in metrics if m.get(name) is not None]
    if len(values) < len(metrics):
      continue
    ends = [None, None]
    if len(metrics) == 1:
      ends = [metrics[0].get(f"{name}_ci95_{end}") for end in ("low", "high")]
    out[way] = [float(np.mean(values)), *ends]
  return out


def markdown(config: ConfigDict, table: Table) -> str:
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
    lines = {title: row for title, row in part.items() if row}
    if not lines:
      return "Not evaluable: the metrics.json of each run says why."
    columns = [
        _column(lines, names[i], digits, percent, None if percent else True)
        for i in shown
    ]
    return _rows(lines, columns, [heads[i] for i in shown])

  def _column(lines, name, digits, percent=False, less: bool | None = None):
    cells = {
        title: (None if name not in row else row[name][0],
                paired.cell(row.get(name), digits, percent))
        for title, row in lines.items()
    }
    if less is None:
      return {title: text for title, (_, text) in cells.items()}
    return paired.mark_best(cells, less, table["ceilings"])

  def _rows(lines, columns, names):
    return paired.table(["encoder", *names], [
        [title + " (ceiling)" * (title in table["ceilings"]),
         *(column[title] for column in columns)] for title in lines
    ])

  found = {t: row for t, row in table["retrieval"].items() if row}
  ways = _rows(
      found, [_column(found, way, 3, less=False) for way in WAYS],
      list(WAYS.values()))
  pool = config.evaluate.pools[0]
  note = marks.note({
      facts["title"]: marks.count_saved(facts)
      for facts in table["runs"].values()
  })
  return marks.with_note(note, "\n\n".join([
      f"Mean absolute error{'' if note else ' on unseen people'} (HR in bpm, "
      "others in ms) by share of the labelled people of the training split; "
      f"brackets are 95 % intervals over people{_over_draws(table)} "
      f"{intervals.FEW}",
      "Bold marks the best row; a ceiling reads another signal and is no "
      "rival.",
      body(table["errors"], 2),
      *_typical(table),
      f"How far the error of the {table['subject']} is below each row's, "
      "paired over people.",
      body(table["improvements"], 0, percent=True),
      f"Recall@1 among {pool}.",
      ways,
      *dict.fromkeys(
          line for facts in table["runs"].values()
          for line in facts.get("notes", ())),
  ]) + "\n")


def _typical(table: Table) -> list[str]:
  """The table of medians and shares within 5 bpm, [] without heart rates."""
  lines = {title: row for title, row in table["typical"].items() if row}
  cells = list(dict.fromkeys(cell for row in lines.values() for cell in row))
  if not cells:
    return []
  heads, rows = ["encoder"], []
  for cell in cells:
    share = f"{100 * float(cell.partition('@')[2]):g} %"
    heads += [f"median, {share}", f"within 5, {share}"]
  for title, row in lines.items():
    rows.append([title, *(
        paired.cell(row.get(cell, {}).get(measure), 2)
        for cell in cells
        for measure in ("median_abs_error", "within_5bpm_share"))])
  return [
      "Heart rate: the median of the absolute errors in bpm, and the share "
      "within 5 bpm.", paired.table(heads, rows),
  ]


def _over_draws(table: Table) -> str:
  """What is said of shares of the labels, after "intervals over people"."""
  few = sorted({
      draws for row in table.get("draws", {}).values()
      for cell, draws in row.items() if float(cell.partition("@")[2]) < 1
  })
  if not few:
    return ". People of the validation split choose penalties and best steps."
  count = str(few[0]) if len(few) == 1 else f"{few[0]} to {few[-1]}"
  return (
      f" and draws: below 100 % each error is the mean over {count} draws of "
      "labelled people, who also choose the penalty of a probe and the step "
      "of a supervised run, and no other label is read. At 100 % the people "
      "of the validation split choose them."
  )


def draw_errors(config: ConfigDict, table: Table, path: str) -> None:
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
    unit = UNITS.get(task, "ms")
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
  with files.atomic(path) as partial:
    fig.savefig(partial, dpi=130, format="png")
