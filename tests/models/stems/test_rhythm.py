"""The rhythm stem: what it must not notice, and its parts against loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from accfm.models.stems import rhythm


@pytest.fixture(scope="module")
def stem():
  """(apply, variables): tokens of [B, 3840, 3]."""
  module = rhythm.Rhythm(16)
  variables = jax.jit(module.init)(
      jax.random.key(0), jnp.zeros((1, 3840, 3)))
  return jax.jit(module.apply), variables


def minute(seed=0, size=0.002):
  """[1, 3840, 3] in g: beats of 66 a minute in noise, under gravity."""
  rng = np.random.default_rng(seed)
  t = np.arange(3840) / 64
  lag = t * 66 / 60 % 1.0 * 60 / 66
  beat = np.exp(-lag / 0.08) * np.sin(2 * np.pi * 8 * lag)
  x = size * beat[:, None] * [0.5, 1.0, 0.3]
  x = x + 0.001 * rng.normal(size=(3840, 3)) + [0.1, 0.5, 0.85]
  return jnp.asarray(x[None], jnp.float32)


def test_a_turned_watch_is_the_same_input(stem):
  apply, variables = stem
  turn, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
  x = minute()
  y = jnp.einsum("btc,cd->btd", x, jnp.asarray(turn, jnp.float32),
                 precision="highest")
  np.testing.assert_allclose(
      apply(variables, y), apply(variables, x), atol=0.02)


@pytest.mark.parametrize("gain", [0.1, 30.0])
def test_a_gain_changes_nothing(stem, gain):
  apply, variables = stem
  x = minute()
  np.testing.assert_allclose(
      apply(variables, gain * x), apply(variables, x), atol=0.02)


@pytest.mark.parametrize("value", [
    jnp.zeros((1, 3840, 3)), jnp.full((1, 3840, 3), 0.577),
    jnp.tile(jnp.array([8.0, -8.0, 8.0]), (1, 3840, 1)),
])
def test_constant_segments_are_finite_in_value_and_gradient(stem, value):
  apply, variables = stem
  loss, grads = jax.value_and_grad(
      lambda v: jnp.square(apply(v, value)).mean())(variables)
  assert np.isfinite(loss)
  assert all(np.isfinite(g).all() for g in jax.tree.leaves(grads))


def test_a_burst_leaves_everything_finite(stem):
  apply, variables = stem
  x = minute().at[0, 1000:1100].add(5.0)
  x = jnp.concatenate([x, minute(1)])
  assert np.isfinite(apply(variables, x)).all()


def test_the_filters_are_pairs_of_norm_one_without_a_mean():
  kernel = np.asarray(rhythm.quadrature_init(0.05, 0.3)(
      None, (32, 1, 12)))[:, 0]
  np.testing.assert_allclose(np.linalg.norm(kernel, axis=0), 1, rtol=1e-5)
  np.testing.assert_allclose(kernel.sum(0), 0, atol=1e-5)
  for k in range(6):
    spectrum = np.abs(np.fft.fft(kernel[:, k] + 1j * kernel[:, 6 + k], 512))
    hz = np.fft.fftfreq(512)[spectrum.argmax()]
    assert abs(hz) == pytest.approx(np.geomspace(0.05, 0.3, 6)[k], abs=0.02)


def test_the_waves_are_a_fourier_sum():
  both = rhythm.waves(100, 16.0, 0.5, 4.0, 7, False)
  x = np.random.default_rng(0).normal(size=100)
  for k, hz in enumerate(np.geomspace(0.5, 4.0, 7)):
    want = sum(x[n] * np.exp(2j * np.pi * hz * n / 16.0) for n in range(100))
    got = (x @ both)[[k, 7 + k]] * 10
    np.testing.assert_allclose(got, [want.real, want.imag], atol=1e-3)


def test_a_local_mean_at_the_ends_is_of_what_is_there():
  x = np.random.default_rng(0).normal(size=(1, 9, 2)).astype(np.float32)
  got = np.asarray(rhythm.local_mean(jnp.asarray(x), 3))
  for n in range(9):
    want = x[0, max(0, n - 1):n + 2].mean(0)
    np.testing.assert_allclose(got[0, n], want, atol=1e-6)
