"""Main: several evaluations -> one table, as JSON and Markdown.

  python -m accfm.tabulate --runs="distilled=W/eval,Accel-MAE=W2/eval" \\
      --out=results/name

Each run is a folder with the metrics.json of accfm.evaluate. The rows that
need no training (predict the mean, untrained, hand-made, motion envelope,
chance) are those of the first run.
"""

import json
import os

from accfm.base import files, mains
from accfm.base.errors import InputError
from accfm.evals.compare import paired as compare


def run(config, runs, out):
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
  pairs = [item.partition("=") for item in runs.split(",") if item]
  if not pairs or not all(label and path for label, _, path in pairs):
    raise InputError(
        f"--runs: got {runs!r}, want label=folder pairs with commas between"
    )
  loaded = {label: _load(path) for label, _, path in pairs}
  hashes = {label: m["_meta"]["split_hash"] for label, m in loaded.items()}
  if len(set(hashes.values())) > 1:
    raise InputError(
        f"--runs: got evaluations of different splits {hashes}, want one"
    )
  rows = {label: _row(config, metrics) for label, metrics in loaded.items()}
  first = next(iter(loaded.values()))
  for label, name in config.shared:
    rows[label] = _row(config, first, f"{name}/")
  facts = {
      label: {
          k: metrics["_meta"].get(k)
          for k in ("dataset", "split_hash", "step", "code_version")
      }
      for label, metrics in loaded.items()
  }
  seen = {
      label: len(metrics["_meta"].get("seen") or ())
      for label, metrics in loaded.items()
  }
  for label, count in seen.items():
    if count:
      facts[label]["seen_people"] = count
  text = markdown(config, rows, compare.seen_note(seen))
  os.makedirs(os.path.dirname(out) or ".", exist_ok=True)
  with open(f"{out}.json", "w") as f:
    json.dump({"rows": rows, "runs": facts}, f, indent=1, ensure_ascii=False)
  with open(f"{out}.md", "w") as f:
    f.write(text)
  print(text)
  return rows


def _load(path):
  try:
    with open(os.path.join(path, "metrics.json")) as f:
      return json.load(f)
  except (OSError, ValueError) as error:
    raise InputError(
        f"{path}: no readable metrics.json ({error}), want a folder that "
        "accfm.evaluate wrote"
    ) from None


def _row(config, metrics, name=""):
  """{title: [value, low, high]} of one row's metrics."""
  split, out = metrics["_meta"]["split"], {}
  for title, key, _ in config.columns:
    path = f"{split}/{name}{key}"
    if name == "chance/":
      path = f"{split}/chance/{key.rsplit('/', 1)[-1]}"
    value = metrics.get(path)
    out[title] = None if value is None else [
        value, metrics.get(f"{path}_ci95_low"), metrics.get(f"{path}_ci95_high")
    ]
  return out


def markdown(config, rows, note=None):
  """The table; columns that no row has are left out.

  Args:
    config, rows: as for and from `run`.
    note: as `compare.seen_note`.
  """
  shown = [c for c in config.columns if any(r[c[0]] for r in rows.values())]
  lines = [
      [label, *(compare.cell(row[title], digits) for title, _, digits in shown)]
      for label, row in rows.items()
  ]
  table = compare.table(["encoder", *(c[0] for c in shown)], lines)
  return compare.with_note(note, table + "\n")


MAIN = mains.Main(
    __doc__, run, (
        mains.Flag("runs", "label=folder pairs with commas between"),
        mains.Flag("out", "path of the table without ending"),
    ),
    config="table", usual=("table",),
)

if __name__ == "__main__":
  MAIN.start()
