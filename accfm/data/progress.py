"""Lines of progress, with the time that is left."""

import time
from collections.abc import Callable
from typing import Any

SECONDS_BETWEEN_LINES = 5.0


class Progress:
  """Lines such as `prepare: 12/35 recordings, 640 windows, 0:13 left`."""

  def __init__(
      self, what: str, total: int, unit: str,
      out: Callable[[str], Any] = print,
  ):
    self._what, self._total, self._unit, self._out = what, total, unit, out
    self._start = self._said = time.monotonic()
    self._done = self._windows = 0
    self._first = None  # time when the first was done: start-up is not counted

  def step(self, windows_: int) -> None:
    """Counts one more, with its windows; writes a line every few seconds."""
    self._done += 1
    self._windows += windows_
    now = time.monotonic()
    self._first = self._first or now
    last = self._done == self._total
    soon = self._done == 1 or now - self._said < SECONDS_BETWEEN_LINES
    if soon and not last:
      return
    self._said = now
    each = (now - (self._first or now)) / max(1, self._done - 1)
    left = round(each * (self._total - self._done))
    tail = f"took {now - self._start:.1f} s" if last else (
        f"{left // 60}:{left % 60:02d} left"
    )
    self._out(
        f"{self._what}: {self._done:,}/{self._total:,} {self._unit}, "
        f"{self._windows:,} windows, {tail}"
    )
