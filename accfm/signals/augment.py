"""Augmentations on the device, keyed by name, step and global row.

Each acts on a batch [B, T, C] in the signal's own unit (g for acceleration),
on each row with its own probability. What scales a signal scales its
deviation from the segment's mean, so gravity stays where it is. The names
and probabilities of `PRESETS` are those published for PPG and ECG
(Abbaspourazad et al. 2024, arXiv 2312.05409); for acceleration the channel
step permutes axes, which is our choice, as are all strengths.

An augmentation whose probability is 0 is left out of the program.
"""

import functools

import jax
import jax.numpy as jnp

from accfm.base import keys as keylib
from accfm.base.errors import InputError


def cutout(key, x, max_share):
  """Replaces one span of a segment [T, C] by the segment's mean.

  Args:
    key: jax key.
    x: [T, C].
    max_share: the span's length is uniform up to this share of T.
  """
  key_start, key_length = jax.random.split(key)
  t = x.shape[0]
  start = jax.random.uniform(key_start) * t
  length = jax.random.uniform(key_length) * max_share * t
  place = jnp.arange(t)[:, None]
  inside = (place >= start) & (place < start + length)
  return jnp.where(inside, x.mean(0, keepdims=True), x)


def noise(key, x, sd, relative):
  """Adds white Gaussian noise to [T, C].

  Args:
    key: jax key.
    x: [T, C].
    sd: its standard deviation: in units of each channel's own if
      `relative`, else in the signal's unit. For acceleration the absolute
      form is meant: a movement burst must not drown the rest of the minute.
    relative: see `sd`.
  """
  scale = sd * x.std(0, keepdims=True) if relative else sd
  return x + scale * jax.random.normal(key, x.shape, x.dtype)


def smooth_curve(key, length, knots):
  """A standard normal at `knots` places, linear in between: [length]."""
  values = jax.random.normal(key, (knots,))
  return jnp.interp(
      jnp.linspace(0.0, knots - 1.0, length), jnp.arange(knots), values
  )


def magnitude_warp(key, x, sd, knots):
  """Multiplies the deviation from the mean of [T, C] by a smooth curve.

  The curve is exp(sd * smooth_curve), so it is positive and 1 on (log)
  average; one for all channels.
  """
  curve = jnp.exp(sd * smooth_curve(key, x.shape[0], knots))[:, None]
  mean = x.mean(0, keepdims=True)
  return mean + curve * (x - mean)


def permute_channels(key, x):
  """Puts the channels of [T, C] in a random order."""
  return x[:, jax.random.permutation(key, x.shape[1])]


def time_shift(key, x, max_share):
  """Rotates [T, C] in time by up to `max_share` of its length, either way.

  Circular: nothing is lost and one seam appears. With the same key two
  signals of a segment move together.
  """
  t = x.shape[0]
  limit = int(max_share * t)
  shift = jax.random.randint(key, (), -limit, limit + 1)
  return jnp.roll(x, shift, axis=0)


OPERATIONS = {
    "time_shift": time_shift,  # the two views of a segment move together
    "time_jitter": time_shift,  # each view moves on its own
    "permute_channels": permute_channels,
    "magnitude_warp": magnitude_warp,
    "cutout": cutout,
    "noise": noise,
}

# prob is [L] for ppg and ecg; every strength is [o] ours.
PRESETS = {
    "ppg": {
        "time_shift": dict(prob=0.0, max_share=0.5),
        "time_jitter": dict(prob=0.0, max_share=1 / 120),
        "permute_channels": dict(prob=0.25),
        "magnitude_warp": dict(prob=0.25, sd=0.3, knots=8),
        "cutout": dict(prob=0.4, max_share=0.2),
        "noise": dict(prob=0.25, sd=0.1, relative=True),
    },
    "ecg": {
        "time_shift": dict(prob=0.0, max_share=0.5),
        "time_jitter": dict(prob=0.0, max_share=1 / 120),
        "permute_channels": dict(prob=0.0),
        "magnitude_warp": dict(prob=0.5, sd=0.3, knots=8),
        "cutout": dict(prob=0.8, max_share=0.2),
        "noise": dict(prob=0.5, sd=0.1, relative=True),
    },
    "acc": {
        "time_shift": dict(prob=0.0, max_share=0.5),
        "time_jitter": dict(prob=0.0, max_share=1 / 120),
        "permute_channels": dict(prob=0.25),
        "magnitude_warp": dict(prob=0.25, sd=0.3, knots=8),
        "cutout": dict(prob=0.4, max_share=0.2),
        "noise": dict(prob=0.25, sd=0.0005, relative=False),
    },
}


def preset(kind, **overrides):
  """A preset with `name=dict(field=value)` changes, as plain dicts."""
  if kind not in PRESETS:
    raise InputError(
        f"augmentation preset: got {kind!r}, want one of {sorted(PRESETS)}"
    )
  out = {name: dict(fields) for name, fields in PRESETS[kind].items()}
  for name, fields in overrides.items():
    out[name].update(fields)
  return out


def off():
  """The augmentation config that does nothing."""
  return {
      name: {**fields, "prob": 0.0} for name, fields in PRESETS["ppg"].items()
  }


def make_augment(cfg):
  """The augmentation of one signal.

  Args:
    cfg: {operation: {"prob": p, strength fields}}, applied in the order of
      `OPERATIONS`.

  Returns:
    `augment(key, x, rows, view="") -> x`: key of the step, x [B, T, C],
    rows [B] global rows. Streams are named by operation and view, so two
    views differ; time shift ignores the view, so that the two signals of a
    segment keep their alignment.

  Raises:
    InputError: an unknown operation or a probability outside [0, 1].
  """
  for name, fields in cfg.items():
    if name not in OPERATIONS:
      raise InputError(
          f"augmentation: got {name!r}, want some of {sorted(OPERATIONS)}"
      )
    if not 0.0 <= fields["prob"] <= 1.0:
      raise InputError(
          f"augmentation {name}.prob: got {fields['prob']}, want 0 to 1"
      )

  def augment(key, x, rows, view=""):
    for name, operation in OPERATIONS.items():
      fields = dict(cfg.get(name, {"prob": 0.0}))
      prob = fields.pop("prob")
      if prob == 0.0:
        continue

      stream = name if name == "time_shift" else f"{name}/{view}"
      row_keys = keylib.row_streams(key, stream, rows)
      x = jax.vmap(functools.partial(_maybe, operation, prob, fields))(
          row_keys, x
      )
    return x

  return augment


def _maybe(operation, prob, fields, key, x):
  """`operation` on [T, C] with probability `prob`."""
  if prob == 1.0:
    return operation(key, x, **fields)
  gate, draw = jax.random.split(key)
  changed = operation(draw, x, **fields)
  return jnp.where(jax.random.uniform(gate) < prob, changed, x)
