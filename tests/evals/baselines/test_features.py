"""The harmonic-sum rate of synthetic beats, and its parts."""

import numpy as np
import pytest

from accfm.evals.baselines import features

RATE = 64


def beats(bpm, seconds=60, rate_hz=RATE, noise=0.0, gain=1.0, seed=0):
  """[B, T, 3]: each beat rings at 7 Hz for a tenth of a second."""
  rng = np.random.default_rng(seed)
  t = np.arange(round(seconds * rate_hz)) / rate_hz
  out = []
  for rate in bpm:
    since = (t + rng.uniform()) % (60 / rate)
    ring = np.exp(-since / 0.1) * np.sin(2 * np.pi * 7 * since)
    out.append(ring[:, None] * rng.uniform(0.5, 1.5, 3))
  return gain * np.stack(out) + noise * rng.normal(size=(len(bpm), len(t), 3))


def rate(x, rate_hz=RATE):
  got = features.extract(x, rate_hz)
  where = features.names(3).index("beat_bpm")
  assert got.shape[1] == len(features.names(3)) and np.isfinite(got).all()
  return got[:, where], got[:, where + 1]


BPM = np.array([52.0, 61.3, 70.25, 77.7, 88.0, 101.5, 118.0])


@pytest.mark.parametrize("rate_hz", [64.0, 50.0, 32.0])
def test_finds_the_rate_of_beats_in_noise(rate_hz):
  got, share = rate(beats(BPM, rate_hz=rate_hz, noise=0.2), rate_hz)
  np.testing.assert_allclose(got, BPM, atol=0.5)
  blind, low = rate(
      beats(BPM, rate_hz=rate_hz, noise=0.2, gain=0), rate_hz)
  assert np.median(np.abs(blind - BPM)) > 5
  assert (share > 1.5 * low).all()


def test_finds_it_where_a_shake_drowns_ten_seconds():
  x = beats(BPM, noise=0.2)
  rng = np.random.default_rng(1)
  x[:, 1000:1640] += 20 * rng.normal(size=(len(BPM), 640, 3))
  got, _ = rate(x)
  np.testing.assert_allclose(got, BPM, atol=1.0)


def test_gain_does_not_matter_and_silence_is_survived():
  x = beats(BPM, noise=0.2)
  one, _ = rate(x)
  two, _ = rate(0.03 * x)
  np.testing.assert_array_equal(one, two)
  x[0], x[1, 500:2000] = 1.0, 0.0
  got, share = rate(x)
  assert np.isfinite(got).all() and (share >= 0).all()
  assert got[1] == pytest.approx(BPM[1], abs=1.0)


def test_long_and_short_windows_use_one_grid():
  for seconds in (20, 600):
    got, _ = rate(beats(BPM[:3], seconds=seconds, noise=0.2))
    np.testing.assert_allclose(got, BPM[:3], atol=1.0)
    assert np.allclose(got % features.GRID_BPM, 0)


def test_equals_a_loop_over_rates():
  """The score of each rate by plain Fourier sums."""
  x = np.moveaxis(beats(BPM[:2], seconds=20, noise=0.3), 1, 2)
  got, share = features.beat_rate(x, RATE)
  from scipy import signal as sps
  t = np.arange(x.shape[2]) / RATE
  for i in range(2):
    loud = np.zeros(len(t))
    for axis in x[i]:
      y = sps.sosfiltfilt(
          sps.butter(2, (3, 12), "bandpass", fs=RATE, output="sos"), axis)
      y = sps.sosfiltfilt(
          sps.butter(2, 4, "lowpass", fs=RATE, output="sos"), y ** 2)
      loud += np.log(np.maximum(y, 1e-10 * y.mean()))
    loud = sps.sosfiltfilt(
        sps.butter(2, (0.6, 4), "bandpass", fs=RATE, output="sos"), loud)
    robust = 1.4826 * np.median(np.abs(loud))
    loud = np.minimum(np.maximum(loud, -3 * robust), 3 * robust)
    loud *= np.hanning(len(t))
    size = lambda hz, loud=loud: abs(  # noqa: E731
        np.sum(loud * np.exp(-2j * np.pi * hz * t)))
    tried = np.arange(42, 180.01, 0.25)
    total = [size(r / 60) + 0.7 * size(2 * r / 60) for r in tried]
    assert got[i] == tried[np.argmax(total)]
    assert share[i] == pytest.approx(max(total) / sum(total))
