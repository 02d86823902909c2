"""Validation during training: loss, recall@1 and effective rank, on people
of the val split, compiled once.
"""

import jax
import numpy as np
from jax.sharding import PartitionSpec

from accfm.base import mesh as meshlib
from accfm.evals import embed, health, retrieval
from accfm.steps import towers as towerlib


def pick_rows(rows, wanted, devices):
  """Evenly spaced row numbers for validation.

  Args:
    rows: of the split.
    wanted: how many at most.
    devices: their number is a multiple of this.

  Returns:
    (numbers [n], how many of them count): a split smaller than the number
    of devices repeats rows at the end, and these do not count.
  """
  if rows < devices:
    return np.arange(devices) % rows, rows
  n = max(min(wanted, rows) // devices, 1) * devices
  return np.linspace(0, rows - 1, n).round().astype(int), n


def make_validate(meta, split, signals, loss_fn, rows, mesh, seed):
  """Measures a state on fixed rows.

  Args:
    meta: the run's meta, from which towers are built.
    split: the open val split.
    signals: signals to read.
    loss_fn: the training loss, run with one fixed key.
    rows: how many rows at most; also the pool of recall@1.
    mesh: the data mesh.
    seed: of the fixed key.

  Returns:
    `validate(params, frozen) -> {"val/loss": ..., ...}`.
  """
  indices, count = pick_rows(len(split), rows, mesh.size)
  local = meshlib.local_rows(len(indices))
  places = np.arange(len(indices), dtype=np.int32)
  batch = meshlib.put_rows(
      {**split.read(indices[local], signals), "row": places[local]}, mesh
  )
  key = jax.random.key(seed)

  def forward(params, frozen, batch):
    losses, metrics = loss_fn(params, frozen, batch, key)
    metrics = {n: jax.lax.pmean(x, "data") for n, x in metrics.items()}
    towers = towerlib.from_checkpoint(params, frozen, meta)
    return losses, embed.forward(towers, batch), metrics

  whole, data = PartitionSpec(), PartitionSpec("data")
  compiled = jax.jit(jax.shard_map(
      forward, mesh=mesh, in_specs=(whole, whole, data),
      out_specs=(data, data, whole), check_vma=False,
  ))

  def validate(params, frozen):
    losses, vectors, metrics = compiled(params, frozen, batch)
    losses, vectors = jax.tree.map(
        lambda x: x[:count], embed.fetch((losses, vectors))
    )
    out = {"val/loss": float(np.mean(losses))}
    if "recall@1" in metrics and len(signals) == 1:
      out["val/views/recall@1"] = float(metrics["recall@1"])
    first = vectors[signals[0]]["embedding"]
    out["val/effective_rank"] = health.effective_rank(first)
    if len(signals) == 2:
      student, teacher = signals
      q, k = (vectors[s]["projection"] for s in signals)
      for name, a, b in (
          (f"{student}2{teacher}", q, k), (f"{teacher}2{student}", k, q)
      ):
        beaten = retrieval.count(a, b).b
        out[f"val/{name}/recall@1"] = float(np.mean(beaten == 0))
    return out

  return validate
