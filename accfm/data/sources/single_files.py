"""Sources whose recordings are single files, anywhere below a folder.

The recording `site/P01.cwa` is that of participant `P01`. Files of one name in
two folders are two participants, since their names hold the folders.
"""

import os
import pathlib
from typing import Any

from ml_collections import ConfigDict

from accfm.base.errors import InputError
from accfm.data.sources.numbers import check_name


def listed(source_dir: Any, suffixes: tuple[str, ...]) -> list[str]:
  """The files below a folder whose names end in some suffixes, sorted.

  Raises:
    InputError: it is no folder, has none, or a name cannot be stored.
  """
  root = pathlib.Path(source_dir)
  if not root.is_dir():
    raise InputError(f"--source_dir: got {source_dir!r}, want a folder")
  found = []
  for folder, folders, names in os.walk(root):
    folders.sort()
    for name in names:
      if name.lower().endswith(suffixes) and not name.startswith("."):
        file = pathlib.Path(folder, name)
        check_name(file)
        found.append(file.relative_to(root).as_posix())
  if not found:
    raise InputError(
        f"{source_dir}: no {' or '.join(suffixes)} file in it or below")
  return sorted(found)


def path(source_dir: Any, name: str, cfg: Any) -> pathlib.Path:
  """The file of a recording."""
  del cfg
  root = pathlib.Path(source_dir)
  file = root / name
  if not file.resolve().is_relative_to(root.resolve()) and (
      ".." in pathlib.PurePosixPath(name).parts):
    raise InputError(f"{name}: leads out of {source_dir}")
  return file


def files(source_dir: Any, name: str, cfg: Any) -> list[str]:
  """The files that are read for a recording."""
  return [os.fspath(path(source_dir, name, cfg))]


def participant(name: str) -> str:
  """Such as "P01" of "P01.cwa", "site_P01" of "site/P01.cwa"."""
  return pathlib.PurePosixPath(name).with_suffix("").as_posix().replace(
      "/", "_").strip()


def session(name: str) -> str:
  """Each file is one session."""
  del name
  return "s1"


def acceleration_alone(c: Any, arg: Any) -> None:
  """The prepare config of a device without optics."""
  del arg
  c.source_cfg = ConfigDict()
  del c.signals["ppg"]
