"""`metrics.json` of an evaluation, read back by comparisons and tables."""

import os
from collections.abc import Mapping
from typing import Any

from accfm.base import jsonfile, plain
from accfm.base.errors import InputError
from accfm.evals.results import marks

WANT = "the metrics.json of an evaluation; evaluate again"
# What readers believe of the facts in `_meta`, by type; there may be more.
FACTS = {
    "dataset": str, "split": str, "split_hash": str, "rows_hash": str,
    "redaction": str, "checkpoint": str, "step": int, "kind": str,
    "student": str, "teacher": str | None, "code_version": str,
    "windows": Mapping[str, int], "people": Mapping[str, int],
    "trained_on": tuple, "pools": tuple[int, ...] | None,
    "trained_config": Mapping[str, Any] | None,
    "fit_dataset": Mapping[str, str] | None,
    "absent": Mapping[str, str] | None,
    "common_windows": Mapping[str, tuple[int, int]] | None,
    "outside": tuple[Mapping[str, Any], ...] | None,
    **dict.fromkeys(marks.MARKS, tuple | None),
}
Number = float | None


def load_metrics(
    path: str | os.PathLike, *needed: str
) -> dict[str, Any]:
  """What `figures.write_metrics` wrote: figures by name, facts in `_meta`.

  Args:
    path: the file.
    needed: facts that must be there.

  Raises:
    InputError: it cannot be read, or a figure or fact is missing or of
      another type.
  """
  found = jsonfile.read_object(path, WANT)
  if "_meta" not in found:
    raise InputError(f"{path}: cannot be read (no '_meta'), want {WANT}")
  facts = jsonfile.as_object(found["_meta"], f"{path}: _meta", WANT)
  for name in needed:
    if name not in facts:
      raise InputError(
          f"{path}: cannot be read (_meta has no {name!r}), want {WANT}"
      )
  for name, value in facts.items():
    if name in FACTS:
      plain.from_plain(FACTS[name], value, f"{path}: _meta.{name}")
  for name, value in found.items():
    if name != "_meta":
      plain.from_plain(Number, value, f"{path}: {name}")
  return found


def check_counts(
    path: str | os.PathLike, facts: Mapping[str, Any], split: str
) -> None:
  """Raises InputError unless facts count a split's segments and people."""
  for name in ("windows", "people"):
    if split not in (facts.get(name) or {}):
      raise InputError(
          f"{path}: cannot be read (_meta.{name} has no {split!r}), want {WANT}"
      )
