"""Files that are whole or absent, in folders of a file system."""

import contextlib
import hashlib
import itertools
import os
import pathlib
import re
import socket
from collections.abc import Iterator

from accfm.base import owners
from accfm.base.errors import InputError

_numbers = itertools.count()


@contextlib.contextmanager
def atomic(
    path: str | os.PathLike, tidy: bool = True
) -> Iterator[pathlib.Path]:
  """The path to write to; the file takes the place of `path` at the end.

  A crash leaves the old file or the new one, an error only the old one. Of
  two that write one file the later wins. What killed processes of this host
  left half-written is removed. An OSError on the way names the file.

  Args:
    path: the file.
    tidy: whether to look for what killed processes left, which takes long in
      a folder of very many files.
  """
  path = pathlib.Path(path)
  me = owners.me()
  mine = f".{_host()}-{me.pid}-{me.began}-{next(_numbers)}.partial"
  partial = path.with_name(path.name + mine)
  try:
    if tidy:
      _remove_left(path)
    yield partial
    with open(partial, "rb") as f:
      os.fsync(f.fileno())
    os.replace(partial, path)
  except BaseException as error:
    with contextlib.suppress(OSError):
      partial.unlink(missing_ok=True)
    if isinstance(error, OSError) and error.filename is None:
      error.filename = str(path)
    raise


def _host() -> str:
  """A few letters for this host, whatever letters are in its name."""
  return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _remove_left(path: pathlib.Path) -> None:
  """Removes partial files of a path whose processes are gone."""
  with contextlib.suppress(OSError):
    for name in os.listdir(path.parent):
      found = re.fullmatch(
          rf"{re.escape(path.name)}\.{_host()}-(\d+)-(\d*)-\d+\.partial", name
      )
      if found and owners.Owner(
          socket.gethostname(), int(found[1]), found[2]
      ).is_gone():
        path.with_name(name).unlink(missing_ok=True)


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
