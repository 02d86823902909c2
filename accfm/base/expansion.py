"""How much memory a file may take: a small one can expand to gigabytes.

Compressed formats say little of their size on disk. Readers of them ask here
before they expand anything, and refuse what goes beyond the bound.
"""

import os
import zipfile
import zlib

from accfm.base.errors import InputError

VARIABLE = "ACCFM_MAX_EXPANDED_MB"
DEFAULT_MB = 1024
MB = 1 << 20
# What reading a .npz that is cut short, damaged or too large raises, beside
# zipfile.BadZipFile.
UNREADABLE = (
    OSError, ValueError, KeyError, EOFError, MemoryError, RecursionError,
    NotImplementedError, zlib.error,
)


class TooLargeError(InputError):
  """A file would take more memory than it may."""


def bound() -> int:
  """Bytes that one file may expand to.

  Raises:
    InputError: the environment's value is not a whole number above 0.
  """
  text = os.environ.get(VARIABLE, "") or str(DEFAULT_MB)
  if not (text.isascii() and text.isdecimal() and 0 < len(text) < 13) or (
      int(text) == 0
  ):
    raise InputError(
        f"{VARIABLE}: got {text!r}, want a whole number of MiB above 0"
    )
  return int(text) * MB


def check(path: str | os.PathLike, size: int, most: int = 0) -> None:
  """Raises TooLargeError where a file would take more memory than it may.

  Args:
    path: the file.
    size: bytes that it would take.
    most: the bound of this file, where it is above `bound()`.
  """
  most = max(most, bound())
  if size > most:
    raise TooLargeError(
        f"{path}: expands to {-(-size // MB):,} MiB from "
        f"{os.path.getsize(path):,} bytes, want at most {most // MB:,} MiB; "
        f"if the file is right, set {VARIABLE}={-(-size // MB)}"
    )


def check_zip(path: str | os.PathLike) -> None:
  """As `check`, of a file of NumPy's .npz format; it is stored uncompressed.

  Raises:
    TooLargeError: its parts say that they expand to more than the bound.
    zipfile.BadZipFile, OSError: it is no such file.
  """
  with zipfile.ZipFile(path) as found:
    size = sum(part.file_size for part in found.infolist())
  check(path, size, 2 * os.path.getsize(path))
