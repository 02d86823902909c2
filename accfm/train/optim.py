"""AdamW under one schedule: linear warm-up, cosine to a floor, global clip.

Decay pulls weights towards zero, which means something for matrices and
kernels only: biases, norm scales and temperatures (fewer than two axes) are
left alone.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from accfm.base.errors import InputError


def make_optimizer(cfg):
  """The optimiser and its learning rate.

  Args:
    cfg: with lr (peak), weight_decay, warmup_steps, total_steps, clip_norm
      (largest global gradient norm; 0 for no clipping), b1, b2, and
      optionally lr_floor (last learning rate as a share of lr, default 0)
      and hold_encoder_steps (first steps in which `params["encoder"]` rests
      while the rest learns, default 0).

  Returns:
    (tx, schedule): an optax transformation whose update wants `grad_norm`,
    and the learning rate of the update that follows `count` others.

  Raises:
    InputError: a value out of its range.
  """
  check_config(cfg)
  schedule = make_schedule(
      cfg.lr, cfg.warmup_steps, cfg.total_steps, cfg.get("lr_floor", 0.0)
  )

  def make(schedule):
    return optax.adamw(
        schedule, b1=cfg.b1, b2=cfg.b2, weight_decay=cfg.weight_decay,
        mask=decayed,
    )

  adamw, steps = make(schedule), cfg.get("hold_encoder_steps", 0)
  if steps:
    late = held(make(lambda count: schedule(count + steps)), steps)
    adamw = optax.partition(
        {"encoder": late, "rest": adamw},
        lambda params: {
            name: "encoder" if name == "encoder" else "rest"
            for name in params
        },
    )
  if cfg.clip_norm:
    adamw = optax.chain(clip(cfg.clip_norm), adamw)
  return adamw, schedule


def clip(most):
  """Scales gradients of a global norm above `most` down to it.

  The norm comes as the argument `grad_norm`: a device may hold but a part of
  the gradients.
  """

  def update(grads, state, params=None, *, grad_norm, **unused):
    del params, unused
    scale = jnp.minimum(1.0, most / jnp.maximum(grad_norm, 1e-30))
    return jax.tree.map(lambda g: g * scale, grads), state

  return optax.GradientTransformationExtraArgs(
      lambda params: optax.EmptyState(), update
  )


def held(tx, steps):
  """`tx` that does nothing, and keeps its state, for the first `steps`.

  Moments gathered from zero gradients would make the first real updates many
  times too large, so the inner state begins when the hold ends.
  """

  def init(params):
    return jnp.zeros((), jnp.int32), tx.init(params)

  def update(grads, state, params=None):
    count, inner = state
    updates, after = tx.update(grads, inner, params)
    free = count >= steps
    updates = jax.tree.map(lambda u: jnp.where(free, u, 0), updates)
    inner = jax.tree.map(lambda a, b: jnp.where(free, a, b), after, inner)
    return updates, (count + 1, inner)

  return optax.GradientTransformation(init, update)


def make_schedule(lr, warmup_steps, total_steps, floor=0.0):
  """Learning rate of update `count` (from 0).

  Warm-up: lr (count + 1) / warmup_steps, so that the first update already
  moves. Then lr (floor + (1 - floor) (1 + cos(pi t)) / 2) with t from 0 at
  the end of the warm-up to 1 after the last update (SGDR, Loshchilov and
  Hutter 2017, one cycle).
  """

  def schedule(count):
    xp = jnp if isinstance(count, jax.Array) else np  # np: no compiling
    count = xp.asarray(count, xp.float32)
    warm = (count + 1) / max(1, warmup_steps)
    t = (count - warmup_steps) / max(1, total_steps - warmup_steps)
    t = xp.clip(t, 0, 1)
    cosine = floor + (1 - floor) * 0.5 * (1 + xp.cos(xp.pi * t))
    return lr * xp.where(count < warmup_steps, warm, cosine)

  return schedule


def decayed(params):
  """A pytree of booleans: which parameters weight decay acts on."""
  return jax.tree.map(lambda p: p.ndim >= 2, params)


def check_config(cfg):
  """Raises InputError for a value that cannot train."""
  rules = (
      ("lr", lambda x: x > 0, "above 0"),
      ("weight_decay", lambda x: x >= 0, "0 or more"),
      ("clip_norm", lambda x: x >= 0, "0 (no clipping) or more"),
      ("b1", lambda x: 0 <= x < 1, "0 <= b1 < 1"),
      ("b2", lambda x: 0 <= x < 1, "0 <= b2 < 1"),
      ("lr_floor", lambda x: 0 <= x <= 1, "a share of lr, 0 to 1"),
      ("total_steps", lambda x: x >= 1, "1 or more"),
      ("warmup_steps", lambda x: x >= 0, "0 or more"),
      ("hold_encoder_steps", lambda x: x >= 0, "0 or more"),
  )
  optional = {"lr_floor": 0.0, "hold_encoder_steps": 0}
  for name, good, want in rules:
    value = cfg.get(name, optional[name]) if name in optional else cfg[name]
    if not good(value):
      raise InputError(
          f"{name}: got {value}, want {want}; set --config.{name}"
      )
  if cfg.warmup_steps > cfg.total_steps:
    raise InputError(
        f"warmup_steps: got {cfg.warmup_steps} of {cfg.total_steps} "
        "total_steps, want no more than those; set --config.warmup_steps"
    )
