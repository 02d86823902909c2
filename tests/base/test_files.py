"""A file is replaced whole."""

import subprocess
import sys

import pytest

from accfm.base import files


def test_write_atomic_replaces_and_leaves_nothing_else(tmp_path):
  path = tmp_path / "x.json"
  files.write_atomic(path, "old")
  files.write_atomic(path, "new")
  assert path.read_text() == "new"
  assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_an_error_leaves_the_old_file_alone(tmp_path):
  path = tmp_path / "x.bin"
  path.write_bytes(b"old")
  with pytest.raises(RuntimeError), files.atomic(path) as partial:
    partial.write_bytes(b"half")
    raise RuntimeError
  assert path.read_bytes() == b"old"
  assert [p.name for p in tmp_path.iterdir()] == ["x.bin"]


def test_two_that_write_one_file_do_not_meet(tmp_path):
  path = tmp_path / "x.json"
  with files.atomic(path) as first, files.atomic(path) as second:
    assert first != second
    first.write_text("first")
    second.write_text("second")
  assert path.read_text() == "first"  # the later to end
  assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_what_a_killed_process_left_is_removed(tmp_path):
  path = tmp_path / "x.json"
  killed = subprocess.run([sys.executable, "-c", (
      "import os, sys\n"
      "from accfm.base import files\n"
      "with files.atomic(sys.argv[1]) as partial:\n"
      "  partial.write_text('half')\n"
      "  os.kill(os.getpid(), 9)\n"
  ), str(path)], check=False)
  assert killed.returncode == -9 and len(list(tmp_path.iterdir())) == 1
  (tmp_path / "x.json.later").write_text("")
  with files.atomic(path) as mine:
    mine.write_text("a")
    files.write_atomic(path, "b")  # leaves the first writer's alone
    assert mine.exists()
  assert sorted(p.name for p in tmp_path.iterdir()) == [
      "x.json", "x.json.later"
  ]


def test_an_error_without_a_file_gets_its_name(tmp_path):
  path = tmp_path / "x.json"
  with pytest.raises(OSError, match="No space left") as error:
    with files.atomic(path), open("/dev/full", "wb", buffering=0) as f:
      f.write(b"x")
  assert error.value.filename == str(path)
