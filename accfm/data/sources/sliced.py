"""Samples of a long device file, decoded when they are asked for."""

import os
import tempfile
from collections.abc import Callable, Sequence

import numpy as np

from accfm.base.errors import InputError
from accfm.data.sources import native

TOGETHER = 1 << 20  # samples that are decoded at once, at most


class Sliced:
  """[N, C] samples that lie in blocks of a file.

  Attributes:
    shape: (N, C).
    finite: no sample is NaN.
  """

  finite = True

  def __init__(
      self, counts: np.ndarray, channels: int,
      decode: Callable[[int, int], np.ndarray],
  ):
    """Nothing is decoded yet.

    Args:
      counts: [K] samples of each block.
      channels: C.
      decode: `decode(a, b)` gives the samples of blocks a, ..., b - 1.
    """
    self._ends = np.cumsum(counts, dtype=np.int64)
    self.shape = (int(self._ends[-1]), channels)
    self._decode = decode
    self._held = (0, 0, np.zeros((0, channels), np.float32))

  def __len__(self) -> int:
    return self.shape[0]

  def __getitem__(self, rows: slice) -> np.ndarray:
    first, last, step = rows.indices(len(self))
    assert step == 1, "samples are read in order"
    parts = []
    while first < last:
      low, high, x = self._around(first, last)
      until = min(last, high)
      parts.append(x[first - low:until - low])
      first = until
    if not parts:
      return np.zeros((0, self.shape[1]), np.float32)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)

  def _around(self, first, last):
    """(low, high, samples low to high) of whole blocks, with `first`."""
    low, high, _ = self._held
    if not low <= first < high:
      a = int(np.searchsorted(self._ends, first, side="right"))
      most = min(last, first + TOGETHER)
      b = int(np.searchsorted(self._ends, most - 1, side="right")) + 1
      low = int(self._ends[a - 1]) if a else 0
      high = int(self._ends[b - 1])
      x = self._decode(a, b)
      if len(x) != high - low:
        raise InputError(
            f"blocks {a} to {b - 1}: got {len(x):,} samples, want "
            f"{high - low:,}; the file is damaged"
        )
      self._held = low, high, x
    return self._held


def by_native(
    head: bytes, parts: Sequence[bytes], suffix: str, group: str, array: str,
    where: str,
) -> np.ndarray:
  """An array of a file made of a head and some blocks, by `native.READER`."""
  with tempfile.NamedTemporaryFile(suffix=suffix, prefix="accfm-") as file:
    file.write(head)
    for part in parts:
      file.write(part)
    file.flush()
    found, _ = native.READER.read(
        os.path.abspath(file.name), group, [array], where)
  if array not in found:
    raise InputError(f"{where}: no {array} in it")
  return found[array]
