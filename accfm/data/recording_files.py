"""Which files a recording is read from.

A source may say so itself, with `recording_files(source_dir, name, cfg) ->
paths` (a folder counts with all that is in it). For a source that does not,
they are guessed: `source_dir/name`, a file or folder, or files called
`name.*` beside it. Files directly in `source_dir` that belong to no recording
are then taken as shared by all, like a table of participants; and if a
recording has no file of its own, every file below `source_dir` is.
"""

import collections
import dataclasses
import errno
import os
import stat
from collections.abc import Mapping, Sequence
from typing import Any

from accfm.base.errors import InputError

# What operating systems leave in folders, and what code is made of, is no
# part of a recording, unless the source names it.
JUNK = {"desktop.ini", "Thumbs.db", "__pycache__"}

Found = list[tuple[str, str, os.stat_result]]


@dataclasses.dataclass(frozen=True)
class Files:
  """Paths of files and folders.

  Attributes:
    own: name of each recording -> what only it is read from.
    shared: what all recordings are read from.
  """

  own: Mapping[str, Sequence[str]]
  shared: Sequence[str]


def find(
    source: Any, source_dir: str, names: Sequence[str], cfg: Any,
    data_dir: str = "",
) -> Files:
  """The files of all recordings.

  Args:
    source: the source.
    source_dir: folder of the recordings, or "".
    names: of the recordings.
    cfg: the source's config.
    data_dir: a folder that holds no recordings, wherever it lies.
  """
  says = getattr(source, "recording_files", lambda *args: None)
  said = {}
  for name in names:
    paths = says(source_dir, name, cfg)
    if paths is None:
      return _guess(source_dir, names, data_dir)
    said[name] = sorted({os.path.abspath(path) for path in paths})
  counts = collections.Counter(p for paths in said.values() for p in paths)
  shared = {p for p, n in counts.items() if n == len(names) > 1}
  return Files(
      {n: [p for p in paths if p not in shared] for n, paths in said.items()},
      sorted(shared),
  )


def walk(paths: Sequence[str]) -> Found:
  """Every file at or below `paths`, links followed, sorted.

  Returns:
    [(name below the folder that all have in common, path, its stat)]. What is
    no file or folder, or absent, is left out.

  Raises:
    InputError: a link leads into a circle, or a folder cannot be read.
  """
  found = {}
  for path in paths:
    found.update(_below(path, ()))
  if not found:
    return []
  top = os.path.commonpath([os.path.dirname(path) for path in found])
  return [
      (os.path.relpath(path, top), path, found[path]) for path in sorted(found)
  ]


def _below(path, above):
  try:
    info = os.stat(path)
    if stat.S_ISREG(info.st_mode):
      return [(path, info)]
    if not stat.S_ISDIR(info.st_mode):
      return []
    entries = sorted(e for e in os.listdir(path) if not _is_junk(e))
  except (FileNotFoundError, NotADirectoryError):
    return []  # a link to nothing, too
  except OSError as error:
    if error.errno == errno.ELOOP:
      raise _circle(path) from None
    raise InputError(
        f"{path}: cannot be read ({error.strerror}); mend it or move the "
        "recording away"
    ) from None
  if (info.st_dev, info.st_ino) in above:
    raise _circle(path)
  above += ((info.st_dev, info.st_ino),)
  out = []
  for entry in entries:
    out += _below(os.path.join(path, entry), above)
  return out


def _circle(path):
  return InputError(
      f"{path}: a link that leads back to itself or to a folder that it lies "
      "in, want recordings that end; remove the link"
  )


def _is_junk(entry):
  return entry.startswith(".") or entry in JUNK


def _guess(source_dir, names, data_dir):
  """The files of a source that does not name them."""
  if not source_dir or not os.path.isdir(source_dir):
    return Files(dict.fromkeys(names, ()), ())
  source_dir = os.path.abspath(source_dir)
  own, starts = {}, {}
  for name in names:
    path = os.path.join(source_dir, name)
    folder, base = os.path.split(path)
    if folder not in starts:
      starts[folder] = _by_start(folder)
    own[name] = [path] if os.path.lexists(path) else [
        os.path.join(folder, e) for e in starts[folder].get(base, ())
    ]
  taken = {path for paths in own.values() for path in paths}
  whole = not all(own.values())
  return Files(own, _others(source_dir, taken, os.path.realpath(data_dir),
                            whole))


def _by_start(folder):
  """{"P1": ["P1.acc.csv", "P1.csv"], "P1.acc": ["P1.acc.csv"]}."""
  out = {}
  for entry in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
    for i, letter in enumerate(entry):
      if letter == "." and i:
        out.setdefault(entry[:i], []).append(entry)
  return out


def _others(folder, taken, data_dir, whole):
  """Paths in a folder that no recording has for its own."""
  out = []
  for entry in sorted(os.listdir(folder)):
    path = os.path.join(folder, entry)
    if path in taken or _is_junk(entry) or entry.endswith(".py"):
      continue
    if not os.path.isdir(path):
      out.append(path)
    elif whole and os.path.realpath(path) != data_dir:
      out.append(path)
  return out
