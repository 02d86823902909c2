"""How a wrist moves: gravity, the beat, sway, tremor, movement and noise."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from accfm.signals.planted import heart
from accfm.signals.planted.device import FINE_HZ, HOLDS
from accfm.signals.planted.heart import BEFORE_S, SPAN_S, Beats
from accfm.signals.planted.people import Draws, Person

KERNEL = FINE_HZ  # samples of a beat: one second
LENGTH = int(SPAN_S * FINE_HZ)
BURSTS = 10  # of movement, at most
RISE_S = 0.01  # of a beat
COARSE = 8  # samples at FINE_HZ between two places of what moves slowly
# Mean bursts a minute of each activity of `people.ACTIVITIES`.
BURSTS_PER_MIN = (0.5, 1.2, 5.0, 8.0)
# What holds no beat, as shares of all minutes.
NONE = ("table", "car", "tremor", "walk", "partner")
NONE_SHARE = 0.1


class Minute(NamedTuple):
  """What a minute has of its own.

  Attributes:
    none: place in `NONE` plus 1; 0 where there is a beat.
    sway_g, sway_slope: SD of slow movement, slope of its power.
    tremor_g, tremor_hz: SD and centre.
    burst_s, burst_long_s, burst_g: [BURSTS] start, length, size; size 0 for
      none.
    turn: [BURSTS, 3] by how much gravity turns with a burst.
    rhythm_g, rhythm_hz: [3] and []: a rhythm of movement.
    rhythm_phase: [3, 3] axes x harmonics.
    noise: factor of the noise.
    hold_s, hold_long_s: [HOLDS] where the device repeats itself.
    partner_hz: rate of the second rhythm.
    partner_g: its peak.
  """

  none: jax.Array
  sway_g: jax.Array
  sway_slope: jax.Array
  tremor_g: jax.Array
  tremor_hz: jax.Array
  burst_s: jax.Array
  burst_long_s: jax.Array
  burst_g: jax.Array
  turn: jax.Array
  rhythm_g: jax.Array
  rhythm_hz: jax.Array
  rhythm_phase: jax.Array
  noise: jax.Array
  hold_s: jax.Array
  hold_long_s: jax.Array
  partner_hz: jax.Array
  partner_g: jax.Array


def draw(key: jax.Array, person: Person) -> Minute:
  """What happens in a minute of a person."""
  d = Draws(key)
  none = jnp.where(
      d.chance(NONE_SHARE), 1 + d.choice([1 / len(NONE)] * len(NONE)), 0)
  table, car = none == 1, none == 2
  walking = (none == 4) | ((person.activity == 3) & d.chance(0.5))
  mean = jnp.array(BURSTS_PER_MIN)[person.activity] * d.log_uniform(0.3, 2.0)
  mean = jnp.where(table, 0.0, mean)
  count = jax.random.poisson(d.next(), mean, ())
  size = d.log_uniform(3.0, 300.0, (BURSTS,)) / 1000
  rhythm = jnp.where(
      walking, d.log_uniform(30.0, 400.0),
      jnp.where(d.chance(0.1), d.log_uniform(1.0, 60.0), 0.0)) / 1000
  tremor = jnp.where(
      (none == 3) | d.chance(0.3), d.log_uniform(0.2, 3.0), 0.0) / 1000
  still = jnp.where(table, 0.0, 1.0)
  return Minute(
      none=none,
      sway_g=still * d.log_uniform(0.2, 8.0) / 1000 * jnp.where(car, 4.0, 1.0),
      sway_slope=d.uniform(-2.5, -1.5),
      tremor_g=still * tremor * jnp.where(none == 3, 3.0, 1.0),
      tremor_hz=d.uniform(6.0, 11.0),
      burst_s=d.uniform(-2.0, 62.0, (BURSTS,)),
      burst_long_s=d.log_uniform(0.2, 6.0, (BURSTS,)),
      burst_g=jnp.where(jnp.arange(BURSTS) < count, size, 0.0),
      turn=0.3 * d.normal((BURSTS, 3)) * d.chance(0.3, (BURSTS, 1)),
      rhythm_g=still * rhythm * d.uniform(0.2, 1.0, (3,)),
      rhythm_hz=jnp.where(
          walking, d.uniform(0.7, 1.2), d.log_uniform(0.5, 3.0)),
      rhythm_phase=d.uniform(0.0, 2 * np.pi, (3, 3)),
      noise=jnp.exp(0.15 * d.normal()) * jnp.where(
          car, d.log_uniform(1.0, 8.0), 1.0),
      hold_s=d.uniform(0.0, 60.0, (HOLDS,)),
      hold_long_s=jnp.where(
          d.chance(0.02, (HOLDS,)), d.log_uniform(0.1, 5.0, (HOLDS,)), 0.0),
      partner_hz=d.uniform(45.0, 90.0) / 60,
      partner_g=jnp.where(
          none == 5, d.log_uniform(0.05, 0.5),
          jnp.where(d.chance(0.05), d.log_uniform(0.02, 0.2), 0.0)) / 1000,
  )


def kernel(person: Person) -> jax.Array:
  """[KERNEL, 3]: the movement of one beat, the peak of its length 1."""
  lag = jnp.arange(KERNEL)[:, None] / FINE_HZ - person.delay_s[None]
  after = jnp.maximum(lag, 0.0)
  rise = 1 - jnp.exp(-after / RISE_S)
  ring = jnp.sin(2 * np.pi * person.sine_hz[None] * after)
  wave = person.size[None] * rise * ring * jnp.exp(
      -after / person.decay_s[None])  # [K, SINES]
  out = jnp.matmul(wave, person.direction, precision="highest")
  return out / jnp.maximum(jnp.linalg.norm(out, axis=1).max(), 1e-6)


def _power(person, minute, f):
  """[F, 3] power density of all that is a stationary noise, over [F] in Hz.

  Every part has the SD over 0 to 32 Hz that its name says.
  """
  width = f[1] - f[0]

  def shaped(shape):  # to power 1 below 32 Hz
    return shape / (jnp.where(f <= 32, shape, 0.0).sum() * width)

  low = jnp.maximum(f, 0.05)
  white = shaped(jnp.maximum(f, 0.5) ** person.noise_slope)
  sway = shaped(low ** minute.sway_slope * (f > 0))
  tremor = shaped(jnp.exp(-0.5 * ((f - minute.tremor_hz) / 0.4) ** 2))
  noise = (person.noise_g * minute.noise) ** 2
  slow = sway * minute.sway_g ** 2 + tremor * minute.tremor_g ** 2
  return white[:, None] * noise[None] + slow[:, None]


def _finer(x):
  """[LENGTH / COARSE + 1, C] -> [LENGTH, C], along straight lines."""
  part = (jnp.arange(COARSE) / COARSE)[None, :, None]
  out = x[:-1, None] * (1 - part) + x[1:, None] * part
  return out.reshape(LENGTH, -1)


def _rhythm(minute, t):
  """[LENGTH, 3]: three harmonics of a rhythm of movement."""
  angle = 2 * np.pi * minute.rhythm_hz * t[:, None]
  real, imag = jnp.cos(angle), jnp.sin(angle)
  r, i = real, imag
  out = jnp.zeros((1, 3))
  for harmonic, size in enumerate((1.0, 0.6, 0.3)):
    phase = minute.rhythm_phase[:, harmonic]
    # sin(angle + phase), from products alone
    out += size * minute.rhythm_g[None] * (
        i * jnp.cos(phase)[None] + r * jnp.sin(phase)[None])
    r, i = r * real - i * imag, r * imag + i * real
  return out


class Movement(NamedTuple):
  """Movement of the wrist over a minute and its margins.

  Attributes:
    total: [LENGTH, 3] in g, with gravity.
    bursts: [LENGTH, 3] in g, the part that also disturbs the PPG.
  """

  total: jax.Array
  bursts: jax.Array


def move(
    key: jax.Array, person: Person, minute: Minute, found: Beats
) -> Movement:
  """The movement at `device.FINE_HZ` that person and minute call for."""
  d = Draws(key)
  f = jnp.arange(LENGTH // 2 + 1) * (FINE_HZ / LENGTH)
  # White noise of SD 1 has a spectrum of this size in numpy's convention.
  # One flat draw is faster than one of three axes on a CPU.
  white = jax.random.normal(d.next(), (2 * len(f) * 3,)).reshape(2, -1, 3)
  white = jnp.sqrt(LENGTH / 2) * jax.lax.complex(white[0], white[1])
  spectrum = white * jnp.sqrt(_power(person, minute, f) * FINE_HZ / 2)
  beat = jnp.fft.rfft(kernel(person), LENGTH, axis=0)
  strength = jnp.exp(person.strength_sd * found.draws[:, 0]) * (
      1 + person.strength_breath * jnp.sin(found.breath))
  heights = jnp.where(minute.none == 0, person.peak_g * strength, 0.0)
  train = heart.impulses(found, jnp.float32(0), heights, FINE_HZ)
  t = jnp.arange(LENGTH) / FINE_HZ - BEFORE_S
  turns = minute.partner_hz * t + person.breath_phase
  second = jnp.diff(jnp.floor(turns), prepend=jnp.floor(turns[:1]))
  train += minute.partner_g * second
  spectrum += beat * jnp.fft.rfft(train)[:, None]
  out = jnp.fft.irfft(spectrum, LENGTH, axis=0)
  # Movement: the same white noise run backwards, slow, in bursts.
  slow = jnp.conj(white)[:, ::-1] * (1 / (1 + (f / 2.5) ** 2))[:, None]
  slow *= np.sqrt(FINE_HZ / 4.0) / 2
  rough = jnp.fft.irfft(slow, LENGTH, axis=0)
  coarse = jnp.arange(LENGTH // COARSE + 1) * (COARSE / FINE_HZ) - BEFORE_S
  inside = (coarse[:, None] - minute.burst_s[None]) / minute.burst_long_s[None]
  bell = jnp.sqrt(jnp.maximum(jnp.sin(np.pi * jnp.clip(inside, 0, 1)), 0.0))
  envelope = _finer((bell * minute.burst_g[None]).sum(1, keepdims=True))
  bursts = rough * envelope + _rhythm(minute, t)
  ease = jax.nn.sigmoid((inside - 0.5) * 8.0)
  turned = jnp.where(minute.burst_g > 0, 1.0, 0.0)[:, None] * minute.turn
  up = person.up[None] + _finer(ease @ turned)
  up /= jnp.linalg.norm(up, axis=1, keepdims=True)
  return Movement(out + bursts + up, bursts)
