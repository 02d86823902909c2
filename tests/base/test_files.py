"""A file is replaced whole."""

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
