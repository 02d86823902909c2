"""Validation during training: loss, recall@1 and effective rank, on people
of the val split, compiled once; and the evaluators that a config names.

The rows depend on the split and the config alone. In a contrastive loss a row
that is there twice would be a negative of its own copy, so no row is repeated
to fill the devices. Where the rows do not divide over all devices they are
split into fewer parts, and some devices compute the same part.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import PartitionSpec

from accfm.base import mesh as meshlib
from accfm.base.errors import InputError
from accfm.data import batches, overlaps, samplers
from accfm.evals import in_training
from accfm.evals.embedding import forward as embed
from accfm.evals.embedding import health
from accfm.evals.retrieval import ranks
from accfm.steps import towers as towerlib
from accfm.steps.record import Record

Validate = Callable[[Any, Any], dict[str, float]]


def pick_rows(rows: int, wanted: int) -> np.ndarray:
  """Evenly spaced row numbers for validation, whatever the devices.

  Args:
    rows: of the split.
    wanted: how many at most.

  Returns:
    [min(wanted, rows)] different numbers.
  """
  return np.linspace(0, rows - 1, min(wanted, rows)).round().astype(int)


def draw_rows(
    split: Any, wanted: int, by_people: bool = False
) -> samplers.Draw:
  """The rows to validate on, at most `wanted`, evenly spaced in the split.

  No two of them share signal. With `by_people` a row is a person's first
  segment and its pair the next one that does not overlap it.
  """
  if not by_people:
    rows = overlaps.thin(split.parts, split.bounds)
    return samplers.Draw(rows[pick_rows(len(rows), wanted)])
  firsts, others = [], []
  for part, start in zip(split.parts, split.bounds, strict=False):
    row, count = part.people
    apart = overlaps.rows_apart(part.manifest)
    firsts.append(start + row[samplers.can_be_paired(count, apart)])
    others.append(firsts[-1] + apart)
  first, other = np.concatenate(firsts), np.concatenate(others)
  if not len(first):
    raise InputError(
        "positives: got no person of the val split with two segments that do "
        "not overlap, want at least one; set --config.positives=segment"
    )
  chosen = pick_rows(len(first), wanted)
  return samplers.Draw(first[chosen], other[chosen])


def make_validate(
    record: Record, data: Any, loss_fn: Callable, rows: int, seed: int,
    by_people: bool = False, extra: Callable | None = None,
    among: np.ndarray | None = None,
) -> Validate:
  """Measures a state on fixed rows, and by evaluators on the whole split.

  Args:
    record: the run's record, from which towers are built; its config names
      the evaluators (`train_evals`, `evals_every`).
    data: with the val split, the signals to read and the mesh.
    loss_fn: the training loss (`state.Objective`), run with one fixed key.
    rows: how many rows at most; also the pool of recall@1.
    seed: of the fixed key.
    by_people: whether the loss is given pairs of segments of a person.
    extra: as `batches.train_batches`.
    among: row numbers of the *train* split that the run holds out; the fixed
      rows are some of these instead of the val split's. Evaluators measure
      the val split in any case.

  Returns:
    `validate(state, frozen) -> {"val/loss": ..., ...}`.

  Raises:
    InputError: an evaluator that cannot run here, or nobody to validate on.
  """
  split, mesh, signals = data.val, data.mesh, data.signals
  config, targets = record.config, record.targets
  in_training.check(config, signals, targets)
  if among is None:
    chosen = draw_rows(split, rows, by_people)
  else:
    split = data.train
    chosen = samplers.Draw(among[pick_rows(len(among), rows)])
  cohort = split.cohort(chosen.rows)
  few = meshlib.for_rows(mesh, len(chosen.rows))
  batch = meshlib.put_all_rows(
      batches.make_batch(split, signals, chosen, extra=extra), few
  )
  key = jax.random.key(seed)

  def loss(params, carried, frozen, batch):
    losses, metrics, _ = loss_fn(params, carried, frozen, batch, key)
    return losses, jax.tree.map(
        lambda x: jax.lax.pmean(x, meshlib.ROW_AXES), metrics
    )

  whole, by_row = PartitionSpec(), PartitionSpec(meshlib.ROW_AXES)
  forward = embed.make_forward(few)
  loss = jax.jit(jax.shard_map(
      loss, mesh=few, in_specs=(whole, whole, whole, by_row),
      out_specs=(by_row, whole), check_vma=False,
  ))

  def validate(state, frozen):
    parts = state.params, state.carried, frozen
    losses, metrics = loss(*parts, batch)
    towers = towerlib.from_checkpoint(*parts, record)
    vectors = forward(towers, batch)
    losses, vectors = embed.fetch((losses, vectors))
    out = {"val/loss": float(np.mean(losses))}
    for place, name in enumerate(split.cohorts):
      if len(split.cohorts) > 1 and (cohort == place).any():
        out[f"val/loss/{name}"] = float(np.mean(losses[cohort == place]))
    if "recall@1" in metrics and len(signals) == 1:
      out["val/views/recall@1"] = float(metrics["recall@1"])
    first = vectors[signals[0]]["embedding"]
    out["val/effective_rank"] = health.effective_rank(health.spectrum(first))
    if len(signals) == 2:
      student, teacher = signals
      q, k = (vectors[s]["projection"] for s in signals)
      for name, a, b in (
          (f"{student}2{teacher}", q, k), (f"{teacher}2{student}", k, q)
      ):
        beaten_by = ranks.count(a, b)[0].beaten_by
        out[f"val/{name}/recall@1"] = float(np.mean(beaten_by == 0))
    if config.get("train_evals") and in_training.is_due(
        config, int(jax.device_get(state.step))):
      out |= in_training.run_evaluators(
          config["train_evals"], data.val, towers, signals, mesh,
          config["batch_size"], seed, targets,
      )
    return out

  return validate
