"""What following a run leaves behind: a folder a step, and one history.

The folders are all that is remembered, so that a watch which is killed goes
on where it stopped, and a history that is lost is written again.
"""

import json

from accfm.base import files
from accfm.evals.report import readings


def is_done(folder):
  """Whether a step's folder holds all evaluations of its checkpoint.

  Args:
    folder: pathlib.Path of a step, with metrics.json or, of several data
      sets, DATASET/metrics.json.
  """
  if (folder / "metrics.json").exists():
    return True
  found = _load(folder)
  return bool(found) and len(found) == len(found[0]["_meta"]["trained_on"])


def write_history(work):
  """Writes history.jsonl: a line a step and data set, from their metrics.

  Args:
    work: pathlib.Path with a folder for each step, named by its number.

  Returns:
    The rows: {"step", "dataset", headline metric: value}.
  """
  steps = sorted(int(p.name) for p in work.iterdir() if p.name.isdecimal())
  rows = [
      {"step": step, "dataset": found["_meta"]["dataset"], **headline(found)}
      for step in steps for found in _load(work / str(step))
  ]
  text = "".join(json.dumps(row) + "\n" for row in rows)
  files.write_atomic(work / "history.jsonl", text)
  return rows


def headline(found):
  """The metrics to follow a run by: how well it retrieves, probes, is spread.

  Args:
    found: what metrics.json holds.

  Returns:
    {key: value or None} of the encoder under test: recall@1 at the first
    pool size, each probe's and direct prediction's first measure, with the
    ends of their intervals, and the effective rank.
  """
  about = found["_meta"]
  split, pool = about["split"], (about["pools"] or ["all"])[0]
  pair = about["student"], about["teacher"]
  keys = [
      f"{split}/{a}2{b}/recall@1_pool{pool}" for a, b in (pair, pair[::-1])
  ]
  keys += [
      row[""] for *_, row in readings.probe_rows(found, split) if "" in row
  ]
  keys += [f"{split}/health/effective_rank"]
  return {
      name: found[name] for key in keys
      for name in (key, f"{key}_ci95_low", f"{key}_ci95_high")
      if name in found
  }


def _load(folder):
  """What each metrics.json of a step holds."""
  paths = [folder / "metrics.json", *sorted(folder.glob("*/metrics.json"))]
  return [json.loads(path.read_text()) for path in paths if path.exists()]
