"""Weights and row keys for a module in a test, without an initialiser."""

import contextlib
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from accfm.base import keys
from accfm.steps import nets


def variables(module, *inputs, seed=0):
  """Normal weights of SD 0.3 in the shapes of `module.init`.

  Running variances are their exponentials.
  """
  rng = np.random.default_rng(seed)

  def draw(path, x):
    value = 0.3 * rng.normal(size=x.shape)
    if path[0].key == "batch_stats" and path[-1].key == "var":
      value = np.exp(value)
    return value.astype(x.dtype)

  shapes = jax.eval_shape(module.init, jax.random.key(0), *inputs)
  return jax.tree_util.tree_map_with_path(draw, shapes)


def init(module, seed, name, *inputs):
  """`variables` in place of `nets.init`."""
  del seed
  return variables(module, *inputs, seed=len(name))


@contextlib.contextmanager
def initialisers():
  """Objectives that are made inside get such weights, and compile nothing."""
  with mock.patch.object(nets, "init", init):
    yield


def row_keys(rows, seed=0):
  """Keys [B] of the global rows `rows`, or of that many."""
  rows = jnp.arange(rows) if isinstance(rows, int) else jnp.asarray(rows)
  return keys.row_streams(jax.random.key(seed), "test", rows)
