"""Distillation: the student finds its segment's teacher embedding."""

import jax
import jax.numpy as jnp

from accfm.steps import contrastive


def make_loss(embed, teach, temperature, student_weight):
  """The loss of cross-modal contrastive distillation.

  loss = w InfoNCE(student -> teacher) + (1 - w) InfoNCE(teacher -> student)
  over the global batch (arXiv 2412.11276, w and temperature as recalled).

  Args:
    embed: `embed(params, key, batch) -> [b, P]` unit rows: augmentation,
      student and its head.
    teach: `teach(params, frozen, key, batch) -> [b, P]` unit rows:
      augmentation, frozen teacher, then its trained head.
    temperature: scalar; a learned one is `params["log_temperature"]`, where
      that exists, and starts there.
    student_weight: w, 0 to 1.

  Returns:
    `loss(params, frozen, batch, key) -> (losses [b], metrics)`, for
    `state.make_update`.
  """

  def loss_fn(params, frozen, batch, key):
    student = embed(params, key, batch)
    teacher = teach(params, frozen, key, batch)
    tau = temperature
    if "log_temperature" in params:
      # CLIP's bound: below 0.01 training diverges (arXiv 2103.00020).
      tau = jnp.maximum(jnp.exp(params["log_temperature"]), 0.01)
    losses, metrics = contrastive.paired_loss(
        student, teacher, tau, student_weight
    )
    metrics["temperature"] = jnp.asarray(jax.lax.stop_gradient(tau))
    return losses, metrics

  return loss_fn
