"""ViT-1D: shapes, masking, compute types, how the filterbank starts."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from accfm.base import mesh as meshlib
from accfm.base.errors import InputError
from accfm.models import build
from accfm.models.encoders import vit1d
from tests.models import fresh

SMALL = dict(width=8, depth=2, heads=2, mlp_width=12, embed_dim=6, patch=16)
BANK = dict(SMALL, stem="filterbank", pool="grid", stem_filters=3,
            stem_stride=4, stem_taps=16, pool_bins=3, pool_width=2)


def module(fields):
  return build.build_encoder(build.encoder_config("vit_tiny", **fields))


def inputs(b=3, t=96, c=4, seed=0):
  return np.random.default_rng(seed).normal(size=(b, t, c)).astype(np.float32)


def leaves(variables):
  return jax.tree.leaves(variables)


def apply(encoder, variables, *args, **options):
  return jax.jit(functools.partial(encoder.apply, **options))(
      variables, *args
  )


LEVEL = dict(BANK, stem_level=4)


@pytest.mark.parametrize("fields", [SMALL, BANK, LEVEL])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_shapes_and_types(fields, dtype):
  """[B, T, C] of any C to float32 [B, D]; parameters stay float32."""
  encoder = module(dict(fields, dtype=dtype))
  for channels in (1, 3):
    x = inputs(c=channels)
    variables = fresh.variables(encoder, x)
    embedding, tokens = apply(encoder, variables, x, return_tokens=True)
    assert embedding.shape == (3, 6) and embedding.dtype == jnp.float32
    assert tokens.shape == (3, 6, 8) and tokens.dtype == jnp.dtype(dtype)
    assert {leaf.dtype for leaf in leaves(variables)} == {
        jnp.dtype("float32")
    }
    assert np.isfinite(embedding).all()


@pytest.mark.parametrize("fields", [SMALL, BANK])
def test_half_precision_stays_near_full_precision(fields):
  x = inputs()
  full, half = (module(dict(fields, dtype=t)) for t in ("float32", "bfloat16"))
  variables = fresh.variables(full, x)
  a, b = apply(full, variables, x), apply(half, variables, x)
  assert 0 < np.abs(a - b).max() < 0.1 * np.abs(a).max()


def test_rows_do_not_see_each_other():
  encoder, x = module(BANK), inputs()
  variables = fresh.variables(encoder, x)
  alone = [apply(encoder, variables, x[i:i + 1])[0] for i in range(3)]
  np.testing.assert_allclose(
      apply(encoder, variables, x), np.stack(alone), rtol=1e-4, atol=1e-5
  )


def test_all_patches_visible_is_the_full_path():
  encoder, x = module(SMALL), inputs()
  variables = fresh.variables(encoder, x)
  _, tokens = apply(encoder, variables, x, return_tokens=True)
  keep = np.tile(np.arange(6), (3, 1))
  visible = apply(encoder, variables, x, keep, method="encode_visible")
  np.testing.assert_allclose(visible, tokens, rtol=1e-5, atol=1e-6)
  # In another order: the same tokens in that order, for attention has none.
  order = np.array([[5, 0, 2, 1, 4, 3]] * 3)
  turned = apply(encoder, variables, x, order, method="encode_visible")
  np.testing.assert_allclose(turned, tokens[:, order[0]], rtol=1e-4, atol=1e-5)


def test_hidden_patches_are_not_seen():
  encoder, x = module(SMALL), inputs()
  variables = fresh.variables(encoder, x)
  keep = np.array([[4, 1]] * 3)
  want = apply(encoder, variables, x, keep, method="encode_visible")
  other = inputs(seed=1)
  for patch in (1, 4):
    other[:, 16 * patch:16 * (patch + 1)] = x[:, 16 * patch:16 * (patch + 1)]
  got = apply(encoder, variables, other, keep, method="encode_visible")
  assert want.shape == (3, 2, 8)
  np.testing.assert_array_equal(got, want)


def test_recomputed_blocks_give_the_same_gradients():
  x = inputs()
  plain, remat = module(SMALL), module(dict(SMALL, remat=True))
  variables = fresh.variables(plain, x)

  def loss(encoder, variables):
    return jnp.square(encoder.apply(variables, x)).sum()

  a, b = (leaves(jax.jit(jax.grad(functools.partial(loss, e)))(variables))
          for e in (plain, remat))
  for one, two in zip(a, b, strict=True):
    np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)


def test_grid_pooling_keeps_time_apart():
  """Each bin's values come from its own tokens alone."""
  encoder = module(BANK)
  variables = fresh.variables(encoder, inputs())
  tokens = inputs(t=6, c=8)
  embed = functools.partial(apply, encoder, variables, method="pool_tokens")
  want = np.zeros((3, 6))
  local = variables["params"]["local"]
  for b in range(3):
    for part in range(3):
      mean = tokens[b, 2 * part:2 * part + 2].mean(0)
      want[b, 2 * part:2 * part + 2] = mean @ local["kernel"] + local["bias"]
  np.testing.assert_allclose(embed(tokens), want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype, far", [("float32", 2e-5), ("bfloat16", 0.1)])
def test_a_mesh_of_cpus_multiplies_otherwise_to_the_same_end(dtype, far):
  encoder, x = module(dict(SMALL, dtype=dtype)), inputs()
  variables = fresh.variables(encoder, x)
  mesh = meshlib.make_mesh(jax.devices()[:1])

  def loss(variables, x):
    return (encoder.apply(variables, x) ** 2).mean()

  plain = jax.jit(jax.value_and_grad(loss))
  sharded = jax.jit(jax.shard_map(
      jax.value_and_grad(loss), mesh=mesh, in_specs=PartitionSpec(),
      out_specs=PartitionSpec(), check_vma=False,
  ))
  programs = [f.trace(variables, x).jaxpr for f in (plain, sharded)]
  # Kernels' gradients are of matrices: no more than one axis is summed over.
  most = [most_summed(program) for program in programs]
  assert most == [2, 1]
  want, got = plain(variables, x), sharded(variables, x)
  for a, b in zip(leaves(want), leaves(got), strict=True):
    np.testing.assert_allclose(b, a, atol=far * np.abs(a).max())


def most_summed(jaxpr):
  """The most axes that one product of a program sums over."""
  most = 0
  for eqn in getattr(jaxpr, "jaxpr", jaxpr).eqns:
    if eqn.primitive.name == "dot_general":
      (axes, _), _ = eqn.params["dimension_numbers"]
      most = max(most, len(axes))
    for value in eqn.params.values():
      if hasattr(value, "eqns") or hasattr(value, "jaxpr"):
        most = max(most, most_summed(value))
  return most


@pytest.mark.parametrize("taps, channels, pairs", [(32, 3, 24), (16, 1, 4)])
def test_filterbank_starts_as_quadrature_band_passes(taps, channels, pairs):
  lowest, highest = 1 / 24, 1 / 4
  kernel = np.asarray(vit1d.filterbank_init(lowest, highest)(
      jax.random.key(0), (taps, channels, 2 * pairs)
  ))
  assert kernel.shape == (taps, channels, 2 * pairs)
  np.testing.assert_allclose(kernel.sum(0), 0.0, atol=1e-5)
  np.testing.assert_allclose(np.square(kernel).sum((0, 1)), 1.0, rtol=1e-4)
  n = np.arange(taps)
  for f in range(pairs):
    cosine, sine = kernel[..., f], kernel[..., pairs + f]
    # Rank one over channels, one direction for both halves.
    _, size, direction = np.linalg.svd(cosine)
    assert size[1:].max(initial=0.0) < 1e-5
    along = [half @ direction[0] for half in (cosine, sine)]
    np.testing.assert_allclose(
        np.linalg.norm(along, axis=1), 1.0, rtol=1e-4
    )
    assert abs(along[0] @ along[1]) < 1e-5  # even and odd
    # Quadrature: their energy hardly depends on the phase of a sine wave.
    hz = lowest * (highest / lowest) ** (f / (pairs - 1))
    if hz * taps < 3:  # too slow for a window to see its phase average out
      continue
    energy = [
        sum((half @ np.cos(2 * np.pi * hz * n + phase)) ** 2 for half in along)
        for phase in np.linspace(0, np.pi, 7)
    ]
    assert max(energy) < 1.15 * min(energy)
    grid = np.linspace(0.005, 0.5, 400)
    response = np.abs(np.exp(-2j * np.pi * grid[:, None] * n) @ along[0])
    assert grid[response.argmax()] == pytest.approx(hz, abs=0.5 / taps)


def test_errors_at_the_call():
  encoder = module(SMALL)
  with pytest.raises(InputError, match="got 90 samples, want a multiple"):
    fresh.variables(encoder, inputs(t=90))
  encoder = module(dict(BANK, pool_bins=4, embed_dim=8))
  with pytest.raises(InputError, match="pool_bins: got 4 for 6 tokens"):
    fresh.variables(encoder, inputs())


def test_local_mean_is_over_the_steps_that_there_are():
  x = inputs(b=2, t=11, c=3)
  for span in (1, 4, 5):
    got = np.asarray(vit1d.local_mean(x, span))
    before = (span - 1) // 2
    for t in range(11):
      some = x[:, max(0, t - before):t - before + span]
      np.testing.assert_allclose(got[:, t], some.mean(1), rtol=1e-5, atol=1e-6)


def test_gain_control_shows_a_still_stretch_beside_a_bout():
  """What differs in the still half moves the tokens there far more with it."""
  rng = np.random.default_rng(0)
  bout = rng.normal(size=(1, 96, 3)) * np.where(np.arange(96) < 48, 1, 1e-2)[
      None, :, None]
  beats = 1e-2 * np.sin(np.arange(96) * 0.9)[None, :, None] * (
      np.arange(96) % 24 < 8)[None, :, None]
  share = {}
  for name, fields in (("plain", BANK), ("level", LEVEL)):
    encoder = module(fields)
    variables = fresh.variables(encoder, inputs(b=1, c=3))
    stem = jax.jit(lambda v, x, e=encoder: e.apply(
        v, x, method=lambda m, x: m.embed_patches(x)))
    still, both = (np.asarray(stem(variables, x.astype(np.float32)))[0, 4:]
                   for x in (bout, bout + beats))
    share[name] = np.abs(both - still).mean() / np.abs(still).mean()
  assert share["level"] > 1.5 * share["plain"]
