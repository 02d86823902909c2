"""What a supervised model predicts: labels as numbers a network can learn.

A number is standardised by the mean and SD of the labels it is trained on; a
class is its place in the sorted list of values that occur there.
"""

import dataclasses

import numpy as np

from accfm.base.errors import InputError

KINDS = ("number", "class")


@dataclasses.dataclass(frozen=True)
class Target:
  """One label of the shards.

  Attributes:
    column: of the shards' table, e.g. "labels/hr_bpm".
    mean, sd: of the training labels; numbers only.
    classes: the values that occur in training, sorted; () for a number.
  """

  column: str
  mean: float = 0.0
  sd: float = 1.0
  classes: tuple = ()

  @property
  def task(self):
    """The column without its folder."""
    return self.column.rsplit("/", 1)[-1]

  @property
  def outputs(self):
    """Outputs that the network has for it."""
    return len(self.classes) or 1

  def encode(self, values):
    """Labels [N] as float32 [N] to train on, NaN where unknown.

    A class that training never saw is unknown too.
    """
    if not self.classes:
      return ((np.asarray(values, np.float64) - self.mean) / self.sd).astype(
          np.float32
      )
    out = np.full(len(values), np.nan, np.float32)
    for place, value in enumerate(self.classes):
      out[np.asarray(values) == value] = place
    return out

  def decode(self, outputs):
    """Network outputs [N, O] as [N] in the label's unit.

    Of two classes the log-odds of the second, of more the likeliest's place.
    """
    outputs = np.asarray(outputs, np.float64)
    if not self.classes:
      return self.mean + self.sd * outputs[:, 0]
    if len(self.classes) == 2:
      return outputs[:, 1] - outputs[:, 0]
    return outputs.argmax(1).astype(np.float64)


def from_labels(columns, table, rows):
  """The Targets of a config, from the labels that training may see.

  Args:
    columns: {column: "number" or "class"}.
    table: column -> [N].
    rows: [M] row numbers of training.

  Raises:
    InputError: an unknown column or kind, or nothing to learn in the rows.
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


def known_rows(values):
  """[N] booleans: labels that say something (a number, a non-empty text)."""
  values = np.asarray(values)
  return np.isfinite(values) if values.dtype.kind == "f" else values != ""


def to_plain(targets):
  """Targets as plain data, for a checkpoint's record."""
  return [dataclasses.asdict(t) for t in targets]


def from_plain(plain):
  """The Targets that `to_plain` described."""
  return tuple(Target(**{**t, "classes": tuple(t["classes"])}) for t in plain)
