"""The E4's CSV dialect: a start time, a rate, then rows of numbers.

NumPy reads the whole text at once. Only if that fails is the file read line
by line, to say which line is wrong.
"""

import datetime
import io
import math
import pathlib

import numpy as np

from accfm.base import textfile
from accfm.base.errors import InputError
from accfm.data.sources import numbers

WANT = "a CSV file as the E4 writes it"
RATES_HZ = (1e-3, 1e5)
LATEST_S = 1e11  # Unix seconds; the year 5138


def is_empty(path: pathlib.Path) -> bool:
  """Whether a file is absent or holds only white space."""
  return not path.is_file() or not textfile.read_bytes(path, WANT).strip()


def read_samples(
    path: pathlib.Path, columns: int, allow_none: bool = False
) -> tuple[float, float, np.ndarray]:
  """Reads ACC.csv, BVP.csv or HR.csv.

  Args:
    path: the file. Line 1 is the start time (Unix seconds or a UTC date),
      line 2 the rate in Hz, both once or once per column; then the samples.
    columns: numbers in a line.
    allow_none: whether there may be a header without samples.

  Returns:
    (start_s, rate_hz, values [N, columns] float64).

  Raises:
    InputError: names file and line of a text that is not a number, another
      number of columns, an empty line between samples, or no samples.
  """
  lines, body = _split(path, header=2)
  start = _agreed(_cells(lines[0]), columns, path, 1, _time)
  rate = _agreed(_cells(lines[1]), columns, path, 2, number)
  low, high = RATES_HZ
  if not low <= rate <= high:
    raise InputError(
        f"{path} line 2: got rate {rate:g}, want {low:g} to {high:g} Hz"
    )
  values = _table(body, columns, path, first_line=3)
  if not len(values) and not allow_none:
    raise InputError(f"{path}: no samples after the two header lines")
  return start, rate, values


def read_intervals(path: pathlib.Path) -> tuple[float, np.ndarray]:
  """Reads IBI.csv.

  Args:
    path: the file. Line 1 is "start, IBI". Each further line has the time of
      a beat after the start, and the interval that it ends, both in s.

  Returns:
    (start_s, rows [M, 2] float64); (0.0, [0, 2]) if the file is absent or
    empty.

  Raises:
    InputError: as `read_samples`, or times that do not increase, or intervals
      that are not above 0.
  """
  if is_empty(path):
    return 0.0, np.zeros((0, 2))
  lines, body = _split(path, header=1)
  start = _time(_cells(lines[0])[0], path, 1)
  rows = _table(body, 2, path, first_line=2)
  back = np.flatnonzero(np.diff(rows[:, 0]) <= 0)
  if len(back):
    i = back[0] + 1
    raise InputError(
        f"{path} line {i + 2}: time {rows[i, 0]:g} s does not come after "
        f"{rows[i - 1, 0]:g} s; want increasing beat times"
    )
  low = np.flatnonzero(rows[:, 1] <= 0)
  if len(low):
    raise InputError(
        f"{path} line {low[0] + 2}: got interval {rows[low[0], 1]:g} s, want "
        "more than 0"
    )
  return start, rows


def read_tags(path: pathlib.Path) -> np.ndarray:
  """[M] times in a tags file, in its order, without empty lines."""
  lines = _text(path).split("\n")
  return np.array([
      _time(line.strip(), path, i)
      for i, line in enumerate(lines, start=1) if line.strip()
  ])


def number(
    text: str, path: pathlib.Path, line: int, column: str = ""
) -> float:
  """`text` as a number that a float32 can hold too.

  Args:
    text: of a cell.
    path, line, column: where it stands, for messages.
  """
  where = f"{path} line {line}" + (f", {column}" if column else "")
  found = textfile.as_number(text)
  value = math.nan if found is None else found
  if abs(value) > numbers.LARGEST:
    raise InputError(
        f"{where}: got {text[:40]}, want a number of at most "
        f"{numbers.LARGEST:.2g}"
    )
  if not math.isfinite(value):
    raise InputError(f"{where}: got {text[:40]!r}, want a number")
  return value


def _text(path):
  """The file's text with "\\n" line ends and no byte-order mark."""
  text = textfile.read_text(path, WANT)
  return text.replace("\r\n", "\n").replace("\r", "\n")


def _split(path, header):
  """Header lines and the text below them."""
  parts = _text(path).split("\n", header)
  if len(parts) < header or not all(p.strip() for p in parts[:header]):
    raise InputError(
        f"{path}: got fewer than {header} header lines, want the E4's start "
        "time" + (" and rate" if header > 1 else "")
    )
  return parts[:header], (parts[header] if len(parts) > header else "")


def _cells(line):
  return [cell.strip() for cell in line.split(",")]


def _agreed(cells, columns, path, line, parse):
  """The value of a header line, which is given once or in each column."""
  values = {parse(cell, path, line) for cell in cells}
  if len(cells) not in (1, columns) or len(values) > 1:
    raise InputError(
        f"{path} line {line}: got {', '.join(cells)[:60]}, want one value, "
        f"once or in each of {columns} columns"
    )
  return values.pop()


def _time(text, path, line):
  """Unix seconds from a number or from a UTC date and time."""
  try:
    time = number(text, path, line)
  except InputError as error:
    try:
      date = datetime.datetime.fromisoformat(text.removesuffix("UTC").strip())
    except ValueError:
      raise error from None
    if date.tzinfo is None:
      date = date.replace(tzinfo=datetime.UTC)
    time = date.timestamp()
  if abs(time) > LATEST_S:
    raise InputError(
        f"{path} line {line}: got time {text[:40]}, want Unix seconds"
    )
  return time


def _table(body, columns, path, first_line):
  """Numbers [N, columns] from comma-separated text.

  Raises:
    InputError: names the line that is wrong.
  """
  body = body.rstrip()
  if not body:
    return np.zeros((0, columns))
  try:
    values = np.loadtxt(
        io.StringIO(body), delimiter=",", comments=None, ndmin=2
    )
    lines = body.count("\n") + 1
    if values.shape == (lines, columns) and (
        np.abs(values) <= numbers.LARGEST  # False for NaN
    ).all():
      return values
  except ValueError:
    pass
  for line, text in enumerate(body.split("\n"), start=first_line):
    cells = _cells(text)
    if not text.strip():
      raise InputError(f"{path} line {line}: empty line between samples")
    if len(cells) != columns:
      raise InputError(
          f"{path} line {line}: got {len(cells)} columns ({text[:40]!r}), "
          f"want {columns}; the row is truncated or not the E4's"
      )
    for cell in cells:
      number(cell, path, line)
  raise InputError(f"{path}: not a table of {columns} columns of numbers")
