"""The simulated cohort: one heart behind two sensors, the same every time."""

import dataclasses

import ml_collections
import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.data.sources import simulated
from accfm.data.sources import simulated_people as heart
from accfm.signals import labels, quality

RATE = simulated.RATE_HZ
PERSON = heart.draw_person(0, 0)
QUIET = dataclasses.replace(
    simulated.SENSORS["easy"], cardiac_spread=0.0, sway_mg=0.0,
    acc_noise_mg=0.0, acc_step_mg=1e-6, ppg_noise=0.0, wander=0.0,
)


def config(**fields):
  return ml_collections.ConfigDict(dict(
      participants=6, minutes_per_participant=2, difficulty="easy", seed=0,
  ) | fields)


def read(name="p00003", **fields):
  return simulated.read_recording("", name, config(**fields))


def rng(seed=0):
  return np.random.default_rng(seed)


def same(a, b):
  assert a.signals.keys() == b.signals.keys() and a.attributes == b.attributes
  for name in a.signals:
    assert a.signals[name].values.tobytes() == b.signals[name].values.tobytes()
  np.testing.assert_array_equal(a.beats.end_s, b.beats.end_s)


def test_a_person_depends_on_seed_and_number_alone():
  """Neither on the order of reading nor on the size of the cohort."""
  backwards = {n: read(n) for n in ("p00004", "p00003", "p00001")}
  same(read("p00003"), backwards["p00003"])
  same(read("p00001", participants=500), backwards["p00001"])
  for other in (read("p00004"), read("p00003", seed=1)):
    assert other.attributes != backwards["p00003"].attributes
    assert len(other.beats.end_s) != len(backwards["p00003"].beats.end_s) or (
        other.beats.end_s != backwards["p00003"].beats.end_s
    ).any()


def test_difficulties_share_people_and_beats():
  easy, realistic = read(difficulty="easy"), read(difficulty="realistic")
  assert easy.attributes == realistic.attributes
  np.testing.assert_array_equal(easy.beats.end_s, realistic.beats.end_s)
  for name in ("acc", "ppg"):
    assert (easy.signals[name].values != realistic.signals[name].values).any()


def test_form_and_units():
  out = read()
  acc, ppg = out.signals["acc"], out.signals["ppg"]
  assert acc.values.shape == (64 * 126, 3) and acc.unit == "g"
  assert ppg.values.shape == (64 * 126, 4) and ppg.unit == "au"
  assert acc.rate_hz == ppg.rate_hz == 64.0
  assert acc.start_s == ppg.start_s == simulated.EPOCH_S
  assert acc.limits == (-16.0, 16.0) and np.isfinite(acc.values).all()
  assert np.median(np.linalg.norm(acc.values, axis=1)) == pytest.approx(
      1.0, abs=0.02
  )
  # Resolution: whole steps of the device.
  steps = acc.values / np.float32(0.49e-3)
  np.testing.assert_allclose(steps, np.round(steps), atol=2e-3)
  still = [
      quality.motion_g(acc.values[i:i + 960], 64.0) for i in range(0, 7680, 960)
  ]
  assert 5e-4 < min(still) < 8e-3  # a milli-g: heart and noise


def test_people_are_plausible():
  people = [heart.draw_person(7, i) for i in range(400)]

  def column(name):
    return np.array([getattr(p, name) for p in people], float)

  age, rest, stiff = map(column, ("age_years", "rest_bpm", "stiffness_mps"))
  assert 20 <= age.min() and age.max() <= 80 and np.ptp(age) > 50
  assert 60 < rest.mean() < 75 and 42 <= rest.min() and rest.max() <= 105
  assert 5 < stiff.mean() < 11
  assert np.corrcoef(age, stiff)[0, 1] > 0.7
  assert np.corrcoef(age, column("rsa"))[0, 1] < -0.3
  assert np.corrcoef(column("fitness"), rest)[0, 1] < -0.2
  for name in ("smoker", "beta_blocker", "male"):
    assert 0.05 < column(name).mean() < 0.7


def test_targets_follow_from_the_latent_state():
  people = [heart.draw_person(0, i) for i in range(60)]
  for person in people:
    got = heart.attributes(person)
    assert got["target_stiff_arteries"] == (person.stiffness_mps > 9.0)
    assert got["sex"] == person.male and got["age_years"] == person.age_years
  for name in got:
    assert len({heart.attributes(p)[name] for p in people}) > 1, name


def test_the_recordings_beats_are_the_hearts():
  out = read()
  person = heart.draw_person(0, 3)
  beats, _ = heart.draw_beats(
      person, 120.0 + simulated.EXTRA_S, heart.random(0, 3, "beats")
  )
  np.testing.assert_allclose(out.beats.end_s - simulated.EPOCH_S, beats[1:],
                             atol=1e-6)
  np.testing.assert_allclose(out.beats.interval_s, np.diff(beats))
  assert out.beats.signal == ""  # a clock of their own


def test_labels_match_the_beat_train():
  out = read(minutes_per_participant=5)
  for minute in range(5):
    start = simulated.EPOCH_S + 60.0 * minute
    got = labels.window_labels(start, 60.0, out.beats, {}, (), None)
    inside = [
        x for end, x in zip(out.beats.end_s, out.beats.interval_s, strict=True)
        if start <= end - x and end < start + 60.0
    ]
    assert got["hr_bpm"] == pytest.approx(60 / np.mean(inside), rel=0.01)
    assert got["sdnn_ms"] == pytest.approx(1000 * np.std(inside), rel=0.1)


def test_heart_rate_and_its_variability_follow_the_person():
  slow = dataclasses.replace(PERSON, rest_bpm=50.0)
  fast = dataclasses.replace(PERSON, rest_bpm=90.0)
  for person in (slow, fast):
    beats, breath = heart.draw_beats(person, 600.0, rng())
    rate = 60 * (len(beats) - 1) / (beats[-1] - beats[0])
    assert rate == pytest.approx(person.rest_bpm, rel=0.1)
    assert len(breath) == 600 * 64
    breaths = (breath[-1] - breath[0]) / (2 * np.pi) / 10
    assert breaths == pytest.approx(person.breaths_per_min, rel=0.1)
  spread = [
      np.diff(heart.draw_beats(
          dataclasses.replace(PERSON, rsa=size, lf=size), 600.0, rng()
      )[0]).std()
      for size in (0.005, 0.1)
  ]
  assert spread[1] > 1.2 * spread[0]


def lone_beats():
  """Beats 3 s apart: each response has ended before the next begins."""
  return np.arange(1.0, 30.0, 3.0) + 0.37 / RATE, np.zeros(int(30 * RATE))


def test_a_pulse_arrives_at_ejection_plus_transit():
  beats, breath = lone_beats()
  flat = np.zeros((len(breath), 3))
  ppg = simulated._ppg(
      PERSON, QUIET, beats, breath, flat, flat[:, 0], rng()
  )[:, 0]
  ppg = ppg - np.median(ppg)
  t = np.arange(len(ppg)) / RATE
  transit = heart.transit_s(PERSON)
  assert 0.05 < transit < 0.2
  for beat in beats:
    foot = beat + transit
    before = (t > beat - 1.0) & (t < foot)
    after = (t >= foot) & (t < foot + 0.5)
    assert np.abs(ppg[before]).max() < 0.02 * ppg[after].max()
    peak = t[after][ppg[after].argmax()]
    assert peak - foot == pytest.approx(0.14, abs=0.03)
  stiffer = dataclasses.replace(PERSON, stiffness_mps=12.0)
  assert heart.transit_s(stiffer) < transit


def test_the_micro_movement_starts_at_ejection():
  beats, breath = lone_beats()
  # One posture for all of 30 s; no other movement.
  acc = simulated._acceleration(
      PERSON, QUIET, beats, breath, np.zeros((len(breath), 3)), rng()
  )
  t = np.arange(len(acc)) / RATE
  rest = np.median(acc, axis=0)
  moved = np.linalg.norm(acc - rest, axis=1)
  assert np.linalg.norm(rest) == pytest.approx(1.0, abs=1e-3)
  for beat in beats:
    assert moved[(t > beat - 1.0) & (t < beat)].max() < 2e-4
    ring = moved[(t >= beat) & (t < beat + 0.3)]
    assert 3e-3 < ring.max() < 20e-3  # about cardiac_mg
    first = t[(t >= beat) & (moved > 1e-3)][0]
    assert first - beat < 0.08


def test_stiffer_arteries_reflect_earlier_and_more():
  lag = np.arange(0, 1.2, 1e-3)
  soft, stiff = (
      simulated.pulse_shape(
          dataclasses.replace(PERSON, stiffness_mps=speed)
      )(lag) for speed in (5.5, 11.0)
  )
  assert stiff[lag < 0.5].sum() > soft[lag < 0.5].sum()
  assert (simulated.pulse_shape(PERSON)(-lag[1:]) == 0).all()


def test_ppg_is_disturbed_in_bursts_and_only_there():
  beats, breath = lone_beats()
  n = len(breath)
  sensors = dataclasses.replace(QUIET, bursts_per_min=6.0)
  move, envelope = simulated._bursts(rng(2), sensors, 30.0, n)
  busy = envelope > 0
  assert 0.02 < busy.mean() < 0.6
  assert np.abs(move[~busy]).max() == 0 and np.abs(move[busy]).max() > 0.01
  args = (PERSON, sensors, beats, breath)
  still = simulated._ppg(*args, 0 * move, 0 * envelope, rng(3))
  moved = simulated._ppg(*args, move, envelope, rng(3))
  change = np.abs(moved - still)
  assert change[~busy].max() == 0
  assert (change[busy].max(0) > 0.05 * np.ptp(still, axis=0)).all()


def test_bursts_come_as_often_as_stated():
  sensors = dataclasses.replace(QUIET, bursts_per_min=2.0)
  n = int(1800 * RATE)
  _, envelope = simulated._bursts(rng(), sensors, 1800.0, n)
  assert 0.03 < np.mean(envelope > 0) < 0.12  # 2 a minute of 0.6 to 4 s


def test_realistic_is_harder():
  easy, hard = (simulated.SENSORS[n] for n in ("easy", "realistic"))
  assert hard.cardiac_mg < easy.cardiac_mg
  for worse in ("acc_noise_mg", "acc_step_mg", "ppg_noise", "wander",
                "bursts_per_min", "burst_ppg", "cardiac_spread"):
    assert getattr(hard, worse) > getattr(easy, worse)


def test_names():
  names = simulated.list_recordings("", config(participants=12))
  assert names == sorted(names) and len(set(names)) == 12


@pytest.mark.parametrize("fields, message", [
    (dict(difficulty="hard"), "difficulty: got 'hard', want one of"),
    (dict(participants=0), "got 0 participants of 2 minutes, want at least"),
    (dict(minutes_per_participant=0), "got 6 participants of 0 minutes"),
])
def test_errors(fields, message):
  with pytest.raises(InputError, match=message):
    simulated.list_recordings("", config(**fields))
