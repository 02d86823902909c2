"""When the heart beats: a rate that moves over hours, at any time by itself.

The rate is a level times one plus slow waves, breathing, a wave of 0.1 Hz and
stretches of a faster heart. Its integral is known in closed form, so that the
beats of a minute need none of the minutes before. Beat n lies where the
integral passes n, moved by a jitter that hangs on n alone.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from accfm.signals.planted.people import Person

SPAN_S = 64.0  # of a minute with a margin of 2 s on either side
BEFORE_S = 2.0
BEATS = 256  # at most, within SPAN_S
GRID_HZ = 8.0  # where the integral is worked out; beats lie between
MAYER_HZ = 0.1


class Beats(NamedTuple):
  """The beats of a minute and its margins.

  Attributes:
    time_s: [BEATS] from the minute's start; increasing.
    there: [BEATS] bool; False beyond the margins.
    number: [BEATS] int32, the beat's number since the recording's start.
    draws: [BEATS, 2] standard normals of each beat, for what else varies.
    breath: [BEATS] phase of breathing in rad.
  """

  time_s: jax.Array
  there: jax.Array
  number: jax.Array
  draws: jax.Array
  breath: jax.Array


def phase(person: Person, start_s: jax.Array, lag_s: jax.Array) -> jax.Array:
  """Beats since the recording's start, as a real number.

  Args:
    person: of the recording.
    start_s: [] time since the recording's start.
    lag_s: [N] seconds after that, few enough for float32.
  """

  def wave(size, hz, offset):  # integral of size * cos(2 pi hz t + offset)
    angle = 2 * np.pi * hz
    # The phase at the start is reduced first: float32 holds few digits.
    at = 2 * np.pi * jnp.mod(hz * start_s, 1.0) + offset
    return size / angle * (jnp.sin(angle * lag_s + at) - jnp.sin(offset))

  def bump(size, begin, long, rise):
    def integral(t):
      return rise * (
          jax.nn.softplus((t - begin) / rise)
          - jax.nn.softplus((t - begin - long) / rise)
      )
    return size * integral(start_s + lag_s)

  total = start_s + lag_s
  total = total + jax.vmap(wave)(
      person.wave_size, person.wave_hz, person.wave_phase).sum(0)
  total += wave(person.rsa, person.breath_hz, person.breath_phase)
  total += wave(person.mayer, MAYER_HZ, person.mayer_phase)
  total += jax.vmap(bump)(
      person.episode_size, person.episode_s, person.episode_long_s,
      person.episode_rise_s).sum(0)
  return person.level_hz * total


def beats(key: jax.Array, person: Person, start_s: jax.Array) -> Beats:
  """The beats of a minute.

  Args:
    key: of the person; a beat's own draws hang on it and the beat's number.
    person: of the recording.
    start_s: [] the minute's start since the recording's.
  """
  lag = jnp.arange(int(SPAN_S * GRID_HZ) + 1) / GRID_HZ - BEFORE_S
  at = phase(person, start_s, lag)
  first = jnp.floor(at[0]) + 1
  number = first + jnp.arange(BEATS)
  time = jnp.interp(number, at, lag, left=-1e3, right=1e3)
  there = number < at[-1]
  number = number.astype(jnp.int32)

  def own(n):
    k = jax.random.fold_in(key, n)
    return jax.random.normal(k, (4,))

  draws = jax.vmap(own)(number)
  interval = jnp.diff(time)
  interval = jnp.concatenate([interval[:1], interval])  # up to each beat
  early = jax.scipy.special.ndtr(draws[:, 1]) < person.ectopic
  move = person.jitter * jnp.clip(draws[:, 0], -3, 3) - 0.28 * early
  time = time + move * interval
  time = jnp.where(there, time, 1e3)
  breath = 2 * np.pi * jnp.mod(
      person.breath_hz * start_s, 1.0
  ) + person.breath_phase + 2 * np.pi * person.breath_hz * time
  return Beats(time, there, number, draws[:, 2:], breath)


def truth(found: Beats, seconds: float = 60.0) -> dict[str, jax.Array]:
  """What the beats within a minute say.

  Returns:
    hr_bpm = 60 / mean interval; sdnn_ms = SD of the intervals (ddof 1);
    rmssd_ms = root mean square of their successive differences (Task Force
    1996), over the intervals that lie within the minute.
  """
  interval = jnp.diff(found.time_s)
  inside = (found.time_s[:-1] >= 0) & (found.time_s[1:] <= seconds)
  n = jnp.maximum(inside.sum(), 1)
  mean = jnp.where(inside, interval, 0).sum() / n
  square = jnp.where(inside, (interval - mean) ** 2, 0).sum()
  both = inside[:-1] & inside[1:]
  step = jnp.where(both, jnp.diff(interval) ** 2, 0).sum()
  return {
      "hr_bpm": 60 / mean,
      "sdnn_ms": 1000 * jnp.sqrt(square / jnp.maximum(n - 1, 1)),
      "rmssd_ms": 1000 * jnp.sqrt(step / jnp.maximum(both.sum(), 1)),
  }


def impulses(
    found: Beats, delay_s: jax.Array, height: jax.Array, rate_hz: int,
) -> jax.Array:
  """An impulse at each beat, on a grid over the minute and its margins.

  Args:
    found: beats.
    delay_s: [] of the impulse after its beat.
    height: [BEATS] of the impulses.
    rate_hz: of the grid.

  Returns:
    [SPAN_S * rate_hz]; an impulse between two samples is shared by both.
  """
  count = int(SPAN_S * rate_hz)
  place = (found.time_s + delay_s + BEFORE_S) * rate_hz
  whole = jnp.floor(place)
  part = place - whole
  height = jnp.where(found.there, height, 0.0)
  whole = jnp.where((whole >= 0) & (whole < count), whole, count)
  whole = whole.astype(jnp.int32)
  out = jnp.zeros(count)
  out = out.at[whole].add(height * (1 - part), mode="drop")
  return out.at[whole + 1].add(height * part, mode="drop")
