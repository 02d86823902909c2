"""What an accelerometer makes of a movement: its rate, steps and range.

A movement is given at `FINE_HZ`. The device takes samples at its own rate,
rounds and clips them, and they come to the contract's rate as those of a file
do. Every rate is a whole number of samples a second, so each of the two
changes of rate is one product with a constant matrix, the same for every
second.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from accfm.signals.planted.heart import BEFORE_S, SPAN_S
from accfm.signals.planted.people import RATES_HZ, Person

FINE_HZ = 128
OUT_HZ = 64
SECONDS = 60
MOST_HZ = max(RATES_HZ)
HALO = 24  # samples at FINE_HZ that a device's sample looks at on both sides
OUT_HALO = 12  # samples of the device, likewise
PASS = 0.45  # of the lower of two rates: what a change of rate lets pass
HOLDS = 2  # spans at most in which a device repeats its last sample


def _kernel(lag_s: np.ndarray, cut_hz: float, reach_s: float) -> np.ndarray:
  """A windowed sinc (Kaiser, beta 6) at `lag_s`, each row of sum 1."""
  inside = np.clip(1 - (lag_s / reach_s) ** 2, 0, None)
  w = np.sinc(2 * cut_hz * lag_s) * np.i0(6.0 * np.sqrt(inside)) * (inside > 0)
  return w / w.sum(-1, keepdims=True)


@functools.cache
def taking() -> np.ndarray:
  """[rates, MOST_HZ, FINE_HZ + 2 HALO]: samples of a second of the device."""
  out = np.zeros((len(RATES_HZ), MOST_HZ, FINE_HZ + 2 * HALO), np.float32)
  fine = (np.arange(FINE_HZ + 2 * HALO) - HALO) / FINE_HZ
  for place, rate in enumerate(RATES_HZ):
    at = np.arange(rate) / rate
    out[place, :rate] = _kernel(
        fine - at[:, None], min(PASS * rate, 0.5 * FINE_HZ), HALO / FINE_HZ)
  return out


@functools.cache
def giving() -> tuple[np.ndarray, np.ndarray]:
  """(weights [rates, OUT_HZ, K], places [rates, SECONDS, K]) of the output.

  A second of the output is weights @ samples[places], where samples are the
  seconds of the device one after another, MOST_HZ places each.
  """
  width = MOST_HZ + 2 * OUT_HALO
  weights = np.zeros((len(RATES_HZ), OUT_HZ, width), np.float32)
  places = np.zeros((len(RATES_HZ), SECONDS, width), np.int32)
  at = np.arange(OUT_HZ) / OUT_HZ
  for place, rate in enumerate(RATES_HZ):
    used = rate + 2 * OUT_HALO
    lag = (np.arange(used) - OUT_HALO) / rate - at[:, None]
    weights[place, :, :used] = _kernel(
        lag, PASS * min(rate, OUT_HZ), OUT_HALO / rate)
    # The device's first second begins a second before the minute.
    index = (np.arange(SECONDS)[:, None] + 1) * rate + (
        np.arange(used) - OUT_HALO)
    places[place, :, :used] = index // rate * MOST_HZ + index % rate
  return weights, places


def take(movement: jax.Array, person: Person) -> jax.Array:
  """The device's own samples [SECONDS + 2, MOST_HZ, 3], a second a row.

  Args:
    movement: [SPAN_S * FINE_HZ, 3] in g, with gravity.
    person: whose device it is. Of a second only the first samples count, as
      many as the device takes.
  """
  first = int((BEFORE_S - 1) * FINE_HZ) - HALO
  rows = (SECONDS + 2) * FINE_HZ
  assert first >= 0 and first + rows + 2 * HALO <= SPAN_S * FINE_HZ
  index = first + np.arange(SECONDS + 2)[:, None] * FINE_HZ + np.arange(
      FINE_HZ + 2 * HALO)
  frames = movement[index]  # [seconds, F, 3]
  matrix = jnp.asarray(taking())[person.rate]
  return jnp.einsum("rf,sfc->src", matrix, frames, precision="highest")


def measure(samples: jax.Array, person: Person) -> jax.Array:
  """What it writes of samples [seconds, MOST_HZ, 3]: gain, offset, steps,
  range.
  """
  x = samples * person.gain[None, None] + person.offset_g[None, None]
  x = jnp.round(x / person.step_g) * person.step_g
  return jnp.clip(x, -person.range_g, person.range_g - person.step_g)


def hold(
    samples: jax.Array, start_s: jax.Array, long_s: jax.Array, rate: jax.Array
) -> jax.Array:
  """The last sample again through some spans: a drop-out, an idle mode.

  Args:
    samples: [SECONDS + 2, MOST_HZ, 3] of the device.
    start_s, long_s: [HOLDS] from the minute's start; length 0 for none.
    rate: place in `RATES_HZ`.
  """
  hz = jnp.array(RATES_HZ, jnp.float32)[rate]
  flat = samples.reshape(-1, 3)
  second, inside = np.divmod(np.arange(len(flat)), MOST_HZ)
  time = second - 1 + inside / hz
  stop_s = (start_s + long_s)[None]
  held = ((time[:, None] >= start_s[None]) & (time[:, None] < stop_s)).any(1)
  valid = inside < hz
  place = jnp.where(valid & ~held, np.arange(len(flat)), 0)
  last = jax.lax.cummax(place)
  return flat[last].reshape(samples.shape)


def give(samples: jax.Array, rate: jax.Array) -> jax.Array:
  """The device's samples at the contract's rate: [SECONDS * OUT_HZ, 3]."""
  weights, places = giving()
  frames = samples.reshape(-1, 3)[jnp.asarray(places)[rate]]  # [seconds, K, 3]
  out = jnp.einsum(
      "ok,skc->soc", jnp.asarray(weights)[rate], frames, precision="highest")
  return out.reshape(-1, 3)
