"""A simulated cohort: physiology first, then two sensors that record it.

One heart drives everything (`simulated_people`). The PPG shows a pulse whose
foot comes at ejection plus the pulse transit time. The accelerometer shows
gravity, a micro-movement that starts at ejection, respiratory sway, and bursts
of movement that also disturb the PPG. The true beats give the labels.

Every constant has its unit and reason. The two difficulties differ in
`SENSORS` only; people and beats are the same for a given seed. The constants
are ours; their ranges are common knowledge of the field, not of one paper.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from accfm.base.errors import InputError
from accfm.data.sources import simulated_people as people
from accfm.data.sources.simulated_people import RATE_HZ
from accfm.signals.recording import Beats, Recording, Signal

EPOCH_S = 1_700_000_000.0  # sessions start here: any fixed whole second
# A recording is longer than its minutes by what filters need at both ends.
EXTRA_S = 6.0
CARDIAC_SPAN_S = 0.6  # a micro-movement rings out well within a beat
PULSE_SPAN_S = 1.2  # a pulse wave has decayed to its foot by then


@dataclasses.dataclass(frozen=True)
class Sensors:
  """What the difficulties differ in.

  Attributes:
    cardiac_mg: median peak of the cardiac micro-movement. Reported ballistic
      motion at the wrist of a seated person is 1-10 mg.
    cardiac_spread: SD of its logarithm over people (fit of the watch, build).
    sway_mg: SD over people of respiratory tilt, as acceleration.
    acc_noise_mg: white noise per sample. Consumer MEMS: 100-200 ug/sqrt(Hz)
      over 32 Hz is 0.6-1.1 mg.
    acc_step_mg: resolution. 0.49 mg is 16 g over 16 bits, 0.98 mg is 8 g
      over 14 bits.
    bursts_per_min: mean number of movement bursts.
    burst_mg: median RMS of a burst: a wrist adjusting itself.
    burst_ppg: SD of the artefact a 100 mg burst makes in PPG, in units of
      the pulse height.
    ppg_noise: white noise of the best PPG channel, in pulse heights.
    wander: baseline wander, in pulse heights.
  """

  cardiac_mg: float
  cardiac_spread: float
  sway_mg: float
  acc_noise_mg: float
  acc_step_mg: float
  bursts_per_min: float
  burst_mg: float
  burst_ppg: float
  ppg_noise: float
  wander: float


SENSORS = {
    # A calm wrist, a good fit and a low-noise part: the upper end of what
    # is reported, so that a laptop learns it in minutes.
    "easy": Sensors(
        cardiac_mg=8.0, cardiac_spread=0.25, sway_mg=4.0, acc_noise_mg=0.6,
        acc_step_mg=0.49, bursts_per_min=0.7, burst_mg=40.0, burst_ppg=1.0,
        ppg_noise=0.03, wander=0.3,
    ),
    # An ordinary watch in an ordinary minute.
    "realistic": Sensors(
        cardiac_mg=2.5, cardiac_spread=0.5, sway_mg=2.5, acc_noise_mg=1.0,
        acc_step_mg=0.98, bursts_per_min=1.5, burst_mg=60.0, burst_ppg=2.0,
        ppg_noise=0.08, wander=0.8,
    ),
}


def _render(times, heights, shape, span_s, samples):
  """Sums `shape(lag_s [M, K]) -> [M, K]` placed at `times` [M]; [samples]."""
  k = int(span_s * RATE_HZ) + 1
  first = np.ceil(times * RATE_HZ).astype(int)
  index = first[:, None] + np.arange(k)
  values = heights[:, None] * shape(index / RATE_HZ - times[:, None])
  inside = (index >= 0) & (index < samples)
  return np.bincount(
      index[inside], weights=values[inside], minlength=samples
  )[:samples]


def pulse_shape(person: people.Person) -> Callable[[np.ndarray], np.ndarray]:
  """PPG pulse as a function of the lag [s] from its foot, height about 1.

  It is a systolic wave and a reflected one. In a stiffer artery the
  reflection comes back earlier and larger and fills the notch: the classic
  change of the finger pulse with age.
  """
  delay = 1.75 / person.stiffness_mps  # there and back over about 0.9 m
  height = 0.25 + 0.05 * (person.stiffness_mps - 6.0)

  def shape(lag):
    wave = np.exp(-0.5 * ((lag - 0.14) / 0.055) ** 2)
    back = np.exp(-0.5 * ((lag - 0.14 - delay) / 0.09) ** 2)
    tail = 0.25 * np.exp(-0.5 * ((lag - 0.45) / 0.18) ** 2)
    return (wave + height * back + tail) * (lag >= 0)

  return shape


def micro_movement(
    ring_hz: float, damping_s: float
) -> Callable[[np.ndarray], np.ndarray]:
  """Ballistic recoil: a damped oscillation after ejection, peak about 1."""

  def shape(lag):
    lag = np.maximum(lag, 0.0)
    rise = 1 - np.exp(-lag / 0.02)
    return 1.4 * rise * np.exp(-lag / damping_s) * np.sin(
        2 * np.pi * ring_hz * lag
    )

  return shape


def _unit(rng, size=3):
  v = rng.normal(size=size)
  return v / np.linalg.norm(v)


def _postures(rng, seconds, samples):
  """Gravity [samples, 3] in g: a new posture every few minutes, within 1 s."""
  g = np.empty((samples, 3))
  changes = [0.0]
  while changes[-1] < seconds:
    changes.append(changes[-1] + rng.uniform(90.0, 400.0))
  direction = _unit(rng)
  t = np.arange(samples) / RATE_HZ
  g[:] = direction
  for when in changes[1:-1]:
    # People turn the wrist; they do not put the watch on anew.
    new = direction + 0.6 * rng.normal(size=3)
    new /= np.linalg.norm(new)
    ease = 1 / (1 + np.exp(-np.clip((t - when) * 8.0, -50.0, 50.0)))
    g += ease[:, None] * (new - direction)
    direction = new
  return g / np.linalg.norm(g, axis=1, keepdims=True)


def _bursts(rng, sensors, seconds, samples):
  """Movement [samples, 3] in g and its envelope [samples] in g."""
  move, envelope = np.zeros((samples, 3)), np.zeros(samples)
  count = rng.poisson(sensors.bursts_per_min * seconds / 60)
  for start in rng.uniform(0.0, seconds, count):
    length = int(rng.uniform(0.6, 4.0) * RATE_HZ)
    i = int(start * RATE_HZ)
    j = min(i + length, samples)
    if j - i < 8:
      continue
    rms_g = sensors.burst_mg / 1000 * np.exp(rng.normal(0.0, 0.7))
    white = rng.normal(size=(j - i, 3))
    # Wrist movement is slow: a 2-pole low-pass near 4 Hz, unit variance.
    for _ in range(2):
      for k in range(1, len(white)):
        white[k] = 0.67 * white[k - 1] + 0.33 * white[k]
    white /= white.std() + 1e-12
    bell = np.sin(np.pi * np.arange(j - i) / (j - i)) ** 0.5
    move[i:j] += rms_g * bell[:, None] * white * (0.4 + rng.random(3))
    envelope[i:j] += rms_g * bell
  return move, envelope


def _acceleration(person, sensors, beats, breath, move, rng):
  """Acceleration [N, 3] in g as the device reports it."""
  n = len(move)
  seconds = n / RATE_HZ
  g = _postures(rng, seconds, n)
  peak_g = sensors.cardiac_mg / 1000 * np.exp(
      rng.normal(0.0, sensors.cardiac_spread)
  )
  # A beat's strength follows filling: some of it breath, some of it chance.
  index = np.clip((beats * RATE_HZ).astype(int), 0, n - 1)
  strength = 1 + 0.15 * np.sin(breath[index]) + rng.normal(
      0.0, 0.10, len(beats)
  )
  recoil = _render(
      beats, strength, micro_movement(rng.uniform(6.0, 11.0), 0.09),
      CARDIAC_SPAN_S, n,
  )
  # The arterial pulse itself, slower, when it arrives at the wrist.
  arrival = beats + people.transit_s(person)
  thrust = _render(
      arrival, strength, micro_movement(rng.uniform(3.0, 5.0), 0.12),
      CARDIAC_SPAN_S, n,
  )
  cardiac = peak_g * (
      recoil[:, None] * _unit(rng) + 0.6 * thrust[:, None] * _unit(rng)
  )
  sway = sensors.sway_mg / 1000 * abs(rng.normal(1.0, 0.4)) * np.sin(breath)
  clean = g + cardiac + sway[:, None] * _unit(rng) + move
  noisy = clean + rng.normal(0.0, sensors.acc_noise_mg / 1000, (n, 3))
  step = sensors.acc_step_mg / 1000
  return (np.round(noisy / step) * step).astype(np.float32)


def _ppg(person, sensors, beats, breath, move, envelope, rng):
  """PPG [N, 4] in arbitrary units: two green, one red, one infrared."""
  n = len(move)
  index = np.clip((beats * RATE_HZ).astype(int), 0, n - 1)
  height = 1 + 0.12 * np.sin(breath[index] + 0.7) + rng.normal(
      0.0, 0.04, len(beats)
  )
  pulse = _render(
      beats + people.transit_s(person), height, pulse_shape(person),
      PULSE_SPAN_S, n,
  )
  artefact = np.zeros(n)
  gain = sensors.burst_ppg / 0.1  # burst_ppg is stated for 100 mg
  for axis in range(3):
    artefact += rng.normal(0.0, 0.6) * move[:, axis]
  artefact = gain * (artefact + 0.5 * envelope * rng.normal(size=n))
  wander = sensors.wander * (
      0.5 * np.sin(breath + rng.uniform(0, 6.28))
      + people.smooth_noise(rng, n, RATE_HZ, 8.0)
  )
  out = np.empty((n, 4), np.float32)
  # Green sees the pulse best at the wrist; red and infrared are weaker, so
  # the same noise is larger for them.
  for channel, relative in enumerate((1.0, 0.9, 0.35, 0.5)):
    noise = sensors.ppg_noise / relative * rng.normal(size=n)
    gain_au = 100.0 * relative * np.exp(rng.normal(0.0, 0.3))
    share = np.exp(rng.normal(0.0, 0.2))
    out[:, channel] = gain_au * (pulse + share * (wander + artefact) + noise)
  return out


def prepare_config(c: Any, arg: Any) -> None:
  """Generated people with four PPG channels and exact beats."""
  c.name = arg.name or f"simulated_{arg.difficulty}"
  c.source_cfg = ConfigDict(dict(
      # Number of people.
      participants=arg.participants or (12 if arg.tiny else 240),
      # Minutes of each person's recording.
      minutes_per_participant=arg.minutes or (4 if arg.tiny else 20),
      difficulty=arg.difficulty,  # "easy", or "realistic": noise hides beats
      seed=arg.seed,  # of the people and everything about them
  ))
  c.signals.ppg.channels = 4


def list_recordings(source_dir: Any, cfg: Any) -> list[str]:
  """Names of the simulated participants; `source_dir` is not used."""
  del source_dir
  if cfg.difficulty not in SENSORS:
    raise InputError(
        f"source_cfg.difficulty: got {cfg.difficulty!r}, want one of "
        f"{sorted(SENSORS)}"
    )
  if cfg.participants < 1 or cfg.minutes_per_participant < 1:
    raise InputError(
        f"source_cfg: got {cfg.participants} participants of "
        f"{cfg.minutes_per_participant} minutes, want at least 1 of each"
    )
  # Another seed makes other people, whose names must differ in a mixture.
  cohort = f"s{cfg.seed}" if cfg.seed else ""
  return [f"{cohort}p{i:05d}" for i in range(cfg.participants)]


def read_recording(source_dir: Any, name: str, cfg: Any) -> Recording:
  """Simulates participant `name`, such as "p00012", as one session.

  Args:
    source_dir: not used.
    name: one of `list_recordings`.
    cfg: participants, minutes_per_participant (whole segments of a minute
      that preparation leaves), difficulty, seed.

  Returns:
    A recording with "acc" [N, 3] in g and "ppg" [N, 4] in au, at 64 Hz.
  """
  del source_dir
  index = int(name.rpartition("p")[2])
  person = people.draw_person(cfg.seed, index)
  sensors = SENSORS[cfg.difficulty]
  seconds = 60.0 * cfg.minutes_per_participant + EXTRA_S
  random = functools.partial(people.random, cfg.seed, index)
  beats, breath = people.draw_beats(person, seconds, random("beats"))
  move, envelope = _bursts(random("bursts"), sensors, seconds, len(breath))
  acc = _acceleration(person, sensors, beats, breath, move, random("acc"))
  ppg = _ppg(person, sensors, beats, breath, move, envelope, random("ppg"))
  return Recording(
      participant=name,
      session="s1",
      signals={
          "acc": Signal(acc, RATE_HZ, "g", EPOCH_S, limits=(-16.0, 16.0)),
          "ppg": Signal(ppg, RATE_HZ, "au", EPOCH_S),
      },
      beats=Beats(EPOCH_S + beats[1:], np.diff(beats)),
      attributes=people.attributes(person),
  )
