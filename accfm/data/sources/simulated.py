"""A simulated cohort: physiology first, then two sensors that look at it.

One heart drives everything. Each participant has an age, sex, BMI, fitness,
arterial stiffness and resting rate; a beat train with respiratory and 0.1 Hz
modulation follows; the PPG shows a pulse whose foot comes at ejection plus
pulse transit time; the accelerometer shows gravity, a micro-movement that
starts at ejection, respiratory sway and movement bursts that also disturb
the PPG. Ground-truth beats give the labels.

Every constant carries its unit and reason. The two difficulties differ in
`SENSORS` only; people and beats are the same for a given seed. The constants
are ours; ranges cite common knowledge of the field, not one paper.
"""

import dataclasses
import zlib

import numpy as np

from accfm.base.errors import InputError
from accfm.signals.recording import Beats, Recording, Signal

RATE_HZ = 64.0  # both sensors; the rate of the paper's segments
EPOCH_S = 1_700_000_000.0  # sessions start here: any fixed whole second
CARDIAC_SPAN_S = 0.6  # a micro-movement rings out well within a beat
PULSE_SPAN_S = 1.2  # a pulse wave has decayed to its foot by then


@dataclasses.dataclass(frozen=True)
class Sensors:
  """What separates the difficulties.

  Attributes:
    cardiac_mg: median peak of the cardiac micro-movement. Reports of
      ballistic motion at the wrist of a seated person lie at 1-10 mg.
    cardiac_spread: SD of its logarithm over people (watch fit, build).
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


@dataclasses.dataclass(frozen=True)
class Person:
  """Latent state of one participant; units in the names."""

  age_years: float
  male: bool
  bmi: float
  fitness: float  # z-score: lowers resting rate, raises HRV
  rest_bpm: float
  stiffness_mps: float  # arm pulse wave velocity
  rsa: float  # respiratory modulation of the rate, relative amplitude
  lf: float  # 0.1 Hz (baroreflex) modulation, relative amplitude
  breaths_per_min: float
  smoker: bool
  beta_blocker: bool


def _rng(seed, index, name):
  """A generator that depends on the cohort, the person and the purpose."""
  return np.random.default_rng([seed, index, zlib.crc32(name.encode())])


def draw_person(seed, index):
  """Draws the participant `index` of cohort `seed`."""
  rng = _rng(seed, index, "person")
  age = rng.uniform(20.0, 80.0)
  male = bool(rng.random() < 0.5)
  bmi = 22.0 + rng.gamma(4.0, 1.0) + 0.02 * (age - 50.0)
  fitness = rng.normal() - 0.015 * (age - 50.0) - 0.05 * (bmi - 26.0)
  smoker = bool(rng.random() < 0.2)
  beta_blocker = bool(rng.random() < 0.04 + 0.004 * (age - 20.0))
  # Women's resting rate is 3-4 bpm higher; a beta blocker takes about 10.
  rest = (
      68.0 + 3.5 * (not male) - 4.0 * fitness + 0.4 * (bmi - 26.0)
      + 3.0 * smoker - 10.0 * beta_blocker + rng.normal(0.0, 6.0)
  )
  # Arm pulse wave velocity: about 6 m/s at 20 years, 10 m/s at 80.
  stiffness = (
      6.0 + 0.065 * (age - 20.0) + 0.05 * (bmi - 26.0) + 0.5 * smoker
      + rng.normal(0.0, 0.5)
  )
  # Vagal modulation halves about every 35 years; fitness restores it.
  vagal = np.exp(-0.02 * (age - 20.0) + 0.3 * fitness + rng.normal(0, 0.25))
  return Person(
      age_years=age, male=male, bmi=bmi, fitness=fitness,
      rest_bpm=float(np.clip(rest, 42.0, 105.0)),
      stiffness_mps=float(max(stiffness, 4.5)),
      rsa=float(np.clip(0.055 * vagal, 0.005, 0.15)),
      lf=float(np.clip(0.04 * np.sqrt(vagal), 0.005, 0.10)),
      breaths_per_min=float(np.clip(rng.normal(14.5, 2.5), 8.0, 22.0)),
      smoker=smoker, beta_blocker=beta_blocker,
  )


def _smooth_noise(rng, samples, rate_hz, time_s):
  """A unit-variance AR(1) path [samples] with time constant `time_s`."""
  step = max(1, int(time_s * rate_hz / 20))  # 20 points per time constant
  n = samples // step + 3
  rho = np.exp(-step / (time_s * rate_hz))
  path = np.empty(n)
  path[0] = rng.normal()
  shocks = rng.normal(size=n) * np.sqrt(1 - rho * rho)
  for i in range(1, n):
    path[i] = rho * path[i - 1] + shocks[i]
  return np.interp(np.arange(samples) / step, np.arange(n), path)


def draw_beats(person, seconds, rng):
  """Ejection times [M] (s from the start) and respiratory phase [N] (rad).

  The rate is the resting rate times slow state changes (minutes), times
  respiratory and 0.1 Hz modulation; beats are where its integral passes
  whole numbers, plus 4 ms of sino-atrial jitter.
  """
  n = int(seconds * RATE_HZ)
  t = np.arange(n) / RATE_HZ
  breaths_hz = person.breaths_per_min / 60 * (
      1 + 0.08 * _smooth_noise(rng, n, RATE_HZ, 20.0)
  )
  breath = 2 * np.pi * (np.cumsum(breaths_hz) / RATE_HZ + rng.random())
  mayer = 2 * np.pi * (0.1 * t + rng.random()) + 0.8 * _smooth_noise(
      rng, n, RATE_HZ, 15.0
  )
  # Activity, talk and arousal: up to 15 % over a few minutes.
  state = 1 + 0.07 * _smooth_noise(rng, n, RATE_HZ, 150.0)
  depth = 1 + 0.3 * _smooth_noise(rng, n, RATE_HZ, 40.0)
  rate_hz = person.rest_bpm / 60 * state * (
      1 + depth * (person.rsa * np.sin(breath) + person.lf * np.sin(mayer))
  )
  phase = np.cumsum(np.clip(rate_hz, 0.55, 3.0)) / RATE_HZ + rng.random()
  whole = np.arange(np.ceil(phase[0]), phase[-1])
  beats = np.interp(whole, phase, t)
  return np.sort(beats + rng.normal(0.0, 0.004, len(beats))), breath


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


def pulse_shape(person):
  """PPG pulse as a function of the lag [s] from its foot, height about 1.

  A systolic wave and a reflected one. A stiffer artery brings the
  reflection back earlier and larger, which fills the notch: the classic
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


def micro_movement(ring_hz, damping_s):
  """Ballistic recoil as a damped ring after ejection, peak about 1."""

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
  """Gravity [samples, 3] in g: a posture every few minutes, eased over 1 s."""
  g = np.empty((samples, 3))
  changes = [0.0]
  while changes[-1] < seconds:
    changes.append(changes[-1] + rng.uniform(90.0, 400.0))
  direction = _unit(rng)
  t = np.arange(samples) / RATE_HZ
  g[:] = direction
  for when in changes[1:-1]:
    # People turn the wrist, they do not re-mount the watch.
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
  # Each beat's strength follows filling: a little breath, a little chance.
  index = np.clip((beats * RATE_HZ).astype(int), 0, n - 1)
  strength = 1 + 0.15 * np.sin(breath[index]) + rng.normal(
      0.0, 0.10, len(beats)
  )
  recoil = _render(
      beats, strength, micro_movement(rng.uniform(6.0, 11.0), 0.09),
      CARDIAC_SPAN_S, n,
  )
  # The arterial pulse itself, slower, when it arrives at the wrist.
  arrival = beats + transit_s(person)
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


def transit_s(person):
  """Pulse transit time from ejection to the wrist: about 0.75 m of artery."""
  return 0.75 / person.stiffness_mps


def _ppg(person, sensors, beats, breath, move, envelope, rng):
  """PPG [N, 4] in arbitrary units: two green, one red, one infrared."""
  n = len(move)
  index = np.clip((beats * RATE_HZ).astype(int), 0, n - 1)
  height = 1 + 0.12 * np.sin(breath[index] + 0.7) + rng.normal(
      0.0, 0.04, len(beats)
  )
  pulse = _render(
      beats + transit_s(person), height, pulse_shape(person), PULSE_SPAN_S, n
  )
  artefact = np.zeros(n)
  gain = sensors.burst_ppg / 0.1  # burst_ppg is stated for 100 mg
  for axis in range(3):
    artefact += rng.normal(0.0, 0.6) * move[:, axis]
  artefact = gain * (artefact + 0.5 * envelope * rng.normal(size=n))
  wander = sensors.wander * (
      0.5 * np.sin(breath + rng.uniform(0, 6.28))
      + _smooth_noise(rng, n, RATE_HZ, 8.0)
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


def _attributes(person):
  """Facts of the person, with binary targets that follow from the latents."""
  return {
      "age_years": person.age_years,
      "sex": float(person.male),
      "bmi": person.bmi,
      "target_smoker": float(person.smoker),
      "target_beta_blocker": float(person.beta_blocker),
      "target_stiff_arteries": float(person.stiffness_mps > 9.0),
      "target_low_fitness": float(person.fitness < -0.8),
  }


def list_recordings(source_dir, cfg):
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
  # Another seed makes other people: mixed cohorts must not share names.
  cohort = f"s{cfg.seed}" if cfg.seed else ""
  return [f"{cohort}p{i:05d}" for i in range(cfg.participants)]


def read_recording(source_dir, name, cfg):
  """Simulates participant `name`, e.g. "p00012", as one session.

  Args:
    source_dir: not used.
    name: as listed by `list_recordings`.
    cfg: participants, minutes_per_participant, difficulty, seed.

  Returns:
    A Recording with "acc" [N, 3] in g and "ppg" [N, 4] in au at 64 Hz.
  """
  del source_dir
  index = int(name.rpartition("p")[2])
  person = draw_person(cfg.seed, index)
  sensors = SENSORS[cfg.difficulty]
  seconds = 60.0 * cfg.minutes_per_participant
  beats, breath = draw_beats(person, seconds, _rng(cfg.seed, index, "beats"))
  move, envelope = _bursts(
      _rng(cfg.seed, index, "bursts"), sensors, seconds, len(breath)
  )
  acc = _acceleration(
      person, sensors, beats, breath, move, _rng(cfg.seed, index, "acc")
  )
  ppg = _ppg(
      person, sensors, beats, breath, move, envelope,
      _rng(cfg.seed, index, "ppg"),
  )
  return Recording(
      participant=name,
      session="s1",
      signals={
          "acc": Signal(acc, RATE_HZ, "g", EPOCH_S, limits=(-16.0, 16.0)),
          "ppg": Signal(ppg, RATE_HZ, "au", EPOCH_S),
      },
      beats=Beats(EPOCH_S + beats[1:], np.diff(beats)),
      attributes=_attributes(person),
  )
