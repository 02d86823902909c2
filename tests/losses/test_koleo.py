"""KoLeo against a double loop in float64, whole and in pieces."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from accfm.base import mesh as meshes
from accfm.base.errors import InputError
from accfm.losses import koleo

P = jax.sharding.PartitionSpec
nearest = jax.jit(koleo.nearest)
value_and_grad = jax.jit(jax.value_and_grad(koleo.koleo))


def rows(seed, n, d):
  """Rows of different lengths."""
  rng = np.random.default_rng(seed)
  z = rng.normal(size=(n, d)) * rng.uniform(0.1, 9, (n, 1))
  return z.astype(np.float32)


def oracle(z):
  """Each row's term in float64, pair by pair."""
  z = [row / np.sqrt(sum(row * row)) for row in np.float64(z)]
  terms = []
  for i, one in enumerate(z):
    apart = [
        np.sqrt(sum((a - b) ** 2 for a, b in zip(one, other, strict=True)))
        for j, other in enumerate(z) if j != i
    ]
    terms.append(-np.log(min(apart) + 1e-8))
  return np.array(terms)


@pytest.mark.parametrize("n, d", [(2, 3), (12, 2), (9, 16)])
def test_terms_and_their_mean(n, d):
  z = rows(0, n, d)
  got = nearest(z, z)
  assert got.shape == (n,) and got.dtype == jnp.float32
  np.testing.assert_allclose(got, oracle(z), rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(
      value_and_grad(z)[0], oracle(z).mean(), rtol=1e-4, atol=1e-5
  )


def test_the_length_of_a_row_does_not_matter():
  z = rows(1, 8, 4)
  lengths = np.float32(2) ** np.arange(-4, 4)[:, None]
  np.testing.assert_allclose(
      nearest(z * lengths, lengths * z), nearest(z, z), rtol=1e-5
  )


def test_gradients_against_differences():
  z = rows(2, 7, 3)
  _, got = value_and_grad(z)
  for i, j in np.ndindex(z.shape):
    step = np.zeros(z.shape)
    step[i, j] = 1e-6
    want = oracle(z + step).mean() - oracle(z - step).mean()
    np.testing.assert_allclose(
        got[i, j], want / 2e-6, rtol=1e-3, atol=1e-4
    )


def test_equal_rows_are_finite_and_do_not_pull():
  z = rows(3, 6, 4)
  z[4] = z[1]
  terms = nearest(z, z)
  np.testing.assert_allclose(terms, oracle(z), rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(terms[jnp.array([1, 4])], -np.log(1e-8))
  pull = jax.jit(jax.jacobian(lambda z: koleo.nearest(z, z)))(z)  # [6, 6, 4]
  assert np.isfinite(pull).all()
  assert not pull[1].any() and not pull[4].any()
  assert all(pull[i].any() for i in (0, 2, 3, 5))


@pytest.mark.parametrize("apart", [1e-3, 1e-6, 1e-9, 1e-19, 1e-22, 1e-30])
def test_nearly_equal_rows(apart):
  """Down to distances whose square is no normal float32, or zero."""
  z = np.array([[1, 0, 0], [1, apart, 0], [0, 0, 1]], np.float32)
  np.testing.assert_allclose(
      nearest(z, z), oracle(z), rtol=1e-5, atol=1e-5
  )
  _, grad = value_and_grad(z)
  assert np.isfinite(grad).all()
  assert abs(grad).max() <= 1 / koleo.EPSILON


def test_zero_rows_are_finite():
  z = rows(4, 5, 3)
  z[2] = 0
  value, grad = value_and_grad(z)
  assert np.isfinite(value) and np.isfinite(grad).all()
  np.testing.assert_allclose(
      value_and_grad(0 * z)[0], -np.log(1e-8), rtol=1e-6
  )


def test_half_precision_rows_give_float32_terms():
  z = jnp.asarray(rows(5, 6, 8), jnp.bfloat16)
  got = nearest(z, z)
  assert got.dtype == jnp.float32
  np.testing.assert_allclose(
      got, oracle(np.asarray(z, np.float64)), rtol=1e-4
  )


def test_pieces_are_the_whole():
  z = rows(6, 10, 3)
  want = nearest(z, z)
  for size in (1, 3, 10):
    got = [
        nearest(z[at:at + size], z, at) for at in range(0, len(z), size)
    ]
    np.testing.assert_allclose(np.concatenate(got), want, rtol=1e-6)


def test_eight_devices_give_what_one_gives():
  """Terms, and gradients that also flow to the nearest of another device."""
  z = rows(7, 16, 3)
  z[15] = z[0] + 0.1

  @functools.partial(
      jax.shard_map, mesh=meshes.make_mesh(jax.devices()[:8]),
      in_specs=P("data"), out_specs=P("data"),
  )
  def terms(z):
    everybody = jax.lax.all_gather(z, "data", tiled=True)
    first = jax.lax.axis_index("data") * z.shape[0]
    return koleo.nearest(z, everybody, first)

  got, got_grad = jax.jit(jax.value_and_grad(lambda z: terms(z).mean()))(z)
  want, want_grad = value_and_grad(z)
  np.testing.assert_allclose(got, want, rtol=1e-6)
  np.testing.assert_allclose(got_grad, want_grad, rtol=1e-4, atol=1e-6)


def test_shapes_are_checked():
  with pytest.raises(InputError, match=r"others: got shape \[4, 2\], want"):
    koleo.nearest(rows(0, 4, 3), rows(0, 4, 2))
