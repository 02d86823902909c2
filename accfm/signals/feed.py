"""From storage to what an encoder is fed: undo the scale, normalise."""

import jax
import jax.numpy as jnp
import numpy as np

from accfm.base.errors import InputError
from accfm.signals import augment


def dequantize(values, scale):
  """int16 [..., T, C] and scale [..., C] to float32 in the contract's unit.

  Works on NumPy and JAX arrays alike.
  """
  return values.astype(np.float32) * scale[..., None, :]


def zscore(x, resolution=1e-5):
  """Zero mean and unit SD over time, per segment and channel: [B, T, C].

  A channel without variation becomes zeros: one whose SD is below
  `resolution` of its largest value. That is less than int16 storage
  resolves (3e-5), and more than rounding leaves of a constant.
  """
  floor = resolution * jnp.abs(x).max(1, keepdims=True)
  x = x - x.mean(1, keepdims=True)
  x = x - x.mean(1, keepdims=True)  # what rounding left beside gravity
  variance = jnp.square(x).mean(1, keepdims=True)
  varies = variance > jnp.square(floor)
  return x * jnp.where(varies, jax.lax.rsqrt(variance), 0.0)


def unchanged(x):
  """x as it is."""
  return x


def make_normalize(spec):
  """The normalisation a contract names: `normalize(x [B, T, C]) -> x`.

  The same one each time, so that what was compiled with it is found again.
  """
  if spec.normalize == "zscore":
    return zscore
  if spec.normalize == "none":
    return unchanged
  raise InputError(
      f"contract normalize: got {spec.normalize!r}, want 'zscore' or 'none'"
  )


def make_prepare(contract, signal, augment_cfg):
  """All that stands between a batch and an encoder in training.

  Args:
    contract: the data set's Contract.
    signal: name of the signal.
    augment_cfg: as `augment.resolve`.

  Returns:
    `prepare(key, batch, view) -> x [B, T, C]`: dequantised, augmented in the
    signal's unit (geometry of acceleration in g), then normalised.
  """
  spec = contract.signals[signal]
  augmenter = augment.make_augment(augment.resolve(augment_cfg, spec.kind))
  normalize = make_normalize(spec)

  def prepare(key, batch, view):
    x = dequantize(batch[signal], batch[f"{signal}_scale"])
    return normalize(augmenter(key, x, batch["row"], view))

  return prepare
