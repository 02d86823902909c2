"""Main: several evaluations -> one table, as JSON and Markdown.

  accfm tabulate --runs="distilled=W/eval,Accel-MAE=W2/eval" \\
      --out=results/name

Each run is a folder with the metrics.json of accfm.evaluate. The rows that
need no training (predict the mean, untrained, hand-made, motion envelope,
identity alone, chance) and the ceiling, the encoder of the other signal, are
those of the first run. Bold marks the best row of a column.
"""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from accfm.base import files, interrupts, mains, values
from accfm.base.errors import InputError
from accfm.evals.compare import paired
from accfm.evals.results import marks, notes, saved
from accfm.evals.results.figures import CHANCE, TESTED, Figure, key

FACTS = ("dataset", "split_hash", "step", "code_version")
CEILING = "ceiling"  # of the shared rows: the first run's other encoder
LESS = ("mae", "rmse", "median_abs_error", "mean_rank", "median_rank")
Row = dict[str, list[float | None] | None]


def run(config: ConfigDict, runs: str, out: str) -> dict[str, Row]:
  """Writes `out`.json and `out`.md; returns the rows.

  Args:
    config: as `configs/table.py`: columns and shared rows.
    runs: "label=folder,label=folder".
    out: path without ending.

  Returns:
    {label: {column title: [value, low, high]}}, None where not evaluable.

  Raises:
    InputError: a folder without metrics.json, or runs of different people.
  """
  files.refuse_url(out, "--out")
  values.check(config)
  pairs = [item.partition("=") for item in runs.split(",") if item]
  if not pairs or not all(label and path for label, _, path in pairs):
    raise InputError(
        f"--runs: got {runs!r}, want label=folder pairs with commas between")
  loaded = {
      label: saved.load_metrics(
          os.path.join(path, "metrics.json"), "split", "split_hash"
      ) for label, _, path in pairs
  }
  hashes = {label: m["_meta"]["split_hash"] for label, m in loaded.items()}
  if len(set(hashes.values())) > 1:
    raise InputError(
        f"--runs: got evaluations of different splits {hashes}, want one")
  rows = {label: _row(config, metrics) for label, metrics in loaded.items()}
  first = next(iter(loaded.values()))
  ceilings = [label for label, encoder in config.shared if encoder == CEILING]
  for label, encoder in config.shared:
    if label in ceilings:
      encoder = first["_meta"].get("teacher")
    if encoder:  # else the first run has no encoder of another signal
      rows[label] = _row(config, first, encoder)
  facts, counts, told = {}, {}, {}
  for label, metrics in loaded.items():
    about = metrics["_meta"]
    facts[label] = {k: about.get(k) for k in FACTS}
    counts[label] = marks.count(about)
    facts[label] |= marks.to_facts(counts[label])
    told[label] = {k: about[k] for k in notes.FACTS if about.get(k)}
  text = "\n".join([
      markdown(config, rows, marks.note(counts), ceilings),
      *notes.of_runs(told)])
  interrupts.check()
  os.makedirs(os.path.dirname(out) or ".", exist_ok=True)
  files.write_atomic(f"{out}.json", json.dumps(
      {"rows": rows, "runs": facts}, indent=1, ensure_ascii=False))
  files.write_atomic(f"{out}.md", text)
  print(text)
  return rows


def _row(config: ConfigDict, metrics: Mapping[str, Any],
         encoder: str = TESTED) -> Row:
  """{title: [value, low, high]} of one encoder."""
  split, out = metrics["_meta"]["split"], {}
  for title, fields, _ in config.columns:
    fields = {**fields, "encoder": encoder}
    if encoder == CHANCE:  # alike in all variants with a pool of one size
      fields["variant"] = ""
    name = key(Figure(split, **fields))
    value = metrics.get(name)
    ends = (metrics.get(f"{name}_ci95_{end}") for end in ("low", "high"))
    out[title] = None if value is None else [value, *ends]
  return out


def markdown(config: ConfigDict, rows: Mapping[str, Row],
             note: tuple[str, str] | None = None,
             ceilings: Sequence[str] = ()) -> str:
  """The table of `run`, under a `marks.note`; columns that no row has are left
  out, and the best row is in bold, which none of the `ceilings` is.
  """
  shown = [c for c in config.columns if any(r[c[0]] for r in rows.values())]
  columns = [
      paired.mark_best({
          label: (found[0] if (found := row[title]) else None,
                  paired.cell(found, digits)) for label, row in rows.items()
      }, fields["measure"] in LESS, ceilings)
      for title, fields, digits in shown
  ]
  lines = [[label, *(column[label] for column in columns)] for label in rows]
  table = paired.table(["encoder", *(c[0] for c in shown)], lines)
  return marks.with_note(note, table + "\n")


MAIN = mains.Main(__doc__, run, (
    mains.Flag("runs", "label=folder pairs with commas between"),
    mains.Flag("out", "path of the table without ending"),
), config="table", usual=("table",), again="run the same command again")

if __name__ == "__main__":
  MAIN.start()
