"""Distillation: the student finds, or predicts, its segment's teacher."""

import jax
import jax.numpy as jnp

from accfm.base.errors import InputError
from accfm.base.mesh import ROWS
from accfm.losses import regression
from accfm.models import heads
from accfm.steps import contrastive

REGRESSIONS = {"cosine": regression.cosine, "mse": regression.mse}
LOSSES = ("contrastive", *REGRESSIONS)


def make_loss(kind, embed, teach, temperature, student_weight, block=0):
  """The loss of cross-modal distillation.

  "contrastive", the paper's (arXiv 2412.11276, w and temperature as
  recalled): w InfoNCE(student -> teacher) + (1 - w) InfoNCE(teacher ->
  student) over the global batch. For comparison, without other segments:
  "cosine", 1 - cos(student, teacher), and "mse", the squared error of the
  student's prediction of the teacher's embedding.

  Args:
    kind: one of `LOSSES`.
    embed: `embed(params, carried, key, batch) -> (z [b, P], carried)`:
      augmentation, student and its head.
    teach: `teach(params, carried, frozen, key, batch) -> (z [b, P],
      carried)`: augmentation, teacher, then its head.
    temperature: scalar; a learned one is `params["log_temperature"]`, where
      that exists, and starts there.
    student_weight: w, 0 to 1.
    block: rows compared with the global batch at once; 0 for all.

  Returns:
    `loss`, as `state.Objective`.
  """
  if kind not in LOSSES:
    raise InputError(f"loss: got {kind!r}, want one of {LOSSES}")

  def loss_fn(params, carried, frozen, batch, key):
    student, carried = embed(params, carried, key, batch)
    teacher, carried = teach(params, carried, frozen, key, batch)
    if kind in REGRESSIONS:
      losses = REGRESSIONS[kind](student, teacher)
      first = jax.lax.axis_index(ROWS) * student.shape[0]
      keys = jax.lax.all_gather(heads.unit(teacher), ROWS, tiled=True)
      found = contrastive.recall(heads.unit(student), keys, first, block)
      return losses, {"recall@1": found}, carried
    tau = temperature
    if "log_temperature" in params:
      # CLIP's bound: below 0.01 training diverges (arXiv 2103.00020).
      tau = jnp.maximum(jnp.exp(params["log_temperature"]), 0.01)
    losses, metrics = contrastive.paired_loss(
        student, teacher, tau, student_weight, block
    )
    metrics["temperature"] = jnp.asarray(jax.lax.stop_gradient(tau))
    return losses, metrics, carried

  return loss_fn
