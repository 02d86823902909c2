"""A text file is replaced whole."""

from accfm.base import files


def test_write_atomic_replaces_and_leaves_nothing_else(tmp_path):
  path = tmp_path / "x.json"
  files.write_atomic(path, "old")
  files.write_atomic(path, "new")
  assert path.read_text() == "new"
  assert [p.name for p in tmp_path.iterdir()] == ["x.json"]
