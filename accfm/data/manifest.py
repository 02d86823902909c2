"""`manifest.json`: what a prepared data set is, beside its shards.

Who is in which split, under which contract and config, what quality control
refused and what storing cost. A dataset directory with a manifest is
complete: it appears in one rename after everything in it was written.
"""

import json
import os
import re

from accfm.base import configlib, files, pseudonyms
from accfm.base.errors import InputError

FILE = "manifest.json"
BUILDER = "biosignal_pairs"


def root(data_dir, name):
  """The folder that holds the versions of data set `name`."""
  return os.path.join(data_dir, BUILDER, name)


def save(dataset_dir, manifest):
  """Writes `manifest`, plain JSON data, into `dataset_dir`."""
  path = os.path.join(dataset_dir, FILE)
  with open(path + ".tmp", "w") as f:
    json.dump(manifest, f, indent=1, sort_keys=True, allow_nan=False)
    f.flush()
    os.fsync(f.fileno())
  os.replace(path + ".tmp", path)


def load(dataset_dir):
  """The manifest of `dataset_dir`; InputError if it is none or damaged."""
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


def identity(config, recordings, code=""):
  """What makes a data set the one that is wanted; part of its manifest.

  Args:
    config: the prepare config; of its salt only a digest is kept.
    recordings: names of the recordings; likewise.
    code: a hash of the source's code where that is a plug-in.
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
      },
      **({"source_code": code} if code else {}),
  }


def same(dataset_dir, wanted):
  """The manifest there if it is of the same making, None if there is none.

  Args:
    dataset_dir: where the data set is or will be.
    wanted: `identity` of the data set that is wanted.

  Raises:
    InputError: another data set has this name; says what differs.
  """
  if not os.path.isfile(os.path.join(dataset_dir, FILE)):
    return None
  there = load(dataset_dir)
  lines = configlib.differences({k: there.get(k) for k in wanted}, wanted)
  if lines:
    raise InputError(
        f"{dataset_dir}: holds a data set made otherwise ("
        + "; ".join(line.removeprefix("prepare_config.") for line in lines)
        + "); choose another --config.name or remove that folder"
    )
  return there


def split_hash(splits):
  """A short hash of who is in which split, whatever the order of people."""
  return configlib.digest({k: sorted(v) for k, v in splits.items()})


def find(data_dir, name):
  """The dataset directory of the newest version of `name` in `data_dir`.

  Raises:
    InputError: there is none; says which data sets there are.
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
