"""`accfm.prepare`: from a folder to a data set, whatever happens meanwhile."""

import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from accfm import prepare
from accfm.base import faults
from accfm.base.errors import InputError
from accfm.configs import prepare as prepare_config
from accfm.data import checksums, manifest, pipeline
from accfm.data.sources import SOURCES, e4, ieee_spc
from accfm.signals import labels, quality
from tests.data import fake_source
from tests.data.fake_source import Fake

ROOT = pathlib.Path(__file__).parents[1]


def run(tmp_path, fake=None, **fields):
  return prepare.run(
      fake_source.get_config(**fields), "somewhere", str(tmp_path / "data"),
      {"fake": fake or Fake()},
  )


def rows(dataset_dir, split):
  """Every row of a split, nested dicts of arrays."""
  source = tfds.builder_from_directory(dataset_dir).as_data_source(split)
  return [source[i] for i in range(len(source))]


def same(a, b):
  """Checks that two data sets are the same bytes, and so the same rows."""
  assert manifest.load(a) == manifest.load(b)
  for name in [*checksums.load(a), checksums.FILE]:
    x, y = (pathlib.Path(folder, name).read_bytes() for folder in (a, b))
    assert x == y, name
  for split in ("train", "val", "test"):
    x, y = rows(a, split), rows(b, split)
    assert len(x) == len(y) > 0
    np.testing.assert_equal(x, y)


def test_still_keeps_the_minutes_of_little_motion(tmp_path, capsys):
  arg = "simulated,participants=6,minutes=4"
  got = {}
  for name, more in (("all", ""), ("still", ",still")):
    config = prepare_config.get_config(arg + more)
    config.workers = 1
    got[name] = prepare.run(config, "", str(tmp_path))
  said = capsys.readouterr().out
  facts = {name: manifest.load(folder) for name, folder in got.items()}
  motion = [
      level for part in ("train", "val", "test") for level in
      pipeline.open_split(got["all"], part).table["motion_g"]
  ]
  kept = sum(level <= 0.03 for level in motion)
  assert 0 < kept < len(motion) == 24
  assert facts["still"]["qc"]["kept"] == kept
  assert facts["still"]["qc"]["rejected"] == {"too_much_motion": 24 - kept}
  assert facts["still"]["name"] == "simulated_easy_still"
  assert (
      f"still: {kept} of the 24 windows that pass all other checks, "
      f"{100 * kept / 24:.1f} % of the time" in said
  )


def test_from_recordings_to_rows(tmp_path, capsys):
  out = run(tmp_path)
  assert out == str(tmp_path / "data/biosignal_pairs/tiny/1.0.0")
  assert manifest.find(tmp_path / "data", "tiny") == out
  assert os.listdir(tmp_path / "data") == ["biosignal_pairs"]
  facts = manifest.load(out)
  people = sorted(sum(facts["splits"].values(), []))
  assert people == [f"fake/P{i}" for i in range(8)]
  assert facts["people"] == {"train": 6, "val": 1, "test": 1}
  assert facts["qc"] == {
      "kept": 27, "rejected": {},
      "recordings": {"used": 9, "without_windows": 0, "unreadable": 0},
  }
  assert facts["labels"] == ["hr_bpm", "sdnn_ms", "rmssd_ms"]
  assert facts["attributes"] == ["age_years", "sex", "bmi", "target_x"]
  assert facts["hop_sec"] == 4.0 and facts["contract"]["rate_hz"] == 32.0
  assert facts["split_hash"] == manifest.split_hash(facts["splits"])
  for split in facts["splits"]:
    got = rows(out, split)
    assert len(got) == facts["windows"][split]
    assert {r["participant"].decode() for r in got} == set(
        facts["splits"][split]
    )
    known = sum(np.isfinite(r["labels"]["hr_bpm"]) for r in got)
    assert known == facts["label_windows"][split]["hr_bpm"]
    sessions = {(r["participant"], r["session"]) for r in got}
    assert len(got) == 3 * len(sessions)
  text = capsys.readouterr().out
  assert "windows: 27 kept, rejected: none" in text
  train = next(line for line in text.splitlines() if "train" in line)
  assert train.split()[:3] == ["train", "6", str(facts["windows"]["train"])]
  assert train.split()[4:6] == ["67", "%"]
  assert "int16 storage of acc: RMS error" in text


def test_the_quantisation_error_is_what_the_rows_show(tmp_path):
  out = run(tmp_path)
  error = signal = largest = 0.0
  for split in ("train", "val", "test"):
    for row in rows(out, split):
      name = f"{row['participant'].decode()[5:]}/{row['session'].decode()}"
      first = round((row["start_s"] - fake_source.EPOCH_S) * 32)
      raw = fake_source.recording(name).signals["acc"].values
      want = np.float32(raw[first:first + 128]).astype(np.float64)
      got = row["acc"]["values"] * row["acc"]["scale"].astype(np.float64)
      error += np.sum((got - want) ** 2)
      signal += np.sum((want - want.mean(axis=0)) ** 2)
      largest = max(largest, np.abs(got - want).max())
  facts = manifest.load(out)["quantisation"]["acc"]
  assert facts["rms_relative"] == pytest.approx((error / signal) ** 0.5)
  assert facts["max_abs"] == pytest.approx(largest)


def test_counted_reasons_and_skipped_recordings(tmp_path, capsys):
  fake = Fake(faults={
      "P0/one": "short", "P3/two": "gap", "P5/one": "unreadable"
  })
  with pytest.raises(InputError, match="P5/one: line 3"):
    run(tmp_path, fake)
  out = run(tmp_path, fake, skip_bad_recordings=True)
  facts = manifest.load(out)
  assert facts["qc"]["recordings"] == {
      "used": 6, "without_windows": 2, "unreadable": 1
  }
  text = capsys.readouterr().out
  assert "left out: P5/one: line 3" in text
  assert "left out: recording P0/one: shorter than a window" in text


def test_prepared_before(tmp_path, capsys):
  fake = Fake()
  out = run(tmp_path, fake)
  fake.read.clear()
  capsys.readouterr()
  assert run(tmp_path, fake, workers=3) == out
  assert not fake.read
  assert "prepared before" in capsys.readouterr().out
  with pytest.raises(InputError, match=r"\(hop_sec: 4.0 -> 2.0\)"):
    run(tmp_path, fake, hop_sec=2.0)
  with pytest.raises(InputError, match="recordings.count: 9 -> 8"):
    run(tmp_path, Fake(fake.names[:8]))
  assert run(tmp_path, fake, hop_sec=2.0, name="other") != out


def test_nothing_left(tmp_path):
  fake = Fake(faults={n: "gap" for n in fake_source.NAMES[1:]} | {
      "P0/one": "short"
  })
  with pytest.raises(InputError, match="no window left of 9 rec.*shorter"):
    run(tmp_path, fake)
  fake.faults = {}  # mended: nothing of the failure sticks
  run(tmp_path, fake)


def test_a_split_without_a_window(tmp_path):
  out = manifest.load(run(tmp_path))
  alone = out["splits"]["val"][0].removeprefix("fake/")
  fake = Fake(faults={
      n: "short" for n in fake_source.NAMES if n.startswith(alone + "/")
  })
  with pytest.raises(InputError, match="split val: no window of its 1 people"):
    run(tmp_path / "again", fake)


@pytest.mark.parametrize("fake, fields, message", [
    (Fake(["P0/one"]), {}, "got 1 participant, want at least 3"),
    (Fake(["P0/a", "P0/b", "P0/c"]), {}, "got 1 participant"),
    (Fake(faults={"P4/one": "same"}), {}, "'P0/one' and 'P4/one' are both"),
    (None, {"split__kind": "counts"}, "0/0/0 sum to 0, the recordings are of"),
    (None, {"split__kind": "folds"}, "split.kind: got 'folds'"),
    (None, {"source": "e5"}, r"got 'e5', want one of \['fake'\]"),
    (None, {"name": "a/b"}, "name: got 'a/b'"),
    (None, {"hop_sec": 0.0}, "hop_sec: got 0.0"),
    (None, {"signals__ppg__channels": 4}, "got channels 1, want 4"),
    (None, {"split__fractions": (0.5, 0.5, 0.5)}, "sum to 1.5"),
])
def test_errors(tmp_path, fake, fields, message):
  with pytest.raises(InputError, match=message) as error:
    run(tmp_path, fake, **fields)
  assert "\n" not in str(error.value)


def test_a_source_folder_is_needed(tmp_path):
  config = prepare_config.get_config("e4")
  with pytest.raises(InputError, match="--source_dir is missing"):
    prepare.run(config, "", str(tmp_path))
  with pytest.raises(InputError, match="no such folder"):
    prepare.run(config, str(tmp_path / "nowhere"), str(tmp_path))


def test_pseudonyms(tmp_path):
  plain = run(tmp_path)
  secret = run(tmp_path, salt="pepper", name="secret")
  text = pathlib.Path(secret, "manifest.json").read_text()
  assert "pepper" not in text and "P3" not in text and "one" not in text
  for split in ("train", "val", "test"):  # the same people, in other words
    a, b = rows(plain, split), rows(secret, split)
    assert len(a) == len(b)
    names = {}
    for x, y in zip(a, b, strict=True):
      np.testing.assert_array_equal(x["acc"]["values"], y["acc"]["values"])
      names.setdefault(x["participant"], set()).add(y["participant"])
      assert len(y["session"]) == 12
    assert all(len(other) == 1 for other in names.values())
    assert b"fake/P3" not in {y["participant"] for y in b}


def test_a_cohort_has_a_name(tmp_path):
  """People of two studies that call them alike have other ids."""
  plain = manifest.load(run(tmp_path))
  named = manifest.load(run(tmp_path, name="named", cohort="study-2"))
  assert sorted(sum(named["splits"].values(), [])) == [
      f"study-2/P{i}" for i in range(8)]
  assert plain["prepare_config"]["cohort"] == "fake"
  secret = manifest.load(
      run(tmp_path, name="secret", cohort="study-2", salt="pepper"))
  assert all(
      re.fullmatch("study-2/[0-9a-f]{12}", person)
      for people in secret["splits"].values() for person in people
  )
  for cohort in ("a/b", "a b", ".a", "\n", "x" * 101):
    with pytest.raises(InputError, match="cohort: got .*want letters, digits"):
      run(tmp_path, name="bad", cohort=cohort)


def test_fingerprints_are_of_the_recordings_alone(tmp_path):
  """Neither ids nor splits, windows or filters change them."""
  one = manifest.load(run(tmp_path))
  other = manifest.load(run(
      tmp_path, name="other", cohort="x", salt="pepper", split__seed=3,
      hop_sec=2.0, signals__ppg__band_hz=(0.5, 8.0)))
  def found(facts):
    return {
        name: words for split, people in facts["splits"].items()
        for name, words in zip(
            people, facts["fingerprints"][split], strict=True)
    }

  a, b = found(one), found(other)
  assert sorted(a.values()) == sorted(b.values())
  assert len(set(a.values())) == 8 and a.keys().isdisjoint(b)
  # A hash for each signal of each recording: P3 has two.
  assert {name: len(words.split()) for name, words in a.items()} == {
      f"fake/P{i}": 4 if i == 3 else 2 for i in range(8)}


def simulated(tmp_path, fault="", workers=1):
  """Starts `python -m accfm.prepare` on three simulated minutes."""
  return subprocess.run(
      [sys.executable, "-m", "accfm.prepare",
       "--config=prepare:simulated,participants=3,minutes=1",
       f"--config.workers={workers}", f"--data_dir={tmp_path}"],
      cwd=ROOT, env={**os.environ, "ACCFM_FAULT": fault}, text=True,
      capture_output=True, timeout=300,
  )  # returns when its workers, too, have let go of stdout


@pytest.mark.parametrize("kills, workers, done", [
    pytest.param(["after_recording:2"], 2, "[23]", marks=pytest.mark.full),
    # Each start goes on from what the one before it left.
    (["in_recording:SIM", "in_shard:val:0", "before_publish:0"], 1, "3"),
])
def test_killed_and_run_again(tmp_path, capsys, kills, workers, done):
  config = prepare_config.get_config("simulated,participants=3,minutes=1")
  config.workers = 1
  last = sorted(SOURCES["simulated"].list_recordings("", config.source_cfg))[-1]
  for fault in kills:
    killed = simulated(tmp_path / "a", fault.replace("SIM", last), workers)
    assert killed.returncode == -9, killed.stderr
    with pytest.raises(InputError, match="not in .*, which holds no data set"):
      manifest.find(tmp_path / "a", "simulated_easy")  # nor would training
  again = prepare.run(config, "", str(tmp_path / "a"))
  said = capsys.readouterr().out
  assert re.search(f"{done} recordings were done before", said), said
  whole = prepare.run(config, "", str(tmp_path / "b"))
  assert os.listdir(tmp_path / "a") == ["biosignal_pairs"]
  assert sorted(os.listdir(again)) == sorted(os.listdir(whole))
  same(again, whole)


def test_killed_when_all_is_there(tmp_path, monkeypatch, capsys):
  """What is left then is removed by the next start, which has no more to do."""
  class Killed(BaseException):
    pass

  def die(name, index):
    if name == "after_publish":
      raise Killed

  monkeypatch.setattr(faults, "point", die)
  with pytest.raises(Killed):
    run(tmp_path)
  assert sorted(os.listdir(tmp_path / "data")) == ["biosignal_pairs", "staging"]
  out = manifest.find(tmp_path / "data", "tiny")
  assert run(tmp_path) == out
  assert "prepared before" in capsys.readouterr().out
  assert os.listdir(tmp_path / "data") == ["biosignal_pairs"]


@pytest.mark.parametrize("fault, workers, code", [
    ("after_recording:1=SIGINT", 2, 130),
    *(pytest.param(*one, marks=pytest.mark.full) for one in (
        ("after_recording:1=SIGINT", 1, 130),
        ("after_recording:1=SIGTERM", 2, 143),
        ("in_shard:val:0=SIGINT", 1, 130),
    )),
])
def test_interrupted_and_run_again(tmp_path, fault, workers, code):
  """One line, no word of a worker, and all of them have ended."""
  stopped = simulated(tmp_path, fault, workers)
  assert stopped.returncode == code, stopped.stderr
  assert stopped.stderr == (
      f"stopped by {'Ctrl-C' if code == 130 else 'SIGTERM'}; run the same "
      "command again to go on\n"
  )
  again = simulated(tmp_path)
  assert again.returncode == 0, again.stderr
  assert "were done before" in again.stdout
  assert os.listdir(tmp_path) == ["biosignal_pairs"]


def test_two_configs_of_one_name(tmp_path):
  """The second is refused by name and leaves the first's work alone."""
  class Meets(Fake):
    def read_recording(self, source_dir, name, cfg):
      if not self.read:
        with pytest.raises(InputError, match="PID .* prepares data set 'tiny'"):
          run(tmp_path, Fake(), hop_sec=2.0)
      return super().read_recording(source_dir, name, cfg)

  fake = Meets()
  out = run(tmp_path, fake)
  assert len(fake.read) == 9 and manifest.load(out)["hop_sec"] == 4.0
  assert os.listdir(tmp_path / "data") == ["biosignal_pairs"]


@pytest.mark.parametrize("data_dir, why", [
    ("/proc/accfm", "No such file or directory"),
    ("file/inside", "Not a directory"),
])
def test_a_data_dir_that_cannot_be_written(tmp_path, data_dir, why):
  (tmp_path / "file").write_text("")
  fake = Fake()
  with pytest.raises(InputError, match=rf"--data_dir: .*\({why}\)"):
    prepare.run(
        fake_source.get_config(), "somewhere", str(tmp_path / data_dir),
        {"fake": fake},
    )
  assert not fake.read


def test_no_tensorflow(tmp_path):
  code = f"""
import sys
from accfm import prepare
from accfm.configs import prepare as configs
config = configs.get_config("simulated,participants=3,minutes=1")
config.workers = 1
prepare.run(config, "", {str(tmp_path)!r})
assert "tensorflow" not in sys.modules
assert "jax" not in sys.modules
"""
  out = subprocess.run(
      [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
  )
  assert out.returncode == 0, out.stderr
  assert manifest.find(tmp_path, "simulated_easy")


def test_the_command_says_errors_in_one_line(tmp_path):
  out = subprocess.run(
      [sys.executable, "-m", "accfm.prepare",
       "--config=prepare:e4", f"--source_dir={tmp_path}/nowhere",
       f"--data_dir={tmp_path}"], cwd=ROOT, capture_output=True, text=True,
  )
  assert out.returncode == 2
  assert out.stderr.startswith("error: ") and out.stderr.count("\n") == 1


# --- the config --------------------------------------------------------------


@pytest.mark.parametrize("source", sorted(SOURCES))
def test_the_config_names_every_field_with_its_default(source):
  c = prepare_config.get_config(source)
  want = dict(labels.DEFAULTS)
  want["beat_source"] = "track" if source == "ieee_spc" else "beats"
  want["beat_grid_s"] = 1 / 64 if source == "e4" else 0.0
  assert c.labels.to_dict() == want
  assert c.quality.to_dict() == quality.DEFAULTS
  defaults = {"e4": e4.DEFAULTS, "ieee_spc": ieee_spc.DEFAULTS}
  if source in defaults:
    assert c.source_cfg.to_dict() == defaults[source]


def test_config_arguments():
  c = prepare_config.get_config("e4,name=stress_predict")
  assert c.name == "stress_predict" and c.source == "e4"
  assert c.split.kind == "counts" and c.split.counts == (20, 5, 10)
  assert [span[0] for span in c.source_cfg.tag_spans] == [
      "stroop", "interview", "hyperventilation"
  ]
  assert c.signals.ppg.delay_s == 1.25
  c = prepare_config.get_config("e4,split=0.5/0.25/0.25,fold=1,folds=4")
  assert c.split.fractions == (0.5, 0.25, 0.25)
  assert (c.split.kind, c.split.fold, c.split.folds) == ("fractions", 1, 4)
  c = prepare_config.get_config("simulated,tiny,difficulty=realistic,seed=4")
  assert c.name == "simulated_realistic"
  assert c.source_cfg.to_dict() == dict(
      participants=12, minutes_per_participant=4, difficulty="realistic",
      seed=4,
  )
  c.quality.max_motion_g = 0.05  # None may become a number
  c.signals.acc.band_hz = (0.5, 20.0)


@pytest.mark.parametrize("arg, message", [
    ("e5", "got 'e5', want one of"), ("e4,split=1/2", "got '1/2'"),
    ("e4,split=a/b", "got 'a/b'"), ("e4,spilt=1/2/3", "did you mean 'spl"),
])
def test_config_errors(arg, message):
  with pytest.raises(InputError, match=message):
    prepare_config.get_config(arg)


def test_real_e4(tmp_path, real_data):
  source = tmp_path / "source"
  source.mkdir()
  for name in ("S02", "S10", "S20"):
    (source / name).symlink_to(real_data / "stress_predict" / name)
  config = prepare_config.get_config("e4")
  config.workers = 1
  facts = manifest.load(prepare.run(config, str(source), str(tmp_path)))
  assert facts["people"] == {"train": 1, "val": 1, "test": 1}
  assert 90 < facts["qc"]["kept"] < 200
  assert facts["quantisation"]["ppg"]["rms_relative"] < 1e-3
