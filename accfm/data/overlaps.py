"""Segments that share signal, told from row numbers and the manifest alone.

Where a data set was prepared with a hop below the window, neighbouring rows
of a person overlap. They are no other segment for a positive pair, no wrong
answer in a batch, and not two rows of a validation.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

LARGEST = 2**31  # the ends of spans are int32, on any device


def rows_apart(manifest: Mapping[str, Any]) -> int:
  """Distance in rows from which two segments of a person share no signal.

  Rows of a person follow one another in time, by a hop or more. 1 where no
  two segments overlap.
  """
  window = manifest["contract"]["window_sec"]
  return max(1, int(np.ceil(window / manifest["hop_sec"] - 1e-9)))


def spans(rows: np.ndarray, parts: Sequence[Any], bounds: np.ndarray) -> (
    np.ndarray | None
):
  """Where each row lies on a line on which overlapping rows overlap.

  Two rows may share signal exactly where their spans do. Rows on both sides
  of a gap or of two sessions count as if there were none, so that a few are
  said to overlap that do not.

  Args:
    rows: [n] numbers in the joined splits.
    parts: P open splits, each with `manifest` and `people`.
    bounds: [P + 1] number of the first row of each part, and of all rows.

  Returns:
    [n, 2] int32, start and end of each span; None where no two rows of any
    part overlap.
  """
  apart = [rows_apart(part.manifest) for part in parts]
  if max(apart) == 1:
    return None
  rows = np.asarray(rows)
  out = np.zeros((len(rows), 2), np.int64)
  place = np.searchsorted(bounds, rows, side="right") - 1
  offset = 0
  for number, (part, length) in enumerate(zip(parts, apart, strict=True)):
    first, _ = part.people
    mine = place == number
    row = rows[mine] - bounds[number]
    person = np.searchsorted(first, row, side="right")  # from 1 on
    start = offset + row + length * person
    out[mine] = np.stack([start, start + length], axis=1)
    offset += len(part) + length * (len(first) + 1)
  if offset >= LARGEST:
    raise ValueError(f"spans: got rows up to {offset}, want below {LARGEST}")
  return out.astype(np.int32)


def thin(parts: Sequence[Any], bounds: np.ndarray) -> np.ndarray:
  """Row numbers [M] of which no two share signal, rising.

  Of each person they are the first row and every `rows_apart`-th after it.

  Args:
    parts, bounds: as `spans`.
  """
  rows = []
  for part, start in zip(parts, bounds, strict=False):
    apart = rows_apart(part.manifest)
    people = part.people if apart > 1 else ([0], [len(part)])
    rows += [
        start + np.arange(first, first + count, apart)
        for first, count in zip(*people, strict=True)
    ]
  return np.concatenate(rows)
