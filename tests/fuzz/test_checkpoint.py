"""A step's folder: what it says of itself, and the sums that vouch for it."""

import json
import pathlib
import shutil
import zlib

import numpy as np
import pytest
from hypothesis import strategies as st

from accfm.steps import kinds
from accfm.train import checkpoints
from tests.fuzz import hostile
from tests.fuzz.test_json import RECORD
from tests.train.checkpoints import test_saver


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
  """The workdir of a run with one checkpoint."""
  path = tmp_path_factory.mktemp("saved") / "run"
  with checkpoints.Checkpoints(path / "checkpoints") as saver:
    saver.save(1, test_saver.make_state(1), test_saver.frozen(), RECORD, None)
    saver.wait()
  return path


def load(path):
  """What every main reads of a checkpoint."""
  found = checkpoints.load(path)
  kinds.encoder_configs(found.record)
  checkpoints.newest_whole(path)
  return found


@pytest.fixture
def step(saved, tmp_path):
  """(its folder, what was loaded of it)."""
  path = shutil.copytree(saved, tmp_path / "run")
  return path / "checkpoints" / "1", load(path)


def same(one, two):
  assert one.record == two.record
  for a, b in ((one.params, two.params), (one.frozen, two.frozen)):
    np.testing.assert_equal(a, b)


def test_a_record_that_was_changed(fuzz, step):
  folder, want = step
  path = folder / "record.json"
  valid = json.loads(path.read_text())

  def check(judge, case):
    path.write_bytes(case)
    judge.call(case, lambda: same(load(folder.parent), want))

  fuzz(hostile.json_files(valid, most=2), check)


def test_a_record_with_the_sums_to_match(fuzz, step):
  folder, _ = step
  path, sums = folder / "record.json", folder / "checksums.json"
  valid, there = json.loads(path.read_text()), json.loads(sums.read_text())

  def check(judge, case):
    path.write_bytes(case)
    sums.write_text(json.dumps(
        {**there, "record.json": [len(case), zlib.crc32(case)]}
    ))
    judge.call(case, load, folder.parent)

  fuzz(hostile.json_files(valid, most=2), check)


def test_sums_that_were_changed_beside_a_changed_record(fuzz, step):
  """Whatever the sums say, a changed record is not believed without them."""
  folder, want = step
  path, sums = folder / "record.json", folder / "checksums.json"
  there = json.loads(sums.read_text())
  changed = json.loads(path.read_text())
  changed["metrics"] = {"val/x": 9.0}
  path.write_text(json.dumps(changed))
  own = [path.stat().st_size, zlib.crc32(path.read_bytes())]

  def read(case):
    found = load(folder.parent)
    assert json.loads(case)["record.json"] == own, "the record had no sum"
    assert len(json.loads(case)) >= len(there), "some files have no sum"
    return found

  def check(judge, case):
    sums.write_bytes(case)
    judge.call(case, read, case)

  fuzz(
      hostile.json_files(there)
      | st.sampled_from([b"{}", b"[]", b"null", b'""', b"0", b"[[]]"]),
      check,
  )


def test_names_in_a_folder_of_checkpoints(fuzz, step, tmp_path):
  """A renamed step is not another step."""
  folder, want = step
  root = tmp_path / "renamed"

  def read(name):
    found = load(root)
    assert found.step == want.step, f"step {want.step} is read as {found.step}"

  def check(judge, case):
    (root / "checkpoints").mkdir(parents=True)
    shutil.copytree(folder, root / "checkpoints" / case)
    judge.call(case, read, case)
    shutil.rmtree(root)

  fuzz(st.sampled_from(
      ["1", "2", "0", "01", "１", "²", "-1", "1.0", "1 ", "1" * 200, "x",
       "damaged-1", "9" * 19, "9" * 20, "٣", "1.partial"]
  ) | st.integers(0, 10**12).map(str), check)


def test_files_of_arrays_that_were_damaged(fuzz, step):
  folder, want = step
  files = sorted(
      p for p in folder.rglob("*")
      if p.is_file() and pathlib.PurePath(p).name != "record.json"
  )
  strategy = st.sampled_from(files).flatmap(
      lambda p: st.tuples(st.just(p), hostile.damaged(p.read_bytes()))
  )

  def check(judge, case):
    path, data = case
    before = path.read_bytes()
    path.write_bytes(data)
    judge.call(
        (path.relative_to(folder), data),
        lambda: same(load(folder.parent), want),
    )
    path.write_bytes(before)

  fuzz(strategy, check)
