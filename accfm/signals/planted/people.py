"""Who wears the watch: what stays the same over the minutes of a person.

The ranges follow trials on real wrists (wider than what was met there): a beat
of 0.25 to 6 mg in noise of 0.4 to 6 mg.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

# What the wearer does. It sets how often and how far the wrist moves.
ACTIVITIES = ("night", "nap", "desk", "walk")
ACTIVITY_SHARES = (0.4, 0.25, 0.25, 0.1)
RATES_HZ = (25, 32, 50, 64, 80, 100)  # of the accelerometers
# Steps of the accelerometer in mg, and how often each is met: those of
# AX3 and E4, GENEActiv, ActiGraph, and two fine ones.
STEPS_MG = (15.625, 3.9, 2.93, 1.0, 0.488)
STEP_SHARES = (0.2, 0.2, 0.1, 0.2, 0.3)
RANGES_G = (2.0, 4.0, 8.0, 16.0)
SINES = 4  # at most, of a beat
EPISODES = 4  # of a faster heart
SLOWEST_BPM, FASTEST_BPM = 35.0, 200.0  # breathing adds to it
WAVES = 3  # slow ones, of the rate
CHANNELS = 4  # of the PPG


class Person(NamedTuple):
  """A person with their watch; arrays, so that a batch of people is one.

  Attributes:
    activity: place in `ACTIVITIES`.
    level_hz: heart rate about which it moves, beats per second.
    wave_size, wave_hz, wave_phase: [WAVES] slow waves of the rate: relative
      size, frequency, phase in rad.
    episode_size, episode_s, episode_long_s, episode_rise_s: [EPISODES]
      stretches of a faster heart: relative size, start, length, rise.
    breath_hz, breath_phase: of breathing.
    rsa: relative size of the rate's breathing wave.
    mayer: relative size of its wave of 0.1 Hz.
    mayer_phase: of that wave.
    jitter: SD of a beat's time, share of the interval.
    ectopic: share of beats that come early.
    sine_hz, decay_s, delay_s, size: [SINES] of the damped sines of a beat;
      size 0 for one that is absent.
    direction: [SINES, 3] unit vectors.
    peak_g: of the vector's length.
    strength_breath: breathing's share of the beat's size.
    strength_sd: SD of its logarithm, beat by beat.
    noise_g: [3] SD of the noise on an axis.
    noise_slope: of its power over frequency.
    up: [3] direction of gravity.
    rate: place in `RATES_HZ`.
    step_g, range_g: of the accelerometer.
    gain, offset_g: [3] of the accelerometer.
    clock: relative error of its clock.
    transit_s: from the beat to the pulse at the wrist.
    pulse_rise_s, pulse_back_s, pulse_back: of the pulse wave: its width, delay
      and size of the reflected one.
    ppg_gain: [CHANNELS] 0 for a missing one.
    ppg_noise: [CHANNELS] SD in heights of the pulse.
    ppg_motion: [CHANNELS, 3] heights of the pulse per g of movement.
    ppg_wander: SD of the baseline, in heights of the pulse.
  """

  activity: Any
  level_hz: Any
  wave_size: Any
  wave_hz: Any
  wave_phase: Any
  episode_size: Any
  episode_s: Any
  episode_long_s: Any
  episode_rise_s: Any
  breath_hz: Any
  breath_phase: Any
  rsa: Any
  mayer: Any
  mayer_phase: Any
  jitter: Any
  ectopic: Any
  sine_hz: Any
  decay_s: Any
  delay_s: Any
  size: Any
  direction: Any
  peak_g: Any
  strength_breath: Any
  strength_sd: Any
  noise_g: Any
  noise_slope: Any
  up: Any
  rate: Any
  step_g: Any
  range_g: Any
  gain: Any
  offset_g: Any
  clock: Any
  transit_s: Any
  pulse_rise_s: Any
  pulse_back_s: Any
  pulse_back: Any
  ppg_gain: Any
  ppg_noise: Any
  ppg_motion: Any
  ppg_wander: Any


class Draws:
  """Numbers drawn one after another under one key."""

  def __init__(self, key: jax.Array):
    """Draws hang on the key and on how many there were before."""
    self._key, self._count = key, 0

  def next(self) -> jax.Array:
    """A key of its own for the next draw."""
    self._count += 1
    return jax.random.fold_in(self._key, self._count)

  def uniform(
      self, low: float, high: float, shape: tuple[int, ...] = ()
  ) -> jax.Array:
    """Uniform between two numbers."""
    return jax.random.uniform(self.next(), shape, minval=low, maxval=high)

  def log_uniform(
      self, low: float, high: float, shape: tuple[int, ...] = ()
  ) -> jax.Array:
    """Uniform in the logarithm."""
    return jnp.exp(self.uniform(np.log(low), np.log(high), shape))

  def normal(self, shape: tuple[int, ...] = ()) -> jax.Array:
    """Standard normal."""
    return jax.random.normal(self.next(), shape)

  def chance(self, share: float, shape: tuple[int, ...] = ()) -> jax.Array:
    """True with a probability."""
    return jax.random.uniform(self.next(), shape) < share

  def choice(self, shares: Sequence[float]) -> jax.Array:
    """A place in `shares`, which add up to 1."""
    edges = np.cumsum(shares)[:-1].astype(np.float32)
    return (jax.random.uniform(self.next()) >= edges).sum()

  def unit(self, shape: tuple[int, ...] = ()) -> jax.Array:
    """Unit vectors [*shape, 3], even over the sphere."""
    v = jax.random.normal(self.next(), (*shape, 3))
    return v / jnp.linalg.norm(v, axis=-1, keepdims=True)


def draw(key: jax.Array, minutes: float) -> Person:
  """A person.

  Args:
    key: of the person.
    minutes: how long they are recorded; episodes lie within.
  """
  d = Draws(key)
  seconds = 60.0 * minutes
  level = jnp.where(
      d.chance(0.4), d.log_uniform(38.0, 180.0),
      66.0 * jnp.exp(0.22 * d.normal()),
  )
  count = d.uniform(0.5, SINES + 0.5)
  late = np.arange(SINES) >= 2
  sizes = d.uniform(0.1, 1.0, (SINES,))
  channels = d.uniform(0.0, CHANNELS)
  there = (jnp.arange(CHANNELS) <= channels).astype(jnp.float32)
  step = jnp.array(STEPS_MG)[d.choice(STEP_SHARES)] / 1000
  level = jnp.clip(level, SLOWEST_BPM + 1, FASTEST_BPM - 10)
  waves = d.uniform(0.0, 0.04, (WAVES,))
  episodes = d.uniform(-0.08, 0.25, (EPISODES,))
  # However they add up, the rate stays within what is asked for.
  up = (FASTEST_BPM / level - 1) / (
      waves.sum() + jnp.maximum(episodes, 0).sum() + 1e-6)
  down = (1 - SLOWEST_BPM / level) / (
      waves.sum() - jnp.minimum(episodes, 0).sum() + 1e-6)
  waves *= jnp.minimum(1.0, jnp.minimum(up, down))
  episodes *= jnp.minimum(1.0, jnp.where(episodes > 0, up, down))
  return Person(
      activity=d.choice(ACTIVITY_SHARES),
      level_hz=level / 60,
      wave_size=waves,
      wave_hz=1 / jnp.array([
          d.uniform(90.0, 240.0), d.uniform(240.0, 900.0),
          d.uniform(900.0, 5400.0),
      ]),
      wave_phase=d.uniform(0.0, 2 * np.pi, (WAVES,)),
      episode_size=episodes,
      episode_s=d.uniform(0.0, seconds, (EPISODES,)),
      episode_long_s=d.log_uniform(60.0, 900.0, (EPISODES,)),
      episode_rise_s=d.log_uniform(4.0, 60.0, (EPISODES,)),
      breath_hz=d.log_uniform(0.12, 0.4),
      breath_phase=d.uniform(0.0, 2 * np.pi),
      rsa=d.uniform(0.0, 0.06) * jnp.where(level > 90, 0.4, 1.0),
      mayer=d.uniform(0.0, 0.05) * jnp.where(level > 90, 0.4, 1.0),
      mayer_phase=d.uniform(0.0, 2 * np.pi),
      jitter=d.log_uniform(0.002, 0.02),
      ectopic=jnp.where(d.chance(0.15), d.log_uniform(0.003, 0.1), 0.0),
      sine_hz=d.log_uniform(3.0, 16.0, (SINES,)),
      decay_s=d.log_uniform(0.02, 0.18, (SINES,)),
      delay_s=jnp.where(
          late, d.uniform(0.15, 0.4, (SINES,)), d.uniform(0.0, 0.12, (SINES,))
      ),
      size=jnp.where(jnp.arange(SINES) < count, sizes, 0.0) * jnp.where(
          late, 0.9, 1.0),
      direction=d.unit((SINES,)),
      peak_g=d.log_uniform(0.25, 6.0) / 1000,
      strength_breath=d.uniform(0.0, 0.5),
      strength_sd=d.uniform(0.0, 0.35),
      noise_g=d.log_uniform(0.4, 6.0) / 1000 * d.uniform(0.7, 1.4, (3,)),
      noise_slope=d.uniform(-0.6, 0.0),
      up=d.unit(),
      rate=d.choice([1 / len(RATES_HZ)] * len(RATES_HZ)),
      step_g=step,
      range_g=jnp.array(RANGES_G)[d.choice([0.25] * 4)],
      gain=1 + 0.02 * d.normal((3,)),
      offset_g=0.02 * d.normal((3,)),
      clock=1e-4 * d.normal(),
      transit_s=d.uniform(0.12, 0.3),
      pulse_rise_s=d.uniform(0.035, 0.075),
      pulse_back_s=d.uniform(0.15, 0.32),
      pulse_back=d.uniform(0.1, 0.7),
      ppg_gain=there * d.log_uniform(0.2, 5.0, (CHANNELS,)),
      ppg_noise=d.log_uniform(0.01, 0.5) * d.uniform(0.5, 2.0, (CHANNELS,)),
      ppg_motion=d.log_uniform(2.0, 60.0) * d.normal((CHANNELS, 3)),
      ppg_wander=d.log_uniform(0.05, 2.0),
  )
