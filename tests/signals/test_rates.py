"""Distributions over rates against loops in plain Python."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from accfm.signals import rates

HR = rates.BINS["hr_bpm"]
SDNN = rates.BINS["sdnn_ms"]


def centres_oracle(bins):
  out, low = [], bins.low
  while low < bins.high * (1 - 1e-9):
    high = low * 2 ** (1 / bins.per_octave)
    out.append(math.sqrt(low * high))
    low = high
  return out


@pytest.mark.parametrize("name", rates.BINS)
def test_the_bins_are_even_in_the_logarithm(name):
  bins = rates.BINS[name]
  np.testing.assert_allclose(bins.centres, centres_oracle(bins), rtol=1e-5)
  assert bins.outputs == len(centres_oracle(bins)) + bins.none
  assert bins.centres[0] > bins.low
  assert bins.centres[-1] * 2 ** (0.5 / bins.per_octave) >= bins.high


@pytest.mark.parametrize("value", [31.0, 57.3, 199.0, 12.0, 400.0])
def test_a_target_is_a_gaussian_of_the_logarithm(value):
  got = rates.targets(HR, jnp.array([value]), jnp.array([False]))[0]
  near = min(max(value, HR.centres[0]), HR.centres[-1])
  want = [
      math.exp(-0.5 * (math.log(c / near) / HR.sd) ** 2) for c in HR.centres
  ]
  want = np.array([*want, 0.0]) / sum(want)
  np.testing.assert_allclose(got, want, atol=2e-5)
  # The nearest bin holds most of it.
  assert got.argmax() == np.argmin(np.abs(np.log(HR.centres / near)))


def test_nothing_to_read_is_a_bin_of_its_own():
  got = rates.targets(HR, jnp.array([np.nan, 60.0]), jnp.array([True, False]))
  assert np.isfinite(got).all()
  np.testing.assert_array_equal(got[0], np.eye(HR.outputs)[-1])
  assert got[1, -1] == 0
  np.testing.assert_allclose(got.sum(-1), 1.0, rtol=1e-5)


def read_oracle(bins, p):
  there = np.float64(p[:bins.count])
  there /= there.sum()
  best, most = None, -1.0
  for i, c in enumerate(bins.centres):
    near = bins.near * c if bins.relative else bins.near
    mass = sum(
        q for q, d in zip(there, bins.centres, strict=True)
        if abs(float(d) - float(c)) <= near
    )
    if mass > most + 1e-6:
      best, most = i, mass
  edges = [bins.low * 2 ** (i / bins.per_octave)
           for i in range(bins.count + 1)]

  def quantile(q):
    total = 0.0
    for i, part in enumerate(there):
      if total + part >= q:
        share = (q - total) / part
        return edges[i] * (edges[i + 1] / edges[i]) ** share
      total += part
    return edges[-1]

  return bins.centres[best], most, quantile(0.1), quantile(0.9)


@pytest.mark.parametrize("bins", [HR, SDNN])
@pytest.mark.parametrize("seed", range(4))
def test_a_reading_against_loops(bins, seed):
  rng = np.random.default_rng(seed)
  logits = 3 * rng.normal(size=(3, 2, bins.outputs))
  p = np.asarray(jax.nn.softmax(jnp.asarray(logits, jnp.float32)))
  got = jax.jit(lambda p: rates.read(bins, p))(p)
  assert all(part.shape == (3, 2) for part in got)
  for i, j in np.ndindex(3, 2):
    value, mass, low, high = read_oracle(bins, p[i, j])
    np.testing.assert_allclose(got.value[i, j], value, rtol=1e-6)
    np.testing.assert_allclose(got.p[i, j], mass, rtol=1e-4)
    np.testing.assert_allclose(got.low[i, j], low, rtol=1e-4)
    np.testing.assert_allclose(got.high[i, j], high, rtol=1e-4)
    want = p[i, j, -1] if bins.none else 0.0
    np.testing.assert_allclose(got.p_none[i, j], want)


def test_a_certain_label_is_read_back():
  value = jnp.array([45.0, 60.0, 118.0, 178.0])
  p = rates.targets(HR, value, jnp.zeros(4, bool))
  got = rates.read(HR, p)
  assert (np.abs(got.value - value) < 1.5).all()
  assert (got.p > 0.7).all()
  # +-1.28 SD of the target, and the width of a bin
  np.testing.assert_allclose(got.low, value * np.exp(-0.0256), rtol=0.012)
  np.testing.assert_allclose(got.high, value * np.exp(0.0256), rtol=0.012)


def test_all_on_nothing_is_finite():
  p = jnp.zeros((1, HR.outputs)).at[0, -1].set(1.0)
  got = rates.read(HR, p)
  assert all(np.isfinite(part).all() for part in got)
  assert got.p_none[0] == 1.0
