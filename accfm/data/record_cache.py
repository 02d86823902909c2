"""Keeps records in memory once they are read, as far as there is room.

Every epoch asks for each row once, in another order. So no row is more useful
to keep than another: the first rows stay, and none is dropped. With
`orders.Nearness.lanes` each process reads only its own share of the rows, and
the memory of all hosts together can hold the data set.
"""

import threading
from collections.abc import Sequence
from typing import Any


class RecordCache:
  """A source of records that keeps some of them. Threads may share it."""

  def __init__(self, source: Any, max_bytes: int):
    """Args:
      source: has `len` and `__getitems__(rows) -> [bytes]`.
      max_bytes: of the records kept, without Python's overhead for each.
    """
    self._source, self._room = source, max_bytes
    self._held: dict[int, bytes] = {}
    self._lock = threading.Lock()

  def __len__(self) -> int:
    return len(self._source)

  def __getitems__(self, rows: Sequence[int]) -> list[bytes]:
    held: dict[int, Any] = {row: self._held.get(row) for row in rows}
    missing = [row for row, record in held.items() if record is None]
    if missing:
      found = self._source.__getitems__(missing)
      held.update(zip(missing, found, strict=True))
      with self._lock:
        for row in missing:
          if row not in self._held and len(held[row]) <= self._room:
            self._held[row] = held[row]
            self._room -= len(held[row])
    return [held[row] for row in rows]
