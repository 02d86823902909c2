"""Manifests: what was saved comes back, and the right data set is found."""

import json
import os

import pytest

from accfm.base.errors import InputError
from accfm.configs import prepare as prepare_config
from accfm.data import manifest
from tests.data.manifests import make, write


def test_save_and_load(tmp_path):
  plain = make()
  manifest.save(tmp_path, plain)
  assert manifest.load(tmp_path) == plain
  assert os.listdir(tmp_path) == ["manifest.json"]


def test_numbers_must_be_finite(tmp_path):
  with pytest.raises(ValueError):
    manifest.save(tmp_path, {"rms": float("nan")})
  assert not (tmp_path / "manifest.json").exists()


def test_find_takes_the_newest_complete_version(tmp_path):
  write(tmp_path, "a", "1.9.0")
  want = write(tmp_path, "a", "1.10.0")
  (tmp_path / "biosignal_pairs" / "a" / "2.0.0").mkdir()  # no manifest
  (tmp_path / "biosignal_pairs" / "a" / "incomplete.1").mkdir()
  assert manifest.find(tmp_path, "a") == want


def test_find_says_what_is_there(tmp_path):
  with pytest.raises(InputError, match="holds no data set"):
    manifest.find(tmp_path, "a")
  write(tmp_path, "b", "1.0.0")
  (tmp_path / "biosignal_pairs" / "c").mkdir()
  with pytest.raises(InputError, match=r"'a': not in .* holds \['b'\]"):
    manifest.find(tmp_path, "a")
  with pytest.raises(InputError, match="no such folder"):
    manifest.find(tmp_path / "nowhere", "a")


def test_load_errors(tmp_path):
  with pytest.raises(InputError, match="no manifest.json"):
    manifest.load(tmp_path / "nowhere")
  (tmp_path / "manifest.json").write_text('{"name": ')
  with pytest.raises(InputError, match="not valid JSON"):
    manifest.load(tmp_path)


def test_split_hash_is_of_the_people():
  a = {"train": ["x/1", "x/2"], "test": ["x/3"]}
  b = {"test": ["x/3"], "train": ["x/2", "x/1"]}
  moved = {"train": ["x/1"], "test": ["x/2", "x/3"]}
  assert manifest.split_hash(a) == manifest.split_hash(b)
  assert manifest.split_hash(a) != manifest.split_hash(moved)


def identity(names=("r1", "r2"), code="a", contents="a", **fields):
  config = prepare_config.get_config("simulated,tiny")
  config.update(fields)
  return manifest.identity(config, list(names), code, contents)


def test_same(tmp_path):
  assert manifest.same(tmp_path, identity()) is None
  manifest.save(tmp_path, make(identity()))
  assert manifest.same(tmp_path, identity())["windows"]["train"] == 4
  assert manifest.same(tmp_path, identity(workers=7))
  assert manifest.same(tmp_path, identity(cohort="simulated"))  # as before


@pytest.mark.parametrize("other, message", [
    (identity(hop_sec=30.0), r"\(hop_sec: 60.0 -> 30.0\)"),
    (identity(salt="s"), "salt: ''"),
    (identity(cohort="mine"), r"\(cohort: 'simulated' -> 'mine'\)"),
    (identity(names=["r1"]), "recordings.count: 2 -> 1"),
    (identity(names=["r1", "r3"]), "recordings.digest"),
    (identity(contents="b"), "recordings.contents: 'a' -> 'b'"),
    (identity(code="b"), "the code of source simulated changed"),
])
def test_another_data_set_under_the_name(tmp_path, other, message):
  manifest.save(tmp_path, make(identity(contents="a", code="a")))
  with pytest.raises(InputError, match=message) as error:
    manifest.same(tmp_path, other)
  assert "choose another --config.name or remove" in str(error.value)


def test_what_differs_is_asked_for_once_it_is_needed(tmp_path):
  manifest.save(tmp_path, make(identity()))
  assert manifest.same(tmp_path, identity(), None)
  lines = ["changed: 'P1'", "added: 'P2'"]
  with pytest.raises(InputError, match="gs changed: 'P1'; recordings a"):
    manifest.same(tmp_path, identity(contents="b"), lambda: lines)


@pytest.mark.parametrize("lacks", ["code", "contents"])
def test_hashes_that_older_code_did_not_keep(tmp_path, lacks, monkeypatch):
  """It is said once that what they are of may have changed."""
  said = []
  monkeypatch.setattr(manifest.logging, "warning", lambda *a: said.append(a))
  old = identity(**{lacks: ""})
  del old["prepare_config"]["same_recording"], old["prepare_config"]["cohort"]
  manifest.save(tmp_path, make(old))
  assert manifest.same(tmp_path, identity()) == manifest.load(tmp_path)
  assert len(said) == 1
  with pytest.raises(InputError, match="hop_sec"):
    manifest.same(tmp_path, identity(hop_sec=1.0))


def test_the_salt_is_not_kept():
  text = json.dumps(identity(salt="open sesame"))
  assert "sesame" not in text
  assert identity(salt="a") != identity(salt="b") != identity()
