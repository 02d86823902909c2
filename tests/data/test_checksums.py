"""A data set's files are compared with what preparation wrote."""

import hashlib
import json
import os
import pathlib
import pickle
import shutil
import subprocess
import sys

import pytest

from accfm import prepare
from accfm.base.errors import InputError
from accfm.data import checksums, damage, joined, manifest, pipeline, shards
from tests.data import fake_source
from tests.data.shards import as_older, edit, rewrite, seal, shard_of


@pytest.fixture(scope="module")
def written(tmp_path_factory):
  return run(tmp_path_factory.mktemp("data"))


def run(root, **fields):
  return prepare.run(
      fake_source.get_config(**fields), "x", str(root),
      {"fake": fake_source.Fake()},
  )


@pytest.fixture
def copy(written, tmp_path):
  return pathlib.Path(shutil.copytree(written, tmp_path / "1.0.0"))


def content(folder):
  return {p.name: p.read_bytes() for p in pathlib.Path(folder).iterdir()}


def flip(path, at):
  data = bytearray(pathlib.Path(path).read_bytes())
  data[at] ^= 1
  pathlib.Path(path).write_bytes(data)


def test_they_are_of_every_file(written):
  files = content(written)
  assert set(files) == {
      "checksums.json", "manifest.json", "dataset_info.json", "features.json",
      *(f"biosignal_pairs-{s}.array_record-00000-of-00001"
        for s in ("train", "val", "test")),
  }
  stored = json.loads(files.pop("checksums.json"))
  assert stored == {
      name: [len(data), hashlib.sha256(data).hexdigest()]
      for name, data in files.items()
  }


ELSEWHERE = """
from accfm import prepare
from tests.data import fake_source
prepare.run(fake_source.get_config(workers=2), "x", {root!r},
            {{"fake": fake_source.Fake()}})
"""


def test_a_data_set_is_the_same_bytes_whoever_writes_it(written, tmp_path):
  """In another folder, with more workers, by a process of another hash seed.

  protobuf draws the order in which it writes columns for each process.
  """
  subprocess.run(
      [sys.executable, "-c", ELSEWHERE.format(root=str(tmp_path))], check=True,
      cwd=pathlib.Path(__file__).parents[2],
  )
  other = manifest.find(tmp_path, "tiny")
  assert content(other) == content(written)
  assert manifest.digest(other) == manifest.digest(written) != ""


@pytest.mark.parametrize("name", [
    "manifest.json", "dataset_info.json", "features.json",
    "biosignal_pairs-train.array_record-00000-of-00001",
])
def test_a_changed_byte_is_refused_by_name(copy, name):
  path = copy / name
  at = path.read_bytes().rfind(b"0")  # another digit: JSON stays JSON
  flip(path, at if name.endswith("json") else 70)
  with pytest.raises(InputError, match=f"{name}: its content is not what"):
    pipeline.open_split(copy, "train")
  with pytest.raises(InputError, match=f"{name}: its content .*prepare it "):
    shards.check_all(copy)


@pytest.mark.parametrize("split", ["train", "val"])
def test_sizes_are_of_all_shards_and_contents_of_what_is_read(copy, split):
  flip(shard_of(copy, "val"), 70)
  if split == "train":
    assert len(pipeline.open_split(copy, "train")) == 21
  else:
    with pytest.raises(InputError, match="its content is not what"):
      pipeline.open_split(copy, split)
  with open(shard_of(copy, "val"), "ab") as f:
    f.write(b"0")
  with pytest.raises(InputError, match="bytes, want .*prepare it again"):
    pipeline.open_split(copy, split)
  os.remove(shard_of(copy, "val"))
  with pytest.raises(InputError, match="cannot be read .No such file"):
    pipeline.open_split(copy, split)


def test_shards_that_changed_places_are_refused(copy):
  train, val = shard_of(copy, "train"), shard_of(copy, "val")
  os.rename(train, copy / "x")
  os.rename(val, train)
  os.rename(copy / "x", val)
  for split in ("train", "val"):
    with pytest.raises(InputError, match=f"{split}.array.*: its content is "):
      pipeline.open_split(copy, split)
  as_older(copy)
  with pytest.raises(damage.DamagedError, match="row 0 .*its manifest says"):
    pipeline.open_split(copy, "train").read([0], ("acc",))


@pytest.mark.parametrize("text, message", [
    ("{}", "manifest.json: has no line in checksums.json"),
    ("[]", "got .*, want an object"),
    ("", "not valid JSON"),
    ("[" * 100_000, "not valid JSON"),
    ('{"manifest.json": [1, "aa"]}', "want a file name with .bytes, SHA-256"),
    ('{"../x": [1, "' + "a" * 64 + '"]}', "want a file name"),
    ('{"manifest.json": null}', "want a file name"),
])
def test_what_are_no_checksums(copy, text, message):
  (copy / "checksums.json").write_text(text)
  for read in (manifest.load, manifest.digest, shards.check_all):
    with pytest.raises(InputError, match=message) as error:
      read(copy)
    assert "\n" not in str(error.value)


def test_they_cannot_be_left_out(copy, capsys):
  """Unless the mark of the format goes too, as in what older versions wrote."""
  os.remove(copy / "checksums.json")
  with pytest.raises(InputError, match="checksums.json: no such file"):
    manifest.load(copy)
  edit(copy, lambda facts: facts.pop("format"), sealed=False)
  for _ in range(2):
    assert len(pipeline.open_split(copy, "train")) == 21
  assert manifest.digest(copy) == ""
  said = capsys.readouterr().err
  assert said.count("\n") == 1
  assert f"warning: {copy}: an older accfm prepared it, without check" in said


def test_an_older_data_set_is_the_same_rows(written, copy):
  as_older(copy)
  for split in ("train", "val", "test"):
    new, old = (pipeline.open_split(f, split) for f in (written, copy))
    assert len(new) == len(old)
    for name, column in new.table.items():
      assert column.tobytes() == old.table[name].tobytes()


def test_training_that_replaces_rows_is_told(copy, capsys):
  flip(shard_of(copy), 20_000)
  with pytest.raises(InputError, match="max_damaged_share"):
    joined.open_joined([copy], "train")
  for _ in range(2):
    assert len(joined.open_joined([copy], "train", 0.1)) == 21
  said = capsys.readouterr().err
  assert said.count("its content is not what checksums.json says") == 1


def test_no_more_is_read_than_the_bound(copy, monkeypatch):
  flip(shard_of(copy), 70)
  monkeypatch.setattr(checksums, "MOST_BYTES", 100)
  assert len(pipeline.open_split(copy, "train")) == 21
  with pytest.raises(InputError, match="its content"):
    shards.check_all(copy)  # whatever the bound


@pytest.mark.parametrize("settled", [False, True])
def test_a_file_is_read_once_while_it_stays(copy, monkeypatch, settled):
  """Not where it changed so lately that its times may not tell."""
  monkeypatch.setattr(checksums, "SETTLED_NS", -10**18 if settled else 10**18)
  monkeypatch.setattr(checksums, "_read", {})
  real, read = hashlib.file_digest, []

  def counted(f, kind):
    read.append(f.name)
    return real(f, kind)

  monkeypatch.setattr(checksums.hashlib, "file_digest", counted)
  path = shard_of(copy)
  split = pipeline.open_split(copy, "train")
  for _ in range(2):
    pipeline.open_split(copy, "train")
  assert read.count(path) == (1 if settled else 3)
  # What another process takes over; one that knows nothing reads it.
  handed = pickle.dumps(split)
  checksums._read.clear()
  read.clear()
  assert len(pickle.loads(handed)) == 21
  assert read.count(path) == (0 if settled else 1)
  os.utime(path, ns=(1, 1))
  pipeline.open_split(copy, "train")
  assert read.count(path) == (1 if settled else 2)


# --- what checksums cannot know: each record says whose it is ----------------


def shift(facts):
  """One row of the first person becomes one of the second."""
  rows = facts["rows"]["train"]
  rows[0][1] -= 1
  rows[1][1] += 1


@pytest.mark.parametrize("pruned", [False, True])
def test_a_row_of_another_person_than_the_manifest_says(copy, pruned):
  (first, count), (second, _) = manifest.load(copy)["rows"]["train"][:2]
  if pruned:
    as_older(copy)
  edit(copy, shift, sealed=not pruned)
  split = pipeline.open_split(copy, "train")
  row = count - 1
  text = (
      f"row {row} of split train belongs to {first!r}, its manifest says "
      f"{second!r}"
  )
  with pytest.raises(damage.DamagedError, match=text):
    split.read([0, row], ("acc",))
  with pytest.raises(damage.DamagedError, match=text):
    split.table  # noqa: B018
  assert len(split.read(range(row), ("acc",))["acc"]) == row


def test_renamed_people_cannot_switch_the_leak_guard_off(copy):
  """Renamed wherever the manifest names them, with checksums to match."""
  def rename(facts):
    facts["splits"]["train"] = [f"{p}x" for p in facts["splits"]["train"]]
    facts["rows"]["train"] = [[f"{p}x", n] for p, n in facts["rows"]["train"]]
    facts["split_hash"] = manifest.split_hash(facts["splits"])

  edit(copy, rename)
  split = pipeline.open_split(copy, "train")
  with pytest.raises(damage.DamagedError, match="row 0 .* belongs to 'fake/P"):
    split.read([0], ("ppg",))


# --- one hash ----------------------------------------------------------------


def test_the_hash_is_of_config_recordings_and_rows(written, copy, tmp_path):
  want = manifest.digest(written)
  assert len(want) == 16 and pipeline.open_split(written, "val").digest == want
  assert manifest.digest(copy) == want

  def version(facts):
    facts["code_version"] = facts["contract"]["code_version"] = "9.9"

  edit(copy, version)
  assert manifest.digest(copy) == want
  edit(copy, lambda facts: facts["recordings"].update(digest="0" * 16))
  assert manifest.digest(copy) != want
  rewritten = shutil.copytree(written, tmp_path / "b")
  rewrite(rewritten, 3, lambda feature: None)  # the same rows, packed anew
  rewrite(rewritten, 3, lambda feature: feature["motion_g"].float_list.value
          .__setitem__(0, 0.5))
  assert manifest.digest(rewritten) != want
  seal(rewritten)
  assert manifest.digest(run(tmp_path / "c", labels__min_pairs=2)) != want


def test_prepare_says_the_hash_and_verifies_what_is_there(
    written, tmp_path, capsys
):
  out = pathlib.Path(run(tmp_path))
  line = f"hash of the data set: {manifest.digest(written)}\n"
  assert line in capsys.readouterr().out
  assert run(tmp_path) == str(out)
  said = capsys.readouterr().out
  assert "prepared before" in said and line in said
  flip(shard_of(out, "test"), 70)
  with pytest.raises(InputError, match="-test.array.*: its content is not"):
    run(tmp_path)
