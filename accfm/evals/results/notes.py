"""What a reader must know of an evaluation before its figures.

Each is a fact and what follows from it, made from `_meta` of `metrics.json`.
Every page and table that shows the figures shows them.
"""

from collections.abc import Mapping
from typing import Any

from accfm.evals.results import marks, words

Note = tuple[str, str]  # the fact, what follows from it


def describe(facts: Mapping[str, Any]) -> list[Note]:
  """The notes of one evaluation, the marks on its people first."""
  out = []
  if told := marks.describe(marks.count(facts)):
    out.append((told, "nothing here says how the encoder does on others"))
  return [*out, *describe_rest(facts)]


def describe_rest(facts: Mapping[str, Any]) -> list[Note]:
  """The notes that are not marks on people."""
  out = []
  outside = facts.get("outside") or ()
  if outside:
    names = ", ".join(one["row"] for one in outside)
    out.append((
        f"The leak guard cannot tell who {names} was trained on",
        "people scored here may be among them"))
  for split, (kept, count) in (facts.get("common_windows") or {}).items():
    if kept < count:
      out.append((
          f"All rows are scored on {kept:,} of the {count:,} windows of "
          f"{split}", "the others have no vector of every encoder"))
  fitted = facts.get("fit_dataset")
  if fitted:
    out.append((
        f"Probes are fitted on people of {fitted['dataset']}",
        f"they are tested on those of {facts['dataset']}"))
  for signal, reason in (facts.get("absent") or {}).items():
    out.append((
        f"{words.signal(signal)} of {facts['dataset']} is not read: {reason}",
        "there is no retrieval, and no row of its encoder, the ceiling"))
  return out


def no_ceiling(facts: Mapping[str, Any]) -> str:
  """Why no row of an encoder of another signal was probed."""
  for signal, reason in (facts.get("absent") or {}).items():
    return (f"{words.signal(signal)} of {facts['dataset']} is not read: "
            f"{reason}")
  if facts.get("kind") == "outside":
    return "no checkpoint was named"
  return "the checkpoint has no encoder of another signal to probe"


def of_runs(runs: Mapping[str, Mapping[str, Any]]) -> list[str]:
  """Lines of Markdown under a table of several evaluations, each once.

  Args:
    runs: run -> facts.
  """
  found: dict[str, list[str]] = {}
  for run, facts in runs.items():
    for fact, follows in describe_rest(facts):
      found.setdefault(f"{fact}: {follows}.", []).append(run)
  return [
      line if len(names) == len(runs) else f"{', '.join(names)}: {line}"
      for line, names in found.items()
  ]


# What a table keeps of `_meta` for its notes.
FACTS = ("outside", "common_windows", "fit_dataset", "absent")
