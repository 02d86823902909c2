"""Which windows of a split a file's lines are of, and a split of some rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

TOLERANCE_S = 0.05  # between the start of a window and that in a file


class Part:
  """Some rows of an open split, behind its interface.

  Attributes:
    manifest, contract, digest: of the split.
    table: columns of these rows.
  """

  def __init__(self, split: Any, rows: np.ndarray):
    self._split, self._rows = split, rows
    self.manifest, self.contract = split.manifest, split.contract
    self.digest = split.digest
    self.table = {name: x[rows] for name, x in split.table.items()}

  def __len__(self) -> int:
    return len(self._rows)

  def read(
      self, indices: Sequence[int] | np.ndarray, signals: Sequence[str]
  ) -> dict[str, np.ndarray]:
    """As `pipeline.Split.read`."""
    return self._split.read(self._rows[np.asarray(indices)], signals)


def find_rows(
    table: Mapping[str, np.ndarray], keys: Mapping[str, np.ndarray]
) -> np.ndarray:
  """[n] the row of a split that each line of a file is of, -1 for none.

  It is the window of the same participant and session whose start is nearest,
  at most `TOLERANCE_S` away.
  """
  who = [
      [(p, s) for p, s in zip(t["participant"].tolist(),
                              t["session"].tolist(), strict=True)]
      for t in (table, keys)
  ]
  recordings: dict[tuple[str, str], list[int]] = {}
  for row, key in enumerate(who[0]):
    recordings.setdefault(key, []).append(row)
  sorted_rows = {
      key: np.array(sorted(rows, key=lambda r: table["start_s"][r]))
      for key, rows in recordings.items()
  }
  lines: dict[tuple[str, str], list[int]] = {}
  for line, key in enumerate(who[1]):
    if key in sorted_rows:
      lines.setdefault(key, []).append(line)
  out = np.full(len(keys["start_s"]), -1)
  for key, mine in lines.items():
    rows = sorted_rows[key]
    starts, t = table["start_s"][rows], keys["start_s"][mine]
    after = np.searchsorted(starts, t).clip(0, len(rows) - 1)
    before = (after - 1).clip(0)
    near = np.where(
        np.abs(starts[after] - t) < np.abs(starts[before] - t), after, before)
    close = np.abs(starts[near] - t) <= TOLERANCE_S
    out[np.array(mine)[close]] = rows[near[close]]
  return out
