"""checksums.json of a model folder: no file is lost, changed or exchanged.

The golden window tells other weights. It tells neither a unit or a rate that
somebody changed, nor read-outs of another model: the hash of each file does.
Whoever changes files on purpose can write their hashes too; this is no
signature.
"""

import os
import pathlib
from collections.abc import Sequence

from accfm.base import jsonfile
from accfm.base.errors import InputError
from accfm.use import weights

FILE = "checksums.json"
WANT = "the hashes of a model folder; export it again, or get it anew"
AGAIN = "get the model folder again"


def write(folder: pathlib.Path, names: Sequence[str]) -> None:
  """Writes {name: SHA-256} of those files that are there."""
  weights.write_json(folder / FILE, {
      name: weights.digest(folder / name) for name in names
      if (folder / name).is_file()
  })


def check(
    folder: pathlib.Path, names: Sequence[str], needed: Sequence[str] = ()
) -> None:
  """Raises InputError unless the files are those that were written.

  Args:
    folder: the model's.
    names: all files that may be sealed. Files of other names are ignored.
    needed: those of them that must be there.
  """
  listed = jsonfile.read_object(folder / FILE, WANT)
  for name in names:
    file, want = folder / name, listed.pop(name, None)
    if want is None:
      if name in needed:
        raise InputError(f"{folder / FILE}: does not name {name}; {AGAIN}")
      if os.path.lexists(file):
        raise InputError(
            f"{file}: {FILE} does not name it; remove it, or {AGAIN}")
      continue
    if not file.is_file():
      raise InputError(f"{file}: is not there, or is no file; {AGAIN}")
    if weights.digest(file) != want:
      raise InputError(
          f"{file}: is not the file that was written (its SHA-256 differs); "
          f"{AGAIN}")
  if listed:
    raise InputError(
        f"{folder / FILE}: names {str(min(listed))[:60]!r}, which no model "
        f"folder of this version has; upgrade accfm, or {AGAIN}")
