"""What accfm itself writes into the folder of a step, beside Orbax's files.

  record.json     what the checkpoint is: config, contract, cohorts, metrics,
                  and its step, which is the folder's name
  checksums.json  bytes and CRC-32 of the record and of every file of arrays

Both are written before the folder gets its final name, so a folder named by
a step's number has them. Orbax reads a flipped bit as another weight without
an error: the checksums are compared before anything else is believed. They
have to name every file that is there, and a folder that somebody renamed is
not a checkpoint of another step.
"""

import json
import pathlib
import zlib
from typing import Any

from accfm.base import jsonfile
from accfm.base.errors import InputError

RECORD, CHECKSUMS = "record.json", "checksums.json"

# Folder -> its files as they were when they were last compared. A start looks
# at the newest checkpoint several times and reads its files once.
_verified: dict[pathlib.Path, Any] = {}


class DamagedError(InputError):
  """A checkpoint is not what was written."""


def step_of(name: str) -> int | None:
  """The step that a folder's name stands for, None for another name."""
  digits = name.isascii() and name.isdecimal()
  return int(name) if digits and str(int(name)) == name else None


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
    DamagedError: it is missing, does not parse, or is of another step.
  """
  try:
    if (path / RECORD).exists():
      found = jsonfile.parse(
          (path / RECORD).read_text(), RECORD, "a record", finite=False
      )
    else:
      found = _read_first_format(path)
    if not isinstance(found, dict):
      raise ValueError(f"got {str(found)[:40]!r}, want an object")
  except Exception as error:  # Orbax raises many kinds
    raise DamagedError(
        f"checkpoint {path}: its record cannot be read ({reason(error)}); "
        "use another step"
    ) from error
  check_step(path, found)
  return found


def check_step(path: pathlib.Path, record: dict) -> None:
  """Raises DamagedError if a folder is named by another step than its own.

  Records of older code name no step and fit any folder.
  """
  named, held = step_of(path.name), record.get("step")
  if None in (named, held) or (held == named and type(held) is int):
    return
  fix = f"rename it to {held}, or use" if type(held) is int else "use"
  raise DamagedError(
      f"checkpoint {path}: the folder is named {named} and holds step "
      f"{str(held)[:40]}; {fix} another step"
  )


def verify(path: pathlib.Path) -> None:
  """Raises DamagedError unless a step's folder holds what was written.

  Files that have not changed since this process last compared them are not
  read again.
  """
  try:
    before = _files(path)
    if _verified.get(path) == before:
      return
    wanted = jsonfile.parse(
        (path / CHECKSUMS).read_text(), CHECKSUMS, "checksums"
    )
    _check_shape(wanted)
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
  # Hidden files come from file managers and network file systems.
  strange = [
      f for f in sorted(set(found) - set(wanted))
      if not pathlib.PurePath(f).name.startswith(".")
  ]
  if strange:
    raise DamagedError(
        f"checkpoint {path}: {strange[0]} is not in its {CHECKSUMS} "
        f"({len(strange)} of {len(found)} files), want all files that were "
        "written and no other; use another step"
    )
  if (path / RECORD).exists():
    read(path)
  _verified[path] = before


def _check_shape(sums: Any) -> None:
  """Raises ValueError unless these are checksums, of one file at least."""
  if not isinstance(sums, dict) or not sums:
    raise ValueError(
        f"{CHECKSUMS}: got {str(sums)[:40]}, want the checksums of all files"
    )
  for name, sum_ in sums.items():
    if not (
        isinstance(sum_, list) and len(sum_) == 2
        and all(type(x) is int and x >= 0 for x in sum_)
    ):
      raise ValueError(
          f"{CHECKSUMS}: got {str(sum_)[:40]} of {name}, want [bytes, CRC-32]"
      )


def _files(path: pathlib.Path) -> list[tuple]:
  """Name, identity, size and times of every file of a step's folder."""
  out = []
  for file in sorted(path.rglob("*")):
    at = file.stat()
    out.append((
        str(file), at.st_ino, at.st_size, at.st_mtime_ns, at.st_ctime_ns
    ))
  return out


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
