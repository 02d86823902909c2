"""What a supervised model predicts: labels as numbers that a network can learn.

A number is standardised by the mean and SD of the training labels. A class
becomes its place in the sorted list of values that occur in training.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from accfm.base.errors import InputError

KINDS = ("number", "class")


@dataclasses.dataclass(frozen=True)
class Target:
  """One label of the shards.

  Attributes:
    column: of the shards' table, such as "labels/hr_bpm".
    mean: of the training labels; for numbers only.
    sd: of the training labels; for numbers only.
    classes: the values that occur in training, sorted; () for a number.
  """

  column: str
  mean: float = 0.0
  sd: float = 1.0
  classes: tuple = ()

  @property
  def task(self) -> str:
    """The column's name without its group, such as "hr_bpm"."""
    return self.column.rsplit("/", 1)[-1]

  @property
  def outputs(self) -> int:
    """Number of network outputs for this target."""
    return len(self.classes) or 1

  def encode(self, values: np.ndarray) -> np.ndarray:
    """Labels [N] as float32 [N] to train on, NaN where unknown.

    A class that does not occur in training counts as unknown.
    """
    if not self.classes:
      return ((np.asarray(values, np.float64) - self.mean) / self.sd).astype(
          np.float32
      )
    out = np.full(len(values), np.nan, np.float32)
    for place, value in enumerate(self.classes):
      out[np.asarray(values) == value] = place
    return out

  def decode(self, outputs: np.ndarray) -> np.ndarray:
    """Network outputs [N, O] as [N]: a number in the label's unit.

    For two classes it is the log-odds of the second, for more classes the
    place of the most likely one.
    """
    outputs = np.asarray(outputs, np.float64)
    if not self.classes:
      return self.mean + self.sd * outputs[:, 0]
    if len(self.classes) == 2:
      return outputs[:, 1] - outputs[:, 0]
    return outputs.argmax(1).astype(np.float64)


def from_labels(
    columns: Mapping[str, str], table: Mapping[str, np.ndarray],
    rows: np.ndarray,
) -> tuple[Target, ...]:
  """The Targets of a config, from the labels that training may see.

  Args:
    columns: {column: "number" or "class"}.
    table: column -> [N].
    rows: [M] numbers of the training rows.

  Raises:
    InputError: an unknown column or kind, or labels with fewer than two
      different values in these rows.
  """
  out = []
  for column, kind in columns.items():
    if kind not in KINDS:
      raise InputError(
          f"targets.{column}: got {kind!r}, want one of {KINDS}"
      )
    if column not in table:
      raise InputError(
          f"targets: got {column!r}, want some of "
          f"{sorted(n for n in table if '/' in n or n == 'condition')}"
      )
    values = table[column][rows]
    if kind == "number" and values.dtype.kind != "f":
      raise InputError(
          f"targets.{column}: got 'number' for text, want 'class'"
      )
    known = values[known_rows(values)]
    found = np.unique(known)
    if len(found) < 2:
      raise InputError(
          f"targets.{column}: got {len(known)} labelled rows with "
          f"{len(found)} different value(s) to train on, want at least two "
          "values; raise --config.label_fraction or drop the target"
      )
    if kind == "class":
      out.append(Target(column, classes=tuple(found.tolist())))
    else:
      known = known.astype(np.float64)
      out.append(Target(column, float(known.mean()), float(known.std())))
  return tuple(out)


def known_rows(values: np.ndarray) -> np.ndarray:
  """[N] bool: which labels are known (a finite number, a non-empty text)."""
  values = np.asarray(values)
  return np.isfinite(values) if values.dtype.kind == "f" else values != ""


def to_plain(targets: Iterable[Target]) -> list[dict[str, Any]]:
  """Targets as plain data, for a checkpoint's record."""
  return [dataclasses.asdict(t) for t in targets]


def from_plain(plain: Iterable[Mapping[str, Any]]) -> tuple[Target, ...]:
  """The Targets that `to_plain` wrote as plain data."""
  return tuple(Target(**{**t, "classes": tuple(t["classes"])}) for t in plain)
