"""Files that are whole or absent."""

import contextlib
import os
import pathlib


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
