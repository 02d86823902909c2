"""The optimiser of a config: an optax one by name, under one schedule.

The learning rate warms up linearly and falls along a cosine to a floor;
gradients are clipped by their global norm. Weight decay pulls weights towards
zero, which makes sense for matrices and kernels only: biases, norm scales and
temperatures (fewer than two axes) are left alone, unless `decay_patterns`
says which parameters decay. `lr_multipliers` trains some parameters faster or
slower than others.

A pattern is a regular expression that is searched for in the path of a
parameter, e.g. "^encoder/" in "encoder/blocks_0/mlp_in/kernel".
"""

import dataclasses
import inspect
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from accfm.base import configlib, trees, values
from accfm.base.errors import InputError

Schedule = Callable[[Any], Any]

# Optimisers of optax, and what each calls our b1 and b2. All change a number
# by that number's own gradients alone: with fsdp a device holds only a part
# of a matrix, so that lamb, lars, muon or adafactor would go wrong.
OPTIMIZERS = {
    "adabelief": ("b1", "b2"),
    "adam": ("b1", "b2"),
    "adamax": ("b1", "b2"),
    "adamaxw": ("b1", "b2"),
    "adamw": ("b1", "b2"),
    "amsgrad": ("b1", "b2"),
    "lion": ("b1", "b2"),
    "nadam": ("b1", "b2"),
    "nadamw": ("b1", "b2"),
    "radam": ("b1", "b2"),
    "rmsprop": ("momentum", "decay"),
    "sgd": ("momentum", None),
    "yogi": ("b1", "b2"),
}

RULES = {
    "lr": values.above(0), "weight_decay": values.COUNT,
    "clip_norm": values.COUNT,  # 0: no clipping
    "b1": values.from_below(0, 1), "b2": values.from_below(0, 1),
    "lr_floor": values.SHARE,  # of lr
    "total_steps": values.SOME, "warmup_steps": values.COUNT,
    "hold_encoder_steps": values.COUNT,
    "optimizer": values.one_of(*sorted(OPTIMIZERS)),
}


@dataclasses.dataclass(frozen=True)
class Settings:
  """The fields of a config that the optimiser reads.

  Attributes:
    lr: the highest learning rate.
    weight_decay: per update, as a share of the learning rate.
    warmup_steps, total_steps: of the schedule.
    clip_norm: the largest global gradient norm; 0 for no clipping.
    b1, b2: see OPTIMIZERS.
    lr_floor: the last learning rate as a share of lr.
    hold_encoder_steps: first steps in which `params["encoder"]` rests while
      the rest learns.
    optimizer: one of OPTIMIZERS.
    lr_multipliers: (pattern, factor) pairs; the first that matches counts.
    decay_patterns: of the parameters that decay; empty for all of two axes
      or more.
  """

  lr: float
  weight_decay: float
  warmup_steps: int
  total_steps: int
  clip_norm: float
  b1: float
  b2: float
  lr_floor: float = 0.0
  hold_encoder_steps: int = 0
  optimizer: str = "adamw"
  lr_multipliers: tuple[tuple[str, float], ...] = ()
  decay_patterns: tuple[str, ...] = ()


def make_optimizer(
    config: ConfigDict,
) -> tuple[optax.GradientTransformation, Schedule]:
  """The optimiser and its learning rate.

  Args:
    config: with the fields of `Settings`; those that have a default there
      may be absent.

  Returns:
    (tx, schedule): an optax transformation whose update wants `grad_norm`,
    and the learning rate of the update that follows `count` others. Its
    `init` raises InputError for a pattern that matches no parameter.

  Raises:
    InputError: a value out of its range.
  """
  cfg = read_settings(config)
  schedule = make_schedule(
      cfg.lr, cfg.warmup_steps, cfg.total_steps, cfg.lr_floor
  )
  tx, steps = _named(cfg, schedule), cfg.hold_encoder_steps
  if steps:
    late = held(_named(cfg, lambda count: schedule(count + steps)), steps)
    tx = optax.partition(
        {"encoder": late, "rest": tx},
        lambda params: {
            name: "encoder" if name == "encoder" else "rest"
            for name in params
        },
    )
  parts: list[Any] = [clip(cfg.clip_norm)] if cfg.clip_norm else []
  parts.append(tx)
  if cfg.lr_multipliers:
    parts.append(scale_by_path(cfg.lr_multipliers))
  tx = optax.chain(*parts) if len(parts) > 1 else tx
  if cfg.lr_multipliers or cfg.decay_patterns:
    tx = _checked(tx, cfg)
  return tx, schedule


def _named(cfg: Settings, schedule: Schedule) -> Any:
  """The optimiser that a config names, with weight decay."""
  make = getattr(optax, cfg.optimizer)
  b1, b2 = OPTIMIZERS[cfg.optimizer]
  options = {b1: cfg.b1} | ({b2: cfg.b2} if b2 else {})
  mask = _matched(cfg.decay_patterns) if cfg.decay_patterns else decayed
  if "weight_decay" in inspect.signature(make).parameters:
    return make(
        schedule, weight_decay=cfg.weight_decay, mask=mask, **options
    )
  if not cfg.weight_decay:
    return make(schedule, **options)
  return optax.chain(
      make(schedule, **options),
      decoupled_decay(schedule, cfg.weight_decay, mask),
  )


def clip(most: float) -> optax.GradientTransformationExtraArgs:
  """Scales gradients of a global norm above `most` down to it.

  The norm comes as the argument `grad_norm`: a device may hold only a part
  of the gradients.
  """

  def update(updates, state, params=None, **extra_args):
    del params
    norm = extra_args["grad_norm"]
    scale = jnp.minimum(1.0, most / jnp.maximum(norm, 1e-30))
    return jax.tree.map(lambda g: g * scale, updates), state

  return optax.GradientTransformationExtraArgs(
      lambda params: optax.EmptyState(), update
  )


def decoupled_decay(
    schedule: Schedule, weight_decay: float, mask: Callable[[Any], Any]
) -> optax.GradientTransformation:
  """AdamW's weight decay, for optimisers that bring none of their own.

  Subtracts schedule(count) * weight_decay * parameter where `mask(params)`
  is true (Loshchilov and Hutter 2019, arXiv 1711.05101).
  """

  def update(updates, state, params=None):
    assert params is not None
    rate = schedule(state) * weight_decay
    updates = jax.tree.map(
        lambda u, p, decays: u - rate * p if decays else u,
        updates, params, mask(params),
    )
    return updates, state + 1

  return optax.GradientTransformation(
      lambda params: jnp.zeros((), jnp.int32), update
  )


def scale_by_path(
    multipliers: tuple[tuple[str, float], ...],
) -> optax.GradientTransformation:
  """Multiplies the update of each parameter by its pattern's factor.

  Args:
    multipliers: (pattern, factor) pairs; the first that matches counts, a
      parameter that none matches is left alone.
  """

  def scaled(path, x):
    for pattern, factor in multipliers:
      if re.search(pattern, _text(path)):
        return x * factor
    return x

  def update(updates, state, params=None):
    del params
    return jax.tree_util.tree_map_with_path(scaled, updates), state

  return optax.GradientTransformation(
      lambda params: optax.EmptyState(), update
  )


def held(
    tx: optax.GradientTransformation, steps: int
) -> optax.GradientTransformation:
  """`tx` that does nothing, and keeps its state, for the first `steps`.

  Moments gathered from zero gradients would make the first real updates many
  times too large, so the inner state begins when the hold ends.
  """

  def init(params):
    return jnp.zeros((), jnp.int32), tx.init(params)

  def update(updates, state, params=None):
    count, inner = state
    updates, after = tx.update(updates, inner, params)
    free = count >= steps
    updates = jax.tree.map(lambda u: jnp.where(free, u, 0), updates)
    inner = jax.tree.map(lambda a, b: jnp.where(free, a, b), after, inner)
    return updates, (count + 1, inner)

  return optax.GradientTransformation(init, update)


def make_schedule(
    lr: float, warmup_steps: int, total_steps: int, floor: float = 0.0
) -> Schedule:
  """Learning rate of update `count` (from 0).

  Warm-up: lr (count + 1) / warmup_steps, so that the first update already
  moves. Then lr (floor + (1 - floor) (1 + cos(pi t)) / 2) with t from 0 at
  the end of the warm-up to 1 after the last update (SGDR, Loshchilov and
  Hutter 2017, one cycle).
  """

  def schedule(count):
    xp: Any = jnp if isinstance(count, jax.Array) else np  # np: no compiling
    count = xp.asarray(count, xp.float32)
    warm = (count + 1) / max(1, warmup_steps)
    t = (count - warmup_steps) / max(1, total_steps - warmup_steps)
    t = xp.clip(t, 0, 1)
    cosine = floor + (1 - floor) * 0.5 * (1 + xp.cos(xp.pi * t))
    return lr * xp.where(count < warmup_steps, warm, cosine)

  return schedule


def decayed(params: Any) -> Any:
  """A pytree of booleans: which parameters weight decay acts on."""
  return jax.tree.map(lambda p: p.ndim >= 2, params)


def _checked(tx: Any, cfg: Settings) -> Any:
  """`tx`, whose `init` refuses a pattern that matches no parameter."""
  wanted = [("lr_multipliers", pattern) for pattern, _ in cfg.lr_multipliers]
  wanted += [("decay_patterns", pattern) for pattern in cfg.decay_patterns]

  def init(params):
    paths = [
        _text(path)
        for path, _ in jax.tree_util.tree_flatten_with_path(params)[0]
    ]
    for field, pattern in wanted:
      if not any(re.search(pattern, path) for path in paths):
        near = configlib.nearest(pattern.strip("^$.*"), paths)
        raise InputError(
            f"{field}: got {pattern!r}, which matches no parameter, want a "
            f"regular expression for paths such as {paths[0]!r}{near}; set "
            f"--config.{field}"
        )
    return tx.init(params)

  return optax.GradientTransformationExtraArgs(
      init, optax.with_extra_args_support(tx).update
  )


def _matched(patterns: tuple[str, ...]) -> Callable[[Any], Any]:
  """A mask: which parameters one of the patterns matches."""
  return lambda params: jax.tree_util.tree_map_with_path(
      lambda path, _: any(re.search(p, _text(path)) for p in patterns), params
  )


def _text(path: Any) -> str:
  return "/".join(trees.names(path))


def read_settings(config: ConfigDict) -> Settings:
  """The Settings of a config; InputError for a value that cannot train."""
  plain: dict[str, Any] = config.to_dict()
  cfg = Settings(**{
      field.name: plain[field.name] for field in dataclasses.fields(Settings)
      if field.name in plain
  })
  values.check(dataclasses.asdict(cfg), RULES)
  if cfg.warmup_steps > cfg.total_steps:
    raise InputError(
        f"warmup_steps: got {cfg.warmup_steps} of {cfg.total_steps} "
        "total_steps, want no more than those; set --config.warmup_steps"
    )
  return dataclasses.replace(
      cfg, lr_multipliers=_read_multipliers(cfg.lr_multipliers),
      decay_patterns=_read_patterns(cfg.decay_patterns),
  )


def _read_multipliers(given: Any) -> tuple[tuple[str, float], ...]:
  try:
    pairs = tuple((pattern, float(factor)) for pattern, factor in given)
  except (TypeError, ValueError):
    pairs = (("", -1.0),)
  for pattern, factor in pairs:
    if not 0 <= factor < float("inf"):
      raise InputError(
          f"lr_multipliers: got {given!r}, want pairs of a pattern and a "
          "factor of 0 or more, such as (('^encoder/', 0.1),); set "
          "--config.lr_multipliers"
      )
    _check_pattern("lr_multipliers", pattern)
  return pairs


def _read_patterns(given: Any) -> tuple[str, ...]:
  if isinstance(given, str):
    raise InputError(
        f"decay_patterns: got {given!r}, want several patterns, such as "
        "('kernel$',); set --config.decay_patterns"
    )
  for pattern in given:
    _check_pattern("decay_patterns", pattern)
  return tuple(given)


def _check_pattern(field: str, pattern: Any) -> None:
  try:
    re.compile(pattern)
  except (re.error, TypeError) as error:
    raise InputError(
        f"{field}: got {pattern!r}, want a regular expression ({error}); "
        f"set --config.{field}"
    ) from error
