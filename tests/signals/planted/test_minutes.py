"""Planted minutes: each by itself, the same whoever asks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from accfm.signals.planted import minutes, people, wrist


@pytest.fixture(scope="module")
def some():
  """96 minutes of 48 people."""
  who = np.repeat(np.arange(48), 2)
  when = np.tile([3, 17], 48)
  return {k: np.asarray(v) for k, v in minutes.batch(
      0, jnp.asarray(who), jnp.asarray(when), minutes=60).items()}


@pytest.mark.full
def test_a_minute_is_the_same_alone(some):
  got = minutes.batch(0, jnp.array([7]), jnp.array([17]), minutes=60)
  off = np.abs(got["acc"][0] - some["acc"][15])
  # Another order of sums may tip a sample over a step of the device.
  assert (off > 1e-5).mean() < 0.01 and off.max() < 1.2 * max(
      people.STEPS_MG) / 1000
  assert got["hr_bpm"][0] == pytest.approx(some["hr_bpm"][15], nan_ok=True)


@pytest.mark.full
def test_every_minute_is_another(some):
  assert len(np.unique(some["acc"][:, 100, 0])) > 90


@pytest.mark.full
def test_what_a_person_keeps(some):
  np.testing.assert_array_equal(some["rate"][::2], some["rate"][1::2])
  missing = ~some["ppg"].any(axis=1)  # [N, channels]
  np.testing.assert_array_equal(missing[::2], missing[1::2])
  assert missing.any() and not missing.all(axis=1).any()


@pytest.mark.full
def test_gravity_is_there(some):
  length = np.linalg.norm(some["acc"].mean(axis=1), axis=1)
  assert 0.8 < np.percentile(length, 5) and np.percentile(length, 95) < 1.2


@pytest.mark.full
def test_where_there_is_no_beat_there_is_no_label(some):
  none = some["none"] > 0
  assert 0 < none.sum() < 30
  for name in ("hr_bpm", "sdnn_ms", "rmssd_ms"):
    np.testing.assert_array_equal(np.isnan(some[name]), none)
  rate = some["hr_bpm"][~none]
  assert rate.min() > 30 and rate.max() < 220


def test_the_kernel_has_length_one_and_starts_at_the_beat():
  for seed in range(8):
    who = people.draw(jax.random.key(seed), 60)
    kernel = np.asarray(wrist.kernel(who))
    length = np.linalg.norm(kernel, axis=1)
    assert length.max() == pytest.approx(1.0, abs=1e-4)
    assert length[0] < 0.35


def test_the_power_has_the_sds_that_it_names():
  """A person without beats, movement or tremor: the noise alone."""
  who = people.draw(jax.random.key(1), 60)
  now = wrist.draw(jax.random.key(2), who)
  f = jnp.arange(wrist.LENGTH // 2 + 1) * (wrist.FINE_HZ / wrist.LENGTH)
  power = np.asarray(wrist._power(who, now, f))
  inside = np.asarray(f) <= 32
  total = power[inside].sum(axis=0) * float(f[1])
  want = (np.asarray(who.noise_g) * float(now.noise)) ** 2 + (
      float(now.sway_g) ** 2 + float(now.tremor_g) ** 2)
  np.testing.assert_allclose(total, want, rtol=1e-3)
