"""The envelope control, the motion features, health."""


import numpy as np
import pytest
from scipy import signal as sps

from accfm.base.errors import InputError
from accfm.evals import inputs
from accfm.evals.baselines import envelope, features
from accfm.evals.embedding import health
from accfm.evals.results.figures import Figure, Figures
from accfm.evals.retrieval import ranks
from accfm.evals.retrieval import run as retrieval
from accfm.evals.stats import people as stats
from tests.evals import toy

RATE = 64


def _windows(n=6, seconds=20, seed=0):
  rng = np.random.default_rng(seed)
  t = np.arange(seconds * RATE) / RATE
  loud = np.exp(rng.normal(size=(n, seconds))).repeat(RATE, axis=1)
  x = loud[..., None] * rng.normal(size=(n, len(t), 3))
  return x, t


def test_envelope_equals_a_loop():
  x, _ = _windows()
  got = envelope.vectors(x, RATE)
  sos = sps.butter(2, (0.5, 8), "bandpass", fs=RATE, output="sos")
  for i in range(len(x)):
    axes = [sps.sosfiltfilt(sos, x[i, :, c]) for c in range(3)]
    logs = []
    for s in range(20):
      second = np.array([a[s * RATE:(s + 1) * RATE] for a in axes])
      logs.append(np.log(np.sqrt(np.mean(second ** 2))))
    want = (logs - np.mean(logs)) / np.std(logs)
    np.testing.assert_allclose(got[i], want, atol=1e-5)


def test_envelope_ignores_gain_and_survives_silence():
  x, _ = _windows()
  np.testing.assert_allclose(
      envelope.vectors(x, RATE), envelope.vectors(37 * x, RATE), atol=1e-5)
  x[0] = 1.0
  x[1, :RATE * 10] = 0.0
  got = envelope.vectors(x, RATE)
  assert (got[0] == 0).all() and np.isfinite(got).all()
  with pytest.raises(InputError, match="whole samples"):
    envelope.vectors(x, 62.5)


def _session(folder, name):
  with open(folder / name) as f:
    start, rate = (float(f.readline().split(",")[0]) for _ in range(2))
    return start, rate, np.loadtxt(f, delimiter=",", ndmin=2)


def test_envelope_finds_real_minutes(real_data):
  """Six people of the E4 cohort, read and aligned by hand."""
  files = sorted((real_data / "stress_predict").rglob("BVP.csv"))
  folders = [path.parent for path in files[:6]]
  pairs = {"acc": [], "ppg": []}
  for folder in folders:
    t_acc, _, acc = _session(folder, "ACC.csv")
    t_ppg, _, ppg = _session(folder, "BVP.csv")
    t_ppg -= 1.25
    acc = sps.resample_poly(acc / 64, 2, 1, axis=0)
    start = max(t_acc, t_ppg)
    acc = acc[round((start - t_acc) * 64):]
    ppg = ppg[round((start - t_ppg) * 64):]
    n = min(len(acc), len(ppg)) // 3840
    for name, x in (("acc", acc), ("ppg", ppg)):
      x = x[:n * 3840].reshape(n, 3840, -1)
      pairs[name].append(envelope.vectors(x, 64))
  pairs = {name: np.concatenate(v) for name, v in pairs.items()}
  m = Figures()
  (counts,) = ranks.count(pairs["acc"], pairs["ppg"])
  people = stats.People(np.arange(len(counts.candidates)), 20, 0)
  about = Figure("x", "retrieval", subject="y")
  retrieval.add_ranks(m, about, 256, counts, people)
  # 0.53 over all 35 people; these six alone are within 0.15 of it.
  assert abs(m.flat()["x/y/recall@1_pool256"] - 0.53) < 0.15


def test_features_find_the_rate_and_the_level():
  t = np.arange(60 * RATE) / RATE
  x = np.zeros((2, len(t), 3))
  x[0, :, 0] = 0.5 + 0.1 * np.sin(2 * np.pi * 1.25 * t)
  x[0, :, 1] = 0.02 * np.sin(2 * np.pi * 10 * t) * (
      1 + np.sin(2 * np.pi * 1.5 * t))  # vibration pulsing at 90 a minute
  x[1, :, 2] = 0.2 * np.sin(2 * np.pi * 3.0 * t)
  got = features.extract(x, RATE)
  column = {name: i for i, name in enumerate(features.names(3))}
  assert got.shape == (2, len(column))
  assert np.isfinite(got).all()
  assert got[0, column["axis0_signal_peak_bpm"]] == pytest.approx(75, abs=0.5)
  assert got[0, column["axis1_vibration_peak_bpm"]] == pytest.approx(
      90, abs=1)
  assert got[0, column["axis0_mean"]] == pytest.approx(0.5, abs=1e-3)
  assert got[0, column["axis0_log_sd"]] == pytest.approx(
      np.log(0.1 / np.sqrt(2)), abs=1e-3)
  bands = [column[f"axis2_log_power_{a:g}_{b:g}_hz"]
           for a, b in features.BANDS_HZ]
  assert np.argmax(got[1, bands]) == 3  # 2 to 4 Hz


def test_effective_rank_counts_used_dimensions():
  rng = np.random.default_rng(0)
  basis = np.linalg.qr(rng.normal(size=(400, 8)))[0]
  wide = np.pad(basis, ((0, 0), (0, 12)))
  def rank(x):
    return health.effective_rank(health.spectrum(x))

  assert rank(wide) == pytest.approx(8)
  assert rank(np.ones((50, 4))) == pytest.approx(1)
  assert rank(np.zeros((50, 4))) == 0
  wide[:, 15] = 3.0
  assert health.constant_share(wide) == pytest.approx(12 / 20)
  assert health.constant_share(np.ones((50, 4))) == 1


def test_handmade_streams_every_row():
  splits = {"train": toy.Split(3, 5, seconds=20), "test": toy.Split(
      2, 9, seconds=20, seed=4)}
  pair = ("acc", "ppg")
  small = inputs.make_handmade(splits, "test", pair, "acc", batch_size=4)
  large = inputs.make_handmade(splits, "test", pair, "acc", batch_size=100)
  assert small["train"]["features"].shape[0] == 15
  assert small["train"]["envelope"] == {}
  assert small["test"]["envelope"]["ppg"].shape == (18, 20)
  for name in pair:
    np.testing.assert_allclose(
        small["test"]["envelope"][name], large["test"]["envelope"][name],
        atol=1e-6)
  x = splits["test"].values["acc"] * np.float32(1e-3)
  np.testing.assert_allclose(
      large["test"]["envelope"]["acc"], envelope.vectors(x, 64), atol=1e-4)
