"""From stored segments to an encoder's input: rescale, augment, normalise."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from accfm.base.errors import InputError
from accfm.signals import augment
from accfm.signals.contract import Contract, SignalSpec


def dequantize(values: Any, scale: Any) -> Any:
  """int16 [..., T, C] and scale [..., C] to float32 in the contract's unit.

  Works on NumPy and JAX arrays alike.
  """
  return values.astype(np.float32) * scale[..., None, :]


def zscore(x: jax.Array, resolution: float = 1e-5) -> jax.Array:
  """Mean 0 and SD 1 over time, for each channel of a segment: [B, T, C].

  A channel without variation becomes zeros. That is one whose SD is below
  `resolution` times its largest absolute value: less than a step of int16
  storage (3e-5), and more than the rounding error of a constant.
  """
  floor = resolution * jnp.abs(x).max(1, keepdims=True)
  x = x - x.mean(1, keepdims=True)
  x = x - x.mean(1, keepdims=True)  # the first one rounds, beside gravity
  variance = jnp.square(x).mean(1, keepdims=True)
  varies = variance > jnp.square(floor)
  return x * jnp.where(varies, jax.lax.rsqrt(variance), 0.0)


def unchanged(x: jax.Array) -> jax.Array:
  """x as it is."""
  return x


def make_normalize(spec: SignalSpec) -> Callable[[jax.Array], jax.Array]:
  """The normalisation that a contract names: `normalize(x [B, T, C]) -> x`.

  Equal names give the same function, so that JAX finds what it compiled with
  it before.
  """
  if spec.normalize == "zscore":
    return zscore
  if spec.normalize == "none":
    return unchanged
  raise InputError(
      f"contract normalize: got {spec.normalize!r}, want 'zscore' or 'none'"
  )


def make_prepare(
    contract: Contract, signal: str, augment_cfg: Mapping[str, Any]
) -> Callable:
  """Everything between a batch and an encoder in training.

  Args:
    contract: the data set's Contract.
    signal: name of the signal.
    augment_cfg: as `augment.resolve`.

  Returns:
    `prepare(key, batch, view) -> x [B, T, C]`: rescaled from int16, augmented
    in the signal's own unit (acceleration in g), then normalised.
  """
  spec = contract.signals[signal]
  augmenter = augment.make_augment(augment.resolve(augment_cfg, spec.kind))
  normalize = make_normalize(spec)

  def prepare(key, batch, view):
    x = dequantize(batch[signal], batch[f"{signal}_scale"])
    return normalize(augmenter(key, x, batch["row"], view))

  return prepare
