"""`manifest.json`: the description of a prepared data set, beside its shards.

It says who is in which split, under which contract and config, what quality
control rejected and how large the error of storing is. A data set's folder
with a manifest is complete: it appears in one rename, after everything in it
was written.
"""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import logging
from ml_collections import ConfigDict

from accfm.base import configlib, files, jsonfile, pseudonyms
from accfm.base.errors import InputError
from accfm.data import checksums, ids, infofiles, manifest_fields
from accfm.data.infofiles import BUILDER
from accfm.data.manifest_fields import split_hash as split_hash

FILE = "manifest.json"
DESCRIPTIONS = (FILE, infofiles.INFO, infofiles.FEATURES)
# Fields of a prepare config that older code did not have, with the value that
# stands for what it did.
ADDED = {"same_recording": "refuse"}


def root(data_dir: str | os.PathLike, name: str) -> str:
  """The folder that holds the versions of data set `name`."""
  return os.path.join(data_dir, BUILDER, name)


def save(dataset_dir: str, manifest: Mapping[str, Any]) -> None:
  """Writes `manifest`, plain JSON data, into `dataset_dir`."""
  files.write_atomic(
      os.path.join(dataset_dir, FILE),
      json.dumps(manifest, indent=1, sort_keys=True, allow_nan=False),
  )


def load(dataset_dir: str | os.PathLike) -> dict[str, Any]:
  """The manifest of `dataset_dir`, plain data.

  It and the two descriptions beside it are compared with their checksums,
  and what it says with itself. A data set of an older version has no
  checksums; one line on stderr says so.

  Raises:
    InputError: it is absent, damaged, or not what preparation wrote.
  """
  path = os.path.join(dataset_dir, FILE)
  if not os.path.exists(path):
    raise InputError(
        f"{dataset_dir}: no {FILE}, want a directory that "
        "`python -m accfm.prepare` finished"
    )
  plain = jsonfile.read_object(
      path, f"the manifest of a data set; remove {dataset_dir} and prepare it "
      "again"
  )
  sums = load_checksums(dataset_dir, plain)
  if sums is not None:
    checksums.refuse(
        checksums.check_sizes(dataset_dir, sums, DESCRIPTIONS)
        or checksums.check_contents(dataset_dir, sums, DESCRIPTIONS)
    )
  manifest_fields.check(plain, path)
  return plain


def load_checksums(
    dataset_dir: str | os.PathLike, manifest: Mapping[str, Any]
) -> checksums.Sums | None:
  """The checksums of a data set; None, and a warning, where it has none.

  Args:
    dataset_dir: folder of the data set.
    manifest: plain data, not checked yet.

  Raises:
    InputError: they are damaged, or missing though the manifest's format has
      them.
  """
  path = os.path.join(dataset_dir, checksums.FILE)
  version = manifest_fields.format_of(
      manifest, os.path.join(dataset_dir, FILE)
  )
  if version == 1 and not os.path.exists(path):
    checksums.warn(
        [f"{dataset_dir}: an older accfm prepared it, without checksums"],
        "whether its files are whole cannot be verified; prepare it again",
    )
    return None
  return checksums.load(dataset_dir)


def digest(dataset_dir: str | os.PathLike) -> str:
  """As `digest_of`, of a folder; errors as for `load`."""
  plain = load(dataset_dir)
  return digest_of(plain, load_checksums(dataset_dir, plain))


def digest_of(
    manifest: Mapping[str, Any], sums: checksums.Sums | None
) -> str:
  """A short hash of a data set: of how and from what it was made, and of all
  its rows.

  The version of the code does not count, nor do the number of workers, the
  folder and the time.

  Args:
    manifest: as from `load`.
    sums: as from `load_checksums`.

  Returns:
    The hash; "" for a data set of an older version, which has no checksums.
  """
  if sums is None:
    return ""
  contract = {
      k: v for k, v in manifest["contract"].items() if k != "code_version"
  }
  config = {  # the ids in `splits` say which cohort it is
      k: v for k, v in manifest["prepare_config"].items() if k != "cohort"
  }
  return configlib.digest({
      **{k: manifest[k] for k in (
          "name", "source", "recordings", "splits", "rows",
      )},
      "prepare_config": config,
      "contract": contract,
      "shards": {
          name: entry for name, entry in sums.items()
          if name not in DESCRIPTIONS
      },
  })


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
  plain["cohort"] = ids.cohort(config)
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
      "prepare_config": {
          **ADDED, "cohort": ids.of_source(str(there.get("source"))),
          **(there.get("prepare_config") or {}),
      }
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
