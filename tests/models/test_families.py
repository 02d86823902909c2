"""What holds for every family of encoder, whatever is inside."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from accfm.models import build
from tests.models import fresh

FAMILIES = ["vit_tiny", "efficientnet_tiny"]
B, T, C = 4, 96, 3


def encoder_of(preset, **fields):
  return build.build_encoder(build.encoder_config(preset, **fields))


def inputs(t=T, b=B, seed=0):
  return np.random.default_rng(seed).normal(size=(b, t, C)).astype(np.float32)


def training(encoder):
  """(params, stats, x, row keys) -> ((embedding, tokens), new stats)."""

  def run(params, stats, x, row_keys):
    return encoder.apply(
        {"params": params, **stats}, x, train=True, return_tokens=True,
        row_keys=row_keys, mutable=["batch_stats"],
    )

  return run


def split(variables):
  variables = dict(variables)
  return variables.pop("params"), variables


def with_gradients(encoder):
  """As `training`, with the gradients of a loss of both outputs."""
  run = training(encoder)

  def loss(params, stats, x, row_keys):
    (embedding, tokens), stats = run(params, stats, x, row_keys)
    weight = jnp.arange(1.0, 1.0 + embedding.shape[1])[None]
    value = jnp.sin(weight * embedding).mean()
    value += jnp.square(tokens.astype(jnp.float32)).mean()
    return value, ((embedding, tokens), stats)

  return jax.jit(jax.grad(loss, has_aux=True))


def test_all_families_are_tested():
  assert {build.PRESETS[p]["family"] for p in FAMILIES} == set(build.FAMILIES)


@pytest.mark.parametrize("preset", sorted(build.PRESETS))
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_preset_builds_for_any_signal(preset, channels):
  encoder = build.build_encoder(preset)
  x = jax.ShapeDtypeStruct((2, 3840, channels), jnp.float32)
  variables = jax.eval_shape(encoder.init, jax.random.key(0), x)
  embedding, tokens = jax.eval_shape(
      functools.partial(encoder.apply, return_tokens=True), variables, x
  )
  assert embedding.shape == (2, encoder.embed_dim)
  assert embedding.dtype == jnp.float32
  assert tokens.ndim == 3 and len(tokens) == 2


@pytest.mark.parametrize("preset", FAMILIES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_shapes_and_types(preset, dtype):
  encoder = encoder_of(preset, dtype=dtype)
  x = inputs()
  variables = fresh.variables(encoder, x)
  params, stats = split(variables)
  embedding = jax.jit(encoder.apply)(variables, x)
  assert embedding.shape == (B, 16) and embedding.dtype == jnp.float32
  (embedding, tokens), new = jax.jit(training(encoder))(
      params, stats, x, None
  )
  assert embedding.shape == (B, 16) and embedding.dtype == jnp.float32
  assert tokens.dtype == jnp.dtype(dtype)
  assert {leaf.dtype for leaf in jax.tree.leaves((params, new))} == {
      jnp.dtype("float32")
  }
  assert jax.tree.structure(new) == jax.tree.structure(stats)


@pytest.mark.parametrize("preset", FAMILIES)
@pytest.mark.parametrize("train", [False, True])
def test_half_precision_stays_near_full_precision(preset, train):
  x = inputs()
  full, half = (encoder_of(preset, dtype=t) for t in ("float32", "bfloat16"))
  variables = fresh.variables(full, x)
  a, b = (
      np.asarray(jax.jit(functools.partial(
          e.apply, train=train, mutable=["batch_stats"]
      ))(variables, x)[0])
      for e in (full, half)
  )
  assert 0 < np.abs(a - b).max() < 0.1 * np.abs(a).max()


@pytest.mark.parametrize("preset", FAMILIES)
def test_recomputed_blocks_change_nothing(preset):
  """Outputs, statistics and gradients, with every rate above 0."""
  x, row_keys = inputs(), fresh.row_keys(B)
  fields = dict(dropout=0.3, drop_path=0.5)
  plain = encoder_of(preset, **fields)
  remat = encoder_of(preset, remat=True, **fields)
  params, stats = split(fresh.variables(plain, x))
  a, b = (
      with_gradients(e)(params, stats, x, row_keys) for e in (plain, remat)
  )
  assert jax.tree.structure(a) == jax.tree.structure(b)
  for one, two in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
    np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("preset", FAMILIES)
def test_recomputed_blocks_keep_less(preset):
  """Bytes that wait for the backward pass."""
  x = inputs()

  def kept(encoder):
    params, stats = split(fresh.variables(encoder, x))
    run = functools.partial(training(encoder), stats=stats, x=x, row_keys=None)
    waiting = jax.eval_shape(
        lambda p: jax.vjp(lambda p: run(p)[0][0], p)[1], params
    )
    return sum(v.size * v.dtype.itemsize for v in jax.tree.leaves(waiting))

  plain, remat = (encoder_of(preset, remat=r) for r in (False, True))
  assert kept(remat) < 0.7 * kept(plain)


@pytest.mark.parametrize("preset", FAMILIES)
def test_every_parameter_learns_at_half_precision(preset):
  """Gradients are finite, and none is zero throughout."""
  encoder, x = encoder_of(preset, dtype="bfloat16", dropout=0.1), inputs()
  params, stats = split(fresh.variables(encoder, x))
  grads, _ = with_gradients(encoder)(params, stats, x, fresh.row_keys(B))
  for path, grad in jax.tree_util.tree_flatten_with_path(grads)[0]:
    assert np.isfinite(grad).all(), path
    assert np.abs(grad).max() > 0, path


@pytest.mark.parametrize("preset, length", [
    ("vit_tiny", 2), ("efficientnet_tiny", 4)
])
def test_length_may_differ_between_start_and_use(preset, length):
  """Weights of one length embed another."""
  encoder = encoder_of(preset)
  long, short = inputs(t=192), inputs(t=64)
  variables = fresh.variables(encoder, long)
  shapes = jax.tree.map(jnp.shape, variables)
  assert shapes == jax.tree.map(jnp.shape, fresh.variables(encoder, short))
  apply = jax.jit(functools.partial(encoder.apply, return_tokens=True))
  (a, _), (b, tokens) = apply(variables, long), apply(variables, short)
  assert a.shape == b.shape == (B, 16) and tokens.shape[1] == length
  assert np.isfinite(a).all() and np.isfinite(b).all()


@pytest.mark.parametrize("preset", FAMILIES)
def test_rows_do_not_see_each_other_in_use(preset):
  encoder, x = encoder_of(preset), inputs()
  variables = fresh.variables(encoder, x)
  apply = jax.jit(encoder.apply)
  alone = [apply(variables, x[i:i + 1])[0] for i in range(B)]
  np.testing.assert_allclose(
      apply(variables, x), np.stack(alone), rtol=1e-4, atol=1e-5
  )
