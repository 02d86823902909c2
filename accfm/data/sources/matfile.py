"""One numeric array of a MATLAB file, expanded within a bound.

A variable may lie compressed in the file (format 5, MATLAB 6 to 7.2). Its
header says how long it is; nothing is expanded beyond that, nor beyond
`expansion.bound`. Only then does SciPy read it, and only numbers: cells,
structures and objects are refused by what their headers say.
"""

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
COMPRESSED, MATRIX = 15, 14  # types of elements
NUMERIC = {
    "double", "single", "int8", "int16", "int32", "int64", "uint8", "uint16",
    "uint32", "uint64",
}
WANT = "a MATLAB file of numbers; fetch it again"


def read_array(path: str | os.PathLike, key: str) -> np.ndarray:
  """A numeric array of a .mat file as float64.

  Args:
    path: the file, of MATLAB format 4 or 5 (not 7.3, which is HDF5).
    key: name of the array.

  Raises:
    InputError: it cannot be read, has no such array, one that is empty or
      not of real numbers, or expands to more than it may.
  """
  data = textfile.read_bytes(path, WANT, expansion.bound())
  try:
    data = _expanded(path, data)
    there = {
        name: (shape, kind)
        for name, shape, kind in scipy.io.whosmat(io.BytesIO(data))
    }
    found, (shape, kind) = {}, there.get(key, ((), ""))
    if kind in NUMERIC:
      expansion.check(path, math.prod(shape) * 8)  # as float64
      found = scipy.io.loadmat(io.BytesIO(data), variable_names=[key])
  except InputError:
    raise
  except Exception as error:  # scipy's reader fails in many ways
    text = " ".join(str(error).split())[:100]
    raise InputError(
        f"{path}: not a readable MATLAB file ({type(error).__name__}: "
        f"{text}); fetch it again"
    ) from error
  if key not in there:
    raise InputError(f"{path}: has no array {key!r}")
  array = found.get(key)
  if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
    raise InputError(f"{path}: {key!r} is not an array of real numbers")
  if array.size == 0:
    raise InputError(f"{path}: {key!r} is empty")
  return array.astype(np.float64)


def _expanded(path: str | os.PathLike, data: bytes) -> bytes:
  """The bytes of a file of format 5 without compression; others as they are.
  """
  if len(data) < HEADER or 0 in data[:4] or data[126:128] not in (
      b"IM", b"MI"
  ):
    return data
  order = "<" if data[126:128] == b"IM" else ">"
  parts, size, at = [data[:HEADER]], 0, HEADER
  while at + TAG <= len(data):
    kind, length = struct.unpack(f"{order}II", data[at:at + TAG])
    body = data[at + TAG:at + TAG + length]
    if kind == COMPRESSED:
      part = _inflated(path, body, order, size)
    else:  # at most as long as the file; padding lies between elements
      part = data[at:at + TAG + length]
    parts.append(part)
    size += len(part)
    expansion.check(path, size)
    at += TAG + length
  return b"".join(parts)


def _inflated(
    path: str | os.PathLike, body: bytes, order: str, before: int
) -> bytes:
  """A compressed element, at most as long as its header says."""
  stream = zlib.decompressobj()
  tag = stream.decompress(body, TAG)
  if len(tag) < TAG:
    raise ValueError("a compressed array is cut off")
  kind, length = struct.unpack(f"{order}II", tag)
  if kind != MATRIX:
    raise ValueError(f"a compressed element of type {kind}")
  expansion.check(path, before + length)
  inner = stream.decompress(stream.unconsumed_tail, length)
  if len(inner) < length:
    raise ValueError("a compressed array is shorter than its header says")
  return tag + inner
