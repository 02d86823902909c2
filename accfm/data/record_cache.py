"""Records that were read once stay in memory, as far as there is room.

Every epoch asks for each row once, in another order, so what is held is as
good as what would be held instead: the first rows stay, nothing is dropped.
With `orders.Nearness.lanes` a process reads its own share of the rows alone,
and the memory of all hosts together holds the data set.
"""

import threading


class RecordCache:
  """A source of records, some of them held. Threads may share it."""

  def __init__(self, source, max_bytes):
    """Args:
      source: with `len` and `__getitems__(rows) -> [bytes]`.
      max_bytes: of records held; what Python adds to each is not counted.
    """
    self._source, self._room = source, max_bytes
    self._held, self._lock = {}, threading.Lock()

  def __len__(self):
    return len(self._source)

  def __getitems__(self, rows):
    held = {row: self._held.get(row) for row in rows}
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
