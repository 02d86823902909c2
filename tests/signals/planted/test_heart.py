"""Planted beats against sums and integrals written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from accfm.signals.planted import heart, people


def person(seed=0, **changes):
  who = people.draw(jax.random.key(seed), 60)
  return who._replace(**{k: jnp.asarray(v) for k, v in changes.items()})


def rate_oracle(who, t):
  """The rate in Hz at times [N], term by term."""
  w = jax.tree.map(np.float64, who)
  out = np.ones_like(t)
  for size, hz, at in zip(w.wave_size, w.wave_hz, w.wave_phase, strict=True):
    out += size * np.cos(2 * np.pi * hz * t + at)
  out += w.rsa * np.cos(2 * np.pi * w.breath_hz * t + w.breath_phase)
  out += w.mayer * np.cos(2 * np.pi * 0.1 * t + w.mayer_phase)
  for size, begin, long, rise in zip(
      w.episode_size, w.episode_s, w.episode_long_s, w.episode_rise_s,
      strict=True,
  ):
    up = 1 / (1 + np.exp(-np.clip((t - begin) / rise, -60, 60)))
    down = 1 / (1 + np.exp(-np.clip((t - begin - long) / rise, -60, 60)))
    out += size * (up - down)
  return w.level_hz * out


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("start", [0.0, 600.0, 3540.0])
def test_the_phase_is_the_integral_of_the_rate(seed, start):
  who = person(seed)
  lag = np.linspace(-2.0, 62.0, 129)
  got = np.asarray(heart.phase(who, jnp.float32(start), jnp.asarray(lag)))
  t = np.linspace(start - 2, start + 62, 64_001)
  rate = rate_oracle(who, t)
  steps = np.cumsum((rate[1:] + rate[:-1]) / 2) * (t[1] - t[0])
  want = np.concatenate([[0.0], steps])[::500]
  np.testing.assert_allclose(got - got[0], want, atol=4e-3)


@pytest.mark.parametrize("seed", range(20))
def test_rates_stay_within_what_is_asked_for(seed):
  rate = 60 * rate_oracle(person(seed), np.linspace(0, 3600, 36_001))
  assert rate.min() > 0.88 * people.SLOWEST_BPM
  assert rate.max() < 1.12 * people.FASTEST_BPM


def test_neighbouring_minutes_agree_on_the_beats_that_both_see():
  who = person(3)
  key = jax.random.key(1)
  one = heart.beats(key, who, jnp.float32(600.0))
  two = heart.beats(key, who, jnp.float32(660.0))
  first = dict(zip(one.number[one.there].tolist(),
                   one.time_s[one.there].tolist(), strict=True))
  second = dict(zip(two.number[two.there].tolist(),
                    two.time_s[two.there].tolist(), strict=True))
  both = sorted(first.keys() & second.keys())
  # The first beat of a margin takes its jitter from the beat after it.
  assert len(both) > 3
  for n in both[1:]:
    assert first[n] == pytest.approx(second[n] + 60, abs=2e-3)


def test_beats_increase_and_fill_the_minute():
  for seed in range(10):
    found = heart.beats(
        jax.random.key(seed), person(seed), jnp.float32(120.0))
    t = np.asarray(found.time_s)[np.asarray(found.there)]
    assert (np.diff(t) > 0).all()
    assert t[0] < 0 and t[-1] > 60


def test_truth_is_that_of_the_beats():
  found = heart.beats(jax.random.key(0), person(2), jnp.float32(60.0))
  t = np.float64(found.time_s)[np.asarray(found.there)]
  inside = [b - a for a, b in zip(t[:-1], t[1:], strict=True)
            if a >= 0 and b <= 60]
  got = heart.truth(found)
  assert got["hr_bpm"] == pytest.approx(60 / np.mean(inside), rel=1e-4)
  assert got["sdnn_ms"] == pytest.approx(
      1000 * np.std(inside, ddof=1), rel=1e-2)
  assert got["rmssd_ms"] == pytest.approx(
      1000 * np.sqrt(np.mean(np.diff(inside) ** 2)), rel=1e-2)


def test_an_impulse_is_shared_by_its_neighbours():
  found = heart.Beats(
      jnp.array([-2.5, 0.0, 10.03, 61.999, 1e3]),
      jnp.array([True, True, True, True, False]), jnp.arange(5),
      jnp.zeros((5, 2)), jnp.zeros(5))
  got = np.asarray(heart.impulses(found, jnp.float32(0.1), jnp.ones(5), 64))
  want = np.zeros(64 * 64 + 1)
  for t in (0.0, 10.03, 61.999):
    place = (t + 0.1 + 2.0) * 64
    if int(place) < 64 * 64:
      want[int(place)] += 1 - place % 1
      want[int(place) + 1] += place % 1
  np.testing.assert_allclose(got, want[:-1], atol=2e-3)
