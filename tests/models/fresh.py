"""Weights for a module in a test, without compiling an initialiser."""

import jax
import numpy as np


def variables(module, *inputs, seed=0):
  """Normal weights of SD 0.3 in the shapes of `module.init`."""
  rng = np.random.default_rng(seed)
  shapes = jax.eval_shape(module.init, jax.random.key(0), *inputs)
  return jax.tree.map(
      lambda x: (0.3 * rng.normal(size=x.shape)).astype(x.dtype), shapes
  )
