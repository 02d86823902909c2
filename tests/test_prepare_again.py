"""Prepared before, or not: what recordings hold decides, and is told by name.

Also what a run that failed leaves, and the same recording twice.
"""

import os
import pathlib
import shutil
import sys

import numpy as np
import pytest
from absl import logging

from accfm import prepare
from accfm.base import plugins
from accfm.base.errors import InputError
from accfm.configs import prepare as prepare_config
from accfm.data import manifest, recordings
from tests.data import own_source, shards, test_e4
from tests.test_prepare import rows


@pytest.fixture
def place(tmp_path, monkeypatch):
  """The current folder, with a plug-in; `cohort/` is its recordings."""
  monkeypatch.setattr(plugins, "_named", {})
  monkeypatch.setattr(plugins, "_files", {})
  monkeypatch.syspath_prepend(str(tmp_path))
  monkeypatch.setattr(sys, "dont_write_bytecode", True)
  monkeypatch.chdir(tmp_path)
  monkeypatch.delitem(sys.modules, "units", raising=False)
  own_source.write_code(tmp_path)
  yield tmp_path
  sys.modules.pop("units", None)


def run(source_dir="cohort", data_dir="data", **fields):
  sys.modules.pop("units", None)  # each run stands for a new process
  plugins._files.clear()
  return prepare.run(own_source.get_config(**fields), source_dir, data_dir)


def change(path, keep_times=True):
  """Changes one byte in the middle of a file; its size and mtime stay.

  Of an array of float64 it is the one that makes the largest difference.
  """
  before = os.stat(path)
  whole = bytearray(pathlib.Path(path).read_bytes())
  whole[min(len(whole) // 16 * 8 + 7, len(whole) - 1)] ^= 128
  pathlib.Path(path).write_bytes(whole)
  if keep_times:
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def tree(folder):
  return {p.name: p.read_bytes() for p in pathlib.Path(folder).iterdir()}


def same_rows(a, b):
  for split in ("train", "val", "test"):
    x, y = rows(a, split), rows(b, split)
    assert len(x) == len(y) > 0
    np.testing.assert_equal(x, y)


# --- prepared before ---------------------------------------------------------


@pytest.mark.parametrize("folders", [False, True])
@pytest.mark.parametrize("settled", [-1e9, 1e9])
def test_a_changed_byte_is_named(place, monkeypatch, folders, settled):
  """With times that are trusted and with times that are not."""
  monkeypatch.setattr(recordings, "SETTLED_S", settled)
  own_source.write_cohort(place / "cohort", folders)
  out = run()
  assert run() == out
  change("cohort/P3/values.npy" if folders else "cohort/P3.npy")
  before = tree(out)
  with pytest.raises(InputError, match=r"recordings changed: 'P3'\); choose"):
    run()
  assert tree(out) == before


def test_recordings_that_are_as_before_are_not_read(place, monkeypatch):
  monkeypatch.setattr(recordings, "SETTLED_S", -1e9)
  own_source.write_cohort(place / "cohort")
  (place / "cohort/people.csv").write_text("person,age\n")  # shared
  out = run()
  read = []
  honest = recordings.read
  monkeypatch.setattr(
      recordings, "read", lambda name, p: read.append(name) or honest(name, p)
  )
  assert run() == out and not read
  os.utime("cohort/P1.npy")  # it may have changed
  assert run() == out and read == ["P1"]
  assert run() == out and read == ["P1"]  # which was noted


def test_times_that_are_too_fresh_are_not_trusted(place, monkeypatch):
  """A second change in the same tick of the clock would not show in them."""
  own_source.write_cohort(place / "cohort")
  out = run()
  monkeypatch.setattr(recordings, "_stat", lambda *args: "always the same")
  change("cohort/P3.npy")
  with pytest.raises(InputError, match="changed: 'P3'"):
    run()
  assert manifest.find("data", "tiny") == out


def test_the_folder_may_move_but_another_is_refused(place):
  own_source.write_cohort(place / "cohort")
  out = run()
  shutil.copytree(place / "cohort", place / "deeper/moved")
  assert run("deeper/moved") == out == run(str(place / "cohort"))
  os.makedirs("other")
  for i in range(5):
    np.save(f"other/P{i}.npy", own_source.values(i + 10))
  with pytest.raises(InputError, match="changed: 'P0', 'P1', 'P2', 'P3', 'P4'"):
    run("other")


def test_added_and_gone_recordings(place):
  own_source.write_cohort(place / "cohort")
  run()
  os.rename("cohort/P1.npy", "cohort/P8.npy")
  os.remove("cohort/P4.npy")
  with pytest.raises(InputError) as error:
    run()
  assert "recordings added: 'P8'; recordings gone: 2)" in str(error.value)
  assert "\n" not in str(error.value)
  os.remove("data/biosignal_pairs/tiny/1.0.0/recordings.json")
  with pytest.raises(InputError, match="recordings.count: 5 -> 4"):
    run()  # what is not known is not told, but still refused


def test_a_shared_file(place):
  own_source.write_cohort(place / "cohort")
  (place / "cohort/people.csv").write_text("P1,30\n")
  run()
  change("cohort/people.csv")
  with pytest.raises(InputError, match="all recordings share, 'people.csv'"):
    run()


def test_the_code_of_the_source_and_what_it_imports(place):
  own_source.write_cohort(place / "cohort")
  out = run()
  (place / "bystander.py").write_text("")
  assert run() == out
  (place / own_source.HELPER).write_text("SCALE = 2.0\n")
  with pytest.raises(InputError, match="code of source ./own.py changed"):
    run()


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"shared": [1]}', "[" * 99])
def test_what_is_kept_only_saves_time(place, damage):
  own_source.write_cohort(place / "cohort")
  out = run()
  kept = pathlib.Path(out, recordings.FILE)
  whole = kept.read_text()
  kept.write_text(damage)
  assert run() == out
  assert kept.read_text() == whole


def test_no_name_is_kept(place):
  own_source.write_cohort(place / "cohort")
  os.rename("cohort/P3.npy", "cohort/P_JaneDoe.npy")
  plain = pathlib.Path(run(), recordings.FILE).read_text()
  salted = pathlib.Path(
      run(salt="pepper", name="salted"), recordings.FILE
  ).read_text()
  assert "Jane" not in plain + salted and "pepper" not in salted
  keys = [set(recordings.load(f"data/biosignal_pairs/{n}/1.0.0")[1])
          for n in ("tiny", "salted")]
  assert len(keys[0]) == len(keys[1]) == 5 and not keys[0] & keys[1]


def test_a_data_set_of_older_code(place, monkeypatch):
  own_source.write_cohort(place / "cohort")
  out = run()
  os.remove(os.path.join(out, recordings.FILE))

  def forget(facts):
    del facts["recordings"]["contents"], facts["source_code"]
    for field in ("same_recording", "cohort"):
      del facts["prepare_config"][field]
    del facts["fingerprints"]

  shards.edit(shards.as_older(out), forget, sealed=False)
  said = []
  monkeypatch.setattr(
      logging, "warning", lambda text, *args: said.append(text % args)
  )
  assert run() == out
  assert len(said) == 1 and said[0].startswith(f"{out}: older code made it")
  with pytest.raises(InputError, match="same_recording: 'refuse' -> 'join'"):
    run(same_recording="join")
  with pytest.raises(InputError, match="cohort: 'own' -> 'mine'"):
    run(cohort="mine")


def test_the_name_of_a_cohort_costs_no_work_and_no_hash(place, capsys):
  """What is staged stays good; data of older code keep their hash."""
  own_source.write_cohort(place / "cohort")
  out = run()
  before = manifest.digest(out)
  shards.edit(out, lambda facts: facts["prepare_config"].pop("cohort"))
  shards.edit(out, lambda facts: facts.pop("fingerprints"))
  assert manifest.digest(out) == before
  (place / "cohort/P4.npy").write_bytes(b"")
  with pytest.raises(InputError, match=r"P4\.npy"):
    run(name="other")
  np.save("cohort/P4.npy", own_source.values(4))
  capsys.readouterr()
  run(name="other", cohort="mine")
  assert "recordings were done before" in capsys.readouterr().out


# --- after a failed run ------------------------------------------------------


def fail(place):
  """A run that P4 ends, which is whole again afterwards."""
  whole = (place / "cohort/P4.npy").read_bytes()
  (place / "cohort/P4.npy").write_bytes(b"")
  with pytest.raises(InputError, match=r"P4\.npy"):
    run()
  (place / "cohort/P4.npy").write_bytes(whole)


def test_what_changed_after_a_failed_run_is_read_anew(place):
  own_source.write_cohort(place / "cohort")
  fail(place)
  change("cohort/P1.npy")
  same_rows(run(), run(data_dir="fresh"))


def test_code_that_changed_after_a_failed_run_reads_anew(place):
  own_source.write_cohort(place / "cohort")
  fail(place)
  (place / own_source.HELPER).write_text("SCALE = 2.0\n")
  same_rows(run(), run(data_dir="fresh"))


def test_recordings_without_windows_are_not_read_again(place, capsys):
  own_source.write_cohort(place / "cohort")
  np.save("cohort/P0.npy", own_source.values(0)[:50])  # too short
  (place / "cohort/P4.npy").write_bytes(b"")
  with pytest.raises(InputError, match=r"P4\.npy"):
    run()
  np.save("cohort/P4.npy", own_source.values(4))
  capsys.readouterr()
  facts = manifest.load(run())
  assert "4 recordings were done before" in capsys.readouterr().out
  assert facts["qc"]["recordings"]["without_windows"] == 1


def test_a_recording_that_changes_meanwhile(place, monkeypatch):
  own_source.write_cohort(place / "cohort")
  honest = prepare.staging.stage_all

  def slow(*args):
    out = honest(*args)
    change("cohort/P2.npy")
    return out

  monkeypatch.setattr(prepare.staging, "stage_all", slow)
  with pytest.raises(InputError, match="recording P2: its files changed"):
    run()
  assert not os.path.exists("data/biosignal_pairs")


# --- the same recording twice ------------------------------------------------


def write_e4(folder, people=4):
  """E4 sessions that differ from each other."""
  for i in range(people):
    rng = np.random.default_rng(i)
    test_e4.write_session(
        folder / f"P0{i}", seconds=60,
        ACC="1600000000,1600000000,1600000000\n32,32,32\n" + "".join(
            f"{a},{b},{c}\n" for a, b, c in rng.integers(-60, 60, (1920, 3))
        ),
        BVP="1600000000\n64\n" + "".join(
            f"{v:.2f}\n" for v in rng.normal(0, 50, 3840)
        ),
        IBI="", HR="", tags="",
    )


def e4_config(**fields):
  c = prepare_config.get_config("e4,name=twice").unlock()
  c.workers, c.window_sec, c.hop_sec = 1, 8.0, 8.0
  c.update(fields)
  return c.lock()


def copy(a, b):
  shutil.copytree(a, b)


def copy_with_more(a, b):
  shutil.copytree(a, b)
  (b / "desktop.ini").write_text("[.ShellClassInfo]\n")


def link(a, b):
  b.symlink_to(a.name)


def hard_links(a, b):
  b.mkdir()
  for file in a.iterdir():
    os.link(file, b / file.name)


def linked_files(a, b):
  b.mkdir()
  for file in a.iterdir():
    (b / file.name).symlink_to(file)


WAYS = [copy, copy_with_more, link, hard_links, linked_files]


@pytest.mark.parametrize("twice", WAYS)
@pytest.mark.parametrize("kind", ["e4", "own"])
def test_the_same_files_twice(place, monkeypatch, kind, twice):
  cohort = place / "cohort"
  if kind == "e4":
    write_e4(cohort)
    first, second = "P02", "P02 - Copy"
  else:
    own_source.write_cohort(cohort, folders=True)
    first, second = "P2", "P2 - Copy"
  twice(cohort / first, cohort / second)
  monkeypatch.setattr(prepare.staging, "stage_all", None)  # before any is cut
  with pytest.raises(InputError) as error:
    if kind == "e4":
      prepare.run(e4_config(), str(cohort), "data")
    else:
      run()
  assert f"{first!r} and {second!r} (all files)" in str(error.value)
  assert "same_recording=join" in str(error.value)
  assert "\n" not in str(error.value)


def test_a_folder_that_holds_a_link_to_the_cohort(place):
  """P0 is `P0` and also `again/P0`, another participant."""
  write_e4(place / "cohort")
  (place / "cohort/again").symlink_to("../cohort")
  with pytest.raises(InputError, match="'P00' and 'again/P00'"):
    prepare.run(e4_config(), "cohort", "data")


@pytest.mark.parametrize("target", [".", "..", "loop"])
def test_a_link_that_leads_into_a_circle(place, target):
  own_source.write_cohort(place / "cohort", folders=True)
  (place / "cohort/P3/loop").symlink_to(target)
  with pytest.raises(InputError, match="cohort/P3/loop.*: a link that leads"):
    run()
  (place / "cohort/P3/loop").unlink()
  run()


def test_saved_anew_it_is_known_by_its_samples(place):
  own_source.write_cohort(place / "cohort")
  x = own_source.values(2)
  x[:, 3] += 1  # another PPG, the same acceleration
  np.save("cohort/P2b.npy", np.asfortranarray(x))
  with pytest.raises(InputError, match=r"'P2' and 'P2b' \(signal acc\)"):
    run()
  assert not os.path.exists("data/biosignal_pairs")


@pytest.mark.parametrize("anew", [False, True])
def test_joined(place, anew, capsys):
  own_source.write_cohort(place / "cohort")
  alone = run(data_dir="alone", same_recording="join")
  x = own_source.values(2)
  np.save("cohort/P2b.npy", np.asfortranarray(x) if anew else x)
  capsys.readouterr()
  out = run(same_recording="join")
  same_rows(out, alone)
  assert "'P2' and 'P2b'" in (said := capsys.readouterr().out)
  assert "5 used, 0 without a window, 0 unreadable, 1 there twice" in said
  facts = manifest.load(out)
  assert facts["qc"]["recordings"]["joined"] == 1
  assert facts["recordings"]["count"] == 6
  assert run(same_recording="join") == out


def test_still_sensors_are_no_evidence(place):
  own_source.write_cohort(place / "cohort")
  for i in (1, 2):
    x = own_source.values(i)
    x[:, 3] = 0
    x[::40, 3] = 1  # changes less often than MIN_CHANGES
    np.save(f"cohort/P{i}.npy", x)
  run()


def test_what_same_recording_may_be(place):
  own_source.write_cohort(place / "cohort")
  with pytest.raises(InputError, match=r"same_recording: got 'merge'"):
    run(same_recording="merge")
