"""Staging: right windows, counted reasons, and work that is never lost."""

import os
import pathlib

import numpy as np
import pytest

from accfm import prepare
from accfm.base.errors import InputError
from accfm.data import staging
from accfm.signals import windows as windows_lib
from tests.data import fake_source
from tests.data.fake_source import EPOCH_S, RATE_HZ, WINDOW_SEC, Fake

LENGTH = int(RATE_HZ * WINDOW_SEC)


def make_job(fake, folder, source_dir="", **fields):
  config = fake_source.get_config(**fields)
  contract = prepare.make_contract(config, "x")
  return staging.Job(
      read=fake.read_recording, source_dir=source_dir, source_cfg={},
      contract=contract, hop_sec=config.hop_sec, labels=config.labels,
      quality=config.quality, folder=str(folder),
      skip_bad=config.skip_bad_recordings,
  )


def stage_all(fake, job, lines=None):
  out = (lines if lines is not None else []).append
  return staging.stage_all(sorted(fake.names), job, workers=1, out=out)


def test_rows_of_one_recording(tmp_path):
  # Rates are equal and nothing is filtered, so rows are slices.
  name = "P5/one"
  recording = fake_source.recording(name)
  arrays, summary = staging.cut_recording(
      recording, make_job(Fake(), tmp_path)
  )
  assert summary["windows"] == 3 and not summary["rejected"]
  for signal in ("acc", "ppg"):
    stored, scale = arrays[f"{signal}.values"], arrays[f"{signal}.scale"]
    assert stored.dtype == np.int16 and scale.dtype == np.float32
    for i in range(3):
      want = recording.signals[signal].values[i * LENGTH:(i + 1) * LENGTH]
      got = stored[i] * scale[i].astype(np.float64)
      assert np.abs(got - want).max() <= 0.51 * scale[i].max()
  assert arrays["start_s"].tolist() == [EPOCH_S, EPOCH_S + 4, EPOCH_S + 8]
  assert arrays["condition"].tolist() == ["rest", "", ""]
  # Beats of 0.75 s, and none in the last window.
  np.testing.assert_array_equal(arrays["label.hr_bpm"], [80, 80, np.nan])
  assert summary["labels"]["hr_bpm"] == 2
  assert summary["attributes"] == {"age_years": 33.0, "target_x": 1.0}
  assert np.isfinite(arrays["motion_g"]).all()


def test_hop_and_gap():
  recording = fake_source.recording("P5/one")
  recording.signals["acc"].values[LENGTH + 3] = np.nan  # in the 2nd window
  arrays, summary = staging.cut_recording(recording, make_job(Fake(), ""))
  assert summary["rejected"] == {"gap": 1}
  assert arrays["start_s"].tolist() == [EPOCH_S, EPOCH_S + 8]
  whole = fake_source.recording("P5/one")
  arrays, _ = staging.cut_recording(whole, make_job(Fake(), "", hop_sec=1.0))
  assert len(arrays["start_s"]) == 9


def test_infinite_values_are_not_stored(monkeypatch):
  recording = fake_source.recording("P5/one", fault="first")
  arrays, summary = staging.cut_recording(recording, make_job(Fake(), ""))
  assert sum(summary["rejected"].values()) == 1 and summary["windows"] == 2
  # Even if quality control let everything pass.
  monkeypatch.setattr(staging.quality, "check", lambda *a, **k: "")
  arrays, summary = staging.cut_recording(recording, make_job(Fake(), ""))
  assert summary["rejected"] == {"not_finite": 1}
  assert len(arrays["start_s"]) == 2


def test_too_short_is_a_counted_reason(tmp_path):
  fake = Fake(faults={"P1/one": "short", "P2/one": "gap"})
  lines = []
  summaries = stage_all(fake, make_job(fake, tmp_path), lines)
  by_name = {s["recording"]: s for s in summaries}
  assert "shorter than a window" in by_name["P1/one"]["unusable"]
  assert by_name["P1/one"]["windows"] == by_name["P2/one"]["windows"] == 0
  assert [s["recording"] for s in summaries] == sorted(fake.names)
  assert len(lines) == 1 and "9/9 recordings, 21 windows" in lines[0]


def test_done_recordings_are_not_read_again(tmp_path):
  fake = Fake(faults={"P2/one": "short"})
  job = make_job(fake, tmp_path)
  first = stage_all(fake, job)
  fake.read.clear()
  lines = []
  again = stage_all(fake, job, lines)
  assert fake.read == ["P2/one"]  # it gave nothing: it may be mended by now
  assert again == first
  assert "8 recordings were done before" in lines[0]
  for summary in again:
    if summary["windows"]:
      assert len(staging.load(summary["file"])["start_s"]) == 3


@pytest.mark.parametrize("keep", [0, 10, 3000, -1])
def test_a_truncated_file_is_done_again(tmp_path, keep):
  fake = Fake()
  job = make_job(fake, tmp_path)
  summary = stage_all(fake, job)[4]
  whole = pathlib.Path(summary["file"]).read_bytes()
  pathlib.Path(summary["file"]).write_bytes(whole[:keep])
  # What a killed process leaves:
  pathlib.Path(summary["file"] + ".1.partial").write_bytes(whole[:500])
  fake.read.clear()
  assert stage_all(fake, job)[4] == summary
  assert fake.read == [summary["recording"]]
  assert len(staging.load(summary["file"])["start_s"]) == 3


def test_a_changed_recording_is_done_again(tmp_path):
  """Its content decides, and one without windows need not be read again."""
  fake = Fake(faults={"P2/one": "short"})
  job = make_job(fake, tmp_path)
  contents = {name: f"hash of {name}" for name in fake.names}

  def stage():
    fake.read.clear()
    return staging.stage_all(
        sorted(fake.names), job, 1, lambda line: None, contents
    )

  first = stage()
  assert fake.read == sorted(fake.names)
  assert stage() == first and not fake.read
  contents["P3/one"] = "other"
  assert [s["content"] for s in stage()] == [
      contents[name] for name in sorted(fake.names)
  ]
  assert fake.read == ["P3/one"]


def test_an_unreadable_recording_ends_the_run_unless_skipped(tmp_path):
  fake = Fake(faults={"P4/one": "unreadable"})
  with pytest.raises(InputError, match="P4/one: line 3 is not a number"):
    stage_all(fake, make_job(fake, tmp_path))
  fake.faults, fake.read = {}, []
  stage_all(fake, make_job(fake, tmp_path))
  assert fake.read[0] == "P4/one"  # the ones before it stayed
  fake.faults = {"P4/one": "unreadable"}
  job = make_job(fake, tmp_path / "other", skip_bad_recordings=True)
  (tmp_path / "other").mkdir()
  summaries = stage_all(fake, job)
  bad = [s for s in summaries if s["unreadable"]]
  assert [s["recording"] for s in bad] == ["P4/one"]
  assert sum(s["windows"] for s in summaries) == 24


def test_a_wrong_setting_is_no_property_of_a_recording(monkeypatch):
  def refuse(*args):
    raise InputError("labels.ppg_signal: got 'x'")

  monkeypatch.setattr(staging.labels, "select_beats", refuse)
  with pytest.raises(InputError, match="labels.ppg_signal"):
    staging.cut_recording(
        fake_source.recording("P5/one"), make_job(Fake(), "")
    )


def test_the_folder_depends_on_what_shapes_windows():
  def folder(source_dir="/a", **fields):
    config = fake_source.get_config(**fields).to_dict()
    return staging.folder("/data", config, source_dir)

  assert folder().startswith("/data/staging/tiny-")
  for same in (
      dict(workers=5), dict(salt="x"), dict(split__seed=3),
      dict(skip_bad_recordings=True),
  ):
    assert folder(**same) == folder()
  for other in (
      dict(hop_sec=2.0), dict(signals__ppg__delay_s=1.0),
      dict(labels__min_coverage=0.9), dict(source_dir="/b"),
      dict(quality__max_motion_g=0.1),
  ):
    assert folder(**other) != folder()


def test_remove_all_takes_this_data_set_only(tmp_path):
  for name in ("a-0123456789abcdef", "a-b-0123456789abcdef"):
    (tmp_path / "staging" / name).mkdir(parents=True)
  staging.remove_all(tmp_path, "a")
  assert os.listdir(tmp_path / "staging") == ["a-b-0123456789abcdef"]
  staging.remove_all(tmp_path, "a-b")
  assert not (tmp_path / "staging").exists()
  staging.remove_all(tmp_path, "a")


def test_one_process_at_a_time_for_a_name(tmp_path):
  with staging.held(tmp_path, "a"):
    with staging.held(tmp_path, "b"):
      pass
    with pytest.raises(InputError, match="prepares data set 'a'; wait for it"):
      with staging.held(tmp_path, "a"):
        pass
  with staging.held(tmp_path, "a"):
    pass
  assert not os.listdir(tmp_path)


def test_windows_come_from_the_one_place(monkeypatch, tmp_path):
  # No second implementation of cutting hides in staging.
  monkeypatch.setattr(windows_lib.OnClock, "windows", lambda *a: iter(()))
  _, summary = staging.cut_recording(
      fake_source.recording("P5/one"), make_job(Fake(), tmp_path)
  )
  assert summary["windows"] == 0
