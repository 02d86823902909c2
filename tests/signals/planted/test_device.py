"""What a planted device makes of a movement, against loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from accfm.signals.planted import device, people
from accfm.signals.planted.heart import BEFORE_S, SPAN_S


def worn(rate, **changes):
  who = people.draw(jax.random.key(0), 60)
  return who._replace(rate=jnp.int32(people.RATES_HZ.index(rate)), **{
      k: jnp.asarray(v, jnp.float32) for k, v in changes.items()})


def sine(hz, rate, begin, seconds):
  t = begin + np.arange(round(seconds * rate)) / rate
  return np.stack([np.sin(2 * np.pi * hz * t + a) for a in range(3)], 1)


@pytest.mark.parametrize("rate", people.RATES_HZ)
def test_a_slow_wave_goes_through_every_rate(rate):
  hz = min(0.3 * rate, 11.0)
  movement = sine(hz, device.FINE_HZ, -BEFORE_S, SPAN_S).astype(np.float32)
  who = worn(rate)
  raw = device.take(jnp.asarray(movement), who)
  for second in (0, 30, 61):  # the device's second 0 begins at -1 s
    np.testing.assert_allclose(
        raw[second, :rate], sine(hz, rate, second - 1.0, 1.0), atol=0.04)
    assert not raw[second, rate:].any()
  out = device.give(raw, who.rate)
  np.testing.assert_allclose(
      out, sine(hz, device.OUT_HZ, 0.0, 60.0), atol=0.05)


@pytest.mark.parametrize("rate", people.RATES_HZ)
def test_a_constant_stays_constant(rate):
  movement = jnp.full((int(SPAN_S * device.FINE_HZ), 3), 0.7)
  out = device.give(device.take(movement, worn(rate)), worn(rate).rate)
  np.testing.assert_allclose(out, 0.7, atol=1e-5)


def test_what_it_writes_are_steps_within_its_range():
  who = worn(50, step_g=1 / 64, range_g=2.0, gain=np.ones(3),
             offset_g=np.zeros(3))
  x = np.linspace(-3, 3, 300).reshape(1, 100, 3)
  got = device.measure(jnp.asarray(x, jnp.float32), who)
  want = np.clip(np.round(x * 64) / 64, -2.0, 2.0 - 1 / 64)
  np.testing.assert_allclose(got, want, atol=1e-5)


def test_a_hold_repeats_the_last_sample():
  rate, rng = 25, np.random.default_rng(0)
  raw = np.zeros((62, device.MOST_HZ, 3), np.float32)
  raw[:, :rate] = rng.normal(size=(62, rate, 3))
  got = np.asarray(device.hold(
      jnp.asarray(raw), jnp.array([10.0, 40.2]), jnp.array([1.5, 0.0]),
      jnp.int32(people.RATES_HZ.index(rate))))
  want, last = raw.copy(), None
  for second in range(62):
    for k in range(rate):
      if 10.0 <= second - 1 + k / rate < 11.5:
        want[second, k] = last
      last = want[second, k]
  np.testing.assert_array_equal(got[:, :rate], want[:, :rate])
