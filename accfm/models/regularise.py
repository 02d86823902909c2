"""Dropout and stochastic depth with a mask for each row, not for the batch.

A row's mask is drawn from the row's own key and the layer's name. It does not
depend on the row's place in the batch, on the number of devices or on
restarts. flax's own layers draw one mask for the whole local batch from a
stream of keys, and then it does.

Both scale what they keep by 1 / (1 - rate), so that the expected output is
the input. Outside training, or at rate 0, they return the input and draw
nothing.
"""


import flax.linen as nn
import jax
import jax.numpy as jnp

from accfm.base import keys, values
from accfm.base.errors import InputError

# Of an encoder's fields.
RULES = dict.fromkeys(("dropout", "drop_path"), values.from_below(0, 1))


def path_rates(rate: float, depth: int) -> tuple[float, ...]:
  """Rate of each of `depth` blocks: linear from rate / depth up to `rate`.

  Huang et al. 2016 (arXiv 1603.09382), section 3: all later blocks use the
  output of early ones, so early blocks are dropped least.
  """
  return tuple(rate * (i + 1) / depth for i in range(depth))


class Dropout(nn.Module):
  """Zeroes single values (inverted dropout, Srivastava et al. 2014, JMLR 15).

  Attributes:
    rate: the probability to zero a value, in [0, 1).
  """

  rate: float

  @nn.compact
  def __call__(
      self, x: jax.Array, train: bool = False,
      row_keys: jax.Array | None = None,
  ) -> jax.Array:
    """[B, ...] -> the same shape and type; see `_drop`."""
    return _drop(self, x, train, row_keys, x.shape[1:])


class DropPath(nn.Module):
  """Zeroes whole rows, which so skip the branch (Huang et al. 2016).

  Attributes:
    rate: the probability to zero a row, in [0, 1).
  """

  rate: float

  @nn.compact
  def __call__(
      self, x: jax.Array, train: bool = False,
      row_keys: jax.Array | None = None,
  ) -> jax.Array:
    """[B, ...] -> the same shape and type; see `_drop`."""
    return _drop(self, x, train, row_keys, (1,) * (x.ndim - 1))


def _drop(layer, x, train, row_keys, shape):
  """Zeroes or scales x by masks of `shape` per row.

  Args:
    layer: the module: its `rate`, and its `path`, which names the stream.
    x: [B, ...].
    train: where False, x is returned.
    row_keys: [B] jax keys, one per global row, or None.
    shape: shape of one row's mask.

  Raises:
    InputError: training at a rate above 0 without a key per row.
  """
  if not train or not layer.rate:
    return x
  name = "/".join(layer.path)
  if row_keys is None:
    raise InputError(
        f"row_keys: got None for {name or 'a layer'} with rate {layer.rate} "
        "in training, want one key per row; pass row_keys=keys.row_streams("
        "key, name, rows)"
    )
  if len(row_keys) != len(x):
    raise InputError(
        f"row_keys: got {len(row_keys)} for {len(x)} rows, want one per row"
    )
  keep = jax.vmap(
      lambda key: jax.random.bernoulli(
          keys.stream(key, name), 1 - layer.rate, shape
      )
  )(row_keys)
  return jnp.where(keep, x / (1 - layer.rate), 0)
