"""What each augmentation does to one segment, given a key and a strength.

Every operation is `(key, x, strengths...) -> x` on a float32 segment [T, C]
in the signal's own unit (g for acceleration). Operations that scale a signal
scale its deviation from the segment's mean, so that gravity stays as it is.

They are written to be batched with `jax.vmap`: each but noise draws only a
few numbers, and products with constant matrices replace searches and running
sums. The formulas are ours. Abbaspourazad et al. 2024, arXiv 2312.05409, name
cut-out, magnitude warp, noise, channel permutation and time warp.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from accfm.base.errors import InputError

CUT = 2.5  # bound of a time warp's normals, so that its speed is bounded


def cutout(key: jax.Array, x: jax.Array, max_share: float) -> jax.Array:
  """Replaces one span of a segment by the segment's mean.

  Args:
    key: jax key.
    x: [T, C].
    max_share: the span's length is uniform up to this share of T. It starts
      anywhere, and is cut at the end of the segment.
  """
  t = x.shape[0]
  start, length = jax.random.uniform(key, (2,)) * jnp.array([t, max_share * t])
  place = jnp.arange(t)[:, None]
  inside = (place >= start) & (place < start + length)
  return jnp.where(inside, x.mean(0, keepdims=True), x)


def noise(
    key: jax.Array, x: jax.Array, sd: float, relative: bool
) -> jax.Array:
  """Adds white Gaussian noise.

  Args:
    key: jax key.
    x: [T, C].
    sd: standard deviation of the noise: as a share of each channel's own if
      `relative`, else in the signal's unit. Acceleration needs the latter:
      otherwise one burst of movement would bury the rest of the minute.
    relative: see `sd`.
  """
  size = sd * x.std(0, keepdims=True) if relative else sd
  # One flat draw compiles in half the time of a draw of two axes on a CPU,
  # and runs faster.
  white = jax.random.normal(key, (x.size,), x.dtype).reshape(x.shape)
  return x + size * white


def hats(length: int, knots: int) -> np.ndarray:
  """The matrix of linear interpolation on an even grid: [K, T].

  `values [K] @ hats(T, K)` joins the values by straight lines, at K even
  places from the first sample to the last. A constant matrix needs no search
  and no gather.
  """
  place = np.linspace(0.0, knots - 1.0, length)
  return np.maximum(0.0, 1.0 - np.abs(place - np.arange(knots)[:, None]))


def smooth_curve(key: jax.Array, length: int, knots: int) -> jax.Array:
  """A standard normal at `knots` even places, linear in between: [T]."""
  values = jax.random.normal(key, (knots,))
  # TPUs round the factors of a product to bfloat16 unless told otherwise.
  return jnp.matmul(
      values, hats(length, knots).astype(np.float32), precision="highest"
  )


def magnitude_warp(
    key: jax.Array, x: jax.Array, sd: float, knots: int
) -> jax.Array:
  """Multiplies the deviation from the mean by a smooth curve.

  The curve is exp(sd * smooth_curve): positive, and on a log scale 1 on
  average. All channels of x [T, C] share it.
  """
  curve = jnp.exp(sd * smooth_curve(key, x.shape[0], knots))[:, None]
  mean = x.mean(0, keepdims=True)
  return mean + curve * (x - mean)


def scale(key: jax.Array, x: jax.Array, sd: float) -> jax.Array:
  """Multiplies the deviation from the mean by exp(sd * standard normal).

  The whole segment and all channels of x [T, C] share one factor.
  """
  factor = jnp.exp(sd * jax.random.normal(key))
  mean = x.mean(0, keepdims=True)
  return mean + factor * (x - mean)


def permute_channels(key: jax.Array, x: jax.Array) -> Any:
  """Puts the channels of [T, C] in a random order; all are equally likely."""
  order = jnp.argsort(jax.random.bits(key, (x.shape[1],)))
  # A choice among few channels costs a TPU far less than a gather.
  return sum(
      jnp.where(order[None] == channel, x[:, channel, None], 0.0)
      for channel in range(x.shape[1])
  )


def time_shift(key: jax.Array, x: jax.Array, max_share: float) -> jax.Array:
  """Shifts [T, C] circularly in time by up to `max_share` of T, either way.

  Nothing is lost, and one seam appears. The shift is a whole number of
  samples; all shifts are equally likely.
  """
  limit = int(max_share * x.shape[0])
  shift = jnp.floor(jax.random.uniform(key) * (2 * limit + 1)) - limit
  shift = shift.astype(jnp.int32)
  return jnp.roll(x, shift, axis=0)


def warp_path(
    key: jax.Array, length: int, sd: float, knots: int
) -> jax.Array:
  """[T]: the input sample that each output sample of a time warp comes from.

  The speed is exp(sd * standard normal) at `knots` even places and linear in
  between; normals are clipped at 2.5. The path is the integral of the speed
  (by trapezoids), scaled to end at T - 1. It increases strictly from 0 to
  T - 1, so the whole segment is kept and nothing is extrapolated. It maps
  output times to input times, so no inverse is needed.
  """
  normals = jnp.clip(jax.random.normal(key, (knots,)), -CUT, CUT)
  tent = hats(length, knots)
  area = np.cumsum((tent[:, 1:] + tent[:, :-1]) / 2, axis=1)
  area = np.concatenate([np.zeros((knots, 1)), area], axis=1)  # [K, T]
  covered = jnp.matmul(
      jnp.exp(sd * normals), area.astype(np.float32), precision="highest"
  )
  path = covered * ((length - 1) / covered[-1])
  return jnp.minimum(path, length - 1)  # rounding must not pass the end


def time_warp(
    key: jax.Array, x: jax.Array, sd: float, knots: int
) -> jax.Array:
  """Stretches and squeezes [T, C] in time, smoothly, ends fixed.

  Args:
    key: jax key.
    x: [T, C].
    sd: of the logarithm of the speed (see `warp_path`): 0.1 makes a heart
      rate 10 % faster here and slower there.
    knots: places at which the speed is drawn.

  Returns:
    [T, C]: x at `warp_path`, linear between samples. All channels share the
    path.
  """
  path = warp_path(key, x.shape[0], sd, knots)
  steepest = math.exp(min(2 * CUT * sd, 30.0))  # e^30 is beyond any T
  return jax.lax.platform_dependent(
      x, path, default=read_by_gather,
      tpu=functools.partial(read_by_products, steepest=steepest),
  )


def read_by_gather(x: jax.Array, path: jax.Array) -> jax.Array:
  """x [T, C] at places path [T] between 0 and T - 1, linear in between."""
  before = path.astype(jnp.int32)
  share = (path - before)[:, None]
  here = jnp.take(x, before, axis=0, mode="clip")
  there = jnp.take(x, before + 1, axis=0, mode="clip")
  return here + share * (there - here)


def read_by_products(
    x: jax.Array, path: jax.Array, steepest: float, block: int = 128
) -> jax.Array:
  """What `read_by_gather` returns, without its gather.

  A TPU gathers single samples slowly and multiplies matrices fast; on other
  processors it is the other way round. A block of outputs can come from a
  few blocks of inputs only. A product with a matrix of zeros and ones selects
  these, and a second matrix holds the weights of linear interpolation.

  Args:
    x: [T, C].
    path: [T], increasing from 0 to T - 1.
    steepest: bound of the path's steps, in samples.
    block: samples in a block.
  """
  t, c = x.shape
  n = -(-t // block)
  reach = min(n, math.ceil((block + steepest * (block - 1) + 2) / block))
  fill = n * block - t
  path = jnp.pad(path, (0, fill), mode="edge").reshape(n, block)
  x = jnp.pad(x, ((0, fill), (0, 0)), mode="edge").T.reshape(c, n, block)
  first = jnp.minimum((path[:, 0] / block).astype(jnp.int32), n - reach)
  # Letters: o block of outputs, n of inputs, r of the window, c channel.
  blocks = first[:, None] + jnp.arange(reach)[None]  # [o, r]
  chosen = blocks[:, :, None] == jnp.arange(n)[None, None]
  window = jnp.einsum(
      "orn,cni->cori", chosen.astype(x.dtype), x, precision="highest"
  ).reshape(c, n, reach * block)
  place = path - block * first[:, None]  # [o, block] in the window
  away = place[:, :, None] - jnp.arange(reach * block)[None, None]
  weights = jnp.maximum(0.0, 1.0 - jnp.abs(away))
  out = jnp.einsum("oti,coi->cot", weights, window, precision="highest")
  return out.reshape(c, n * block).T[:t]


def rotation(key: jax.Array, max_angle_deg: float) -> jax.Array:
  """A random proper rotation [3, 3], by Rodrigues' formula.

  The axis is uniform on the sphere, and the angle about it uniform from 0 to
  `max_angle_deg`. At 180 every orientation is possible, but small turns are
  more likely than if all orientations were equally likely.
  """
  height, around, turn = jax.random.uniform(key, (3,))
  # The area of a band of a sphere is proportional to its height (Archimedes).
  z = 2 * height - 1
  ring, around = jnp.sqrt(1 - z * z), 2 * jnp.pi * around
  x, y = ring * jnp.cos(around), ring * jnp.sin(around)
  axis = jnp.stack([x, y, z])
  cross = jnp.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
  turn = turn * (max_angle_deg * jnp.pi / 180)
  keep = jnp.cos(turn)
  return (
      keep * jnp.eye(3) + jnp.sin(turn) * cross
      + (1 - keep) * axis[:, None] * axis[None, :]
  )


def rotate(key: jax.Array, x: jax.Array, max_angle_deg: float) -> Any:
  """Rotates acceleration [T, 3] with its gravity, as if the watch sat
  differently.

  All samples share one `rotation`, which keeps the length of each.

  Raises:
    InputError: x has not 3 channels.
  """
  if x.shape[1] != 3:
    raise InputError(
        f"augmentation rotate: got {x.shape[1]} channels, want the 3 axes of "
        "an accelerometer; set its prob to 0 for this signal"
    )
  turn = rotation(key, max_angle_deg)
  # Sums of products are float32 on every device; a matrix product is not.
  return sum(x[:, axis, None] * turn[None, :, axis] for axis in range(3))
