"""`checksums.json`: size and SHA-256 of the files of a data set.

Opening a data set reads its descriptions in whole and compares the sizes of
all shards. Of the shards that are read, the contents are compared too, up to
`MOST_BYTES` for each split; beyond that, array_record's own checksum of each
record guards it, and each record says whose it is. What a process has read
once it does not read again while the file stays as it is.
"""

import concurrent.futures
import hashlib
import json
import os
import stat
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

from accfm.base import errors, files, jsonfile
from accfm.base.errors import InputError

FILE = "checksums.json"
MOST_BYTES = 4 << 30  # of a split's shards, read when it is opened
THREADS = 8
# A file that changed this recently may change again within one tick of the
# file system's clock, so what was read of it is not kept.
SETTLED_NS = 2_000_000_000
AGAIN = "the data set is damaged or was changed: prepare it again"
WANT = f"the checksums of a data set; {AGAIN}"

Sums = Mapping[str, tuple[int, str]]  # file name -> (bytes, SHA-256)
State = tuple[str, int, int, int, int]  # what a file's content goes with

_lock = threading.Lock()
_read: dict[State, str] = {}  # SHA-256 of files that this process has read
_told: set[str] = set()  # the warnings of this process


def save(dataset_dir: str, names: Iterable[str]) -> None:
  """Writes the checksums of the named files of a folder."""
  names = sorted(names)
  found = _hashes(dataset_dir, names)
  plain = {
      name: [os.path.getsize(os.path.join(dataset_dir, name)), found[name]]
      for name in names
  }
  files.write_atomic(
      os.path.join(dataset_dir, FILE),
      json.dumps(plain, indent=1, sort_keys=True),
  )


def load(dataset_dir: str | os.PathLike) -> Sums:
  """The checksums of a data set; InputError if the file is none of ours."""
  path = os.path.join(dataset_dir, FILE)
  if not os.path.exists(path):
    raise InputError(
        f"{path}: no such file, want the checksums that preparation wrote; "
        f"{AGAIN}"
    )
  out = {}
  for name, entry in jsonfile.read_object(path, WANT).items():
    if not _is_entry(name, entry):
      raise InputError(
          f"{path}: got {str(name)[:60]!r}: {str(entry)[:60]!r}, want a file "
          f"name with [bytes, SHA-256]; {AGAIN}"
      )
    out[name] = (entry[0], entry[1])
  return out


def _is_entry(name: str, entry: Any) -> bool:
  return (
      name == os.path.basename(name) and name not in ("", ".", "..")
      and isinstance(entry, list) and len(entry) == 2
      and isinstance(entry[0], int) and not isinstance(entry[0], bool)
      and isinstance(entry[1], str) and len(entry[1]) == 64
  )


def check_sizes(
    dataset_dir: str | os.PathLike, sums: Sums, names: Iterable[str]
) -> list[str]:
  """Problems, as texts, of files that are absent or have another size."""
  wrong = []
  for name in names:
    path = os.path.join(dataset_dir, name)
    if name not in sums:
      wrong.append(f"{path}: has no line in {FILE}")
      continue
    try:
      found = os.stat(path)
    except OSError as error:
      wrong.append(f"{path}: cannot be read ({error.strerror})")
      continue
    if not stat.S_ISREG(found.st_mode):
      wrong.append(f"{path}: is no regular file")
    elif found.st_size != sums[name][0]:
      wrong.append(
          f"{path}: has {found.st_size:,} bytes, want {sums[name][0]:,}"
      )
  return wrong


def check_contents(
    dataset_dir: str | os.PathLike, sums: Sums, names: Iterable[str],
    most: float = float("inf"),
) -> list[str]:
  """Problems of files whose content is not what was written.

  Args:
    dataset_dir: folder of the data set.
    sums: its checksums.
    names: of files that have the right sizes.
    most: bytes to read; the first files whose sizes together stay within it
      are read.
  """
  chosen, total = [], 0
  for name in names:
    total += sums[name][0]
    if total > most:
      break
    chosen.append(name)
  found = _hashes(dataset_dir, chosen)
  return [
      f"{os.path.join(dataset_dir, name)}: its content is not what {FILE} says"
      for name in chosen if found[name] != sums[name][1]
  ]


def refuse(wrong: list[str], else_: str = "") -> None:
  """Raises InputError if there is a problem; names the first.

  Args:
    wrong: the problems.
    else_: what could be done besides preparing again.
  """
  if wrong:
    more = f" (and {len(wrong) - 1} more files)" if len(wrong) > 1 else ""
    raise InputError(f"{wrong[0]}{more}; {AGAIN}{else_}")


def warn(wrong: list[str], fate: str) -> None:
  """Prints a line for each problem, once in a process.

  Args:
    wrong: the problems.
    fate: what happens now.
  """
  for text in wrong:
    with _lock:
      if text in _told:
        continue
      _told.add(text)
    errors.warn(f"{text}; {fate}")


def known(dataset_dir: str | os.PathLike) -> dict[State, str]:
  """What this process has read of a folder, for `trust` in another one."""
  start = os.path.join(os.path.abspath(dataset_dir), "")
  with _lock:
    return {s: h for s, h in _read.items() if s[0].startswith(start)}


def trust(read: Mapping[State, str]) -> None:
  """Takes over what another process of this command has read."""
  with _lock:
    _read.update(read)


def _hashes(dataset_dir, names) -> dict[str, str]:
  """{name: SHA-256}, "" for a file that cannot be read."""
  paths = [os.path.join(os.path.abspath(dataset_dir), name) for name in names]
  if len(paths) <= 3:  # descriptions: no threads for them
    return dict(zip(names, map(_hash, paths), strict=True))
  with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
    return dict(zip(names, pool.map(_hash, paths), strict=True))


def _hash(path: str) -> str:
  """SHA-256 of a file; read once while its size and times stay."""
  try:
    with open(path, "rb") as f:
      now = os.fstat(f.fileno())
      state = (
          path, now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns
      )
      with _lock:
        before = _read.get(state)
      if before is not None:
        return before
      found = hashlib.file_digest(f, "sha256").hexdigest()
  except OSError:
    return ""
  if time.time_ns() - max(state[3:]) > SETTLED_NS:
    with _lock:
      _read[state] = found
  return found
