"""What processes compare before they train, and what they say meanwhile."""

import pathlib
import shutil
import zlib

import numpy as np
import pytest

import accfm
from accfm.base.errors import InputError
from accfm.base.processes import cluster, facts, heartbeat


def test_one_changed_source_changes_the_hash(tmp_path, monkeypatch):
  here = pathlib.Path(accfm.__file__).parent
  copy = tmp_path / "accfm"
  shutil.copytree(here, copy, ignore=shutil.ignore_patterns("__pycache__"))
  before = facts.sources()
  monkeypatch.setattr(accfm, "__file__", str(copy / "__init__.py"))
  assert facts.sources() == before
  with open(copy / "train" / "loop.py", "a") as f:
    f.write("#")
  assert facts.sources() != before


def test_a_longer_or_renamed_shard_changes_the_hash(tmp_path):
  (tmp_path / "a").write_text("1")
  first = facts.shards(tmp_path)
  (tmp_path / "a").write_text("12")
  second = facts.shards(tmp_path)
  (tmp_path / "a").rename(tmp_path / "b")
  assert len({first, second, facts.shards(tmp_path)}) == 3


def test_weights_by_name_type_shape_and_value():
  w = np.arange(6, dtype=np.float32).reshape(2, 3)
  want = zlib.crc32(b"['w'] float32 (2, 3)" + w.tobytes())
  assert facts.weights({"w": w}) == f"{want:08x}"
  others = [{"v": w}, {"w": w.T}, {"w": w.reshape(3, 2)}, {"w": -w}, {},
            {"w": w.view(np.int32)}]
  assert len({facts.weights(x) for x in [{"w": w}, *others]}) == 7


def test_what_may_take_long_is_given_time(monkeypatch):
  marks = []
  monkeypatch.setattr(cluster, "mark", lambda *mark: marks.append(mark))
  progress = heartbeat.make_progress(10)
  for step in range(7, 12):  # resumed: the first steps compile
    progress("computing", step)
  progress("saving", 11, long=True)
  assert marks == [
      ("opening the run", 60), ("computing step 7", 60),
      ("computing step 8", 60), ("computing step 9", 60),
      ("computing step 10", 60), ("computing step 11", 10),
      ("saving step 11", 60),
  ]
  heartbeat.make_progress(0)("computing", 99)
  assert marks[-1] == ("computing step 99", 0)


def test_a_limit_below_0():
  with pytest.raises(InputError, match="stall_seconds: got -1, want 0"):
    heartbeat.make_progress(-1)
