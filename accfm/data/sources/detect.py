"""Which source reads a file or folder, found by what it holds."""

import os
import pathlib
from typing import NamedTuple

from accfm.base.errors import InputError
from accfm.data.sources import cwa, embraceplus, geneactiv, gt3x

SINGLE = {"cwa": cwa, "geneactiv": geneactiv, "gt3x": gt3x}
# Files that lie beside recordings and hold none.
KNOWN = (".csv", ".txt", ".json", ".md", ".pdf", ".xlsx", ".tsv", ".zip")


class Found(NamedTuple):
  """A recording: the source that reads it, its folder and its name there."""

  source: str
  source_dir: str
  name: str


def detect(path: str | os.PathLike) -> tuple[list[Found], list[str]]:
  """The recordings of a file or of a folder and what lies below.

  Args:
    path: a file or folder.

  Returns:
    (recordings, files that no source knows), both sorted. Text, tables and
    archives that lie beside recordings are not listed.

  Raises:
    InputError: there is nothing at the path, or no recording.
  """
  root = pathlib.Path(path)
  if root.is_file():
    name = _single(root)
    if name:
      return [Found(name, os.fspath(root.parent), root.name)], []
    if root.suffix.lower() == embraceplus.SUFFIX:
      raise InputError(
          f"{path}: EmbracePlus files of a folder are one recording; name the "
          "folder")
    raise InputError(
        f"{path}: no file of a device that is known: {sorted(SINGLE)}, a "
        "folder of EmbracePlus .avro files, or an E4 folder"
    )
  if not root.is_dir():
    raise InputError(f"--input: there is no file or folder {path}")
  found, unknown = [], []
  for folder, folders, names in os.walk(root):
    folders.sort()
    relative = pathlib.Path(folder).relative_to(root).as_posix()
    if "ACC.csv" in names:
      above = pathlib.Path(folder).parent
      found.append(Found("e4", os.fspath(above), pathlib.Path(folder).name))
      continue
    if any(n.endswith(embraceplus.SUFFIX) for n in names):
      found.append(Found("embraceplus", os.fspath(root), relative))
    for name in sorted(names):
      file = pathlib.Path(folder, name)
      if name.startswith(".") or file.suffix.lower() == embraceplus.SUFFIX:
        continue
      source = _single(file)
      if source:
        found.append(Found(
            source, os.fspath(root), file.relative_to(root).as_posix()))
      elif file.suffix.lower() not in KNOWN:
        unknown.append(file.relative_to(root).as_posix())
  if not found:
    raise InputError(
        f"{path}: no recording in it: want files of {sorted(SINGLE)}, folders "
        "of EmbracePlus .avro files, or E4 folders"
    )
  return sorted(found), unknown


def _single(file):
  """The source of a file; a damaged one is known by its ending."""
  for name, source in SINGLE.items():
    if file.suffix.lower() in source.SUFFIXES:
      # .bin is anybody's ending.
      if name != "geneactiv" or source.recognise(file):
        return name
  return ""

