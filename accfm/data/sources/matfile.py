"""One numeric array of a MATLAB file, expanded within a bound.

Format 5 (MATLAB 6 to 7.2) is read here, number by number of its description:
a variable that is compressed is expanded as far as its header, and further
only if it is the one that is wanted, holds real numbers and fits
`expansion.bound`. SciPy's reader of this format believes what a damaged
header says; some end the process. Format 4 knows no compression and is read
by SciPy.

Format: "MAT-File Format", The MathWorks.
"""

import contextlib
import io
import math
import os
import struct
import zlib

import numpy as np
import scipy.io

from accfm.base import expansion, textfile
from accfm.base.errors import InputError

HEADER, TAG = 128, 8  # bytes of the file's header, of an element's
MATRIX, COMPRESSED = 14, 15  # types of elements
# Type of an element of numbers -> how they are stored.
STORED = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8",
    12: "i8", 13: "u8",
}
NUMBERS = range(6, 16)  # classes of arrays of numbers: double to uint64
COMPLEX = 0x800  # flag of an array
MOST_AXES, LONGEST_NAME = 32, 4096
WANT = "a MATLAB file of numbers; fetch it again"


class _Stream:
  """The bytes of one variable, expanded as they are taken."""

  def __init__(self, body: memoryview, packed: bool):
    self._rest = body
    self._inflate = zlib.decompressobj() if packed else None

  def take(self, count: int) -> bytes:
    """So many bytes; ValueError where there are not."""
    if self._inflate is None:
      found, self._rest = bytes(self._rest[:count]), self._rest[count:]
    else:
      found = self._inflate.decompress(self._rest, count) if count else b""
      self._rest = self._inflate.unconsumed_tail
    if len(found) < count:
      raise ValueError("an array is cut off")
    return found

  def skip(self, count: int) -> None:
    """Leaves out so many bytes; the last may be missing at the end."""
    with contextlib.suppress(ValueError):
      self.take(count)


class _Variable:
  """What the header of a variable says."""

  def __init__(self, stream: _Stream, order: str):
    self._stream, self._order = stream, order
    self.numbers, self.shape, self.name = False, (), ""
    kind, flags = self._element(8)
    self._expect(kind, 6)
    flags = struct.unpack(f"{order}II", flags)[0]
    self.numbers = flags & 0xFF in NUMBERS and not flags & COMPLEX
    kind, axes = self._element(4 * MOST_AXES)
    self._expect(kind, 5)
    self.shape = tuple(int(n) for n in np.frombuffer(axes, f"{order}i4"))
    kind, name = self._element(LONGEST_NAME)
    self.name = name.decode("utf-8", "replace")

  def read(self, path: str | os.PathLike) -> np.ndarray:
    """The numbers, as float64."""
    if min(self.shape, default=0) < 0:
      raise ValueError(f"an array of shape {self.shape}")
    count = math.prod(self.shape)
    expansion.check(path, 8 * count)
    kind, body = self._element(8 * count)
    if kind not in STORED:
      raise ValueError(f"numbers of type {kind}")
    values = np.frombuffer(body, f"{self._order}{STORED[kind]}")
    return values.reshape(self.shape, order="F").astype(np.float64)

  def _element(self, most: int) -> tuple[int, bytes]:
    """(type, bytes) of the next element, of at most so many bytes."""
    head = self._stream.take(4)
    kind = struct.unpack(f"{self._order}I", head)[0]
    if kind >> 16:  # a small element: its size and bytes are in the tag
      size, kind = kind >> 16, kind & 0xFFFF
      body = self._stream.take(4)
      if size > 4:
        raise ValueError(f"a small element of {size} bytes")
      return kind, body[:size]
    size = struct.unpack(f"{self._order}I", self._stream.take(4))[0]
    if size > most:
      raise ValueError(f"an element of {size:,} bytes, want at most {most:,}")
    body = self._stream.take(size)
    self._stream.skip(-size % 8)  # what follows begins at a multiple of 8
    return kind, body

  @staticmethod
  def _expect(kind: int, want: int) -> None:
    if kind != want:
      raise ValueError(f"an element of type {kind}, want {want}")


def read_array(path: str | os.PathLike, key: str) -> np.ndarray:
  """A numeric array of a .mat file as float64.

  Args:
    path: the file, of MATLAB format 4 or 5 (not 7.3, which is HDF5).
    key: name of the array.

  Raises:
    InputError: it cannot be read, has no such array, one that is empty or
      not of real numbers, or expands to more than it may.
  """
  raise_it = f"{WANT}, or raise {expansion.VARIABLE}"
  data = textfile.read_bytes(path, raise_it, expansion.bound())
  try:
    if len(data) >= 4 and 0 in data[:4]:
      found = scipy.io.loadmat(io.BytesIO(data), variable_names=[key])
      there, array = key in found, found.get(key)
    else:
      there, array = _find(path, data, key)
  except InputError:
    raise
  except Exception as error:  # scipy's reader fails in many ways
    text = " ".join(str(error).split())[:100]
    raise InputError(
        f"{path}: not a readable MATLAB file ({type(error).__name__}: "
        f"{text}); fetch it again"
    ) from error
  if not there:
    raise InputError(f"{path}: has no array {key!r}")
  if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
    raise InputError(f"{path}: {key!r} is not an array of real numbers")
  if array.size == 0:
    raise InputError(f"{path}: {key!r} is empty")
  return array.astype(np.float64, copy=False)


def _find(
    path: str | os.PathLike, data: bytes, key: str
) -> tuple[bool, np.ndarray | None]:
  """(whether a file of format 5 has a variable, its numbers or None)."""
  mark = data[126:HEADER]
  if len(data) < HEADER or mark not in (b"IM", b"MI"):
    raise ValueError("no header of format 5")
  order = "<" if mark == b"IM" else ">"
  if struct.unpack(f"{order}H", data[124:126])[0] != 0x100:
    raise ValueError("format 7.3 or unknown; save it with -v7")
  view, at = memoryview(data), HEADER
  while at + TAG <= len(data):
    kind, size = struct.unpack(f"{order}II", view[at:at + TAG])
    body = view[at + TAG:at + TAG + size]
    if len(body) < size:
      raise ValueError("the file is cut off")
    stream = _Stream(body, kind == COMPRESSED)
    if kind == COMPRESSED:
      kind = struct.unpack(f"{order}II", stream.take(TAG))[0]
    if kind == MATRIX and size:
      variable = _Variable(stream, order)
      if variable.name == key:
        return True, variable.read(path) if variable.numbers else None
    at += TAG + size
  return False, None
