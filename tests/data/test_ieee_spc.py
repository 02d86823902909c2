import numpy as np
import pytest
import scipy.io

from accfm.base.errors import InputError
from accfm.data.sources import ieee_spc
from accfm.signals import labels, windows
from accfm.signals.contract import Contract, SignalSpec


def write(path, **arrays):
  path.parent.mkdir(parents=True, exist_ok=True)
  scipy.io.savemat(path, arrays)


def cohort(root, seconds=20):
  """One file of each kind, each row a constant of its own plus noise."""
  rng = np.random.default_rng(0)
  sig = {}
  for stem, rows, folder in (
      ("DATA_01_TYPE01", 6, "Training_data"),
      ("DATA_S04_T01", 6, "Extra_TrainingData"),
      ("TEST_S04_T02", 5, "TestData"),
  ):
    sig[stem] = 10 * np.arange(rows)[:, None] + rng.normal(
        size=(rows, 125 * seconds)
    )
    write(root / folder / f"{stem}.mat", sig=sig[stem])
  bpm = np.array([[80.0], [81.0], [82.0]])
  write(root / "Training_data" / "DATA_01_TYPE01_BPMtrace.mat", BPM0=bpm)
  write(root / "Extra_TrainingData" / "BPM_S04_T01.mat", BPM0=bpm + 1)
  write(root / "TrueBPM" / "True_S04_T02.mat", BPM0=bpm + 2)
  return sig


def test_layouts_people_and_reference(tmp_path):
  sig = cohort(tmp_path)
  names = ieee_spc.list_recordings(tmp_path)
  assert names == ["DATA_01_TYPE01", "DATA_S04_T01", "TEST_S04_T02"]
  people = {}
  for i, name in enumerate(names):
    r = ieee_spc.read_recording(tmp_path, name)
    people[name] = r.participant
    assert r.session == name and set(r.signals) == {"acc", "ppg"}
    rows = sig[name].astype(np.float32)
    np.testing.assert_array_equal(r.signals["acc"].values.T, rows[-3:])
    np.testing.assert_array_equal(r.signals["ppg"].values.T, rows[-5:-3])
    assert r.signals["acc"].unit == "g" and r.signals["acc"].rate_hz == 125
    assert r.signals["acc"].limits == (-512 * 0.0078, 511 * 0.0078)
    track = r.tracks["hr_bpm"]
    np.testing.assert_array_equal(track.values, [80 + i, 81 + i, 82 + i])
    np.testing.assert_array_equal(track.start_s, [0, 2, 4])
    assert (track.span_s, track.signal) == (8.0, "")
  assert people == {
      "DATA_01_TYPE01": "D01", "DATA_S04_T01": "S04", "TEST_S04_T02": "S04"
  }


def test_ecg_on_request_where_there_is_one(tmp_path):
  sig = cohort(tmp_path)
  r = ieee_spc.read_recording(tmp_path, "DATA_01_TYPE01", {"ecg": True})
  np.testing.assert_array_equal(
      r.signals["ecg"].values[:, 0], sig["DATA_01_TYPE01"][0].astype("f4")
  )
  assert r.beats.signal == "ecg"
  r = ieee_spc.read_recording(tmp_path, "TEST_S04_T02", {"ecg": True})
  assert "ecg" not in r.signals and r.beats is None


def test_beats_are_the_r_peaks_of_the_ecg(tmp_path):
  sig = cohort(tmp_path)["DATA_01_TYPE01"]
  true = 0.5 + np.cumsum([0.8, 0.7, 0.9, 0.85] * 5)  # s
  t = np.arange(sig.shape[1]) / 125
  sig[0] = -sum(np.exp(-0.5 * ((t - beat) / 0.012) ** 2) for beat in true)
  write(tmp_path / "Training_data" / "DATA_01_TYPE01.mat", sig=sig)
  r = ieee_spc.read_recording(tmp_path, "DATA_01_TYPE01", {"ecg": True})
  np.testing.assert_allclose(r.beats.end_s, true[1:], atol=0.002)
  np.testing.assert_allclose(r.beats.interval_s, np.diff(true), atol=0.004)
  assert ieee_spc.read_recording(tmp_path, "DATA_01_TYPE01").beats is None


def test_a_missing_reference_leaves_no_track(tmp_path):
  cohort(tmp_path)
  (tmp_path / "TrueBPM" / "True_S04_T02.mat").unlink()
  assert not ieee_spc.read_recording(tmp_path, "TEST_S04_T02").tracks


def test_hostile_files(tmp_path):
  cohort(tmp_path)
  path = tmp_path / "TestData" / "TEST_S04_T02.mat"
  good = path.read_bytes()
  for body in (b"", b"not a mat file" * 50, good[:3000], good[:130],
               b"\x00" * 500, b"MATLAB 7.3 MAT-file" + b" " * 400):
    path.write_bytes(body)
    with pytest.raises(InputError, match="TEST_S04_T02.mat") as error:
      ieee_spc.read_recording(tmp_path, "TEST_S04_T02")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("arrays, message", [
    ({"other": np.ones((5, 9))}, "has no array 'sig'"),
    ({"sig": np.ones((6, 999))}, r"got sig \[6, 999\], want \[5, N\]"),
    ({"sig": np.ones((999, 5))}, r"got sig \[999, 5\]"),
    ({"sig": np.ones((5, 999)) * 1j}, "not an array of real numbers"),
    ({"sig": np.array(["a", "b"], object)}, "not an array of real numbers"),
    ({"sig": np.ones((5, 0))}, "empty"),
    ({"sig": np.ones((5, 1400))}, "got 3 heart rates for 11.2 s.* most 2"),
])
def test_other_contents(tmp_path, arrays, message):
  cohort(tmp_path)
  write(tmp_path / "TestData" / "TEST_S04_T02.mat", **arrays)
  with pytest.raises(InputError, match=message):
    ieee_spc.read_recording(tmp_path, "TEST_S04_T02")


def test_a_missing_empty_or_doubled_cohort(tmp_path):
  with pytest.raises(InputError, match="no such folder"):
    ieee_spc.list_recordings(tmp_path / "none")
  with pytest.raises(InputError, match="no recording found"):
    ieee_spc.list_recordings(tmp_path)
  write(tmp_path / "a" / "TEST_S04_T02.mat", sig=np.ones((5, 10)))
  write(tmp_path / "b" / "TEST_S04_T02.mat", sig=np.ones((5, 10)))
  with pytest.raises(InputError, match="keep one of the two"):
    ieee_spc.list_recordings(tmp_path)


def test_real_recordings(real_data):
  folder = real_data / "ieee_spc_2015"
  names = ieee_spc.list_recordings(folder)
  people, count, known = set(), 0, []
  contract = Contract({
      "acc": SignalSpec(3, "g", "acc", gravity_kept=True),
      "ppg": SignalSpec(2, "au", "ppg", band_hz=(0.5, 8.0)),
  }, 64.0, 60.0)
  for name in names:
    r = ieee_spc.read_recording(folder, name)
    people.add(r.participant)
    a = windows.align(r, contract)
    for w in windows.cut(a, contract, 60.0):
      assert all(np.isfinite(x).all() for x in w.signals.values())
      count += 1
      known.append(labels.window_labels(
          w.start_s, 60.0, a.beats, a.tracks, a.spans, {"beat_source": "track"}
      )["hr_bpm"])
  assert (len(names), len(people), count) == (23, 20, 93)
  assert np.isfinite(known).all() and 110 < np.mean(known) < 140
