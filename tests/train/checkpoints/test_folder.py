"""A step's folder holds every file that was written, and that very step."""

import json
import shutil

import pytest

from accfm.base.errors import InputError
from accfm.train.checkpoints import folder, follow, reader


def write_step(root, number, **fields):
  """A folder as a run writes it, without real arrays."""
  path = root / "checkpoints" / str(number)
  files = {"state/d/a": b"12", "state/b": b"", "frozen/c": b"3"}
  for name, data in files.items():
    file = path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
  record = {
      "step": number, "best": {"metric": "val/x", "mode": "max"},
      "metrics": {"val/x": -float(number)}, **fields,
  }
  folder.write(path, json.dumps(
      {k: v for k, v in record.items() if v is not None}
  ))
  return path


@pytest.fixture
def run(tmp_path):
  """A workdir with steps 1, 2 and 3; the first is the best."""
  for step in (1, 2, 3):
    write_step(tmp_path, step)
  return tmp_path


def refused(path, *words):
  """Whether both ways to look at a folder refuse it, in one line."""
  with pytest.raises(folder.DamagedError) as error:
    folder.verify(path)
  text = str(error.value)
  assert "\n" not in text and str(path) in text
  for word in words:
    assert word in text, text
  return True


@pytest.mark.parametrize("text", [
    "{}", "[]", "3", "null", '"text"', "", "{", "[" * 100_000, '{"a": 1}',
    '{"record.json": [1, 2, 3]}', '{"record.json": ["1", "2"]}',
    '{"record.json": [true, 1]}', '{"record.json": [-1, 1]}',
    '{"record.json": [1.0, 1]}', '{"record.json": null}',
    '{"record.json": [1, NaN]}', '{"record.json": [1, 1e999]}',
    '{"record.json": [1, ' + "9" * 5000 + "]}",
    '{"record.json": [1, 1], "record.json": [1, 1]}',
])
def test_checksums_of_another_shape_verify_nothing(run, text):
  path = run / "checkpoints" / "3"
  (path / folder.CHECKSUMS).write_text(text)
  assert refused(path, folder.CHECKSUMS)
  assert reader.newest_whole(run) == path.with_name("2")


def test_checksums_that_are_no_text(run):
  path = run / "checkpoints" / "3"
  (path / folder.CHECKSUMS).write_bytes(b"\xff\xfe{}")
  assert refused(path)


@pytest.mark.parametrize("left_out", ["record.json", "state/d/a", "state/b"])
def test_checksums_name_every_file(run, left_out):
  path = run / "checkpoints" / "3"
  sums = json.loads((path / folder.CHECKSUMS).read_text())
  del sums[left_out]
  (path / folder.CHECKSUMS).write_text(json.dumps(sums))
  assert refused(path, left_out, "is not in its checksums.json (1 of 4 files)")


def test_a_file_too_many_or_too_few(run):
  path = run / "checkpoints" / "3"
  (path / "state" / ".nfs0001").write_bytes(b"of a file system")
  folder.verify(path)
  (path / "state" / "more").write_bytes(b"")
  assert refused(path, "state/more is not in")
  (path / "state" / "more").rename(path / "state" / "b")
  (path / "state" / "b").unlink()
  assert refused(path, "state/b is missing of what was written (1 of 4")


def test_files_that_did_not_change_are_read_once(run, monkeypatch):
  path, read = run / "checkpoints" / "3", []
  whole = folder.checksums
  monkeypatch.setattr(
      folder, "checksums", lambda path: read.append(path) or whole(path)
  )
  for _ in range(5):
    folder.verify(path)
    assert reader.newest_whole(run) == path
  assert read == [path]
  (path / "state" / "d" / "a").write_bytes(b"21")  # as many bytes
  assert refused(path, "state/d/a differs")
  (path / "state" / "d" / "a").write_bytes(b"12")
  folder.verify(path)
  assert len(read) == 3


def test_a_renamed_step_is_found_by_nobody(run):
  """Renamed to a later number it would be what a run resumes from."""
  steps = run / "checkpoints"
  (steps / "2").rename(steps / "50")
  want = r"checkpoints/50: the folder is named 50 and holds step 2; rename"
  for wanted in (None, "latest", 50, "50", "best"):
    with pytest.raises(folder.DamagedError, match=want):
      reader.find(run, wanted)
  with pytest.raises(folder.DamagedError, match=want):
    reader.find(steps / "50")
  with pytest.raises(folder.DamagedError, match=want):
    reader.read_meta(steps / "50")
  assert refused(steps / "50", "holds step 2")
  assert reader.newest_whole(run) == steps / "3"
  (steps / "50").rename(steps / "2")
  assert reader.find(run, "best") == steps / "1"
  assert reader.find(run) == steps / "3"


def test_a_copied_step_is_left_out_by_who_follows(run):
  steps = run / "checkpoints"
  shutil.copytree(steps / "1", steps / "4")
  (run / "config.json").write_text('{"config": {"total_steps": 4}}')
  said = []

  def load(path):
    folder.verify(path)
    return reader.Loaded(int(path.name), {}, {}, {}, {}, path)

  got = list(follow.follow(
      run, lambda step: False, wait=lambda s: None, load=load, say=said.append
  ))
  assert [loaded.step for loaded in got] == [1, 2, 3]
  assert len([line for line in said if "step 4: left out" in line]) == 1


@pytest.mark.parametrize("held", ["3", True, 3.0, [3], 1e300])
def test_a_step_of_another_type(tmp_path, held):
  path = write_step(tmp_path, 1 if held is True else 3, step=held)
  assert refused(path, "holds step", "use another step")


def test_a_record_without_a_step_is_of_older_code(tmp_path):
  path = write_step(tmp_path, 3, step=None).rename(
      tmp_path / "checkpoints" / "9"
  )
  folder.verify(path)
  assert reader.find(tmp_path) == path


@pytest.mark.parametrize("name", ["007", "٣", "-1", "1.0", " 1"])
def test_a_folder_of_no_plain_number_is_no_step(tmp_path, name):
  write_step(tmp_path, 7).rename(tmp_path / "checkpoints" / name)
  assert reader.steps(tmp_path) == []
  with pytest.raises(InputError, match="got no checkpoint"):
    reader.find(tmp_path)


@pytest.mark.parametrize("record", [
    [], 3, "text", None, {"step": 3, "x": [[[]]] * 3},
])
def test_a_record_is_an_object(run, record):
  path = run / "checkpoints" / "3"
  folder.write(path, json.dumps(record))
  if isinstance(record, dict):
    assert reader.read_meta(path) == record
  else:
    assert refused(path, "its record cannot be read")


@pytest.mark.parametrize("fields, want", [
    (dict(best=3), "best: got 3"), (dict(best={"metric": 3}), "metric: got 3"),
    (dict(best={"metric": "val/x", "mode": "most"}), r"\(most\)"),
    (dict(best={"metric": "val/z", "mode": "max"}), "ranked by 'val/z'"),
])
def test_a_ranking_of_another_shape(tmp_path, fields, want):
  write_step(tmp_path, 1, **fields)
  with pytest.raises(InputError, match=want):
    reader.find(tmp_path, "best")


@pytest.mark.parametrize("metrics", [
    {"val/x": "9"}, {"val/x": [9]}, {"val/x": True}, {"val/x": None},
    {"val/x": float("nan")}, [9], "val/x",
])
def test_a_score_that_is_no_number_is_not_the_best(run, metrics):
  write_step(run, 4, metrics=metrics)
  assert reader.find(run, "best").name == "1"
