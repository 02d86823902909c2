"""Fused blocks are plain blocks: values, gradients, parameters, shards."""

import functools
import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec, SingleDeviceSharding

from accfm.base import mesh as meshes
from accfm.base.errors import InputError
from accfm.models import build, fused, vit1d
from accfm.train import aot, flops, hlo
from tests.models import fresh

WIDTH, HEADS, MLP = 128, 2, 256


def blocks(dtype="float32"):
  """(plain block, fused block, its kernels run by the interpreter)."""
  make = functools.partial(vit1d.Block, HEADS, MLP, jnp.dtype(dtype))
  run = dict(heads=HEADS, dtype=jnp.dtype(dtype), interpret=True)
  return make(), make(fused=True), run


def inputs(b, length, dtype="float32", width=WIDTH, seed=0):
  x = np.random.default_rng(seed).normal(size=(2, b, length, width))
  return jnp.asarray(x, dtype)


def both(b, length, dtype):
  """[(output, gradient of x, of parameters)] of the plain block in float32,
  in `dtype`, and of the kernels in `dtype`, all as float32."""
  x, g = inputs(b, length, dtype)
  plain, _, run = blocks(dtype)
  params = fresh.variables(plain, x)["params"]
  # As initialised, and unlike flax's zeros and ones.
  params = jax.tree.map(lambda p: p / np.sqrt(p.shape[0] * 0.09), params)

  @jax.jit
  def reference(x, params, g):
    block = blocks(x.dtype)[0]
    y, back = jax.vjp(lambda x, p: block.apply({"params": p}, x), x, params)
    return y, *back(g)

  @jax.jit
  def kernels(x, params, g):
    y = fused.forward(x, params, **run)
    return y, *fused.backward(x, params, g, **run)

  wide = [a.astype(jnp.float32) for a in (x, g)]
  return [
      jax.tree.map(lambda a: np.asarray(a, np.float32), out) for out in (
          reference(wide[0], params, wide[1]), reference(x, params, g),
          kernels(x, params, g),
      )
  ]


def error(a, b):
  """Of each leaf, the root mean square over that of b."""
  return jax.tree.map(
      lambda a, b: float(np.sqrt(np.square(a - b).mean() / np.square(b).mean())),
      a, b,
  )


# An odd number of segments, an even one; tokens of whole tiles, and not.
@pytest.mark.parametrize("b, length", [(3, 16), (4, 24), (1, 5), (2, 192)])
def test_kernels_are_the_plain_block(b, length):
  _, plain, kernels = both(b, length, "float32")
  jax.tree.map(
      lambda a, b: np.testing.assert_allclose(
          a, b, rtol=1e-3, atol=2e-5 * np.abs(b).max()
      ), kernels, plain,
  )
