"""Which segments a query may be answered with: everybody's, one person's, ...

Segments are sorted by person, recording and time. A person, a recording and
the minutes around a segment are then ranges of rows. So is any set that a
query must keep to or stay out of (`masks.Mask`).
"""

from collections.abc import Mapping

import numpy as np

from accfm.evals.retrieval.masks import Mask

_SLACK_SEC = 1e-6  # rounding of start times


def thin(
    participant: np.ndarray, session: np.ndarray, start_s: np.ndarray,
    window_sec: float,
) -> np.ndarray:
  """Rows [M] that do not overlap within a recording: greedy, in time order.

  Args:
    participant, session: [N] text.
    start_s: [N] seconds.
    window_sec: length of a segment.

  Returns:
    Sorted row numbers. All rows where the hop is at least the segment.
  """
  kept, free = [], {}
  for i in np.argsort(start_s, kind="stable"):
    name = (participant[i], session[i])
    if start_s[i] >= free.get(name, -np.inf) - _SLACK_SEC:
      free[name] = start_s[i] + window_sec
      kept.append(i)
  return np.sort(np.asarray(kept, int))


class Segments:
  """Some rows of a split, sorted so that what belongs together is a range.

  Attributes:
    rows: [M] their numbers in the split's table.
    participant: [M] the person of each.
    start_s: [M] seconds.
    person, recording: [M, 2] first and one past the last of the segments of
      the same person, and of the same recording.
  """

  def __init__(self, table: Mapping[str, np.ndarray], rows: np.ndarray):
    """Sorts some rows of a table.

    Args:
      table: columns `participant`, `session` and `start_s`.
      rows: [M] numbers of the rows to keep.
    """
    who, which, when = (
        np.asarray(table[c])[rows]
        for c in ("participant", "session", "start_s")
    )
    order = np.lexsort((when, which, who))
    self.rows = np.asarray(rows)[order]
    self.participant, which = who[order], which[order]
    self.start_s = when[order].astype(np.float64)
    other_person = self.participant[1:] != self.participant[:-1]
    self.person = _ranges(other_person)
    self.recording = _ranges(other_person | (which[1:] != which[:-1]))

  def __len__(self) -> int:
    return len(self.rows)

  def adjacent(self, seconds: float) -> np.ndarray:
    """[M, 2] the segments of the recording that start less than this apart.

    The segment itself is one of them.
    """
    out = np.empty((len(self), 2), int)
    for first, last in np.unique(self.recording, axis=0):
      t = self.start_s[first:last]
      near = seconds - _SLACK_SEC
      out[first:last, 0] = first + np.searchsorted(t, t - near, "right")
      out[first:last, 1] = first + np.searchsorted(t, t + near, "left")
    return out

  def everybody(self) -> Mask:
    """Mask: all segments."""
    return Mask.everything(len(self), len(self))

  def within_person(self) -> Mask:
    """Mask: the same person's."""
    return Mask(self.person, np.zeros_like(self.person))

  def but(self, ranges: np.ndarray) -> Mask:
    """Mask: all segments but a range [M, 2] of each."""
    return Mask(self.everybody().keep, ranges)


def _ranges(changes: np.ndarray) -> np.ndarray:
  """changes [M - 1]: whether the next row is of another run.  -> [M, 2]."""
  starts = np.concatenate([[0], 1 + np.flatnonzero(changes)])
  run = np.concatenate([[0], np.cumsum(changes)])
  ends = np.append(starts[1:], len(run))
  return np.stack([starts, ends], axis=1)[run]
