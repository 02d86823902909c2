"""A world for tests of the evaluation main: splits in memory, linear towers."""

import pathlib
import types

from accfm import evaluate
from accfm.base import configlib
from accfm.configs import evaluate as evaluate_config
from accfm.evals import opened, suite
from accfm.steps import record
from tests.evals import toy


def make(monkeypatch):
  """A checkpoint, its data set and towers, without files.

  Returns:
    Namespace of `splits` by name, the checkpoint's `meta`, the `towers`, what
    `checkpoints.load` returns (`loaded`), and what was there before: `load`,
    `untrained`, `from_checkpoint`.
  """
  splits = {
      "train": toy.Split(10, 6, seconds=20, seed=1, prefix="toy/a"),
      "val": toy.Split(4, 6, seconds=20, seed=2, prefix="toy/b"),
      "test": toy.Split(6, 6, seconds=20, seed=3, prefix="toy/c"),
  }
  people = {
      name: sorted(set(split.table["participant"]))
      for name, split in splits.items()
  }
  for split in splits.values():
    split.manifest = {
        "name": "toy", "split_hash": "abc", "code_version": "0",
        "splits": people,
    }
  meta = {
      "kind": "distill", "signals": ["acc", "ppg"],
      "contract": toy.make_contract(20).to_dict(),
      "cohorts": [
          {"dataset": "toy", "split_hash": "abc", "splits": people}
      ],
      "config": {
          "data_dir": "/data", "dataset": "toy", "encoder": {},
          "teacher_encoder": {},
      },
      "code_version": "0", "version": 1,
  }
  world = types.SimpleNamespace(
      splits=splits, meta=meta, towers=toy.make_towers(splits["train"])
  )
  loaded = types.SimpleNamespace(
      step=7, params={}, carried={}, frozen={}, meta=meta,
      path=pathlib.Path("/run/7"),
  )
  world.loaded = loaded
  world.load = evaluate.checkpoints.load
  world.untrained = suite.towers.untrained
  world.from_checkpoint = suite.towers.from_checkpoint

  def load(*unused):
    loaded.record = record.from_plain(world.meta)  # as a test has changed it
    return loaded

  monkeypatch.setattr(evaluate.checkpoints, "load", load)
  monkeypatch.setattr(
      opened.manifest, "find", lambda folder, name: f"{folder}/{name}")
  monkeypatch.setattr(
      opened.pipeline, "open_split", lambda _, name: splits[name])
  monkeypatch.setattr(
      suite.towers, "from_checkpoint", lambda *_: world.towers)
  monkeypatch.setattr(
      suite.towers, "untrained",
      lambda _, seed: toy.make_towers(splits["test"], seed=99 + seed))
  return world


def config(**fields):
  """The config of the scale tiny with other fields."""
  return configlib.update(evaluate_config.get_config("tiny"), fields)


def quick(**fields):
  """A config without rows that need no learning, and without a page."""
  return config(**{
      "untrained": False, "handmade": False, "report": False, **fields})
