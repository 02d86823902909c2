"""What a PPG sees: a pulse a beat, a baseline, noise and movement."""

import jax
import jax.numpy as jnp

from accfm.signals.planted import heart
from accfm.signals.planted.device import FINE_HZ, OUT_HZ
from accfm.signals.planted.heart import BEFORE_S, SPAN_S, Beats
from accfm.signals.planted.people import CHANNELS, Draws, Person
from accfm.signals.planted.wrist import Minute, Movement

KERNEL = int(1.2 * OUT_HZ)  # samples of a pulse
LENGTH = int(SPAN_S * OUT_HZ)


def kernel(person: Person) -> jax.Array:
  """[KERNEL]: the pulse of one beat: a wave, and a reflected one later."""
  lag = jnp.arange(KERNEL) / OUT_HZ - 3 * person.pulse_rise_s
  width = person.pulse_rise_s
  out = jnp.exp(-0.5 * (lag / width) ** 2)
  out += person.pulse_back * jnp.exp(
      -0.5 * ((lag - person.pulse_back_s) / (1.6 * width)) ** 2)
  return out + 0.25 * jnp.exp(
      -0.5 * ((lag - 0.3) / 0.18) ** 2) * (lag > 0)


def see(
    key: jax.Array, person: Person, minute: Minute, found: Beats,
    movement: Movement,
) -> jax.Array:
  """The PPG of a minute: [60 * OUT_HZ, CHANNELS], 0 for a missing channel."""
  d = Draws(key)
  f = jnp.arange(LENGTH // 2 + 1) * (OUT_HZ / LENGTH)
  height = (1 + 0.12 * jnp.sin(found.breath + 0.7)) * jnp.exp(
      0.05 * found.draws[:, 1])
  height = jnp.where((minute.none == 1) | (minute.none == 2), 0.0, height)
  train = heart.impulses(found, person.transit_s, height, OUT_HZ)
  pulse = jnp.fft.irfft(
      jnp.fft.rfft(train) * jnp.fft.rfft(kernel(person), LENGTH), LENGTH)
  white = jax.random.normal(d.next(), (2 * len(f) * CHANNELS,))
  white = white.reshape(2, -1, CHANNELS)
  white = jnp.sqrt(LENGTH / 2) * jax.lax.complex(white[0], white[1])
  wander = jnp.maximum(f, 0.05) ** -2.0 * (f > 0)
  wander /= wander.sum() * (f[1] - f[0])
  power = (person.ppg_noise ** 2)[None] + (
      wander * person.ppg_wander ** 2 * OUT_HZ / 2)[:, None]
  noise = jnp.fft.irfft(white * jnp.sqrt(power), LENGTH, axis=0)
  moved = movement.bursts[::FINE_HZ // OUT_HZ]
  artefact = moved @ person.ppg_motion.T
  out = (pulse[:, None] + noise + artefact) * person.ppg_gain[None]
  first = int(BEFORE_S * OUT_HZ)
  return out[first:first + 60 * OUT_HZ]
