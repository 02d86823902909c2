"""`align_with`: two checkpoints of one signal each, aligned after the fact."""

import dataclasses
import json
import pathlib
import types

import numpy as np
import pytest

from accfm import evaluate
from accfm.base.errors import InputError
from accfm.evals import suite
from accfm.steps import record
from tests.evals import worlds


@pytest.fixture
def world(monkeypatch):
  """A checkpoint of acceleration at "acc" and one of PPG at "ppg".

  The PPG is the first axis of the acceleration. One encoder reads that axis
  and the other turns what the first one makes of it.
  """
  made = worlds.make(monkeypatch)
  for split in made.splits.values():
    split.values["ppg"] = split.values["acc"][..., :1].copy()
  turn = np.random.default_rng(0).normal(size=(6, 6)).astype(np.float32)
  ppg = np.asarray(made.towers["ppg"].weights)
  acc = np.zeros_like(made.towers["acc"].weights)
  acc[::3] = ppg @ turn
  towers = {
      name: {name: dataclasses.replace(
          made.towers[name], weights=weights, head=False)}
      for name, weights in (("acc", acc), ("ppg", ppg))
  }
  made.metas = {
      name: {**made.meta, "kind": "contrastive", "signals": [name]}
      for name in towers
  }

  def load(path, *_):
    return types.SimpleNamespace(
        step=7, params=path, carried={}, frozen={}, meta=made.metas[path],
        record=record.from_plain(made.metas[path]),
        path=pathlib.Path("/run", path))

  monkeypatch.setattr(evaluate.checkpoints, "load", load)
  monkeypatch.setattr(  # what the checkpoint at a path holds
      suite.towers, "from_checkpoint", lambda params, *_: towers[params])
  return made


def test_aligned_rows_stand_beside_the_others(world, tmp_path):
  config = worlds.config(
      align_with="ppg", untrained=False, subgroups=False, bootstrap_draws=20)
  got = evaluate.run(config, "acc", str(tmp_path))
  for way in ("acc2ppg", "ppg2acc"):
    assert got.get(f"test/{way}/recall@1_pool8") is None  # no heads of its own
    chance = got["test/chance/recall@1_pool8"]
    for row in ("aligned_ridge", "aligned_cca"):
      assert got[f"test/{row}/{way}/recall@1_pool8"] > 4 * chance, row
      assert got[f"test/{row}/control_fails/{way}/share_pool8"] is not None
  for row in ("aligned_ridge/", "aligned_cca/", "ppg/", ""):
    assert got[f"test/{row}probe_hr/mae_bpm"] is not None
  about = json.loads((tmp_path / "metrics.json").read_text())["_meta"]
  found = about["aligned_with"]
  assert found["checkpoint"] == "/run/ppg" and found["signal"] == "ppg"
  assert found["aligned_cca"]["dimensions"] <= 6
  assert 0 < found["aligned_ridge"]["val_mean_reciprocal_rank"] <= 1
  page = (tmp_path / "report.html").read_text()
  assert "aligned by CCA" in page and "aligned by ridge" in page


def test_retrieval_alone_reads_train_and_val_too(world, tmp_path):
  got = evaluate.run(worlds.quick(
      align_with="ppg", evals=("retrieval",)), "acc", str(tmp_path))
  assert got["test/aligned_cca/acc2ppg/recall@1_pool8"] is not None


def test_refuses_what_cannot_be_aligned(world, tmp_path):
  def run(checkpoint="acc", **fields):
    config = worlds.quick(**{"align_with": "ppg", **fields})
    return evaluate.run(config, checkpoint, str(tmp_path / "out"))

  with pytest.raises(InputError, match="align_with: got a checkpoint of "
                     r"\['acc'\], want one that embeds 'ppg'"):
    run(align_with="acc")
  with pytest.raises(InputError, match="align_with: got split 'val'"):
    run(split="val")
  test = world.metas["acc"]["cohorts"][0]["splits"]["test"]
  seen = {"dataset": "toy", "split_hash": "abc",
          "splits": {"train": test, "val": [], "test": []}}
  world.metas["ppg"] = {**world.metas["ppg"], "cohorts": [seen]}
  with pytest.raises(InputError, match="leak guard.*6 of the 6 people"):
    run()
  assert not (tmp_path / "out").exists()
  run(allow_seen=True)
  about = json.loads((tmp_path / "out/metrics.json").read_text())["_meta"]
  assert about["seen"] == test
