"""Text and tables from outside: read whole, in UTF-8, within bounds.

A file that accfm reads may come from anybody and any program. What is not
text, not UTF-8 or larger than such a file can be is one InputError that names
the file, what is wrong with it and what to do.
"""

import codecs
import csv
import io
import os
import stat

from accfm.base.errors import InputError

MAX_BYTES = 1 << 28  # 256 MiB, of a text file
# What the first bytes of a file say of its encoding, the longest first.
_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"), (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"), (codecs.BOM_UTF16_BE, "UTF-16"),
)
MAX_CELL = 100_000  # characters, of a cell of a table
# Cells that hold no value, in small letters: what R, pandas, spreadsheets,
# databases and SAS write. A number, such as -999, is a number.
MISSING = ("", "na", "n/a", "#n/a", "<na>", "nan", "null", "none", "-", ".")


def read_bytes(
    path: str | os.PathLike, want: str, max_bytes: int = MAX_BYTES
) -> bytes:
  """The bytes of a file.

  Args:
    path: the file.
    want: for messages: what the file should be, and what to do.
    max_bytes: size of the largest file that is read.

  Raises:
    InputError: the file cannot be opened, is no regular file (a pipe would
      be waited for), or is larger than `max_bytes`.
  """
  try:
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
      kind = "a folder" if os.path.isdir(path) else "no regular file"
      raise InputError(f"{path}: got {kind}, want {want}")
    if found.st_size > max_bytes:
      raise InputError(
          f"{path}: got {found.st_size:,} bytes, want at most {max_bytes:,}, "
          f"as such a file has; want {want}"
      )
    with open(path, "rb") as f:
      return f.read()
  except (OSError, ValueError) as error:  # ValueError: a NUL in the path
    if isinstance(error, InputError):
      raise
    text = getattr(error, "strerror", None) or str(error)
    raise InputError(
        f"{path}: cannot be read ({text}), want {want}"
    ) from error


def decode(data: bytes, where: str | os.PathLike, want: str) -> str:
  """Bytes as text; a byte-order mark of UTF-8 is left out.

  Args:
    data: the bytes.
    where: the file they are from, for messages.
    want: for messages: what the file should be, and what to do.

  Raises:
    InputError: they are in another encoding than UTF-8, or not text.
  """
  for mark, name in _MARKS:
    if data.startswith(mark):
      raise InputError(
          f"{where}: got text in {name}, want UTF-8; save it as UTF-8 again: "
          f"want {want}"
      )
  try:
    text = data.decode("utf-8-sig")
  except UnicodeDecodeError as error:
    line = data.count(b"\n", 0, error.start) + 1
    raise InputError(
        f"{where} line {line}: byte {data[error.start]:#04x} is not UTF-8; if "
        "it is text in another encoding (such as Latin-1), save it as UTF-8 "
        f"again: want {want}"
    ) from error
  if "\0" in text:
    line = text.count("\n", 0, text.index("\0")) + 1
    raise InputError(
        f"{where} line {line}: got a NUL byte, which is not text; want {want}"
    )
  return text


def read_text(
    path: str | os.PathLike, want: str, max_bytes: int = MAX_BYTES
) -> str:
  """A file's text; arguments and errors as `read_bytes` and `decode`."""
  return decode(read_bytes(path, want, max_bytes), path, want)


def read_table(
    path: str | os.PathLike, want: str, max_bytes: int = MAX_BYTES
) -> list[tuple[int, list[str]]]:
  """The lines of a CSV file.

  Args:
    path: the file.
    want: for messages: what the file should be, and what to do.
    max_bytes: size of the largest file that is read.

  Returns:
    [(number of the line in the file, its cells without space at their ends)].
    A line whose cells are all empty is left out.

  Raises:
    InputError: as `read_text`; a quote is not closed, or a cell has more than
      `MAX_CELL` characters.
  """
  text, rows = read_text(path, want, max_bytes), []
  # Line ends within quotes belong to a cell, so the reader counts lines.
  reader, line = csv.reader(io.StringIO(text, newline=""), strict=True), 1
  try:
    for cells in reader:
      if max(map(len, cells), default=0) > MAX_CELL:
        raise csv.Error(f"a cell of more than {MAX_CELL:,} characters")
      stripped = [cell.strip() for cell in cells]
      if any(stripped):
        rows.append((line, stripped))
      line = reader.line_num + 1
  except csv.Error as error:
    raise InputError(
        f"{path} line {line}: {error}; want {want}"
    ) from error
  return rows


def is_missing(cell: str) -> bool:
  """Whether a cell of a table says that its value is unknown (`MISSING`)."""
  return cell.strip().lower() in MISSING


def missing_words() -> str:
  """The words of `MISSING` for a message: "an empty cell, na, n/a, ..."."""
  return ", ".join(["an empty cell", *filter(None, MISSING)])


def as_number(cell: str) -> float | None:
  """A cell's number; None if it is none. 1_000 is a name, not a number."""
  try:
    return None if "_" in cell else float(cell)
  except ValueError:
    return None
