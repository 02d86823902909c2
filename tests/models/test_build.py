"""Presets are what they were, and a wrong config is named."""

import functools
import json

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.models import build, heads
from tests.models import fresh

SAMPLES, CHANNELS = 3840, 4  # a minute of PPG at 64 Hz


@functools.cache
def variables_of(preset, channels=CHANNELS):
  """Collections of ShapeDtypeStructs, without computing anything."""
  encoder = build.build_encoder(preset)
  x = jax.ShapeDtypeStruct((1, SAMPLES, channels), jnp.float32)
  return jax.eval_shape(encoder.init, jax.random.key(0), x)


def shapes(preset, channels=CHANNELS):
  return variables_of(preset, channels)["params"]


def text(variables):
  """Lines `name shape dtype` and the number of values, by collection."""
  variables = dict(variables)
  out = lines("", variables["params"])
  out.append(f"parameters {count(variables.pop('params')):,}")
  for name, tree in sorted(variables.items()):
    out += [*lines(f"{name}.", tree), f"{name} {count(tree):,}"]
  return "\n".join(out)


def lines(prefix, tree):
  return sorted(
      f"{prefix}{'.'.join(k.key for k in path)} {list(x.shape)} {x.dtype}"
      for path, x in jax.tree_util.tree_flatten_with_path(tree)[0]
  )


def count(tree):
  return sum(int(np.prod(x.shape)) for x in jax.tree.leaves(tree))


@pytest.mark.parametrize("preset", sorted(build.PRESETS))
def test_golden_parameters(golden, preset):
  golden(f"encoder_{preset}", text(variables_of(preset)))


@pytest.mark.parametrize("preset, parameters, within", [
    ("vit_s", 6.3e6, 0.02), ("efficientnet_s", 3.3e6, 0.05)
])
def test_the_papers_sizes(preset, parameters, within):
  assert count(shapes(preset)) == pytest.approx(parameters, rel=within)
  assert build.build_encoder(preset).embed_dim == 256


def test_sixteen_blocks():
  blocks = {n for n in shapes("efficientnet_s") if n.startswith("block")}
  assert blocks == {f"block{i}" for i in range(16)}


@pytest.mark.parametrize("small, large, times", [
    ("vit_xs", "vit_s", 5), ("vit_xxs", "vit_xs", 2),
    ("efficientnet_xs", "efficientnet_s", 5),
])
def test_smaller_sizes(small, large, times):
  ratio = count(shapes(large, 3)) / count(shapes(small, 3))
  assert times <= ratio < 1.5 * times


def test_a_watch_sized_encoder():
  assert count(shapes("vit_watch", 3)) <= 300_000


@pytest.mark.parametrize("preset", sorted(build.PRESETS))
def test_a_preset_as_name_dict_and_config_is_one_module(preset):
  config = build.encoder_config(preset)
  modules = [build.build_encoder(c) for c in (
      preset, config, config.lock(), config.to_dict(),
      json.loads(config.to_json()),
  )]
  assert len(set(map(str, modules))) == 1


def test_overrides_change_a_copy():
  before = dict(build.PRESETS["vit_tiny"])
  assert build.encoder_config("vit_tiny", depth=5).depth == 5
  assert build.PRESETS["vit_tiny"] == before


@pytest.mark.parametrize("fields, message", [
    (dict(family="cnn"),
     r"family: got 'cnn', want one of \['efficientnet1d', 'vit1d'\]"),
    (dict(family="efficientnet1d"), "encoder field: got 'block', want one"),
    (dict(widht=3), "field: got 'widht', .*; did you mean 'width'"),
    (dict(axis_name="data"), "encoder field: got 'axis_name', want one of"),
    (dict(dtype="float16"), r"dtype: got 'float16', want one of \['bfl"),
    (dict(stem="conv"), "stem: got 'conv', want 'patch' or 'filterbank'"),
    (dict(pool="max"), "pool: got 'max', want 'mean' or 'grid'"),
    (dict(width=20, heads=3), "width: got 20 for 3 heads, want a multiple"),
    (dict(stem="filterbank", patch=20, stem_stride=8),
     "patch: got 20, want a multiple of stem_stride=8"),
])
def test_errors_of_build_encoder(fields, message):
  config = ml_collections.ConfigDict({**build.PRESETS["vit_tiny"], **fields})
  with pytest.raises(InputError, match=message) as error:
    build.build_encoder(config)
  assert "\n" not in str(error.value)


def test_unknown_names():
  with pytest.raises(InputError, match="got 'vit_x', want one of.*'vit_s'"):
    build.build_encoder("vit_x")
  with pytest.raises(InputError, match="got 'widht',.*did you mean 'width'"):
    build.encoder_config("vit_tiny", widht=3)


def test_fields_may_be_left_out():
  """A stored config knows no field that is younger."""
  config = dict(build.PRESETS["vit_tiny"])
  for name in ("dropout", "drop_path", "dtype"):
    del config[name]
  assert str(build.build_encoder(config)) == str(
      build.build_encoder("vit_tiny")
  )
  del config["width"]
  with pytest.raises(InputError, match="got no width, want all fields of"):
    build.build_encoder(config)


def test_only_batch_norm_takes_an_axis():
  name = build.build_encoder("efficientnet_tiny", axis_name="data").axis_name
  assert name == "data"
  assert build.build_encoder("efficientnet_tiny").axis_name is None
  assert not hasattr(build.build_encoder("vit_tiny", "data"), "axis_name")


@pytest.mark.parametrize("fields, message", [
    (dict(), "patch: got 32 for segments of 3850 samples, want a divisor"),
    (dict(patch=10, stem="filterbank"), "got stem='filterbank', pool='mean'"),
    (dict(patch=10, pool="grid", pool_bins=8, pool_width=2),
     "stem='patch', pool='grid', want"),
    (dict(patch=10, embed_dim=8), "got embed_dim=8, want the width 16"),
])
def test_what_cannot_be_masked(fields, message):
  config = build.encoder_config("vit_tiny", stem_stride=2, **fields)
  with pytest.raises(InputError, match=message):
    build.check_maskable(build.build_encoder(config), 3850)


def test_filters_that_cross_patches_cannot_be_masked():
  encoder = build.build_encoder("efficientnet_tiny")
  with pytest.raises(InputError, match="hides patches: got Eff.*a vit1d"):
    build.check_maskable(encoder, 3840)


@pytest.mark.parametrize("hidden", [0, 12])
@pytest.mark.parametrize("bins", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_head_rows_have_unit_length(hidden, bins, dtype):
  head = build.build_head(dict(hidden=hidden, out=6, bins=bins, dtype=dtype))
  x = np.random.default_rng(0).normal(size=(7, 12)).astype(np.float32)
  variables = fresh.variables(head, x)
  got = head.apply(variables, x)
  assert got.shape == (7, 6) and got.dtype == jnp.float32
  np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1.0, rtol=1e-5)
  assert len(jax.tree.leaves(variables)) == (6 if hidden else 4)


def test_bins_of_a_head_are_treated_alike():
  """Equal parts in, equal parts out; a part changes its own values only."""
  head = build.build_head(dict(hidden=5, out=6, bins=3, dtype="float32"))
  part = np.random.default_rng(0).normal(size=(1, 4)).astype(np.float32)
  x = np.tile(part, (1, 3))
  variables = fresh.variables(head, x)
  got = np.asarray(head.apply(variables, x)).reshape(3, 2)
  np.testing.assert_allclose(got, got[:1].repeat(3, 0), rtol=1e-5)
  x[0, 4:8] += [1, -1, 2, 0]
  other = np.asarray(head.apply(variables, x)).reshape(3, 2)
  np.testing.assert_allclose(other[0] / other[2], 1.0, rtol=1e-4)
  ratio = other / got
  assert abs(ratio[1] / ratio[0] - 1).max() > 1e-3


@pytest.mark.parametrize("out, width, message", [
    (8, 12, "head.out: got 8, want a multiple of bins=3"),
    (6, 10, "head.bins: got 3 for embeddings of 10 values, want a divisor"),
])
def test_bins_must_divide(out, width, message):
  with pytest.raises(InputError, match=message):
    head = build.build_head(dict(hidden=0, out=out, bins=3, dtype="float32"))
    fresh.variables(head, np.zeros((1, width), np.float32))


def test_unit_is_safe_at_zero():
  value, grad = jax.value_and_grad(lambda x: heads.unit(x).sum())(
      jnp.zeros((2, 3))
  )
  assert value == 0 and np.isfinite(grad).all()


def test_decoder_puts_tokens_back_in_place():
  """A patch's prediction follows its own token, wherever it stood."""
  decoder = build.build_mae_decoder(
      dict(width=8, depth=0, heads=2, mlp_width=8, dtype="float32"), 5, 2
  )
  rng = np.random.default_rng(0)
  visible = rng.normal(size=(2, 3, 4)).astype(np.float32)
  keep = np.array([[4, 0, 2], [1, 3, 0]])
  orders = [[*row, *sorted(set(range(6)) - set(row))] for row in keep]
  restore = np.argsort(orders, axis=1)
  variables = fresh.variables(decoder, visible, restore)
  apply = jax.jit(decoder.apply)
  want = apply(variables, visible, restore)
  assert want.shape == (2, 6, 10) and want.dtype == jnp.float32
  changed = visible.copy()
  changed[0, 1] += 1.0  # patch 0 of the first row
  got = apply(variables, changed, restore)
  moved = np.abs(np.asarray(got - want)).max(-1) > 1e-6
  assert np.argwhere(moved).tolist() == [[0, 0]]
