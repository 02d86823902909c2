"""A model folder from anybody: an encoder that is right, or one line.

Hashes vouch for what was written. Where somebody writes them anew, each file
is still read as if an enemy had made it.
"""

import json
import os
import shutil
import struct

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st
from jax.experimental.compilation_cache import compilation_cache

from accfm.base.errors import InputError
from accfm.models import build
from accfm.signals import contract as contract_lib
from accfm.signals import feed
from accfm.steps import record as recordlib
from accfm.steps.tower import Tower
from accfm.use import as_checkpoint, folder, probes, sealed, weights
from accfm.use.encoder import Encoder
from tests.fuzz import hostile
from tests.fuzz.test_json import CONTRACT, RECORD

DIM = 16


@pytest.fixture(autouse=True)
def no_cache():
  """What compiles opens no file outside."""
  before = jax.config.jax_enable_compilation_cache
  jax.config.update("jax_enable_compilation_cache", False)
  compilation_cache.reset_cache()
  yield
  jax.config.update("jax_enable_compilation_cache", before)
  compilation_cache.reset_cache()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
  """A model folder with fresh weights, a read-out and a ledger."""
  contract = contract_lib.from_dict(CONTRACT)
  config = dict(build.encoder_config("vit_tiny"))
  module = build.build_encoder(config)
  variables = module.init(
      jax.random.key(0), jnp.zeros((1, contract.length("acc"), 3)))
  tower = Tower(variables, None, "acc", module, None,
                feed.make_normalize(contract.signals["acc"]))
  x = np.random.default_rng(0).normal(size=(40, DIM))
  probe = probes.fit("hr", "bpm", x, x[:, 0], 1.0, x, x[:, 1], np.arange(40))
  path = tmp_path_factory.mktemp("written") / "m"
  folder.write(path, Encoder(tower, contract, "acc", config), [probe],
               recordlib.to_plain(recordlib.from_plain(RECORD)), "card")
  return path


@pytest.fixture
def model(written, tmp_path):
  """(a copy of it, its encoder)."""
  path = shutil.copytree(written, tmp_path / "m")
  return path, folder.load(path)


def load(path):
  """What `accfm.load` and an evaluation read of a folder."""
  made = folder.load(path)
  as_checkpoint.load(path)
  x = np.zeros((2, made.contract.length(made.signal), made.contract.signals[
      made.signal].channels), np.int16)
  vectors = made.embed_stored(x, np.ones((2, x.shape[2]), np.float32))
  for probe in made.probes:
    assert probe.predict(vectors).low.dtype.kind == "f"
  return made


def same(one, two):
  assert one.contract == two.contract and one.config == two.config
  for a, b in zip(
      jax.tree.leaves(one.tower.variables), jax.tree.leaves(
          two.tower.variables), strict=True):
    np.testing.assert_array_equal(a, b)
  for a, b in zip(one.probes, two.probes, strict=True):
    assert (a.name, a.half_width) == (b.name, b.half_width)
    np.testing.assert_array_equal(a.weight, b.weight)


def cases_of(path, names, anew):
  """Strategy of (name, bytes): JSON changed by its structure, or bytes."""

  def damaged(name):
    data = (path / name).read_bytes()
    changed = hostile.damaged(data)
    if name.endswith(".json"):
      changed |= hostile.json_files(json.loads(data), most=2)
    elif anew:
      changed |= headers(data)
    return st.tuples(st.just(name), changed)

  return st.sampled_from(names).flatmap(damaged)


def headers(data):
  """A safetensors file whose header an enemy wrote."""
  size, = struct.unpack("<Q", data[:8])
  plain, rest = json.loads(data[8:8 + size]), data[8 + size:]

  def whole(header):
    return struct.pack("<Q", len(header)) + header + rest

  return hostile.json_files(plain, most=2).map(whole) | st.sampled_from(
      [0, 1, size - 1, size + 1, 99_999_999, 1 << 40, (1 << 64) - 1]
  ).map(lambda n: struct.pack("<Q", n) + data[8:])


def test_a_file_that_was_changed(fuzz, model):
  """Whatever is changed, the encoder is the one that was written, or none."""
  path, want = model

  def check(judge, case):
    name, data = case
    before = (path / name).read_bytes()
    (path / name).write_bytes(data)
    judge.call(case, lambda: same(load(path), want))
    (path / name).write_bytes(before)

  fuzz(cases_of(path, [*folder.SEALED, sealed.FILE], False), check)


def test_a_file_that_was_changed_with_hashes_to_match(fuzz, model):
  path, _ = model
  kept = {name: (path / name).read_bytes() for name in folder.SEALED}

  def check(judge, case):
    name, data = case
    (path / name).write_bytes(data)
    if name == folder.MODEL:
      plain = json.loads(kept[folder.CONFIG])
      plain["sha256"] = weights.digest(path / name)
      (path / folder.CONFIG).write_text(json.dumps(plain))
    sealed.write(path, folder.SEALED)
    judge.call(case, load, path)
    for other in {name, folder.CONFIG}:
      (path / other).write_bytes(kept[other])

  fuzz(cases_of(path, folder.SEALED, True), check)


@pytest.mark.parametrize("what", [
    "", "pipe", "folder", "/dev/zero", "/dev/null", "nowhere", "config.json",
    "contract.json", "../m",
])
@pytest.mark.parametrize("anew", [False, True])
def test_files_that_are_none(model, what, anew):
  """Nothing, a pipe, a folder, a link: to a device, in a circle, out."""
  path, _ = model
  hashes = (path / sealed.FILE).read_bytes()
  for name in folder.SEALED:
    file, kept = path / name, path.parent / "kept"
    file.rename(kept)
    if what == "pipe":
      os.mkfifo(file)
    elif what == "folder":
      file.mkdir()
    elif what:
      file.symlink_to(what)
    if anew:
      sealed.write(path, folder.SEALED)
    with pytest.raises(InputError) as refused:
      load(path)
    text = str(refused.value)
    assert "\n" not in text and name.partition(".")[0] in text, text
    file.rmdir() if what == "folder" else file.unlink(missing_ok=True)
    kept.rename(file)
    (path / sealed.FILE).write_bytes(hashes)
