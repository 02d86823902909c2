"""`manifest.json`: the description of a prepared data set, beside its shards.

It says who is in which split, under which contract and config, what quality
control rejected and how large the error of storing is. A data set's folder
with a manifest is complete: it appears in one rename, after everything in it
was written.
"""

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from absl import logging
from ml_collections import ConfigDict

from accfm.base import configlib, files, pseudonyms
from accfm.base.errors import InputError

FILE = "manifest.json"
BUILDER = "biosignal_pairs"
# Fields of a prepare config that older code did not have, with the value that
# stands for what it did.
ADDED = {"same_recording": "refuse"}


def root(data_dir: str | os.PathLike, name: str) -> str:
  """The folder that holds the versions of data set `name`."""
  return os.path.join(data_dir, BUILDER, name)


def save(dataset_dir: str, manifest: Mapping[str, Any]) -> None:
  """Writes `manifest`, plain JSON data, into `dataset_dir`."""
  path = os.path.join(dataset_dir, FILE)
  with open(path + ".tmp", "w") as f:
    json.dump(manifest, f, indent=1, sort_keys=True, allow_nan=False)
    f.flush()
    os.fsync(f.fileno())
  os.replace(path + ".tmp", path)


def load(dataset_dir: str | os.PathLike) -> dict[str, Any]:
  """The manifest of `dataset_dir`; InputError if it is absent or damaged."""
  path = os.path.join(dataset_dir, FILE)
  try:
    with open(path) as f:
      return json.load(f)
  except (FileNotFoundError, NotADirectoryError):
    raise InputError(
        f"{dataset_dir}: no {FILE}, want a directory that "
        "`python -m accfm.prepare` finished"
    ) from None
  except ValueError as error:
    raise InputError(
        f"{path}: not valid JSON ({error}); remove {dataset_dir} and prepare "
        "it again"
    ) from None


def identity(
    config: ConfigDict, recordings: Sequence[str], code: str = "",
    contents: str = "",
) -> dict[str, Any]:
  """What two preparations of one data set have in common; in its manifest.

  Args:
    config: the prepare config; only a digest of its salt is kept.
    recordings: their names; only a digest is kept.
    code: a hash of the source's code.
    contents: a hash of what the recordings hold, "" if they have no files.
  """
  plain = json.loads(configlib.to_json(config))
  if config.salt:
    plain["salt"] = pseudonyms.known_salt(config.salt)
  del plain["workers"]
  return {
      "name": config.name,
      "source": config.source,
      "prepare_config": plain,
      "recordings": {
          "count": len(recordings), "digest": configlib.digest(recordings),
          **({"contents": contents} if contents else {}),
      },
      **({"source_code": code} if code else {}),
  }


def same(
    dataset_dir: str | os.PathLike, wanted: Mapping[str, Any],
    changes: Callable[[], list[str]] = list,
) -> dict[str, Any] | None:
  """The manifest of a data set that was prepared the same way, or None.

  Args:
    dataset_dir: where the data set is or will be.
    wanted: `identity` of the data set to prepare.
    changes: called for which recordings differ, if some do.

  Raises:
    InputError: a data set of this name was prepared differently; says how.
  """
  if not os.path.isfile(os.path.join(dataset_dir, FILE)):
    return None
  there = load(dataset_dir)
  old = {k: there.get(k) for k in wanted} | {
      "prepare_config": ADDED | (there.get("prepare_config") or {})
  }
  new = dict(wanted)
  old_ones = dict(old.pop("recordings", None) or {})
  ones = dict(new.pop("recordings", {}))
  unknown = []  # to code that made a data set earlier
  if "contents" in ones and "contents" not in old_ones:
    unknown.append("the files of its recordings")
    del ones["contents"]
  code = new.pop("source_code", None), old.pop("source_code", None)
  if code[0] and not code[1]:
    unknown.append("the code of its source")
  lines = [
      line.removeprefix("prepare_config.")
      for line in configlib.differences(old, new)
  ]
  if all(code) and code[0] != code[1]:
    lines.append(f"the code of source {wanted['source']} changed")
  if ones != old_ones:
    lines += [f"recordings {line}" for line in changes()] or (
        configlib.differences({"recordings": old_ones}, {"recordings": ones})
    )
  if lines:
    raise InputError(
        f"{dataset_dir}: holds a data set made otherwise ({'; '.join(lines)}"
        "); choose another --config.name or remove that folder"
    )
  if unknown:
    logging.warning(
        "%s: older code made it and kept no hash of %s, which may have changed "
        "since; to be sure, remove that folder and prepare it again",
        dataset_dir, " nor of ".join(unknown),
    )
  return there


def split_hash(splits: Mapping[str, Iterable[str]]) -> str:
  """A short hash of who is in which split, in any order of people."""
  return configlib.digest({k: sorted(v) for k, v in splits.items()})


def find(data_dir: str | os.PathLike, name: str) -> str:
  """The folder of the newest version of data set `name` in `data_dir`.

  Raises:
    InputError: there is none; names the data sets that exist.
  """
  files.refuse_url(data_dir, "data_dir", reads=True)
  versions = _versions(root(data_dir, name))
  if versions:
    return os.path.join(root(data_dir, name), versions[-1])
  if not os.path.isdir(data_dir):
    raise InputError(f"data_dir {data_dir}: no such folder")
  base = os.path.join(data_dir, BUILDER)
  names = sorted(os.listdir(base)) if os.path.isdir(base) else []
  there = [n for n in names if _versions(root(data_dir, n))]
  raise InputError(
      f"data set {name!r}: not in {data_dir}, which holds "
      f"{there or 'no data set'}; prepare it with `python -m accfm.prepare "
      f"--data_dir={data_dir}`"
  )


def _versions(folder):
  """Complete versions in `folder`, oldest first."""
  if not os.path.isdir(folder):
    return []
  names = [
      n for n in os.listdir(folder)
      if re.fullmatch(r"\d+\.\d+\.\d+", n)
      and os.path.isfile(os.path.join(folder, n, FILE))
  ]
  return sorted(names, key=lambda n: [int(part) for part in n.split(".")])
