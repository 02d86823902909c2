"""Operations are counted as by hand, and as XLA counts where it can."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import pallas as pl
from jax.sharding import PartitionSpec

from accfm.base import mesh as meshes
from accfm.models import transformer
from accfm.plans import flops


def counted(function, *shapes, platform="tpu"):
  traced = jax.jit(function).trace(*(jnp.zeros(s) for s in shapes))
  return flops.count(traced.jaxpr, platform)


def by_xla(function, *shapes):
  """XLA's count without elementwise work, which it counts too."""
  lowered = jax.jit(function).lower(*(jnp.zeros(s) for s in shapes))
  return lowered.compile().cost_analysis()["flops"]


class Small(nn.Module):
  """A dense layer and two heads of attention."""

  @nn.compact
  def __call__(self, x):
    return transformer.Attention(2, jnp.float32)(nn.Dense(8)(x))


def test_dense_and_attention_by_hand():
  b, length, width = 3, 10, 8
  x = jnp.zeros((b, length, 6))
  variables = jax.eval_shape(Small().init, jax.random.key(0), x)
  dense = 2 * b * length * 6 * width
  project = 2 * b * length * width * 3 * width + 2 * b * length * width * width
  scores = 2 * b * 2 * length * length * (width // 2)  # and as much to mix
  forward = dense + project + 2 * scores

  def loss(v, x):
    return Small().apply(v, x).sum()

  def work(function):
    return flops.count(jax.jit(function).trace(variables, x).jaxpr)

  assert work(loss).flops == forward
  # Each product has one more for each factor; the input's is not wanted.
  assert work(jax.grad(loss)).flops == 3 * forward - dense
  assert work(jax.grad(loss, argnums=(0, 1))).flops == 3 * forward
  assert work(loss).bf16_flops == forward


def test_as_xla_counts_products():
  def function(x, w):
    return jnp.einsum("bij,bjk->bik", x, w)

  shapes = (4, 5, 6), (4, 6, 7)
  work = counted(function, *shapes)
  assert work.flops == by_xla(function, *shapes) == 2 * 4 * 5 * 6 * 7


def convolve(x, w, **settings):
  return jax.lax.conv_general_dilated(
      x, w, dimension_numbers=("NWC", "WIO", "NWC"), **settings
  )


def by_loops(x, w, stride, groups=1, dilation=1):
  """Multiplications and additions of a SAME convolution, one by one."""
  (b, t, _), (taps, inputs, outputs) = x, w
  places = -(-t // stride)
  reach = (taps - 1) * dilation + 1
  before = max((places - 1) * stride + reach - t, 0) // 2
  pairs = sum(
      0 <= place * stride - before + tap * dilation < t
      for place in range(places) for tap in range(taps)
  )
  return 2 * b * pairs * inputs * outputs


@pytest.mark.parametrize("x, w, stride, groups, dilation", [
    ((2, 32, 6), (5, 6, 8), 1, 1, 1),
    ((2, 32, 6), (5, 6, 8), 2, 1, 1),
    ((2, 32, 6), (7, 1, 12), 4, 6, 1),
    ((2, 31, 6), (5, 6, 8), 1, 1, 3),
])
def test_convolutions(x, w, stride, groups, dilation):
  function = functools.partial(
      convolve, window_strides=(stride,), padding="SAME",
      feature_group_count=groups, rhs_dilation=(dilation,),
  )
  want = by_loops(x, w, stride, groups, dilation)
  assert counted(function, x, w).flops == want == by_xla(function, x, w)
  both = jax.grad(lambda *a: function(*a).sum(), argnums=(0, 1))
  # The gradients of a sum need no forward pass, but it is in the trace.
  assert counted(both, x, w).flops == 3 * want


def test_loops_count_as_often_as_they_run():
  def looped(x):
    return jax.lax.fori_loop(0, 5, lambda i, y: y @ y, x)

  assert counted(looped, (4, 4)).flops == 5 * 2 * 4**3
  assert by_xla(looped, (4, 4)) < 5 * 2 * 4**3  # why it is not believed

  def searched(x):
    return jax.lax.while_loop(lambda y: y.sum() < 1, lambda y: y @ y, x)

  work = counted(searched, (4, 4))
  assert (work.flops, work.unknown_loops) == (2 * 4**3, 1)


def test_each_branch_in_turn():
  """As augmentations: a loop that takes every operation once."""
  branches = [lambda x: x, lambda x: x @ x, lambda x: x @ x @ x]

  def function(x):
    order = jnp.argsort(x[0, :3])
    return jax.lax.fori_loop(
        0, 3, lambda i, y: jax.lax.switch(order[i], branches, y), x
    )

  assert counted(function, (4, 4)).flops == pytest.approx(3 * 2 * 4**3)


def test_the_platform_is_the_planned_one():
  def function(x):
    return jax.lax.platform_dependent(
        x, default=lambda x: x @ x, tpu=lambda x: x @ x @ x
    )

  assert counted(function, (4, 4)).flops == 2 * 2 * 4**3
  assert counted(function, (4, 4), platform="cpu").flops == 2 * 4**3


@pytest.mark.parametrize("precision, dtype, passes", [
    (None, jnp.float32, 1), ("default", jnp.float32, 1),
    ("high", jnp.float32, 3), ("highest", jnp.float32, 6),
    ("highest", jnp.bfloat16, 1),
])
def test_precision_costs_passes(precision, dtype, passes):
  def function(x):
    x = x.astype(dtype)
    return jnp.matmul(x, x, precision=precision)

  work = counted(function, (4, 4))
  assert work.flops == 2 * 4**3
  assert work.bf16_flops == passes * 2 * 4**3


def test_work_is_one_devices():
  mesh = meshes.make_mesh(jax.devices()[:4])
  rows = PartitionSpec("data")
  function = jax.shard_map(
      lambda x: jax.checkpoint(lambda y: y @ y.T)(x), mesh=mesh,
      in_specs=rows, out_specs=rows,
  )
  assert counted(function, (8, 4)).flops == 2 * 2 * 2 * 4


def test_a_kernel_counts_in_each_cell():
  def kernel(x_ref, out_ref):
    out_ref[...] = x_ref[...] @ x_ref[...]

  cell = pl.BlockSpec((None, 4, 4), lambda i: (i, 0, 0))

  def function(x):
    return pl.pallas_call(
        kernel, jax.ShapeDtypeStruct(x.shape, x.dtype), grid=(3,),
        in_specs=[cell], out_specs=cell,
    )(x)

  assert counted(function, (3, 4, 4)).flops == 3 * 2 * 4**3


def test_work_adds_up():
  a, b = flops.Work(1.0, 2.0, 1), flops.Work(10.0, 20.0, 0)
  assert a + b == flops.Work(11.0, 22.0, 1)
  assert 3 * a == flops.Work(3.0, 6.0, 1)
  assert np.isclose((0.5 * b).flops, 5.0)
