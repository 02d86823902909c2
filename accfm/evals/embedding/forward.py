"""The embedding pass: every row of a split goes through the encoders once.

The last batch is filled up with a row of the split, and what that row gives
is dropped on the host. The result therefore depends neither on the batch size
nor on the number of devices. The next batch is read while the devices work,
and only embeddings are kept.
"""

import concurrent.futures
import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, PartitionSpec

from accfm.base import interrupts
from accfm.base import mesh as meshlib
from accfm.base.errors import InputError
from accfm.signals.contract import Contract


@dataclasses.dataclass(frozen=True)
class Embedded:
  """N rows of a split as vectors.

  Attributes:
    table: column name -> [N], the split's table of these rows.
    signals: signal -> {"embedding": [N, D] float32, what the encoder gives;
      "projection": [N, P] float32 unit rows of the head, or None;
      "prediction": [N, O] float32 outputs of the predictor, or None}.
  """

  table: Mapping[str, np.ndarray]
  signals: Mapping[str, Mapping[str, np.ndarray | None]]


def _outputs(towers, batch):
  """All outputs of every tower; XLA computes what they share once."""
  out = {}
  for name, tower in towers.items():
    x, scale = batch[name], batch[f"{name}_scale"]
    out[name] = {
        "embedding": tower.embed(x, scale),
        "projection": tower.project(x, scale),
        "prediction": tower.predict(x, scale),
    }
  return out


def row_bytes(towers: Mapping[str, Any], contract: Contract) -> int:
  """Bytes of all outputs of the towers for one row of a contract."""
  batch = {}
  for name in towers:
    channels = contract.signals[name].channels
    batch[name] = jax.ShapeDtypeStruct(
        (1, contract.length(name), channels), "int16")
    batch[f"{name}_scale"] = jax.ShapeDtypeStruct((1, channels), "float32")
  out = jax.eval_shape(_outputs, towers, batch)
  return sum(4 * x.size for x in jax.tree.leaves(out))


@functools.lru_cache
def make_forward(mesh: Mesh) -> Callable[..., Any]:
  """The pass over a mesh: `forward(towers, batch) -> outputs`.

  Each device holds whole towers; the rows of the batch and of the outputs are
  spread over `mesh.ROW_AXES`. All callers of a mesh get the same function, so
  that towers of one architecture and batches of one shape are compiled once.

  Returns:
    `forward`; its outputs are {signal: {"embedding", "projection",
    "prediction"}} as in `Embedded.signals`, on the devices.
  """
  rows = PartitionSpec(meshlib.ROW_AXES)
  return jax.jit(jax.shard_map(  # rows never meet: no collectives
      _outputs, mesh=mesh, in_specs=(PartitionSpec(), rows), out_specs=rows,
      check_vma=False,
  ))


def embed_split(
    towers: Mapping[str, Any], split: Any, batch_size: int = 256,
    mesh: Mesh | None = None, rows: Sequence[int] | np.ndarray | None = None,
) -> Embedded:
  """Embeds rows of a split, each once.

  Args:
    towers: signal -> Tower (`accfm.steps.towers`), a pytree with
      `.embed(x int16 [B, T, C], scale [B, C]) -> [B, D]`,
      `.project(...) -> [B, P]` or None and `.predict(...) -> [B, O]` or None.
    split: an open split (`accfm.data.pipeline.open_split`).
    batch_size: rows of one call, rounded up to a multiple of the devices.
    mesh: the data mesh; by default over all devices.
    rows: numbers of the rows to embed; by default all.

  Returns:
    Embedded, rows in the order asked for.

  Raises:
    InputError: no rows, or an embedding that is not finite.
  """
  mesh = meshlib.make_mesh() if mesh is None else mesh
  rows = np.arange(len(split)) if rows is None else np.asarray(rows)
  if not rows.size:
    raise InputError("embedding pass: the split has 0 rows, want at least 1")
  shards = meshlib.row_shards(mesh)
  batch_size = -(-batch_size // shards) * shards
  towers = meshlib.put_replicated(towers, mesh)
  forward = make_forward(mesh)
  mine = meshlib.local_rows(batch_size)

  def read(at):
    part = np.full(batch_size, rows[0])  # padding: any row will do
    part[:len(rows[at:at + batch_size])] = rows[at:at + batch_size]
    return split.read(part[mine], sorted(towers))

  parts = []
  starts = range(0, len(rows), batch_size)
  with concurrent.futures.ThreadPoolExecutor(1) as reader:
    ahead = reader.submit(read, 0)
    pending = None
    for at in starts:
      interrupts.check()
      batch = ahead.result()
      if at + batch_size < len(rows):
        ahead = reader.submit(read, at + batch_size)
      done = forward(towers, meshlib.put_rows(batch, mesh))
      if pending is not None:  # fetched while the device is at work
        parts.append(fetch(pending))
      pending = done
    parts.append(fetch(pending))
  signals = jax.tree.map(
      lambda *x: np.concatenate(x)[:len(rows)].astype(np.float32), *parts
  )
  table = {name: column[rows] for name, column in split.table.items()}
  _check_finite(signals, table)
  return Embedded(table, signals)


def fetch(tree: Any) -> Any:
  """Arrays that lie over the devices of all processes, as NumPy on each."""
  if jax.process_count() > 1:
    return multihost_utils.process_allgather(tree, tiled=True)
  return jax.tree.map(np.asarray, tree)


def _check_finite(signals, table):
  """Raises InputError that names the rows with NaN or Inf."""
  for name, kinds in signals.items():
    for kind, x in kinds.items():
      if x is None:
        continue
      bad = np.flatnonzero(~np.isfinite(x).all(axis=1))
      if len(bad):
        named = ", ".join(
            f"{table['participant'][i]} at {table['start_s'][i]:.3f} s"
            for i in bad[:5]
        )
        more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
        raise InputError(
            f"{kind} of {name}: NaN or Inf in {len(bad)} of {len(x)} rows "
            f"({named}{more}), want finite numbers; evaluate an earlier "
            "--config.step, or check these windows"
        )
