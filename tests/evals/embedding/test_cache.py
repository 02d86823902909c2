"""Embeddings are read where nothing changed, and made again where it did."""

import dataclasses
import json
import pathlib
import types

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from accfm.base.errors import InputError
from accfm.configs import evaluate as evaluate_config
from accfm.evals.embedding import cache, forward
from accfm.evals.files import privacy, store
from accfm.steps import record
from tests.evals import toy


class World:
  """A split, its towers and a checkpoint, embedded into one file."""

  def __init__(self, folder):
    self.path = folder / "embeddings" / "test.parquet"
    self.split = toy.Split()
    self.split.manifest = {
        "name": "toy", "split_hash": "abc", "code_version": "0",
    }
    self.towers = toy.make_towers(self.split)
    self.loaded = types.SimpleNamespace(
        step=7, path=pathlib.Path("/run/7"), carried={}, frozen={},
        params={"w": np.arange(6.0).reshape(2, 3)},
        meta={
            "kind": "distill", "signals": ["acc", "ppg"], "version": 1,
            "contract": toy.make_contract(20).to_dict(),
            "config": {
                "encoder": {"width": 6}, "teacher_encoder": {"width": 4},
            },
        },
    )
    self.loaded.record = record.from_plain(self.loaded.meta)
    self.config = evaluate_config.get_config("tiny").unlock()
    self.said, self.passes = [], 0

  def run(self):
    mask = privacy.make_naming(self.config, b"key", {"test": self.split.table})
    facts = cache.identity(
        self.loaded, cache.weights_hash(self.loaded), self.split, "test"
    )
    self.said.clear()
    return cache.embed_or_reuse(
        self.towers, self.split, 16, self.path, facts, mask, self.said.append
    )


@pytest.fixture
def world(tmp_path, monkeypatch):
  world, run = World(tmp_path), forward.embed_split

  def counted(*args):
    world.passes += 1
    return run(*args)

  monkeypatch.setattr(cache.forward, "embed_split", counted)
  return world


def same(one, two):
  for name in ("acc", "ppg"):
    assert one.signals[name].keys() == two.signals[name].keys()
    for kind, x in one.signals[name].items():
      if x is None:
        assert two.signals[name][kind] is None
      else:
        assert x.dtype == two.signals[name][kind].dtype == np.float32
        np.testing.assert_array_equal(x, two.signals[name][kind])
  for name, column in one.table.items():
    np.testing.assert_array_equal(column, two.table[name])


@pytest.mark.parametrize("group", [8192, 10])
def test_a_second_pass_reads_the_first(world, monkeypatch, group):
  monkeypatch.setattr(store, "GROUP", group)
  one = world.run()
  two = world.run()
  assert world.passes == 1
  assert world.said == [
      f"{world.path}: read, made of the same rows by the same weights"]
  same(one, two)
  world.loaded.path = pathlib.Path("/moved/run/7")
  same(one, world.run())
  assert world.passes == 1


def test_a_file_says_what_it_is_of(world):
  found = world.run()
  table = pq.read_table(world.path)
  about = json.loads(table.schema.metadata[b"accfm"])
  assert about["step"] == 7 and about["split_hash"] == "abc"
  assert about["encoders"] == {"acc": {"width": 6}, "ppg": {"width": 4}}
  assert len(about["checkpoint_sha256"]) == len(about["rows_hash"]) == 64
  assert about["code_version"] and about["dataset"] == "toy"
  assert table.schema.field("acc/embedding").type == pa.list_(pa.float32(), 6)
  for name in ("participant", "session", "start_s"):
    assert table.column(name).to_pylist() == world.split.table[name].tolist()
  np.testing.assert_array_equal(
      np.array(table.column("ppg/projection").to_pylist(), np.float32),
      found.signals["ppg"]["projection"],
  )
  assert "acc/prediction" not in table.schema.names


def change_rows(world):
  world.split.table["start_s"] = world.split.table["start_s"] + 1


def change_record(world):
  world.loaded.record = dataclasses.replace(
      world.loaded.record, code_version="another")


def change_weights(world):
  world.loaded.params["w"] = world.loaded.params["w"] + 1e-7


@pytest.mark.parametrize("change, what", [
    (change_weights, "checkpoint_sha256"),
    (change_record, "checkpoint_sha256"),
    (change_rows, "rows_hash"),
    (lambda w: w.split.manifest.update(split_hash="x"),
     "manifest_hash, split_hash"),
    (lambda w: w.split.manifest.update(code_version="1"), "manifest_hash"),
    (lambda w: setattr(w.split, "digest", "x"), "data_hash"),
    (lambda w: setattr(w.loaded, "step", 8), "step"),
    (lambda w: setattr(w.config, "pseudonym_salt", "x"), "pseudonym_salt"),
])
def test_whatever_changed_is_embedded_again(world, change, what):
  world.run()
  change(world)
  world.run()
  assert world.passes == 2
  assert world.said == [
      f"{world.path}: made of another {what}; embedding again"]
  world.run()
  assert world.passes == 2


def test_another_version_of_the_code_embeds_again(world, monkeypatch):
  world.run()
  monkeypatch.setattr(cache, "__version__", "99")
  world.run()
  assert world.passes == 2 and "another code_version;" in world.said[0]


def foreign(world):
  pq.write_table(pa.table({"acc/embedding": [1.0]}), world.path)


def swap(world, change):
  """Rewrites the file with the same facts and other parts."""
  facts = store.read_facts(world.path, "x")
  (part,) = store.read(world.path, lambda names: names, "x")
  types_ = {
      n: store.ROW_KEYS.get(n) or store.vector(x.shape[1])
      for n, x in part.items()
  }
  store.write(world.path, types_, change(part), facts)


def longer(part):
  return [part, part]


def shorter(part):
  return [{name: x[:20] for name, x in part.items()}]


def broken(part):
  part["acc/embedding"] = part["acc/embedding"].copy()
  part["acc/embedding"][3, 2] = np.inf
  return [part]


@pytest.mark.parametrize("spoil, what", [
    (lambda w: w.path.write_bytes(w.path.read_bytes()[:-9]), "cannot be read"),
    (lambda w: w.path.write_bytes(b"x" * 100), "cannot be read"),
    (foreign, "cannot be read"),
    (lambda w: swap(w, longer), "got 70 rows, want 35"),
    (lambda w: swap(w, shorter), "got 20 rows, want 35"),
    (lambda w: swap(w, broken), "want 35, all of finite numbers"),
])
def test_what_cannot_be_used_is_said_and_made_again(world, spoil, what):
  one = world.run()
  spoil(world)
  same(one, world.run())
  (line,) = world.said
  assert world.passes == 2 and what in line
  assert line.startswith(f"{world.path}: ") and line.endswith(
      "; embedding again")
  world.run()
  assert world.passes == 2


def test_numbered_rows_are_written_and_never_read(world):
  world.config.redact = True
  found = world.run()
  world.run()
  assert world.passes == 2
  table = pq.read_table(world.path)
  assert set(table.schema.names) == {
      "participant", "window",
      *(f"{s}/{k}" for s in ("acc", "ppg") for k in ("embedding",
                                                    "projection")),
  }
  # The rows are those of the pass, in the order of their numbers.
  mask = privacy.make_naming(world.config, b"key", {"test": world.split.table})
  rows, order = mask({
      c: world.split.table[c] for c in ("participant", "session", "start_s")})
  assert table.column("window").to_pylist() == rows["window"].tolist()
  np.testing.assert_array_equal(
      np.array(table.column("acc/embedding").to_pylist(), np.float32),
      found.signals["acc"]["embedding"][order],
  )


def test_nan_stops_before_anything_is_written(world):
  world.split.values["acc_scale"][4] = np.nan
  with pytest.raises(InputError, match="toy/p000 at 1016.000 s"):
    world.run()
  assert not world.path.exists()
