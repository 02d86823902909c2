"""Embeddings on disk: written beside the scores, reused where nothing changed.

What a file depends on is in its schema: the weights (SHA-256), the data set's
manifest, the rows, the version of the code. Where any differs, or the file
cannot be read, that is said and the split is embedded again.
"""

import hashlib
import json

import jax
import numpy as np

from accfm.base import configlib
from accfm.base.errors import InputError
from accfm.evals.embedding import forward
from accfm.evals.files import store
from accfm.steps import kinds
from accfm.version import __version__

KINDS = ("embedding", "projection", "prediction")
WANTED = "embeddings of this version"


def weights_hash(loaded):
  """SHA-256 of a checkpoint: its record, and each array's name and bytes.

  Args:
    loaded: `accfm.train.checkpoints.Loaded`.
  """
  digest = hashlib.sha256(json.dumps(loaded.meta, sort_keys=True).encode())
  tree = [loaded.params, loaded.carried, loaded.frozen]
  for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
    x = np.ascontiguousarray(leaf)
    digest.update(f"{path} {x.dtype} {x.shape}".encode())
    digest.update(x.tobytes())
  return digest.hexdigest()


def encoders(record):
  """{signal: config of its encoder} of a checkpoint's record."""
  configs = kinds.encoder_configs(record).values()
  return dict(zip(record.signals, configs, strict=True))


def rows_hash(table):
  """SHA-256 of which windows a split has, in their order."""
  digest = hashlib.sha256()
  for name in ("participant", "session"):
    digest.update("\0".join(table[name].tolist()).encode() + b"\0\0")
  digest.update(np.asarray(table["start_s"], "<f8").tobytes())
  return digest.hexdigest()


def identity(loaded, weights, split, name):
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
      "rows_hash": rows_hash(split.table),
  }


def embed_or_reuse(towers, split, batch_size, path, facts, mask, say=print):
  """Embeds a split, or reads its embeddings from a file that still holds them.

  Args:
    towers, split, batch_size: as `forward.embed_split`.
    path: pathlib.Path of the file.
    facts: as `identity`.
    mask: `privacy.Naming` of the row keys. Numbered rows are never reused:
      they do not say which they are.
    say: prints a line.

  Returns:
    `forward.Embedded`.
  """
  facts = {**facts, "redaction": mask.token, "pseudonym_salt": mask.salt}
  facts = json.loads(json.dumps(facts))  # tuples as they will be read back
  if path.exists() and not mask.token:
    try:
      found = _load(path, split, facts)
      say(f"{path}: read, made of the same rows by the same weights")
      return found
    except InputError as error:
      say(f"{error}; embedding again")
  found = forward.embed_split(towers, split, batch_size)
  path.parent.mkdir(parents=True, exist_ok=True)
  _save(path, found, facts, mask)
  return found


def _save(path, found, facts, mask):
  """Writes Embedded, its rows named and ordered by a mask."""
  rows, order = mask({
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
  """Embedded of a file; InputError unless it was made of `facts`."""
  there = store.read_facts(path, WANTED)
  place = ("checkpoint",)  # a moved run is the same run
  changed = sorted(
      key for key in facts.keys() | there.keys()
      if key not in place and there.get(key) != facts.get(key)
  )
  if changed:
    raise InputError(f"{path}: made of another {', '.join(changed)}")
  out, at = {}, 0
  for part in store.read(
      path, lambda names: [n for n in names if "/" in n], WANTED
  ):
    n = len(next(iter(part.values())))
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
