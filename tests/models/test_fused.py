"""Fused blocks are plain blocks: values, gradients, parameters, shards."""

import functools
import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from accfm.base import mesh as meshes
from accfm.base.errors import InputError
from accfm.models import build, fused, transformer
from accfm.plans import aot, flops, hlo
from accfm.train import sharding
from tests.models import fresh

WIDTH, HEADS, MLP = 128, 2, 256
PLAIN = transformer.Block(HEADS, MLP, jnp.float32)
FLAT = PartitionSpec()
ROWS = PartitionSpec(meshes.ROW_AXES)


def inputs(b, length, dtype="float32"):
  """x and the gradient of what follows, [B, L, W] each."""
  x = np.random.default_rng(0).normal(size=(2, b, length, WIDTH))
  return tuple(jnp.asarray(x, dtype))


@functools.cache
def params():
  """Of a block, of a size that keeps what is within of the order of 1."""
  drawn = fresh.variables(PLAIN, inputs(1, 2)[0])["params"]
  return jax.tree.map(lambda p: p / np.sqrt(p.shape[0] * 0.09), drawn)


def with_gradients(block):
  """x, params, g -> block(x, params), gradients of x and params."""
  def run(x, params, g):
    y, back = jax.vjp(block, x, params)
    return y, *back(g)

  return jax.jit(run)


def plain(x, params):
  block = transformer.Block(HEADS, MLP, x.dtype)
  return block.apply({"params": params}, x)


def kernels(x, params, g):
  """As `with_gradients(plain)`, by the kernels, interpreted."""
  how = dict(heads=HEADS, dtype=x.dtype, interpret=True)
  forward, backward = (
      jax.jit(functools.partial(f, **how))
      for f in (fused.forward, fused.backward)
  )
  return forward(x, params), *backward(x, params, g)


def assert_near(got, want, share=3e-5):
  """Each leaf within a share of its largest value."""
  assert jax.tree.structure(got) == jax.tree.structure(want)
  jax.tree.map(
      lambda a, b: np.testing.assert_allclose(
          np.asarray(a), np.asarray(b), rtol=0, atol=share * np.abs(b).max()
      ), got, want,
  )


# Whole tiles of tokens, and not; segments, of a program and of a core.
@pytest.mark.parametrize("b, length, cores", [(3, 16, 1), (4, 21, 2)])
def test_kernels_are_the_plain_block(b, length, cores, monkeypatch):
  monkeypatch.setattr(fused, "_chip", lambda: (cores, fused.LARGE))
  x, g = inputs(b, length)
  want = with_gradients(plain)(x, params(), g)
  assert_near(kernels(x, params(), g), want)


def test_half_precision_errs_no_more_than_the_plain_block():
  """Against the plain block in float32, each gradient's mean square."""
  x, g = inputs(1, 192)
  half = [a.astype(jnp.bfloat16) for a in (x, g)]
  exact = with_gradients(plain)(
      half[0].astype(jnp.float32), params(), half[1].astype(jnp.float32)
  )
  theirs = with_gradients(plain)(half[0], params(), half[1])
  mine = kernels(half[0], params(), half[1])
  assert jax.tree.map(lambda a: a.dtype, mine) == jax.tree.map(
      lambda a: a.dtype, theirs
  )

  def errors(got):
    return np.array([
        np.sqrt(np.square(np.float32(a) - b).mean() / np.square(b).mean())
        for a, b in zip(*map(jax.tree.leaves, (got, exact)), strict=True)
    ])

  assert (errors(mine) < np.maximum(1.1 * errors(theirs), 2e-3)).all()
  assert 1e-4 < errors(mine)[0] and errors(mine).max() < 0.03


def test_shards_sum_to_the_whole():
  """As in a step: weights vary before the gradient, a teacher's do not."""
  mesh = meshes.make_mesh(jax.devices()[:4])
  x, g = inputs(12, 16)

  def step(x, params, g, **how):
    how.update(heads=HEADS, dtype=x.dtype)
    y = fused.forward(x, params, **how)
    varying = jax.lax.pcast(params, meshes.ROW_AXES, to="varying")
    dx, grads = fused.backward(x, varying, g, **how)
    return y, dx, jax.lax.psum(grads, meshes.ROW_AXES)

  def sharded(**how):
    return jax.shard_map(
        functools.partial(step, **how), mesh=mesh,
        in_specs=(ROWS, FLAT, ROWS), out_specs=(ROWS, ROWS, FLAT),
        check_vma=not how["interpret"],  # the interpreter's own arrays fail
    )

  operands = x, params(), g
  got = jax.jit(sharded(interpret=True))(*operands)
  assert_near(got, with_gradients(plain)(*operands))
  # Not interpreted: what varies over devices is told right.
  shapes = jax.eval_shape(sharded(interpret=False), *operands)
  assert shapes == jax.eval_shape(lambda: got)


def test_parameters_are_the_same():
  x = jnp.zeros((2, 64, 3))
  shapes = [
      jax.eval_shape(
          build.build_encoder(build.encoder_config(
              "vit_tiny", width=WIDTH, mlp_width=MLP, block=block
          )).init, jax.random.key(0), x,
      ) for block in ("plain", "fused")
  ]
  assert shapes[0] == shapes[1]


@pytest.mark.parametrize("devices", [0, 2])
def test_elsewhere_it_is_the_plain_block(devices):
  """In values and gradients, on a mesh (of so many devices) and without."""
  x, g = inputs(2, 8)
  block = transformer.Block(HEADS, MLP, jnp.float32, fused=True)
  run = with_gradients(lambda x, p: block.apply({"params": p}, x))
  if devices:
    local = run

    def summed(x, params, g):
      varying = jax.lax.pcast(params, meshes.ROW_AXES, to="varying")
      *rows, grads = local(x, varying, g)
      return *rows, jax.lax.psum(grads, meshes.ROW_AXES)

    run = jax.jit(jax.shard_map(
        summed, mesh=meshes.make_mesh(jax.devices()[:devices]),
        in_specs=(ROWS, FLAT, ROWS), out_specs=(ROWS, ROWS, FLAT),
    ))
  want = with_gradients(plain)(x, params(), g)
  assert_near(run(x, params(), g), want)


@pytest.mark.parametrize("fields, want", [
    (dict(block="whole"), "block: got 'whole', want 'plain' or 'fused'"),
    (dict(block="fused", width=96), "width: got 96 with block='fused'"),
    (dict(block="fused", mlp_width=96), "mlp_width: got 96"),
    (dict(block="fused", dropout=0.1), "dropout: got 0.1 with block='fused'"),
    (dict(block="fused", drop_path=0.1), "drop_path: got 0.1"),
    (dict(block="fused", remat=True), "remat: got True"),
])
def test_refused(fields, want):
  cfg = dict(width=WIDTH, heads=HEADS, mlp_width=MLP) | fields
  with pytest.raises(InputError, match=want):
    build.build_encoder(build.encoder_config("vit_tiny", **cfg))


def test_too_large_for_a_chip(monkeypatch):
  """The paper's block fits every chip; 1,024 tokens of it the largest not."""
  block = transformer.Block(4, 1024, jnp.bfloat16)
  x, long = (jnp.zeros((2, n, 256), jnp.bfloat16) for n in (192, 1024))
  shapes = jax.eval_shape(block.init, jax.random.key(0), x)["params"]
  for memory in (fused.SMALL, fused.LARGE):
    monkeypatch.setattr(fused, "_chip", lambda memory=memory: (1, memory))
    run = functools.partial(fused.forward, heads=4, dtype=jnp.bfloat16)
    assert jax.eval_shape(run, x, shapes) == jax.eval_shape(lambda: x)
    with pytest.raises(InputError, match="for 1024 tokens of width 256"):
      jax.eval_shape(run, long, shapes)


def test_the_compiler_cannot_split_a_kernel():
  config = dict(encoder={"block": "fused"}, teacher_encoder={"block": "plain"})
  sharding.check_blocks(config, meshes.make_mesh())
  with pytest.raises(InputError, match="set --config.encoder.block=plain"):
    sharding.check_blocks(config, meshes.make_mesh(model=2))


def test_products_are_counted():
  """By hand, of the kernels; backward all but the last is computed twice."""
  b, length = 4, 32
  x, g = inputs(b, length)
  dense = 2 * b * length * WIDTH * (4 * WIDTH + 2 * MLP)
  attention = 2 * 2 * b * length * length * WIDTH
  last = 2 * b * length * WIDTH * MLP

  def work(function, *args):
    return flops.count(jax.jit(function).trace(*args).jaxpr).flops

  how = dict(heads=HEADS, dtype=jnp.bfloat16)
  once = dense + attention
  assert work(functools.partial(fused.forward, **how), x, params()) == once
  assert work(
      functools.partial(fused.backward, **how), x, params(), g
  ) == 2 * once + once - last


@pytest.mark.full
@pytest.mark.parametrize("topology", ["v4:2x2x1", "v5e:2x2", "v6e:2x2"])
def test_a_tpus_compiler_takes_it(topology):
  """Memory: what goes in and out, and nothing in between."""
  if importlib.util.find_spec("libtpu") is None:
    pytest.skip("libtpu is not installed (bash check.sh --full installs it)")
  jax.config.update("jax_disable_most_optimizations", False)
  _, devices = aot.open_topology(topology)
  mesh = meshes.make_mesh(devices)
  b, length = 32, 192
  x = jax.ShapeDtypeStruct((4 * b, length, 256), jnp.bfloat16)
  block = transformer.Block(4, 1024, jnp.bfloat16, fused=True)
  variables = jax.eval_shape(block.init, jax.random.key(0), x)

  def local(x, variables, g):
    variables = jax.lax.pcast(variables, meshes.ROW_AXES, to="varying")
    y, back = jax.vjp(lambda x, v: block.apply(v, x), x, variables)
    dx, grads = back(g)
    return y, dx, jax.lax.psum(grads, meshes.ROW_AXES)

  compiled = jax.jit(jax.shard_map(
      local, mesh=mesh, in_specs=(ROWS, FLAT, ROWS),
      out_specs=(ROWS, ROWS, FLAT), axis_names=set(mesh.axis_names),
  )).trace(x, variables, x).lower().compile()
  jax.config.update("jax_disable_most_optimizations", True)
  text = compiled.as_text()
  assert text.count('custom_call_target="tpu_custom_call"') == 2
  numbers = sum(v.size for v in jax.tree.leaves(variables))
  # x is read twice, g once; y and dx are written. Weights: read, cast,
  # read twice, their gradients written and summed over devices.
  least = 5 * 2 * b * length * 256
  assert least < hlo.traffic(text).all < least + 60 * numbers
