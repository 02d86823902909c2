"""Files that are whole or absent, in folders of a file system."""

import contextlib
import os
import pathlib
import re

from accfm.base.errors import InputError


@contextlib.contextmanager
def atomic(path):
  """The path to write instead of `path`; takes its place if all goes well.

  A crash leaves the old file or the new one, an error the old one alone.
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


def write_atomic(path, text):
  """Writes a text file so that a crash leaves the old one or the new one."""
  with atomic(path) as partial:
    partial.write_text(text, encoding="utf-8")


def refuse_file(path, name):
  """Raises InputError for a path where results go and a file is."""
  refuse_url(path, name)
  if os.path.exists(path) and not os.path.isdir(path):
    raise InputError(f"{name}: got {path}, a file, want a folder")


def refuse_url(path, name, reads=False):
  """Raises InputError for a path such as gs://bucket/folder.

  Args:
    path: of a folder.
    name: of the flag or field that says it.
    reads: whether it is only read.
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
