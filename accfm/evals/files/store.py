"""Parquet tables that record what their lines depend on.

The key `accfm` of a file's schema holds this as JSON: the checkpoint, the
participants and the code. Tables are written and read one row group at a
time. Each page carries a checksum: a flipped byte is an error, not another
number.
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from accfm.base import expansion, files, jsonfile
from accfm.base.errors import InputError

KEY = b"accfm"
GROUP = 8192  # lines in a row group
TEXT, NUMBER, COUNT = pa.string(), pa.float64(), pa.int64()
# What identifies a line. `window` stands for the last two where files must
# not reveal who the participants are (`privacy`).
ROW_KEYS = {
    "participant": TEXT, "window": COUNT, "session": TEXT, "start_s": NUMBER,
}
PREDICTIONS = {
    "task": TEXT, "unit": TEXT, "row": TEXT, "true": NUMBER,
    "predicted": NUMBER,
}
# The fold that tested a line and the draw of labelled people that fitted it;
# older files have neither, which means 0.
FITS = {"fold": COUNT, "draw": COUNT}
QUERIES = {"direction": TEXT, "windows": COUNT, "rank": COUNT}
TYPES = ROW_KEYS | PREDICTIONS | FITS | QUERIES
MAX_TEXT = 4096  # characters of a text; names of files have at most 255
MAX_RATIO = 100  # of what a table takes in memory to its size on disk


def vector(width: int) -> pa.DataType:
  """The type of a column of vectors [width] float32."""
  return pa.list_(pa.float32(), width)


def write(
    path: str | os.PathLike, types: Mapping[str, pa.DataType],
    parts: Iterable[Mapping[str, Any]], facts: Mapping[str, Any],
) -> None:
  """Writes a table; a crash leaves the old file or the new one.

  Args:
    path: the file.
    types: column -> type: TEXT, NUMBER, COUNT or `vector(D)`.
    parts: {column: [n], or [n, D] of a vector} of some lines each; a column
      that a part lacks is null there. Each part is written before the next
      is asked for.
    facts: plain data that the lines depend on.
  """
  schema = pa.schema(
      list(types.items()),
      {KEY: json.dumps(facts, allow_nan=False).encode()},
  )
  with files.atomic(path) as partial, pq.ParquetWriter(
      partial, schema, write_page_checksum=True
  ) as out:
    for part in parts:
      n = len(next(iter(part.values())))
      for at in range(0, n, GROUP):
        out.write_table(pa.table([
            _array(part.get(name), kind, slice(at, min(at + GROUP, n)))
            for name, kind in types.items()
        ], schema=schema))


def read_facts(path: str | os.PathLike, wanted: str) -> dict[str, Any]:
  """The facts that a table was written with; arguments, errors as `read`."""
  with one_error(path, wanted), pq.ParquetFile(path) as table:
    text = (table.schema_arrow.metadata or {})[KEY].decode()
    found = jsonfile.parse(text, "its facts", "those of an evaluation")
    return jsonfile.as_object(found, "its facts", "those of an evaluation")


def read(
    path: str | os.PathLike,
    columns: Iterable[str] | Callable[[list[str]], list[str]], wanted: str,
) -> Iterator[dict[str, np.ndarray]]:
  """Reads a table one row group at a time.

  Args:
    path: the file.
    columns: names of the columns to read, or a function that chooses them
      from the names that the file has.
    wanted: for the message: what the file should be, and what to do.

  Yields:
    {column: [n] text (null: ""), float64 (null: NaN) or int64 (null: 0), or
    [n, D] float32}.

  Raises:
    InputError: the file is absent, cut short, changed, another program's, or
      expands to more than it may.
  """
  with one_error(path, wanted), pq.ParquetFile(path) as table:
    schema = table.schema_arrow
    names = columns(schema.names) if callable(columns) else list(columns)
    missing = [name for name in names if name not in schema.names]
    if KEY not in (schema.metadata or {}) or missing:
      raise KeyError(*missing[:1] or ["accfm"])
    if not names:
      raise KeyError("a column of this kind")
    kinds = {name: schema.field(name).type for name in names}
    for name, kind in kinds.items():
      if schema.names.count(name) > 1 or not _is_ours(name, kind):
        raise TypeError(f"column {name!r} is {kind}")
    groups = [
        table.metadata.row_group(i) for i in range(table.num_row_groups)
    ]
    lines = [group.num_rows for group in groups]
    if max(lines, default=0) > GROUP:
      raise ValueError(f"{max(lines)} lines in a group, want {GROUP}")
    expansion.check(
        path, max(
            sum(lines) * sum(map(_line_bytes, kinds.values())),
            sum(group.total_byte_size for group in groups),
        ), MAX_RATIO * os.path.getsize(path),
    )
  texts = [name for name, kind in kinds.items() if kind == TEXT]
  # Each text once, so that its length is seen before it is repeated.
  with one_error(path, wanted), pq.ParquetFile(
      path, page_checksum_verification=True, read_dictionary=texts,
  ) as table:
    for number in range(table.num_row_groups):
      part = table.read_row_group(number, columns=names)
      yield {name: _values(part.column(name)) for name in names}


def _is_ours(name, kind):
  """Whether a column has the type that `write` gives it."""
  if name in TYPES:
    return kind == TYPES[name]
  return kind in (TEXT, NUMBER, COUNT) or (
      pa.types.is_fixed_size_list(kind) and kind == vector(kind.list_size)
      and kind.list_size > 0
  )


def _line_bytes(kind):
  """About the bytes of a line of a column in memory."""
  if pa.types.is_fixed_size_list(kind):
    return 4 * kind.list_size
  return 8


@contextlib.contextmanager
def one_error(path: str | os.PathLike, wanted: str) -> Iterator[None]:
  """Turns any error of pyarrow about a file into an InputError."""
  try:
    yield
  except expansion.TooLargeError:
    raise
  except (
      pa.ArrowException, OSError, KeyError, TypeError, ValueError
  ) as error:
    text = " ".join(f"{type(error).__name__}: {error}".split())[:160]
    raise InputError(
        f"{path}: cannot be read ({text}), want {wanted}"
    ) from error


def _array(values, kind, rows):
  """Some lines of a column as an Arrow array; all null for None."""
  if values is None:
    return pa.nulls(rows.stop - rows.start, kind)
  if pa.types.is_fixed_size_list(kind):
    flat = np.ascontiguousarray(values[rows], np.float32).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), type=kind)
  return pa.array(np.asarray(values)[rows].tolist(), kind)


def _values(column):
  """A column as NumPy."""
  kind, n = column.type, len(column)
  if pa.types.is_fixed_size_list(kind):
    if column.null_count:
      raise ValueError("a vector that is not there")
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(n, kind.list_size)
  if pa.types.is_dictionary(kind):
    for chunk in column.chunks:
      longest = max(map(len, chunk.dictionary.to_pylist()), default=0)
      if longest > MAX_TEXT:
        raise ValueError(f"a text of {longest:,} characters, want {MAX_TEXT:,}")
    return np.array([text or "" for text in column.to_pylist()], str)
  if pa.types.is_floating(kind):
    return column.to_numpy().astype(np.float64)
  return column.fill_null(0).to_numpy().astype(np.int64)


def write_predictions(
    path: str | os.PathLike, predictions: Iterable[Any],
    facts: Mapping[str, Any],
) -> None:
  """Writes a line for each scored segment (or participant), task, encoder
  and draw of labelled people.

  Args:
    path: the file.
    predictions: list of `Predictions` of probes, renamed as files need it.
    facts: plain data that they depend on.
  """
  types = {**_keys(p.rows for p in predictions), **PREDICTIONS, **FITS}
  write(path, types, (
      {**p.rows, "true": p.true, "predicted": predicted, "fold": p.fold,
       "task": [p.task] * len(p.true), "unit": [p.unit] * len(p.true),
       "row": [row] * len(p.true), "draw": [draw] * len(p.true)}
      for p in predictions for row, draws in p.predicted.items()
      for draw, predicted in enumerate(draws)
  ), facts)


def write_queries(
    path: str | os.PathLike,
    queries: Mapping[str, tuple[np.ndarray, np.ndarray]],
    rows: Mapping[str, np.ndarray], facts: Mapping[str, Any],
) -> None:
  """Writes the rank of each query of the encoder under test.

  Args:
    path: the file.
    queries: direction ("acc2ppg") -> (windows [M], rank [M]): how many
      segments were searched, and the place of the right one. Segments that
      tie with the right one come before it.
    rows: row keys [M].
    facts: plain data that they depend on.
  """
  write(path, {**_keys([rows]), **QUERIES}, (
      {**rows, "direction": [way] * len(rank), "windows": windows,
       "rank": rank}
      for way, (windows, rank) in queries.items()
  ), facts)


def _keys(rows):
  """Types of the row keys that occur in any of several dicts."""
  there = {name for keys in rows for name in keys} or {"participant"}
  return {name: kind for name, kind in ROW_KEYS.items() if name in there}
