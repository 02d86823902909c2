"""What all processes of a job must have in common before they train.

They run one program on one data set. A process with another learning rate,
other shards or older code would train another model, or wait for ever in a
collective that the others never enter.
"""

import hashlib
import os
import pathlib
import zlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

import accfm
from accfm.base import configlib, plugins
from accfm.base import plain as plainlib
from accfm.version import __version__


def collect(
    config: ConfigDict, workdir: str | os.PathLike, data: Any, objective: Any,
    record: Any, newest: pathlib.Path | None,
) -> dict[str, Any]:
  """{"config/lr": 0.1, "data/...": ..., ...} of this process, plain data.

  First what a user sets, last what follows from it.

  Args:
    config: the run's config.
    workdir: folder of the run.
    data: the run's `opening.TrainingData`.
    objective: a `state.Objective`, whose weights to start from are compared.
    record: the run's `record.Record`.
    newest: folder of the checkpoint to resume from, or None.
  """
  plain = config.to_dict()
  if plain.get("pseudonym_salt"):  # not for others' eyes
    plain["pseudonym_salt"] = configlib.digest(plain["pseudonym_salt"])
  out = {f"config/{name}": value for name, value in _flat(plain)}
  out["command/workdir"] = os.fspath(workdir)
  out["command/kind"] = record.kind
  out["data/contract"] = configlib.digest(record.contract.to_dict())
  for part in data.train.parts:
    name = part.manifest["name"]
    out[f"data/{name} split"] = part.manifest["split_hash"]
    # An older data set has no hash: then the sizes of its files must do.
    out[f"data/{name} hash"] = part.digest or shards(part.dataset_dir)
  return {
      **out,
      "code/version": __version__,
      "code/sources": sources(),
      "code/jax": jax.__version__,
      "devices/processes": jax.process_count(),
      "devices/of a process": jax.local_device_count(),
      "devices/kind": jax.local_devices()[0].device_kind,
      # Last: what follows from the rest differs with it.
      "start/checkpoint": newest.name if newest else "none",
      "start/parent": configlib.digest(plainlib.to_plain(record.parent)),
      "start/weights": weights((objective.params, objective.carried)),
      "start/frozen weights": weights(objective.frozen),
  }


def sources() -> str:
  """A short hash of the package's sources, by name and content."""
  root = pathlib.Path(accfm.__file__).parent
  files = {path.relative_to(root).as_posix(): path
           for path in root.rglob("*.py")}
  # In a clone the configs lie beside the package, not in it.
  for folder in plugins.load_own("accfm.configs").__path__:
    files |= {f"configs/{path.name}": path
              for path in pathlib.Path(folder).glob("*.py")}
  found = hashlib.sha256()
  for name, path in sorted(files.items()):
    found.update(f"{name}\0".encode() + path.read_bytes() + b"\0")
  return found.hexdigest()[:16]


def shards(dataset_dir: str | os.PathLike) -> str:
  """A short hash of a data set's files, by name and size."""
  root = pathlib.Path(dataset_dir)
  return configlib.digest([
      [path.relative_to(root).as_posix(), path.stat().st_size]
      for path in sorted(root.rglob("*")) if path.is_file()
  ])


def weights(tree: Any) -> str:
  """A short hash of a pytree's leaves: names, types, shapes and bytes."""
  found = 0
  for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
    leaf = np.ascontiguousarray(leaf)
    head = f"{jax.tree_util.keystr(path)} {leaf.dtype} {leaf.shape}"
    found = zlib.crc32(leaf.tobytes(), zlib.crc32(head.encode(), found))
  return f"{found:08x}"


def _flat(plain: dict, prefix: str = "") -> Iterator[tuple[str, Any]]:
  for name, value in plain.items():
    if isinstance(value, dict):
      yield from _flat(value, f"{prefix}{name}.")
    else:
      yield prefix + name, value
