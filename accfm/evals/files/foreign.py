"""Vectors of windows in Parquet that any program may have written.

The columns are those of `embeddings/SPLIT.parquet`: `participant`, `session`,
`start_s`, and `SIGNAL/embedding` (perhaps `SIGNAL/projection` too). How they
are laid out is the writer's affair: lists of fixed or variable length, of
floats of any width, groups of any size.
"""

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from accfm.base import expansion
from accfm.base.errors import InputError
from accfm.evals.files import store

KEYS = ("participant", "session", "start_s")
KINDS = ("embedding", "projection")
WANTED = (
    "Parquet with the columns participant, session, start_s and "
    "SIGNAL/embedding (docs/others.md)"
)


@dataclasses.dataclass(frozen=True)
class Vectors:
  """The lines of one or several files.

  Attributes:
    keys: `participant` and `session` [n] text, `start_s` [n] float64.
    columns: `SIGNAL/embedding` -> [n, D] float32; a vector that is null is
      NaN.
  """

  keys: Mapping[str, np.ndarray]
  columns: Mapping[str, np.ndarray]


def list_files(path: str | os.PathLike) -> list[pathlib.Path]:
  """The file, or the Parquet files of a folder, sorted.

  Raises:
    InputError: there is none.
  """
  place = pathlib.Path(path)
  found = sorted(place.glob("*.parquet")) if place.is_dir() else [place]
  if not found or not place.exists():
    raise InputError(
        f"--embeddings: {path} has no Parquet file, want {WANTED}")
  return found


def read(path: str | os.PathLike) -> Vectors:
  """All lines of a file, or of the files of a folder.

  Raises:
    InputError: a file cannot be read, lacks a column, or has vectors of
      several lengths.
  """
  parts = [(file, _read_file(file)) for file in list_files(path)]
  first, one = parts[0]
  for file, part in parts[1:]:
    shapes = [
        {name: x.shape[1] for name, x in p.columns.items()}
        for p in (one, part)
    ]
    if shapes[0] != shapes[1]:
      raise InputError(
          f"--embeddings: {file} has vectors of {shapes[1]}, {first.name} of "
          f"{shapes[0]}, want the same columns and lengths in all files")
  join = lambda name, of: np.concatenate(  # noqa: E731
      [getattr(part, of)[name] for _, part in parts])
  return Vectors(
      {name: join(name, "keys") for name in KEYS},
      {name: join(name, "columns") for name in one.columns},
  )


def _read_file(path):
  with store.one_error(path, WANTED), pq.ParquetFile(path) as table:
    schema = table.schema_arrow
    names = [
        name for name in schema.names if name.rpartition("/")[2] in KINDS
        and name.rpartition("/")[0]
    ]
    missing = [name for name in KEYS if name not in schema.names]
    if missing or not names:
      raise KeyError(", ".join(missing) or "a column SIGNAL/embedding")
    twice = [name for name in schema.names if schema.names.count(name) > 1]
    if twice:
      raise KeyError(f"{twice[0]} is there twice")
    groups = [table.metadata.row_group(i)
              for i in range(table.num_row_groups)]
    expansion.check(
        path, sum(group.total_byte_size for group in groups),
        store.MAX_RATIO * os.path.getsize(path),
    )
    data = table.read(columns=[*KEYS, *names])
    keys: dict[str, Any] = {
        name: _texts(data.column(name)) for name in KEYS[:2]
    }
    keys["start_s"] = _seconds(data.column("start_s"))
    return Vectors(keys, {
        name: _matrix(name, data.column(name)) for name in names
    })


def _texts(column):
  """[n] text; numbers become text, null ""."""
  return np.array(
      ["" if x is None else str(x) for x in column.to_pylist()], str)


def _seconds(column):
  """[n] Unix seconds, from a number or a timestamp."""
  if pa.types.is_timestamp(column.type):
    column = column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64())
    return column.to_numpy().astype(np.float64) / 1e6
  out = column.to_numpy().astype(np.float64)
  if not np.isfinite(out).all():
    raise ValueError("start_s is not a number everywhere")
  return out


def _matrix(name, column):
  """[n, D] float32 of a column of lists; NaN where a list is null."""
  kind = column.type
  if not any(is_list(kind) for is_list in (
      pa.types.is_fixed_size_list, pa.types.is_list, pa.types.is_large_list)):
    raise TypeError(f"column {name!r} is {kind}, not lists of numbers")
  if not (pa.types.is_floating(kind.value_type)
          or pa.types.is_integer(kind.value_type)):
    raise TypeError(f"column {name!r} is {kind}, not lists of numbers")
  known = ~np.asarray(column.is_null().to_numpy(), bool)
  lists = [
      chunk.drop_null() for chunk in column.chunks if len(chunk)
  ]
  widths = {int(w) for chunk in lists for w in np.unique(_lengths(chunk))}
  if len(widths) != 1 or not min(widths):
    raise ValueError(
        f"column {name!r} has vectors of {sorted(widths)} numbers, want one "
        "length")
  flat = np.concatenate([
      chunk.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
      for chunk in lists
  ])
  out = np.full((len(column), widths.pop()), np.nan, np.float32)
  out[known] = flat.reshape(int(known.sum()), -1)
  return out


def _lengths(chunk):
  """[n] the length of each list of a chunk without nulls."""
  if pa.types.is_fixed_size_list(chunk.type):
    return np.full(len(chunk), chunk.type.list_size)
  return chunk.value_lengths().to_numpy(zero_copy_only=False)
