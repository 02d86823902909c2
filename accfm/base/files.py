"""Files that are whole or absent, in folders of a file system."""

import contextlib
import os
import pathlib
import re
from collections.abc import Iterator

from accfm.base.errors import InputError


@contextlib.contextmanager
def atomic(path: str | os.PathLike) -> Iterator[pathlib.Path]:
  """The path to write to; the file takes the place of `path` at the end.

  A crash leaves the old file or the new one, an error only the old one.
  """
  path = pathlib.Path(path)
  partial = path.with_name(path.name + ".partial")
  try:
    yield partial
    with open(partial, "rb") as f:
      os.fsync(f.fileno())
    os.replace(partial, path)
  except BaseException:
    partial.unlink(missing_ok=True)
    raise


def write_atomic(path: str | os.PathLike, text: str) -> None:
  """Writes a text file so that a crash leaves the old one or the new one."""
  with atomic(path) as partial:
    partial.write_text(text, encoding="utf-8")


def refuse_file(path: str | os.PathLike, name: str) -> None:
  """Raises InputError where a folder for results is wanted and a file is."""
  refuse_url(path, name)
  if os.path.exists(path) and not os.path.isdir(path):
    raise InputError(f"{name}: got {path}, a file, want a folder")


def refuse_url(
    path: str | os.PathLike, name: str, reads: bool = False
) -> None:
  """Raises InputError for a path such as gs://bucket/folder.

  Args:
    path: of a folder.
    name: of the flag or field that holds it.
    reads: whether the folder is only read.
  """
  if not re.match(r"[A-Za-z][\w+.-]*:/", os.fspath(path)):
    return
  fix = (
      "mount the bucket as files and give the folder where it is mounted"
      if reads else
      "appends and renames are not atomic in a bucket, so what is killed "
      "could not go on: give a folder of a file system and copy it later"
  )
  raise InputError(f"{name}: got {path}, want a folder; {fix}")
