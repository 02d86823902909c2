"""What accfm itself writes into the folder of a step, beside Orbax's files.

  record.json     what the checkpoint is: config, contract, cohorts, metrics
  checksums.json  bytes and CRC-32 of the record and of every file of arrays

Both are written before the folder gets its final name, so a folder named by
a step's number has them. Orbax reads a flipped bit as another weight without
an error: the checksums are compared before anything else is believed.
"""

import json
import pathlib
import zlib
from typing import Any

from accfm.base.errors import InputError

RECORD, CHECKSUMS = "record.json", "checksums.json"


class DamagedError(InputError):
  """A checkpoint is not what was written."""


def write(path: pathlib.Path, text: str) -> None:
  """Writes the record of a step, then the checksums of all its files.

  Args:
    path: folder of the step, all arrays written.
    text: the record as JSON.
  """
  (path / RECORD).write_text(text)
  (path / CHECKSUMS).write_text(json.dumps(checksums(path)))


def read(path: pathlib.Path) -> dict:
  """The record of a step's folder.

  Raises:
    DamagedError: it is missing or does not parse.
  """
  try:
    if (path / RECORD).exists():
      return json.loads((path / RECORD).read_text())
    return _read_first_format(path)
  except Exception as error:  # Orbax raises many kinds
    raise DamagedError(
        f"checkpoint {path}: its record cannot be read ({reason(error)}); "
        "use another step"
    ) from error


def verify(path: pathlib.Path) -> None:
  """Raises DamagedError unless a step's folder holds what was written."""
  try:
    wanted = json.loads((path / CHECKSUMS).read_text())
    found = checksums(path)
  except (OSError, ValueError) as error:
    raise DamagedError(
        f"checkpoint {path}: cannot be read ({reason(error)}), want a whole "
        "one; use another step"
    ) from error
  changed = [f for f in sorted(wanted) if found.get(f) != wanted[f]]
  if changed:
    what = "differs from" if changed[0] in found else "is missing of"
    raise DamagedError(
        f"checkpoint {path}: {changed[0]} {what} what was written "
        f"({len(changed)} of {len(wanted)} files); use another step"
    )


def checksums(path: pathlib.Path) -> dict[str, list[int]]:
  """{file: [bytes, CRC-32]} of the record and of all files in subfolders."""
  sums = {}
  for file in [path / RECORD, *sorted(path.glob("*/**/*"))]:
    if file.is_file():
      crc, size = 0, 0
      with open(file, "rb") as f:
        while chunk := f.read(1 << 20):
          crc, size = zlib.crc32(chunk, crc), size + len(chunk)
      sums[file.relative_to(path).as_posix()] = [size, crc]
  return sums


def reason(error: BaseException) -> str:
  """The telling part of an error, on one line."""
  text = getattr(error, "strerror", None) or str(error) or repr(error)
  for telling in ("No space left on device", "File too large", "Disk quota"):
    if telling in text:
      return telling
  return " ".join(text.split())[:160]


def _read_first_format(path: pathlib.Path) -> Any:
  """The record in a checkpoint of the first format: an item of Orbax's."""
  from orbax.checkpoint import v1 as ocp  # slow, and seldom needed
  return ocp.load_checkpointables(str(path), {"meta": None})["meta"]
