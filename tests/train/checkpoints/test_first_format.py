"""Checkpoints of the first format load, resume and evaluate."""

import json
import pathlib

import jax
import ml_collections
import numpy as np
import pytest

from accfm import distill, evaluate
from accfm.base import mesh as meshes
from accfm.base.errors import InputError
from accfm.base.processes import facts
from accfm.configs import acc_distill
from accfm.configs import evaluate as evaluate_config
from accfm.steps import state as states
from accfm.train import checkpoints, optim
from tests.train import toy_main as toy
from tests.train.checkpoints import first_format


@pytest.fixture
def old(tmp_path):
  return first_format.unpack(tmp_path)


@pytest.mark.parametrize("step", ["latest", "best", 4])
def test_it_loads(old, step):
  loaded = checkpoints.load(old, step)
  # Hashes of names and bytes, taken by the code that wrote it.
  assert facts.weights(loaded.params) == "70e70d47"
  assert facts.weights(loaded.frozen) == "85473a64"
  assert loaded.carried == {} and loaded.step == 4
  assert loaded.meta["kind"] == "distill"
  assert loaded.meta["signals"] == ["acc", "ppg"]
  assert loaded.meta["config"]["lr"] == 1e-3
  assert loaded.meta["metrics"]["val/acc2ppg/recall@1"] == 0


def test_its_files_are_checked(old):
  path = old / "checkpoints" / "4"
  (path / "meta" / "metadata").unlink()
  with pytest.raises(checkpoints.DamagedError, match="meta/metadata is miss"):
    checkpoints.load(old)
  with pytest.raises(checkpoints.DamagedError, match="record cannot be read"):
    checkpoints.read_meta(path)


def test_its_optimiser_fits_the_one_of_today(old):
  """Moments and counts too, onto other devices."""
  loaded = checkpoints.load(old)
  tx, _ = optim.make_optimizer(ml_collections.ConfigDict(
      loaded.meta["config"]))
  mesh = meshes.make_mesh()
  template = meshes.put_replicated(states.create(states.Objective(
      jax.tree.map(np.zeros_like, loaded.params), None), tx), mesh)
  with checkpoints.Checkpoints(old / "checkpoints") as saver:
    step, state, frozen = saver.restore(
        template, meshes.put_replicated(loaded.frozen, mesh))
  assert step == state.step == 4
  assert facts.weights(state.params) == "70e70d47"
  assert facts.weights(frozen) == "85473a64"
  moments = [x for x in jax.tree.leaves(state.opt_state) if x.ndim]
  assert len(moments) == 2 * len(jax.tree.leaves(loaded.params))
  assert all(x.any() for x in moments)


def test_it_is_evaluated(old, simulated, tmp_path):
  config = evaluate_config.get_config("tiny")
  config.data_dir = simulated
  metrics = evaluate.run(config, str(old), str(tmp_path / "out"))
  assert metrics["test/acc2ppg/recall@1_pool8"] is not None
  plain = json.loads((tmp_path / "out" / "metrics.json").read_text())
  assert plain["_meta"]["checkpoint"] == str(old / "checkpoints" / "4")


def test_its_run_goes_on_with_the_config_of_today(
    old, simulated, tmp_path, monkeypatch
):
  """Its last step is done: nothing is left to train."""
  monkeypatch.chdir(tmp_path)
  pathlib.Path("data").symlink_to(simulated)
  config = acc_distill.get_config("tiny")
  config.update(
      data_dir="data", teacher="teacher", total_steps=4, log_every=1,
      checkpoint_every=2, validate_every=2,
  )
  state = distill.run(config, str(old))
  assert state.step == 4
  assert facts.weights(state.params) == "70e70d47"


def test_a_run_that_began_with_it_ends_bit_for_bit(tmp_path, monkeypatch):
  want = toy.leaves(toy.run(tmp_path / "whole", toy.get_config()))
  with monkeypatch.context() as before:
    before.setattr(toy.checkpoints, "Checkpoints", first_format.Checkpoints)
    with pytest.raises(InputError, match="batches: got 9"):
      toy.run(tmp_path / "w", toy.get_config(stop_at=9))
  assert (tmp_path / "w/checkpoints/8/meta/metadata").exists()
  got = toy.leaves(toy.run(tmp_path / "w", toy.get_config()))
  assert got.keys() == want.keys()
  for name in want:
    assert got[name].tobytes() == want[name].tobytes(), name
  for step in ("latest", "best"):
    a, b = (checkpoints.load(tmp_path / p, step) for p in ("whole", "w"))
    assert (a.step, a.meta) == (b.step, b.meta)


def test_the_best_of_an_old_run_is_kept_and_found(tmp_path):
  tx = optim.make_optimizer(toy.get_config())[0]

  def save(kind, *steps):
    with kind(tmp_path, keep_latest=1, best_metric="val/x") as saver:
      for step, score in steps:
        state = states.create(states.Objective(toy.init_params(step), None), tx)
        state = meshes.put_replicated(state, meshes.make_mesh())
        saver.save(step, state, {}, {"kind": "toy"}, {"val/x": score})
      saver.wait()
      return saver.steps()

  assert save(first_format.Checkpoints, (1, 2.0), (2, 9.0)) == [1, 2]
  assert save(checkpoints.Checkpoints, (3, 1.0), (4, 3.0)) == [2, 4]
  best = checkpoints.load(tmp_path, "best")
  assert best.step == 2
  np.testing.assert_array_equal(best.params["bulk"], toy.init_params(2)["bulk"])
