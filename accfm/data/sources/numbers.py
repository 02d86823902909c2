"""What a recording's numbers and names must be for every later step.

Segments, labels and attributes are stored as float32, and names as UTF-8. A
source refuses what does not fit where it reads it, and names the file.
"""

import pathlib

import numpy as np

from accfm.base.errors import InputError

LARGEST = float(np.finfo(np.float32).max)


def as_float32(values: np.ndarray, where: str) -> np.ndarray:
  """Numbers as float32; NaN stays.

  Args:
    values: array of numbers.
    where: what they are, for the message.

  Raises:
    InputError: a value is infinite, or too large for float32.
  """
  odd = np.abs(values) > LARGEST
  if odd.any():
    at = tuple(int(i) for i in np.argwhere(odd)[0])
    raise InputError(
        f"{where}: got {values[at]:g} at {list(at)}, want numbers of at most "
        f"{LARGEST:.2g}"
    )
  return np.ascontiguousarray(values, np.float32)


def check_name(path: pathlib.Path) -> None:
  """Raises InputError where a file's or folder's name cannot be stored.

  Args:
    path: of a session or recording; the last part names it.
  """
  name = path.name
  if not name.isprintable() or name != name.strip():
    raise InputError(
        f"{path}: got a name that is not plain text ({ascii(name)}), want "
        "printable UTF-8 without space at its ends; rename it"
    )
