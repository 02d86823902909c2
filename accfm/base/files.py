"""Files that are whole or absent."""

import os
import pathlib


def write_atomic(path, text):
  """Writes a text file so that a crash leaves the old one or the new one."""
  path = pathlib.Path(path)
  partial = path.with_name(path.name + ".partial")
  with open(partial, "w", encoding="utf-8") as f:
    f.write(text)
    f.flush()
    os.fsync(f.fileno())
  os.replace(partial, path)
