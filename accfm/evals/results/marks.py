"""The marks on a result whose people may have shaped the encoder.

`_meta` of `metrics.json` has a list of people for each mark, empty on most
results (`accfm.evals.leaks.Seen`). Every page and table that shows the figures
shows the marks.
"""

from collections.abc import Mapping
from typing import Any

# Name of the list in `_meta` -> what a page says of these people.
MARKS = {
    "seen": "were seen in training",
    "validated": "are validation people, by whom the checkpoint was chosen",
    "untold": "may have been seen in training, which their ids do not tell",
}
Counts = Mapping[str, int]


def count(facts: Mapping[str, Any]) -> dict[str, int]:
  """Mark -> people, of the facts of an evaluation; only marks it has."""
  return {
      mark: len(facts[mark]) for mark in MARKS if facts.get(mark)
  }


def count_saved(facts: Mapping[str, Any]) -> dict[str, int]:
  """The same, of a table's facts as `to_facts` wrote them."""
  found = {mark: facts.get(f"{mark}_people") for mark in MARKS}
  return {mark: n for mark, n in found.items() if n}


def to_facts(counts: Counts) -> dict[str, int]:
  """`seen_people` and so on, as the facts of a table have them."""
  return {f"{mark}_people": n for mark, n in counts.items()}


def describe(counts: Counts, people: str = "of these people") -> str:
  """`3 of these people were seen in training`; "" without marks."""
  return "; ".join(
      f"{counts[mark]:,} {people} {words}" for mark, words in MARKS.items()
      if counts.get(mark)
  )


def note(runs: Mapping[str, Counts]) -> tuple[str, str] | None:
  """What a reader must know of the people that several runs scored.

  Args:
    runs: run -> mark -> people.

  Returns:
    (the fact, what follows from it), as text; None without marks.
  """
  lines = []
  for mark, words in MARKS.items():
    found = [f"{c[mark]:,} by {run}" for run, c in runs.items() if c.get(mark)]
    if found:
      lines.append(f"People scored here {words}: {', '.join(found)}")
  if not lines:
    return None
  return "; ".join(lines), "nothing here says how these encoders do on others"


def with_note(text_of: tuple[str, str] | None, text: str) -> str:
  """Markdown under a `note`, if there is one."""
  if text_of is None:
    return text
  return f"**{text_of[0]}: {text_of[1]}.**\n\n{text}"
