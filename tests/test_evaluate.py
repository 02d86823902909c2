"""The evaluation main, wired to splits in memory and linear towers."""

import csv
import dataclasses
import json
import pathlib
import types

import jax.numpy as jnp
import pytest

from accfm import evaluate
from accfm.base import configlib
from accfm.base.errors import InputError
from accfm.evals import inputs
from accfm.models import build
from accfm.steps import state
from accfm.train import checkpoints
from configs import evaluate as evaluate_config
from tests.evals import toy


@pytest.fixture
def world(monkeypatch):
  """A checkpoint, its data set and towers, without files."""
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
      "kind": "distill", "signals": ["acc", "ppg"], "teacher": None,
      "contract": toy.make_contract(20).to_dict(),
      "cohorts": [
          {"dataset": "toy", "split_hash": "abc", "splits": people}
      ],
      "config": {"data_dir": "/data", "dataset": "toy"},
      "code_version": "0",
  }
  world = types.SimpleNamespace(
      splits=splits, meta=meta, towers=toy.make_towers(splits["train"])
  )
  loaded = types.SimpleNamespace(
      step=7, params={}, carried={}, frozen={}, meta=meta,
      path=pathlib.Path("/run/7"),
  )
  world.load = evaluate.checkpoints.load
  world.untrained = evaluate.towers.untrained
  world.from_checkpoint = evaluate.towers.from_checkpoint
  monkeypatch.setattr(evaluate.checkpoints, "load", lambda *_: loaded)
  monkeypatch.setattr(
      inputs.manifest, "find", lambda folder, name: f"{folder}/{name}")
  monkeypatch.setattr(
      inputs.pipeline, "open_split", lambda _, name: splits[name])
  monkeypatch.setattr(
      evaluate.towers, "from_checkpoint", lambda *_: world.towers)
  monkeypatch.setattr(
      evaluate.towers, "untrained",
      lambda _, seed: toy.make_towers(splits["test"], seed=99 + seed))
  return world


def _config(**fields):
  return configlib.update(evaluate_config.get_config("tiny"), fields)


def test_writes_numbers_predictions_and_a_page(world, tmp_path, capsys):
  got = evaluate.run(_config(), "ckpt", str(tmp_path / "out"))
  plain = json.loads((tmp_path / "out/metrics.json").read_text())
  about = plain.pop("_meta")
  assert plain == got
  for key in (
      "test/acc2ppg/recall@1_pool8", "test/ppg2acc/recall@1_pool8",
      "test/probe_hr/mae_bpm", "test/untrained/probe_hr/mae_bpm",
      "test/mean/probe_hr/mae_bpm", "test/features/probe_hr/mae_bpm",
      "test/ppg/probe_hr/mae_bpm", "test/envelope/acc2ppg/recall@1_pool8",
      "test/untrained/acc2ppg/mean_rank_pool8", "test/health/effective_rank",
  ):
    assert plain[key] is not None, key
  missing = {item["key"] for item in about["not_evaluable"]}
  assert missing == {key for key, value in plain.items() if value is None}
  assert about["windows"] == {"train": 60, "val": 24, "test": 36}
  assert about["people"]["test"] == 6 and about["seen"] == []
  assert about["config"]["bootstrap_draws"] == 100 and about["step"] == 7

  with open(tmp_path / "out/predictions.csv", newline="") as f:
    rows = list(csv.DictReader(f))
  hr = [r for r in rows if r["task"] == "hr" and r["row"] == "encoder"]
  assert len(hr) == 36
  error = sum(abs(float(r["true"]) - float(r["predicted"])) for r in hr) / 36
  assert error == pytest.approx(plain["test/probe_hr/mae_bpm"], rel=1e-3)

  text = (tmp_path / "out/report.html").read_text()
  assert text.count("<svg") >= 6 and "<script" not in text
  for link in ("src=\"http", "href=\"http", "url(http", "@import"):
    assert link not in text
  assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
      "metrics.json", "predictions.csv", "report.html"]
  out = capsys.readouterr().out
  assert "recall@1 acc->ppg, pool 8" in out and "HR error, bpm (n=36)" in out


def test_two_evaluations_agree_exactly(world, tmp_path):
  one = evaluate.run(_config(report=False), "c", str(tmp_path / "a"))
  two = evaluate.run(
      _config(report=False, batch_size=8), "c", str(tmp_path / "b"))
  assert one.keys() == two.keys()
  for key, value in one.items():
    if value is None:
      assert two[key] is None
      continue
    assert value == pytest.approx(two[key], rel=1e-4, abs=1e-4), key


def test_refuses_people_it_was_trained_on(world, tmp_path):
  with pytest.raises(InputError, match="leak guard.*10 of the 10 people"):
    evaluate.run(_config(split="train"), "c", str(tmp_path / "a"))
  assert not (tmp_path / "a").exists()
  got = evaluate.run(
      _config(split="train", allow_seen=True), "c", str(tmp_path / "a"))
  assert got["train/acc2ppg/recall@1_pool8"] is not None
  assert got["train/probe"] is None
  about = json.loads((tmp_path / "a/metrics.json").read_text())["_meta"]
  assert len(about["seen"]) == 10
  assert "seen in training" in (tmp_path / "a/report.html").read_text()


def test_refuses_shards_of_another_contract(world, tmp_path):
  contract = world.splits["test"].contract
  world.splits["test"].contract = dataclasses.replace(contract, rate_hz=50.0)
  with pytest.raises(InputError, match="rate_hz is 50.0, want 64.0"):
    evaluate.run(_config(), "c", str(tmp_path / "a"))


def test_one_encoder_alone_has_probes_and_a_control(world, tmp_path):
  world.meta["signals"] = ["acc"]
  world.towers = {"acc": dataclasses.replace(world.towers["acc"], head=False)}
  got = evaluate.run(
      _config(untrained=False, report=True), "c", str(tmp_path / "a"))
  assert got["test/probe_hr/mae_bpm"] is not None
  assert got["test/envelope/acc2ppg/recall@1_pool8"] is not None
  assert got["test/acc2ppg/recall@1_pool8"] is None
  assert "test/ppg/probe_hr/mae_bpm" not in got


def test_retrieval_alone_needs_only_its_split(world, tmp_path):
  del world.splits["train"], world.splits["val"]
  got = evaluate.run(
      _config(evals=("retrieval",), report=False), "c", str(tmp_path / "a"))
  assert got["test/acc2ppg/recall@1_pool8"] is not None


def test_rebuilds_its_encoders_from_a_checkpoint_on_disk(
    world, tmp_path, monkeypatch
):
  encoder = build.encoder_config("vit_tiny").to_dict()
  config = {
      "data_dir": "/data", "dataset": "toy", "encoder": encoder,
      "head": {"hidden": 0, "out": 8, "bins": 1, "dtype": "float32"},
      "teacher_head": "mlp", "loss": "contrastive",
  }
  meta = {
      **world.meta, "config": config,
      "teacher": {**world.meta, "config": config, "kind": "mae"},
  }
  monkeypatch.setattr(evaluate.checkpoints, "load", world.load)
  monkeypatch.setattr(
      evaluate.towers, "from_checkpoint", world.from_checkpoint)
  monkeypatch.setattr(evaluate.towers, "untrained", world.untrained)
  made = world.untrained(meta, 3)
  params = {
      "student": made["acc"].variables["params"],
      "student_head": made["acc"].head_variables["params"],
      "teacher_head": made["ppg"].head_variables["params"],
  }
  frozen = {"teacher": made["ppg"].variables}
  with checkpoints.Checkpoints(tmp_path / "run/checkpoints") as saver:
    saver.save(
        5, state.TrainState(jnp.int32(5), params, {}, ()), frozen, meta
    )
  got = evaluate.run(
      _config(report=False, seed=3), str(tmp_path / "run"),
      str(tmp_path / "out"))
  # Fresh weights of seed 3 are what was saved.
  key = "acc2ppg/recall@1_pool8"
  assert got[f"test/{key}"] == pytest.approx(got[f"test/untrained/{key}"])
  about = json.loads((tmp_path / "out/metrics.json").read_text())["_meta"]
  assert about["step"] == 5 and about["checkpoint"].endswith("5")
