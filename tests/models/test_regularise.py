"""Masks: their rates, whom they belong to, and that rate 0 is nothing."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from accfm.base import keys
from accfm.base.errors import InputError
from accfm.models import build, regularise, transformer
from tests.models import fresh

LAYERS = [regularise.Dropout, regularise.DropPath]
RATES = dict(dropout=0.3, drop_path=0.6)


class Outer(nn.Module):
  """A layer at the path ("inner",)."""

  layer: type
  rate: float

  @nn.compact
  def __call__(self, x, row_keys):
    return self.layer(self.rate, name="inner")(x, True, row_keys)


def dropped(layer, rate, x, row_keys):
  return jax.jit(Outer(layer, rate).apply)({}, x, row_keys)


def vit(**fields):
  return build.build_encoder(
      build.encoder_config("vit_tiny", depth=2, **fields)
  )


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("rate", [0.2, 0.7])
def test_the_expectation_is_kept(layer, rate):
  rows, values = 600, 5
  got = np.asarray(dropped(
      layer, rate, jnp.ones((rows, values)), fresh.row_keys(rows)
  ))
  assert set(got.ravel().round(4)) == {0, np.float32(1 / (1 - rate)).round(4)}
  drawn = got if layer is regularise.Dropout else got[:, :1]
  error = np.sqrt(rate / (1 - rate) / drawn.size)  # of the mean of kept / p
  assert abs(drawn.mean() - 1) < 4 * error


def test_masks_against_the_named_stream():
  """Bernoulli draws of each row's key and the CRC-32 of the layer's path."""
  x, row_keys = jnp.ones((3, 4, 2)), fresh.row_keys(3)
  for layer, shape in zip(LAYERS, [(4, 2), (1, 1)], strict=True):
    want = [
        jax.random.bernoulli(keys.stream(key, "inner"), 0.5, shape)
        for key in row_keys
    ]
    got = dropped(layer, 0.5, x, row_keys)
    np.testing.assert_array_equal(
        got, np.broadcast_to(2.0 * np.stack(want), x.shape)
    )


@pytest.mark.parametrize("layer", LAYERS)
def test_masks_follow_the_row_not_its_place(layer):
  x = np.random.default_rng(0).normal(size=(32, 3)).astype(np.float32)
  want = dropped(layer, 0.5, x, fresh.row_keys(32))
  order = np.random.default_rng(1).permutation(32)[:9]
  got = dropped(layer, 0.5, x[order], fresh.row_keys(order))
  np.testing.assert_array_equal(got, want[order])
  other = dropped(layer, 0.5, x, fresh.row_keys(32, seed=1))
  assert (np.asarray(other) != want).any()


def test_drop_path_drops_whole_rows():
  got = dropped(
      regularise.DropPath, 0.5, jnp.ones((64, 3, 4)), fresh.row_keys(64)
  )
  per_row = np.asarray(got).reshape(64, -1)
  assert (per_row == per_row[:, :1]).all()
  assert 16 < (per_row[:, 0] == 0).sum() < 48


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_type_stays_and_nothing_is_learned(layer, dtype):
  x = jnp.ones((2, 3), dtype)
  got = dropped(layer, 0.5, x, fresh.row_keys(2))
  assert got.dtype == dtype
  assert not Outer(layer, 0.5).init(jax.random.key(0), x, fresh.row_keys(2))


def test_rates_rise_with_depth():
  np.testing.assert_allclose(
      regularise.path_rates(0.4, 4), [0.1, 0.2, 0.3, 0.4]
  )
  assert regularise.path_rates(0.4, 1) == (0.4,)
  encoder = vit(drop_path=0.4)
  blocks = encoder.bind(fresh.variables(encoder, jnp.zeros((1, 32, 1)))).blocks
  assert [block.drop_path for block in blocks] == [0.2, 0.4]


def test_rate_zero_is_the_same_program():
  encoder, x = vit(), jnp.ones((2, 64, 3))
  variables = fresh.variables(encoder, x)
  programs = [
      str(jax.make_jaxpr(functools.partial(encoder.apply, **options))(
          variables, x
      ))
      for options in (
          dict(train=False), dict(train=True),
          dict(train=True, row_keys=fresh.row_keys(2)),
      )
  ]
  assert programs[0] == programs[1] == programs[2]


@pytest.mark.parametrize("rate", ["dropout", "drop_path"])
@pytest.mark.parametrize("preset", ["vit_tiny", "efficientnet_tiny"])
def test_training_without_keys_is_refused(preset, rate):
  encoder = build.build_encoder(build.encoder_config(preset, **{rate: 0.1}))
  x = jnp.ones((2, 64, 3))
  variables = fresh.variables(encoder, x)
  apply = functools.partial(
      encoder.apply, train=True, mutable=["batch_stats"]
  )
  with pytest.raises(InputError, match="row_keys: got None for .*with") as e:
    jax.eval_shape(apply, variables, x)
  assert "\n" not in str(e.value)
  with pytest.raises(InputError, match="row_keys: got 3 for 2 rows"):
    jax.eval_shape(
        functools.partial(apply, row_keys=fresh.row_keys(3)), variables, x
    )
  # Without training nothing is drawn.
  jax.eval_shape(functools.partial(encoder.apply, train=False), variables, x)


@pytest.mark.parametrize("name", ["dropout", "drop_path"])
@pytest.mark.parametrize("rate", [1.0, -0.1])
@pytest.mark.parametrize("preset", ["vit_tiny", "efficientnet_tiny"])
def test_rates_are_checked(preset, name, rate):
  with pytest.raises(InputError, match=f"{name}: got {rate}, want at least 0"):
    build.build_encoder(build.encoder_config(preset, **{name: rate}))


def test_a_vit_block_drops_its_branches():
  """Each row adds twice the attention or nothing, and so the MLP."""
  x = np.random.default_rng(0).normal(size=(24, 3, 4)).astype(np.float32)
  plain = transformer.Block(2, 6, jnp.float32)
  variables = fresh.variables(plain, x)
  params = variables["params"]

  @jax.jit
  def branches(x):
    y = nn.LayerNorm().apply({"params": params["norm1"]}, x)
    y = transformer.Attention(2, jnp.float32).apply(
        {"params": params["attention"]}, y
    )
    def mlp(x):
      z = nn.LayerNorm().apply({"params": params["norm2"]}, x)
      z = nn.Dense(6).apply({"params": params["mlp_in"]}, z)
      return nn.Dense(4).apply({"params": params["mlp_out"]}, nn.gelu(z))
    return [x + a * y + b * mlp(x + a * y) for a in (0, 2) for b in (0, 2)]

  block = transformer.Block(2, 6, jnp.float32, drop_path=0.5)
  got = jax.jit(functools.partial(block.apply, train=True))(
      variables, x, row_keys=fresh.row_keys(24)
  )
  near = [
      np.abs(got - option).max((1, 2)) < 1e-4 for option in branches(x)
  ]
  # Exactly one option each, and all four occur.
  assert (np.sum(near, 0) == 1).all() and np.any(near, 1).all()


@pytest.mark.parametrize("method", ["__call__", "encode_visible"])
def test_vit_training_is_keyed_by_row(method):
  encoder = vit(**RATES)
  x = np.random.default_rng(0).normal(size=(6, 96, 2)).astype(np.float32)
  variables = fresh.variables(encoder, x)
  apply = jax.jit(functools.partial(encoder.apply, train=True, method=method))
  keep = np.tile([2, 0], (6, 1))

  def run(rows, seed=0):
    inputs = [x[rows]] + ([keep[rows]] if method != "__call__" else [])
    return np.asarray(apply(
        variables, *inputs, row_keys=fresh.row_keys(rows, seed)
    ))

  want = run(np.arange(6))
  order = np.array([4, 1, 0, 5, 3, 2])
  np.testing.assert_allclose(run(order), want[order], rtol=1e-4, atol=1e-5)
  assert np.abs(run(np.arange(6), seed=1) - want).max() > 1e-2
