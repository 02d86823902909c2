"""Beats are found where they are, as slow loops and neurokit2 find them."""

import numpy as np
import pytest
import scipy.io

from accfm.base.errors import InputError
from accfm.signals import beats, filters, labels, windows
from accfm.signals.contract import Contract, SignalSpec
from accfm.signals.recording import Beats

RATE = {"ppg": 64.0, "ecg": 125.0}
FIND = {"ppg": beats.ppg_peaks, "ecg": beats.r_peaks}
METHOD = {"ppg": beats.PPG, "ecg": beats.ECG}


def waves(kind, times, seconds, rate=None):
  """A signal [N] with one pulse, or one QRS and T wave, at each time."""
  t = np.arange(round(seconds * (rate or RATE[kind]))) / (rate or RATE[kind])
  parts = {  # (height, lag, width) in s
      "ppg": ((1.0, 0.0, 0.08), (0.35, 0.24, 0.09)),
      "ecg": ((-0.15, -0.03, 0.012), (1.0, 0.0, 0.012), (-0.25, 0.03, 0.012),
              (0.3, 0.25, 0.05)),
  }[kind]
  x = np.zeros(len(t))
  for time in times:
    for height, lag, width in parts:
      x += height * np.exp(-0.5 * ((t - time - lag) / width) ** 2)
  return x


def heart(seconds, bpm, seed=0, spread=0.04):
  """Times of beats of one rate, with some variability."""
  rng = np.random.default_rng(seed)
  count = int(seconds * bpm / 60) + 10
  times = 0.7 + np.cumsum(60 / bpm * rng.normal(1.0, spread, count))
  return times[times < seconds - 0.7]


def matched(found, true, within_s=0.05):
  """Share of the true beats with a found one near, and of the found ones."""
  near = [any(abs(f - t) <= within_s for f in found) for t in true]
  own = [any(abs(f - t) <= within_s for t in true) for f in found]
  return np.mean(near), np.mean(own)


def slow_peaks(x, rate, method):
  """The two moving averages by loops, on a filtered signal."""
  def average(z, seconds):
    n = max(1, round(seconds * rate))
    padded = np.pad(z, n, mode="symmetric")
    first = n - n // 2
    return np.array([
        padded[first + i:first + i + n].mean() for i in range(len(z))
    ])

  z = np.where(x > 0, x, 0.0) ** 2
  above = average(z, method.event_s) > average(z, method.beat_s) + (
      method.offset * average(z, beats.LEVEL_S)
  )
  inside, start = set(), None
  for i, flag in enumerate([*above, False]):
    if flag and start is None:
      start = i
    if not flag and start is not None:
      if i - start >= round(method.event_s * rate):
        inside |= set(range(start, i))
      start = None
  tops = [i for i in range(1, len(x) - 1) if x[i - 1] < x[i] > x[i + 1]]
  kept = []
  for i in sorted(tops, key=lambda i: -x[i]):  # the higher one stays
    if all(abs(i - j) >= round(method.apart_s * rate) for j in kept):
      kept.append(i)
  found = sorted(set(kept) & inside)
  high = [x[i] for i in found]
  return [
      i for n, i in enumerate(found)
      if x[i] >= method.height * np.quantile(high[max(0, n - 10):n + 11], 0.75)
  ]


@pytest.mark.parametrize("kind", ["ppg", "ecg"])
def test_peaks_are_those_of_the_slow_loops(kind):
  rng = np.random.default_rng(3)
  x = waves(kind, heart(50, 75), 50)
  x[1000:1400] += 2 * rng.normal(size=400)  # a burst of movement
  x += 0.1 * rng.normal(size=len(x))
  band = filters.bandpass(
      x[:, None], RATE[kind], METHOD[kind].band_hz, 2
  )[:, 0]
  want = slow_peaks(band, RATE[kind], METHOD[kind])
  got = FIND[kind](x, RATE[kind]) * RATE[kind]
  assert len(want) > 40
  np.testing.assert_allclose(got, want, atol=0.5001)


@pytest.mark.parametrize("kind", ["ppg", "ecg"])
@pytest.mark.parametrize("bpm", [45, 75, 160])
def test_every_beat_is_found_and_no_other(kind, bpm):
  times = heart(60, bpm)
  rng = np.random.default_rng(1)
  x = waves(kind, times, 60)
  for noise, least in ((0.0, 1.0), (0.1, 0.95)):
    y = x + noise * rng.normal(size=len(x))
    found = FIND[kind](y, RATE[kind])
    assert (np.diff(found) > 0).all()
    assert min(matched(found, times)) >= least
    # Offset and unit do not matter.
    np.testing.assert_allclose(
        FIND[kind](500 * y - 3e4, RATE[kind]), found, atol=1e-6
    )


def test_times_are_finer_than_the_sampling():
  times = heart(60, 70)
  for kind, largest in (("ppg", 0.004), ("ecg", 0.003)):
    found = FIND[kind](waves(kind, times, 60), RATE[kind])
    error = found - times
    assert np.abs(error - np.median(error)).max() < largest  # 8 ms: half


def test_an_ecg_may_be_upside_down():
  x = waves("ecg", heart(30, 80), 30)
  np.testing.assert_allclose(
      beats.r_peaks(-x, 125.0), beats.r_peaks(x, 125.0)
  )


def test_a_burst_hides_no_beats_far_from_it():
  times = heart(180, 70)
  x = waves("ppg", times, 180)
  x[64 * 80:64 * 90] += 40 * np.random.default_rng(0).normal(size=640)
  far = times[(times < 65) | (times > 105)]
  assert matched(beats.ppg_peaks(x, 64.0), far)[0] == 1.0


@pytest.mark.parametrize("kind", ["ppg", "ecg"])
def test_none_and_one(kind):
  rate = RATE[kind]
  for x in (np.zeros(0), np.ones(1), np.arange(2.0), np.full(1000, 7.0)):
    assert FIND[kind](x, rate).shape == (0,)
  one = FIND[kind](waves(kind, [4.321], 10), rate)
  assert one == pytest.approx([4.321], abs=0.02)


@pytest.mark.parametrize("kind", ["ppg", "ecg"])
def test_what_is_refused(kind):
  x = np.zeros(100)
  x[7] = np.nan
  for bad, rate, message in (
      (x, 64.0, "not finite, want none; search each run"),
      (np.zeros((100, 2)), 64.0, r"got shape \[100, 2\], want \[N\]"),
      (np.zeros(100), 16.0, "got 16.0 Hz, want more than"),
  ):
    with pytest.raises(InputError, match=message):
      FIND[kind](bad, rate)


def test_running_quantile():
  rng = np.random.default_rng(0)
  for count in (0, 1, 4, 7, 8, 30, 1200):
    rows = rng.normal(size=(count, 5))
    for q in (0.5, 0.75):
      want = [
          np.quantile(rows[max(0, i - 4):i + 5], q, axis=0)
          for i in range(count)
      ]
      np.testing.assert_allclose(
          beats.running_quantile(rows, 4, q), np.reshape(want, (count, 5))
      )


def test_pulses_are_compared_with_their_neighbours():
  times = heart(60, 70)
  x = waves("ppg", times, 60)
  rng = np.random.default_rng(2)
  x[20 * 64:30 * 64] += 1.5 * rng.normal(size=640)
  found, good = beats.pulses(x, 64.0, 0.8)
  calm = (found < 19.5) | (found > 30.5)
  assert good[calm].all() and not good[~calm].all()
  # The same, pulse by pulse.
  band = filters.bandpass(x[:, None], 64.0, (0.5, 8.0), 2)[:, 0]
  places = np.rint(found * 64).astype(int)
  rows = np.stack([band[p - 19:p + 26] for p in places])
  for i, row in enumerate(rows):
    template = np.median(rows[max(0, i - 10):i + 11], axis=0)
    r = np.corrcoef(row, template)[0, 1]
    if abs(r - 0.8) > 0.05:  # templates are of pulses of unit length
      assert good[i] == (r > 0.8)


def test_pulses_need_ten_seconds_and_three():
  for x in (waves("ppg", heart(9, 70), 9), np.zeros(3840), np.ones(1),
            waves("ppg", [3.0, 8.0], 12)):
    found, good = beats.pulses(x, 64.0, 0.8)
    assert found.shape == good.shape == (0,)


# --- beside neurokit2 and a device ------------------------------------------


@pytest.fixture
def neurokit():
  return pytest.importorskip(
      "neurokit2", reason="neurokit2 is not installed: nothing to compare with"
  )


def theirs(neurokit, kind, x, rate):
  """Times of neurokit2's peaks."""
  if kind == "ppg":
    x = neurokit.ppg_clean(x, sampling_rate=rate)
    return neurokit.ppg_findpeaks(x, sampling_rate=rate)["PPG_Peaks"] / rate
  x = neurokit.ecg_clean(x, sampling_rate=rate)
  return neurokit.ecg_findpeaks(x, sampling_rate=rate)["ECG_R_Peaks"] / rate


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["ppg", "ecg"])
@pytest.mark.parametrize("bpm", [55, 75, 110])
def test_neurokit2_finds_the_same_in_its_own_simulation(neurokit, kind, bpm):
  simulate = {
      "ppg": neurokit.ppg_simulate, "ecg": neurokit.ecg_simulate
  }[kind]
  rate = {"ppg": 64, "ecg": 250}[kind]
  x = simulate(
      duration=120, sampling_rate=rate, heart_rate=bpm, random_state=1
  )
  want = theirs(neurokit, kind, x, rate)
  got = FIND[kind](x, float(rate))
  assert len(want) > 1.8 * bpm
  assert min(matched(got, want)) > 0.98


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("cohort, people", [
    ("tfg_e4", ["sujeto2", "sujeto11"]), ("stress_predict", ["S05", "S11"]),
])
def test_neurokit2_finds_the_same_in_recordings(
    neurokit, real_data, cohort, people
):
  """Upside down: the foot of a pulse is one point, its crest may be two."""
  for person in people:
    rows = np.loadtxt(real_data / cohort / person / "BVP.csv")[2:]
    x = -rows[64 * 60:64 * 660]  # ten minutes
    want = theirs(neurokit, "ppg", x, 64)
    assert matched(beats.ppg_peaks(x, 64.0), want)[0] > 0.98


def test_heart_rate_agrees_with_the_device(real_data):
  """Labels of the E4's own intervals, where both are known."""
  apart, known = [], {"ours": 0, "device": 0}
  for person in ("S05", "S11", "S20"):
    folder = real_data / "stress_predict" / person
    bvp = np.loadtxt(folder / "BVP.csv")
    ibi = np.loadtxt(folder / "IBI.csv", delimiter=",", skiprows=1)
    device = Beats(ibi[:, 0], ibi[:, 1])
    x = bvp[2:, None].astype(np.float32)
    contract = Contract({"ppg": SignalSpec(1, "au", "ppg")}, 64.0, 60.0)
    found = labels.ppg_beats(
        windows.Aligned(
            0.0, {"ppg": 64.0}, {"ppg": x}, {}, None, {}, ()), contract
    )
    for start in range(0, len(x) // 64 - 60, 30):
      ours, theirs_ = (
          labels.window_labels(start, 60.0, b, {}, (), {})["hr_bpm"]
          for b in (found, device)
      )
      known["ours"] += ours == ours
      known["device"] += theirs_ == theirs_
      apart.append(abs(ours - theirs_))
  apart = np.array(apart)[np.isfinite(apart)]
  assert known["ours"] > 1.3 * known["device"] and len(apart) > 20
  assert np.median(apart) < 0.3 and apart.max() < 5


def test_r_peaks_agree_with_the_reference(real_data):
  """Heart rates of 8 s windows, from the ECG by the cup's authors."""
  errors = []
  for number in (1, 3, 5, 8, 10):
    stem = f"DATA_{number:02d}_TYPE{min(number, 2):02d}"
    folder = real_data / "ieee_spc_2015" / "Training_data"
    x = scipy.io.loadmat(folder / f"{stem}.mat")["sig"][0]
    bpm = scipy.io.loadmat(folder / f"{stem}_BPMtrace.mat")["BPM0"].ravel()
    times = beats.r_peaks(x, 125.0)
    for i, want in enumerate(bpm):
      inside = times[(times >= 2 * i) & (times <= 2 * i + 8)]
      errors.append(abs(60 / np.diff(inside).mean() - want))
  assert np.median(errors) < 0.3 and np.mean(np.array(errors) < 5) > 0.99
