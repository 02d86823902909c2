"""A rate as a distribution: bins even in the logarithm, targets, a read-out.

A minute of a still wrist often allows two or three heart rates. A squared
error answers with their mean, which is none of them; a distribution says both.
All of it is pure and can be traced by JAX.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


@dataclasses.dataclass(frozen=True)
class Bins:
  """The bins of a label.

  Attributes:
    low, high: ends of the first and the last bin, in the label's unit.
    per_octave: bins of each doubling.
    sd: of the target, in the natural logarithm of the label.
    near: what counts as right: in the label's unit if `relative` is False,
      else as a share of the value.
    relative: see `near`.
    none: whether a last bin stands for "there is nothing to read".
  """

  low: float
  high: float
  per_octave: int
  sd: float
  near: float
  relative: bool = False
  none: bool = False

  @functools.cached_property
  def count(self) -> int:
    """Bins, without that of nothing."""
    return int(np.ceil(np.log2(self.high / self.low) * self.per_octave))

  @property
  def outputs(self) -> int:
    """Bins in all."""
    return self.count + self.none

  @functools.cached_property
  def centres(self) -> np.ndarray:
    """[K] float32, geometric middle of each bin."""
    step = (np.arange(self.count) + 0.5) / self.per_octave
    return (self.low * 2 ** step).astype(np.float32)

  @functools.cached_property
  def neighbours(self) -> np.ndarray:
    """[K, K] float32: 1 where bin j is right if bin i is."""
    c = self.centres.astype(np.float64)
    near = self.near * c[:, None] if self.relative else self.near
    return (np.abs(c[:, None] - c) <= near).astype(np.float32)


# Labels that are read as distributions. Heart rate within 5 bpm counts as
# right; a variability within 20 %.
BINS: Mapping[str, Bins] = {
    "hr_bpm": Bins(30.0, 220.0, 48, 0.02, 5.0, none=True),
    "sdnn_ms": Bins(3.0, 400.0, 8, 0.15, 0.2, relative=True),
    "rmssd_ms": Bins(3.0, 400.0, 8, 0.15, 0.2, relative=True),
}


class Reading(NamedTuple):
  """What a distribution says.

  Attributes:
    value: [...] centre of the neighbourhood that holds most probability.
    p: [...] that probability, out of all with a value.
    low, high: [...] 10th and 90th percentile.
    p_none: [...] probability that there is nothing to read; 0 without such a
      bin.
  """

  value: jax.Array
  p: jax.Array
  low: jax.Array
  high: jax.Array
  p_none: jax.Array


def targets(bins: Bins, value: jax.Array, none: jax.Array) -> jax.Array:
  """The distribution that a label stands for.

  Args:
    bins: of the label.
    value: [...] labels; a label beyond the ends goes to the nearest bin.
      Where `none` is True it is not read.
    none: [...] bool, whether there is nothing to read; it needs `bins.none`.

  Returns:
    [..., K] that add up to 1: a Gaussian of `bins.sd` about the logarithm of
    the label.
  """
  low, high = float(bins.centres[0]), float(bins.centres[-1])
  value = jnp.clip(jnp.where(none, low, value), low, high)[..., None]
  centre = jnp.log(bins.centres).reshape((1,) * (value.ndim - 1) + (-1,))
  off = (centre - jnp.log(value)) / bins.sd
  out = jax.nn.softmax(-0.5 * off * off, axis=-1)
  if not bins.none:
    return out
  none = none[..., None]
  return jnp.concatenate(
      [jnp.where(none, 0.0, out), none.astype(out.dtype)], -1)


def read(bins: Bins, probability: jax.Array) -> Reading:
  """Reads distributions [..., K] over the bins.

  The value is the centre of the bin whose neighbourhood (`Bins.near`) holds
  most probability. Percentiles lie between bins, along straight lines of the
  cumulated probability over the logarithm.
  """
  there = probability[..., :bins.count]
  total = there.sum(-1, keepdims=True)
  there = there / jnp.maximum(total, 1e-12)
  mass = jnp.matmul(there, jnp.asarray(bins.neighbours).T, precision="highest")
  best = mass.argmax(-1)
  edges = np.log(bins.low) + np.arange(bins.count + 1) * (
      np.log(2) / bins.per_octave)
  cumulated = jnp.cumsum(there, -1)

  def quantile(q):
    place = jnp.minimum((cumulated < q).sum(-1), bins.count - 1)
    after = jnp.take_along_axis(cumulated, place[..., None], -1)[..., 0]
    own = jnp.take_along_axis(there, place[..., None], -1)[..., 0]
    part = 1 - (after - q) / jnp.maximum(own, 1e-12)
    start = jnp.asarray(edges, jnp.float32)[place]
    return jnp.exp(start + jnp.clip(part, 0, 1) * np.log(2) / bins.per_octave)

  p_none = probability[..., -1] if bins.none else jnp.zeros(total.shape[:-1])
  return Reading(
      value=jnp.asarray(bins.centres)[best], p=mass.max(-1),
      low=quantile(0.1), high=quantile(0.9), p_none=p_none,
  )
