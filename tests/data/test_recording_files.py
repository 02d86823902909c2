"""Which files belong to a recording: never one less than is read."""

import os
import pathlib
import socket
import sys

import pytest

from accfm.base.errors import InputError
from accfm.data import recording_files, recordings
from accfm.data.sources import SOURCES, e4
from tests.data import fake_source
from tests.data.test_e4 import write_session

opened = None  # a list while files are noted


def note(event, args):
  if event != "open" or opened is None:
    return
  if isinstance(args[0], (str, bytes)):
    opened.append(os.fsdecode(args[0]))


sys.addaudithook(note)  # it cannot be removed


class Source:
  """A source that does not say what it reads."""


def find(folder, names, data_dir=""):
  found = recording_files.find(Source(), str(folder), names, {}, data_dir)

  def short(paths):
    return sorted(os.path.relpath(p, folder) for p in paths)

  return {n: short(p) for n, p in found.own.items()}, short(found.shared)


def write(folder, *names):
  for name in names:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(os.fsencode(name))


def check_reads(source, source_dir):
  """What reading each recording opens is in the list of its files."""
  global opened
  names = source.list_recordings(source_dir, {})
  found = recording_files.find(source, str(source_dir), names, {})
  for name in names:
    opened = []
    try:
      source.read_recording(source_dir, name, {})
      read = {p for p in opened if p.startswith(str(source_dir))}
    finally:
      opened = None
    said = [*found.own[name], *found.shared]
    assert read and read <= {path for _, path, _ in recording_files.walk(said)}
  return found


def test_the_e4_reads_what_it_says(tmp_path):
  for name in ("P1", "P2"):
    write_session(tmp_path / name)
    (tmp_path / name / "TEMP.csv").write_text("not read")
  (tmp_path / "participants.csv").write_text("participant,sex\nP1,0\nP2,1\n")
  found = check_reads(e4, tmp_path)
  assert found.shared == [str(tmp_path / "participants.csv")]
  names = {os.path.basename(p) for p in found.own["P1"] if os.path.exists(p)}
  assert names == {"ACC.csv", "BVP.csv", "IBI.csv", "HR.csv", "tags.csv"}


def test_one_session_as_the_folder(tmp_path):
  write_session(tmp_path / "P1")
  check_reads(e4, tmp_path / "P1")


def test_real_recordings_of_the_cup(real_data):
  found = check_reads(SOURCES["ieee_spc"], real_data / "ieee_spc_2015")
  assert not found.shared
  assert {len(paths) for paths in found.own.values()} <= {1, 2}


def test_simulated_people_have_no_files():
  found = recording_files.find(SOURCES["simulated"], "", ["p0", "p1"], {})
  assert found.own == {"p0": (), "p1": ()} and not found.shared


def test_a_file_or_folder_of_the_name_is_the_recording(tmp_path):
  write(tmp_path, "P1.csv", "P1.hr.csv", "P10.csv", "P2/a.csv", "P2/b/c.csv",
        "P3/one.bin", "table.csv", "watch.py", ".hidden", "desktop.ini",
        "results/x.txt")
  own, shared = find(tmp_path, ["P1", "P10", "P2", "P3/one"])
  assert own == {
      "P1": ["P1.csv", "P1.hr.csv"], "P10": ["P10.csv"], "P2": ["P2"],
      "P3/one": ["P3/one.bin"],
  }
  assert shared == ["table.csv"]


def test_without_a_file_of_its_name_all_files_count(tmp_path):
  write(tmp_path, "a/x.csv", "P2.csv", "data/shard", "__pycache__/x.pyc")
  own, shared = find(tmp_path, ["P1", "P2"], str(tmp_path / "data"))
  assert own == {"P1": [], "P2": ["P2.csv"]} and shared == ["a"]


def test_all_that_lies_in_a_folder_counts_but_no_junk(tmp_path):
  write(tmp_path, "P/b", "P/a/c", "P/.DS_Store", "P/desktop.ini")
  os.symlink("nothing", tmp_path / "P/dangling")
  with socket.socket(socket.AF_UNIX) as s:
    here = os.getcwd()
    os.chdir(tmp_path)
    s.bind("P/socket")
    os.chdir(here)
    found = recording_files.walk([str(tmp_path / "P")])
  assert [relative for relative, _, _ in found] == ["a/c", "b"]
  whole = recordings.read("P", [str(tmp_path / "P")])
  os.rename(tmp_path / "P/a", tmp_path / "P/z")
  other = recordings.read("P", [str(tmp_path / "P")])
  assert other.bare == whole.bare and other.content != whole.content
  os.rename(tmp_path / "P", tmp_path / "Q")  # the folder's name does not count
  moved = recordings.read("P", [str(tmp_path / "Q")])
  assert moved.content == other.content


def test_links_in_a_circle(tmp_path):
  (tmp_path / "P").mkdir()
  os.symlink("b", tmp_path / "P/a")
  os.symlink("a", tmp_path / "P/b")
  with pytest.raises(InputError, match="P/a: a link that leads back to itself"):
    recording_files.walk([str(tmp_path / "P")])


def test_a_file_that_cannot_be_read_is_named(tmp_path, monkeypatch):
  write(tmp_path, "P1")

  def refuse(*args):
    raise PermissionError(13, "Permission denied")

  monkeypatch.setattr(recordings.hashlib, "file_digest", refuse)
  with pytest.raises(InputError, match="P1: cannot be read .Permission"):
    recordings.read("P1", [str(tmp_path / "P1")])


def test_names_in_any_bytes(tmp_path):
  odd = os.fsdecode(b"P\xff1")
  pathlib.Path(tmp_path, odd).mkdir()
  write(tmp_path, f"{odd}/a")
  own, _ = find(tmp_path, [odd])
  assert own == {odd: [odd]}
  assert recordings.read(odd, [str(tmp_path / odd)]).content
  assert len(recordings._key(odd, "")) == len(recordings._key(odd, "s")) == 32


def test_a_name_that_is_listed_twice(tmp_path):
  with pytest.raises(InputError, match="source fake: lists 'a' more than once"):
    recordings.look(
        Source(), str(tmp_path), ["a", "b", "a"], fake_source.get_config(),
        "", [],
    )
