"""Embeddings on disk: written beside the scores, reused if nothing changed.

A file records what it depends on in its schema: the weights (SHA-256), the
data set's manifest, the rows and the version of the code. If any of these
differs, or the file cannot be read, the evaluation says so and embeds the
split again.
"""

import hashlib
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from accfm.base import configlib
from accfm.base.errors import InputError
from accfm.evals.embedding import forward
from accfm.evals.files import privacy, store
from accfm.steps import kinds
from accfm.steps import record as recordlib
from accfm.steps.record import Record
from accfm.version import __version__

KINDS = ("embedding", "projection", "prediction")
WANTED = "embeddings of this version"


def weights_hash(loaded: Any) -> str:
  """SHA-256 over a checkpoint's record and each array's name and bytes.

  Args:
    loaded: `accfm.train.checkpoints.Loaded`.
  """
  record = json.dumps(recordlib.to_plain(loaded.record), sort_keys=True)
  digest = hashlib.sha256(record.encode())
  tree = [loaded.params, loaded.carried, loaded.frozen]
  for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
    x = np.ascontiguousarray(leaf)
    digest.update(f"{path} {x.dtype} {x.shape}".encode())
    digest.update(x.tobytes())
  return digest.hexdigest()


def encoders(record: Record) -> dict[str, Any]:
  """{signal: config of its encoder} of a checkpoint's record."""
  configs = kinds.encoder_configs(record).values()
  return dict(zip(record.signals, configs, strict=True))


def rows_hash(table: Mapping[str, np.ndarray]) -> str:
  """SHA-256 over the segments of a split, in their order."""
  digest = hashlib.sha256()
  for name in ("participant", "session"):
    digest.update("\0".join(table[name].tolist()).encode() + b"\0\0")
  digest.update(np.asarray(table["start_s"], "<f8").tobytes())
  return digest.hexdigest()


def identity(
    loaded: Any, weights: str, split: Any, name: str
) -> dict[str, Any]:
  """What embeddings depend on, as plain data.

  Args:
    loaded: the checkpoint.
    weights: its `weights_hash`.
    split: the open split.
    name: the split's name.
  """
  manifest = split.manifest
  return {
      "what": "embeddings", "code_version": __version__,
      "backend": jax.default_backend(),
      "checkpoint": str(loaded.path), "step": int(loaded.step),
      "checkpoint_sha256": weights, "encoders": encoders(loaded.record),
      "dataset": manifest["name"], "split": name,
      "split_hash": manifest["split_hash"],
      "manifest_hash": configlib.digest(manifest),
      "data_hash": split.digest,
      "rows_hash": rows_hash(split.table),
  }


def embed_or_reuse(
    towers: Mapping[str, Any], split: Any, batch_size: int,
    path: pathlib.Path, facts: Mapping[str, Any], naming: privacy.Naming,
    say: Callable[[str], Any] = print,
) -> forward.Embedded:
  """Embeds a split, or reads its embeddings from a file that still holds them.

  Args:
    towers, split, batch_size: as `forward.embed_split`.
    path: the file.
    facts: from `identity`.
    naming: what the file calls participants and segments. A file with
      numbers is never reused, because it does not say which rows they are.
    say: prints a line.
  """
  facts = {**facts, "redaction": naming.token, "pseudonym_salt": naming.salt}
  facts = json.loads(json.dumps(facts))  # tuples as they will be read back
  if path.exists() and not naming.token:
    try:
      found = _load(path, split, facts)
      say(f"{path}: read, made of the same rows by the same weights")
      return found
    except InputError as error:
      say(f"{error}; embedding again")
  found = forward.embed_split(towers, split, batch_size)
  path.parent.mkdir(parents=True, exist_ok=True)
  _save(path, found, facts, naming)
  return found


def _save(path, found, facts, naming):
  """Writes Embedded, with rows named and ordered by a Naming."""
  rows, order = naming({
      c: found.table[c] for c in ("participant", "session", "start_s")
  })
  columns = {
      f"{signal}/{kind}": kinds[kind]
      for signal, kinds in found.signals.items() for kind in KINDS
      if kinds[kind] is not None
  }
  types = {name: store.ROW_KEYS[name] for name in rows} | {
      name: store.vector(x.shape[1]) for name, x in columns.items()
  }
  store.write(path, types, (
      {**{name: x[at:at + store.GROUP] for name, x in rows.items()},
       **{name: x[order[at:at + store.GROUP]] for name, x in columns.items()}}
      for at in range(0, len(order), store.GROUP)
  ), facts)


def _load(path, split, facts):
  """Embedded from a file; InputError unless it records the same `facts`."""
  there = store.read_facts(path, WANTED)
  changed = sorted(
      key for key in (facts.keys() | there.keys()) - {"checkpoint"}
      if there.get(key) != facts.get(key)  # a moved run is the same run
  )
  if changed:
    raise InputError(f"{path}: made of another {', '.join(changed)}")
  out, at = {}, 0
  for part in store.read(
      path, lambda names: [n for n in names if "/" in n], WANTED
  ):
    n = len(next(iter(part.values())))
    flat = [name for name, x in part.items() if x.ndim != 2]
    if flat or not {n.rsplit("/", 1)[1] for n in part} <= set(KINDS):
      raise InputError(f"{path}: got columns {list(part)}, want {WANTED}")
    for name, x in part.items() if at + n <= len(split) else ():
      whole = out.setdefault(
          name, np.full((len(split), x.shape[1]), np.nan, np.float32)
      )
      whole[at:at + n] = x
    at += n
  if at != len(split) or not all(np.isfinite(x).all() for x in out.values()):
    raise InputError(
        f"{path}: got {at} rows, want {len(split)}, all of finite numbers"
    )
  signals = {}
  for name, x in out.items():
    signal, kind = name.rsplit("/", 1)
    signals.setdefault(signal, dict.fromkeys(KINDS))[kind] = x
  return forward.Embedded(split.table, signals)
