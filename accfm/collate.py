"""Main: the tables of many recordings -> one.

  accfm collate --input=DIR --output=FILE.parquet      (or FILE.csv)

DIR is where accfm embed wrote. Memory does not grow with the number of rows.
"""

import csv
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from ml_collections import ConfigDict

from accfm.base import errors, files, interrupts, mains
from accfm.base.errors import InputError
from accfm.use import tables

SUMS = ("recordings", "days")  # tables of accfm embed that hold no segments


def run(config: ConfigDict, input: str, output: str) -> int:
  """Writes one table of all; returns its number of rows.

  Args:
    config: as `configs/collate.py`.
    input: folder of accfm embed's tables.
    output: path that ends in .parquet or .csv.

  Raises:
    InputError: no tables, tables of several models, or another ending.
  """
  files.refuse_url(input, "--input", reads=True)
  files.refuse_url(output, "--output")
  if not output.endswith((".parquet", ".csv")):
    raise InputError(f"--output: got {output!r}, want a .parquet or .csv file")
  place = os.path.abspath(output)
  found = [
      path for path in sorted(pathlib.Path(input).rglob("*.parquet"))
      if path.name.split(".")[0] not in SUMS and os.fspath(
          path.resolve()) != place and not path.name.startswith(".")
  ]
  said = {path: tables.about(path) for path in found}
  broken = [path for path, one in said.items() if one is None]
  if broken:
    raise InputError(f"{broken[0]}: damaged; run accfm embed again")
  if not found:
    raise InputError(f"--input: no table of accfm embed in {input}")
  models = sorted({one["model"] for one in said.values() if one})
  if len(models) > 1:
    raise InputError(
        f"--input: got tables of {len(models)} models {models}, want one")
  with errors.of_system(output), files.atomic(output) as partial:
    write = _csv if output.endswith(".csv") else _parquet
    rows = write(found, partial, config.good_only)
  print(f"{output}: {rows:,} rows of {len(found):,} recordings", flush=True)
  return rows


def _batches(file: Any, good_only: bool) -> Iterator[Any]:
  """The record batches of a table, or their rows with an embedding."""
  for batch in file.iter_batches():
    interrupts.check()
    if good_only:
      pa, _ = tables.arrow()
      good = [reason == "" for reason in batch.column("qc").to_pylist()]
      batch = batch.filter(pa.array(good, pa.bool_()))
    yield batch


def _parquet(
    found: list[pathlib.Path], partial: pathlib.Path, good_only: bool
) -> int:
  _, parquet = tables.arrow()
  writer: Any = None
  rows = 0
  for path in found:
    with parquet.ParquetFile(path) as file:
      want = writer.schema if writer else file.schema_arrow.remove_metadata()
      if writer is None:
        writer = parquet.ParquetWriter(partial, want, compression="zstd")
      for batch in _batches(file, good_only):
        writer.write_batch(batch.replace_schema_metadata(None))
        rows += batch.num_rows
  writer.close()
  return rows


def _csv(
    found: list[pathlib.Path], partial: pathlib.Path, good_only: bool
) -> int:
  _, parquet = tables.arrow()
  rows, head = 0, None
  with open(partial, "w", newline="") as f:
    out = csv.writer(f)
    for path in found:
      with parquet.ParquetFile(path) as file:
        sizes = {f.name: getattr(f.type, "list_size", 0)
                 for f in file.schema_arrow}
        names = [one for name, size in sizes.items() for one in (
            [f"{name}/{k}" for k in range(size)] if size else [name])]
        if head is None:
          head = names
          out.writerow(head)
        for batch in _batches(file, good_only):
          for row in batch.to_pylist():
            out.writerow(_flat(row, sizes))
            rows += 1
  return rows


def _flat(row, sizes):
  """The cells of a row, one for each number of an embedding."""
  out = []
  for name, value in row.items():
    if sizes[name]:
      out += value if value is not None else [None] * sizes[name]
    else:
      out.append(value.isoformat() if hasattr(value, "isoformat") else value)
  return out


MAIN = mains.Main(__doc__, run, (
    mains.Flag("input", "folder of accfm embed's tables"),
    mains.Flag("output", "a .parquet or .csv file"),
), config="collate", usual=("collate",), again="run the same command again")

if __name__ == "__main__":
  MAIN.start()
