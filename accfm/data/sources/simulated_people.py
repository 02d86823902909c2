"""Simulated people: who they are, and when their hearts beat.

Each has an age, sex, BMI, fitness, arterial stiffness and resting rate. Beats
follow from these, with respiratory and 0.1 Hz modulation. Every constant has
its unit and reason. The constants are ours; their ranges are common knowledge
of the field, not of one paper.
"""

import dataclasses
import zlib

import numpy as np

RATE_HZ = 64.0  # of the rate, the breath and both sensors, as in the paper


@dataclasses.dataclass(frozen=True)
class Person:
  """Latent state of one participant; the names hold the units."""

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


def random(seed: int, index: int, name: str) -> np.random.Generator:
  """A random generator for one cohort, person and purpose."""
  return np.random.default_rng([seed, index, zlib.crc32(name.encode())])


def draw_person(seed: int, index: int) -> Person:
  """Draws the participant `index` of cohort `seed`."""
  rng = random(seed, index, "person")
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


def transit_s(person: Person) -> float:
  """Pulse transit time from ejection to the wrist: about 0.75 m of artery."""
  return 0.75 / person.stiffness_mps


def attributes(person: Person) -> dict[str, float]:
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


def smooth_noise(
    rng: np.random.Generator, samples: int, rate_hz: float, time_s: float
) -> np.ndarray:
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


def draw_beats(
    person: Person, seconds: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
  """Ejection times [M] (s from the start) and respiratory phase [N] (rad).

  The rate is the resting rate, times slow changes of state (minutes), times
  respiratory and 0.1 Hz modulation. A beat is where the integral of the rate
  passes a whole number, plus 4 ms of sino-atrial jitter.
  """
  n = int(seconds * RATE_HZ)
  t = np.arange(n) / RATE_HZ
  breaths_hz = person.breaths_per_min / 60 * (
      1 + 0.08 * smooth_noise(rng, n, RATE_HZ, 20.0)
  )
  breath = 2 * np.pi * (np.cumsum(breaths_hz) / RATE_HZ + rng.random())
  mayer = 2 * np.pi * (0.1 * t + rng.random()) + 0.8 * smooth_noise(
      rng, n, RATE_HZ, 15.0
  )
  # Activity, talk and arousal: up to 15 % over a few minutes.
  state = 1 + 0.07 * smooth_noise(rng, n, RATE_HZ, 150.0)
  depth = 1 + 0.3 * smooth_noise(rng, n, RATE_HZ, 40.0)
  rate_hz = person.rest_bpm / 60 * state * (
      1 + depth * (person.rsa * np.sin(breath) + person.lf * np.sin(mayer))
  )
  phase = np.cumsum(np.clip(rate_hz, 0.55, 3.0)) / RATE_HZ + rng.random()
  whole = np.arange(np.ceil(phase[0]), phase[-1])
  beats = np.interp(whole, phase, t)
  return np.sort(beats + rng.normal(0.0, 0.004, len(beats))), breath
