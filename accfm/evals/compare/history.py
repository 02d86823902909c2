"""What following a run leaves behind: a folder a step, and one history.

The folders are all that a watch remembers. One that is killed therefore goes
on where it stopped, and a history that is lost is written again.
"""

import json
import pathlib
from typing import Any

from accfm.base import files
from accfm.evals.results import figures, saved


def is_done(folder: pathlib.Path) -> bool:
  """Whether a step's folder holds all evaluations of its checkpoint.

  Args:
    folder: of a step, with metrics.json or, for several data sets,
      DATASET/metrics.json.
  """
  if (folder / "metrics.json").exists():
    return True
  found = _find(folder)
  return bool(found) and len(found) == len(_load_facts(found[0])["trained_on"])


def write_history(work: pathlib.Path) -> list[dict[str, Any]]:
  """Writes history.jsonl: a line for each step and data set.

  Args:
    work: with a folder for each step, named by its number.

  Returns:
    The lines: {"step", "dataset", headline figure: value}. Headlines are
    recall@1 at the first pool size, the first measure of each probe and
    direct prediction with its interval, and the effective rank; all of the
    encoder under test.

  Raises:
    InputError: an evaluation without figures.json, by an older version.
  """
  steps = sorted(int(p.name) for p in work.iterdir() if p.name.isdecimal())
  lines = []
  for step in steps:
    for folder in _find(work / str(step)):
      found = figures.load_figures(folder / "figures.json")
      lines.append({
          "step": step, "dataset": _load_facts(folder)["dataset"],
          **found.headlines(),
      })
  text = "".join(json.dumps(line) + "\n" for line in lines)
  files.write_atomic(work / "history.jsonl", text)
  return lines


def _find(folder: pathlib.Path) -> list[pathlib.Path]:
  """The folders of a step's evaluations."""
  paths = [folder / "metrics.json", *sorted(folder.glob("*/metrics.json"))]
  return [path.parent for path in paths if path.exists()]


def _load_facts(folder: pathlib.Path) -> dict[str, Any]:
  """What metrics.json says of an evaluation."""
  return saved.load_metrics(
      folder / "metrics.json", "dataset", "trained_on"
  )["_meta"]
