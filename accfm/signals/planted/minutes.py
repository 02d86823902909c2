"""One planted minute, from seed, person and minute alone."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from accfm.signals.planted import device, heart, people, pulse, wrist

VERSION = 1  # of the generator: other numbers, another version


def make(
    seed: jax.Array, person: jax.Array, minute: jax.Array, minutes: int,
    ppg: bool = True,
) -> dict[str, Any]:
  """A minute of a person.

  Args:
    seed: [] of the cohort.
    person: [] number of the person.
    minute: [] number of the minute, from 0.
    minutes: of each person's recording.
    ppg: whether to make the PPG.

  Returns:
    acc [3840, 3] in g and ppg [3840, 4] in au at 64 Hz; hr_bpm, sdnn_ms,
    rmssd_ms (NaN where there is no beat); none (place in `wrist.NONE` plus 1,
    0 for a beat), rate (place in `people.RATES_HZ`).
  """
  root = jax.random.fold_in(jax.random.key(seed), person)
  who = people.draw(jax.random.fold_in(root, 0), minutes)
  key = jax.random.fold_in(jax.random.fold_in(root, 1), minute)
  keys = jax.random.split(key, 3)
  start = 60.0 * minute.astype(jnp.float32)
  found = heart.beats(jax.random.fold_in(root, 2), who, start)
  now = wrist.draw(keys[0], who)
  moved = wrist.move(keys[1], who, now, found)
  raw = device.measure(device.take(moved.total, who), who)
  raw = device.hold(raw, now.hold_s, now.hold_long_s, who.rate)
  out = {
      "acc": device.give(raw, who.rate),
      "none": now.none, "rate": who.rate,
      **{k: jnp.where(now.none == 0, v, jnp.nan)
         for k, v in heart.truth(found).items()},
  }
  if ppg:
    out["ppg"] = pulse.see(keys[2], who, now, found, moved)
  return out


@functools.partial(jax.jit, static_argnames=("minutes", "ppg"))
def batch(
    seed: jax.Array, person: jax.Array, minute: jax.Array, minutes: int,
    ppg: bool = True,
) -> dict[str, Any]:
  """`make` for persons and minutes [B]."""
  return jax.vmap(
      lambda p, m: make(seed, p, m, minutes, ppg))(person, minute)
