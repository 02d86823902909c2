"""The traced heart rate against every curve, planted beats and a loop."""

import itertools

import numpy as np
import pytest
from scipy import signal as sps

from accfm.base.errors import InputError
from accfm.evals.baselines import traced

RATE = 64


def _beats(bpm, seconds=60, seed=0, noise=0.0005, peak=0.004):
  """Acceleration [T, 3] of beats at rates bpm(t); each shakes the wrist."""
  rng = np.random.default_rng(seed)
  t = np.arange(seconds * RATE) / RATE
  phase = np.cumsum(bpm(t) / 60 / RATE)
  since = (phase - np.floor(phase)) * 60 / bpm(t)
  shake = peak * np.exp(-since / 0.08) * np.sin(2 * np.pi * 9 * since)
  turn = np.array([0.6, -0.64, 0.48])
  return (shake[:, None] * turn + [0, 0, 1]
          + noise * rng.normal(size=(len(t), 3)))


def _every_curve(power, apart):
  best, found = -np.inf, None
  f, r = power.shape
  for path in itertools.product(range(r), repeat=f):
    total = sum(power[i, p] for i, p in enumerate(path)) - sum(
        traced.COST * ((path[i + 1] - path[i]) / (
            traced.MOVE_BPM * np.sqrt(apart[i]))) ** 2
        for i in range(f - 1))
    if total > best + 1e-12:
      best, found = total, path
  return found


def test_the_best_of_all_curves():
  rng = np.random.default_rng(0)
  apart = np.array([2.0, 10.0, 2.0])
  power = rng.uniform(size=(20, 4, 6)).astype(np.float32)
  got = traced.trace(power, apart)
  for i in range(20):
    np.testing.assert_array_equal(got[i], _every_curve(power[i], apart))
  assert len(np.unique(got, axis=0)) > 10


def test_spectra_equal_a_loop():
  x = np.stack([_beats(lambda t: 66 + 0 * t, 14, seed=s) for s in range(2)])
  got = traced.spectra(x, RATE)
  assert got.shape == (2, 3, 141) and got.dtype == np.float32
  band = lambda lo, hi: sps.butter(  # noqa: E731
      2, (lo, hi), "bandpass", fs=RATE, output="sos")
  for i in range(2):
    axes = [sps.sosfiltfilt(band(5, 14), x[i, :, c] - x[i, :, c].mean())
            for c in range(3)]
    loud = sps.sosfiltfilt(band(0.5, 3.5), np.sqrt(sum(
        a ** 2 for a in axes)))[::4]
    for f in range(3):
      frame = loud[32 * f:32 * f + 160]
      frame = (frame - frame.mean()) * np.hanning(160)
      power = np.array([
          abs(sum(v * np.exp(-2j * np.pi * k / 16 * bpm / 60)
                  for k, v in enumerate(frame))) ** 2
          for bpm in range(40, 181)])
      np.testing.assert_allclose(got[i, f], power / power.max(), atol=1e-4)


@pytest.mark.parametrize("bpm", [45, 62.5, 97, 150])
def test_reads_planted_rates_however_the_watch_is_turned(bpm):
  x = _beats(lambda t: bpm + 0 * t)
  turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
  got = traced.read_windows(np.stack([x, x @ turn, 9.81 * x]), RATE)
  assert np.abs(got - bpm).max() < 1.0
  assert np.ptp(got) < 0.01


def test_a_burst_of_movement_does_not_carry_the_curve_away():
  x = _beats(lambda t: 70 + 8 * t / 60)  # the rate rises by 8
  rng = np.random.default_rng(2)
  t = np.arange(12 * RATE) / RATE  # a fifth of the minute, 110 a minute
  burst = (np.sin(2 * np.pi * 110 / 60 * t) > 0.6)[:, None] * 0.1
  x[20 * RATE:32 * RATE] += burst * rng.normal(size=(len(t), 3))
  power = traced.spectra(x[None], RATE)
  highest = traced.RATES_BPM[power.argmax(axis=2)[0]]
  assert (highest > 100).any()  # by itself a frame follows the movement
  got = traced.RATES_BPM[traced.trace(power, np.full(25, 2.0))[0]]
  want = 70 + 8 * (2 * np.arange(26) + 5) / 60
  assert np.abs(got - want).max() < 4


def test_a_recording_bridges_a_window_without_beats():
  rates = (58, 60, 61, 62)
  x = np.stack([
      _beats(lambda t, r=r: r + 0 * t, seed=r) for r in rates
  ])
  rng = np.random.default_rng(3)
  x[2] = 0.0005 * rng.normal(size=x[2].shape)
  power = traced.spectra(x, RATE)
  start = np.array([0.0, 60.0, 120.0, 180.0])
  order = np.array([3, 1, 0, 2])  # in any order
  got = traced.read_recording(power[order], start[order])[np.argsort(order)]
  assert np.abs(got - rates).max() < 3
  alone = traced.read_windows(x, RATE)
  assert abs(alone[2] - rates[2]) > 5
  far = np.array([0.0, 60.0, 120.0, 1e5])  # another curve begins
  assert traced.read_recording(power, far)[3] == pytest.approx(
      alone[3], abs=1e-3)


def test_silence_and_shapes():
  x = np.ones((2, 60 * RATE, 3))
  assert (traced.spectra(x, RATE) == 0).all()
  assert np.isfinite(traced.read_windows(x, RATE)).all()
  with pytest.raises(InputError, match="windows"):
    traced.read_windows(x[0], RATE)
