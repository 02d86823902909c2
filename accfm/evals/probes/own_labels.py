"""Your own labels: a CSV file joined to the segments of a data set.

The column `participant` holds ids as in the data set ("cohort/id"). A value
of one session needs the column `session` too, and a value of one segment also
`start_s`, its start in Unix seconds. Each further column is a label. A label
of sessions or segments becomes `labels/<name>`, one of participants
`attributes/<name>`. A label is a number if all its known values are numbers,
and text if most of them are not. One odd cell among numbers is refused. Words
that stand for a missing value (`textfile.MISSING`) mean unknown.
"""

import dataclasses
import os
from collections.abc import Mapping

import numpy as np

from accfm.base import textfile
from accfm.base.errors import InputError, warn
from accfm.signals import plausible

KEYS = ("participant", "session", "start_s")
WANT = "a CSV file of labels in UTF-8"
TOLERANCE_S = 0.5  # between a start in the file and a segment's


@dataclasses.dataclass(frozen=True)
class OwnLabels:
  """M lines of a file of labels.

  Attributes:
    path: the file, for messages.
    keys: which of `KEYS` it has.
    lines: M line numbers in the file.
    where: key -> [M]; text, `start_s` float64.
    values: column -> [M]: float32, NaN where unknown, or text, "" where
      unknown.
  """

  path: str
  keys: tuple[str, ...]
  lines: tuple[int, ...]
  where: Mapping[str, np.ndarray]
  values: Mapping[str, np.ndarray]


def load(path: str | os.PathLike) -> OwnLabels:
  """Reads and checks a file of labels.

  Raises:
    InputError: the file is not CSV in UTF-8 with a header, `participant` and
      at least one label; a line has another length; `start_s` is not a
      number, or comes without `session`; a key comes twice; a text stands
      among numbers; a number is none that its label can be (`plausible`).
  """
  rows = textfile.read_table(path, WANT)
  head = rows[0][1] if rows else []
  names = [name for name in head if name not in KEYS]
  if "participant" not in head or not names or len(set(head)) < len(head):
    raise InputError(
        f"labels {path}: got columns {head}, want participant, optionally "
        "session and start_s, and one column per label, each named once"
    )
  if "start_s" in head and "session" not in head:
    raise InputError(
        f"labels {path}: got start_s without session, want both"
    )
  if len(rows) < 2:
    raise InputError(f"labels {path}: got no rows below the header")
  for line, row in rows[1:]:
    if len(row) != len(head):
      raise InputError(
          f"labels {path} line {line}: got {len(row)} cells, want {len(head)}"
      )
  lines = tuple(line for line, _ in rows[1:])
  cells = {
      name: np.array([row[at] for _, row in rows[1:]])
      for at, name in enumerate(head)
  }
  keys = tuple(key for key in KEYS if key in head)
  where = {key: cells[key] for key in keys}
  if "start_s" in where:
    where["start_s"] = _starts(path, lines, where["start_s"])
  found = {}
  for line, key in zip(lines, zip(*where.values(), strict=True), strict=True):
    if found.setdefault(key, line) != line:
      raise InputError(
          f"labels {path} line {line}: {key} is also on line {found[key]}, "
          "want each once"
      )
  folder = "attributes" if keys == ("participant",) else "labels"
  values = {
      f"{folder}/{name}": _values(path, lines, name, cells[name])
      for name in names
  }
  return OwnLabels(str(path), keys, lines, where, values)


def _starts(path, lines, cells):
  """[M] float64 of cells that must all be finite numbers."""
  starts = [textfile.as_number(cell) for cell in cells]
  for line, cell, start in zip(lines, cells, starts, strict=True):
    if start is None or not np.isfinite(start):
      raise InputError(
          f"labels {path} line {line}: start_s is {cell!r}, want Unix seconds"
      )
  return np.array(starts, np.float64)


def _values(path, lines, name, cells):
  """Cells as float32 if the known ones are numbers, as text if most are not.

  Raises:
    InputError: a text stands among numbers, or a number cannot be of its name.
  """
  known = np.array([not textfile.is_missing(cell) for cell in cells], bool)
  found = [
      textfile.as_number(cell) if there else np.nan
      for cell, there in zip(cells, known, strict=True)
  ]
  texts = [at for at, number in enumerate(found) if number is None]
  if not texts:
    return _numbers(path, lines, name, cells, np.array(found, np.float64))
  count = int(known.sum())
  if len(texts) <= count / 2:
    line, cell = lines[texts[0]], str(cells[texts[0]])
    raise InputError(
        f"labels {path} line {line}: {name} is {cell!r}, but "
        f"{count - len(texts):,} of its {count:,} known cells are numbers; "
        f"where a value is missing write {textfile.missing_words()}; where "
        "these are classes give each a name that is not a number"
    )
  _say_odd(path, lines, name, cells, known, set(texts))
  return np.where(known, cells, "")


def _say_odd(path, lines, name, cells, known, texts):
  """Warns of cells of a label of classes that may have meant otherwise."""
  numbers = [
      at for at in range(len(cells)) if known[at] and at not in texts
  ]
  words = [at for at in range(len(cells)) if not known[at] and cells[at]]
  for odd, what in (
      (numbers, "is a class like the others, since most cells are text"),
      (words, "is a missing value"),
  ):
    if odd:
      more = f" ({len(odd) - 1:,} more like it)" if len(odd) > 1 else ""
      warn(
          f"labels {path} line {lines[odd[0]]}: {name} is "
          f"{str(cells[odd[0]])!r}, which {what}{more}"
      )


def _numbers(path, lines, name, cells, values):
  """[M] float32 of numbers that can all be of their name."""
  bad = np.flatnonzero(~plausible.possible(name, values))
  if len(bad):
    raise InputError(
        f"labels {path} line {lines[bad[0]]}: {name} is {cells[bad[0]]}, want "
        f"{plausible.wanted(name)} (an empty cell)"
    )
  return values.astype(np.float32)


def load_columns(
    path: str | os.PathLike, tables: Mapping[str, Mapping[str, np.ndarray]]
) -> dict[str, dict[str, np.ndarray]]:
  """What a file adds to the tables of an evaluation; {} without a file.

  Prints how many of its lines belong to no segment.

  Args:
    path: the file, or "".
    tables: as `join`, which also says what is returned and raised.
  """
  if not path:
    return {}
  own = load(path)
  out, unused = join(own, tables)
  if unused:
    print(
        f"labels {path}: {unused} of {len(own.lines)} rows belong to no "
        f"window of {', '.join(tables)}", flush=True,
    )
  return out


def join(
    own: OwnLabels, tables: Mapping[str, Mapping[str, np.ndarray]]
) -> tuple[dict[str, dict[str, np.ndarray]], int]:
  """Columns for the segments of every split.

  Args:
    own: the labels.
    tables: split -> columns [N], `KEYS` among them.

  Returns:
    (split -> {column: [N]}, number of lines that belong to no segment).

  Raises:
    InputError: no line belongs to a segment, or the data set has a column of
      a label's name.
  """
  out, used = {}, set()
  for split, table in tables.items():
    taken = sorted(set(own.values) & set(table))
    if taken:
      raise InputError(
          f"labels {own.path}: the data set has {taken} already, want other "
          "names"
      )
    rows = _rows(own, table)
    used |= set(rows[rows >= 0].tolist())
    out[split] = {
        column: _take(values, rows) for column, values in own.values.items()
    }
  if not used:
    some = next(iter(tables.values()))
    raise InputError(
        f"labels {own.path}: no window has any of the {len(own.lines)} rows, "
        f"such as {[str(own.where[k][0]) for k in own.keys]}; the data set's "
        f"are like {[str(some[k][0]) for k in own.keys]}"
    )
  return out, len(own.lines) - len(used)


def _rows(own, table):
  """[N] the place in `own` of each segment's line, -1 for none."""
  texts = [key for key in own.keys if key != "start_s"]
  places = {}
  for row, key in enumerate(zip(*(own.where[k] for k in texts), strict=True)):
    places.setdefault(key, []).append(row)
  out = np.full(len(table["participant"]), -1)
  for n, key in enumerate(zip(*(table[k] for k in texts), strict=True)):
    rows = np.array(places.get(key, []), int)
    if "start_s" in own.keys and len(rows):
      away = np.abs(own.where["start_s"][rows] - table["start_s"][n])
      rows = rows[[away.argmin()]] if away.min() <= TOLERANCE_S else rows[:0]
    if len(rows):
      out[n] = rows[0]
  return out


def _take(values, rows):
  """values[rows], unknown where a row is -1."""
  unknown = np.float32(np.nan) if values.dtype.kind == "f" else ""
  return np.where(rows < 0, unknown, values[rows])
