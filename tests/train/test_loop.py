"""The loop on a toy: what it logs, checks, saves and refuses."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.train import checkpoints, loop
from tests.train import toy_main as toy


def rows(path, prefix):
  lines = (path / "metrics.jsonl").read_text().splitlines()
  found = map(json.loads, lines)
  return {
      row["step"]: row
      for row in found
      if any(name.startswith(prefix) for name in row)
  }


def saved(path):
  inner = path / "checkpoints"
  return sorted(int(p.name) for p in inner.iterdir())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
  """(workdir, final leaves) of an uninterrupted run on one device."""
  path = tmp_path_factory.mktemp("whole")
  state = toy.run(path, toy.get_config())
  return path, toy.leaves(state)


def test_logs_validates_and_saves_when_it_should(whole):
  path, _ = whole
  train, val = rows(path, "train/"), rows(path, "val/")
  assert sorted(train) == list(range(1, 15))
  assert sorted(val) == [4, 8, 12, 14]
  best = max(val, key=lambda step: val[step]["val/size"])
  assert saved(path) == sorted({12, 14, best})
  for name in ("loss", "grad_norm", "lr", "temperature"):
    assert all(f"train/{name}" in row for row in train.values())
  late = train[14]
  assert late["train/segments_per_s"] > 0
  assert 0 <= late["train/data_wait_share"] <= 1
  assert late["train/time_left_s"] == 0
  assert train[14]["train/loss"] < train[1]["train/loss"]
  loaded = checkpoints.load(path)
  assert loaded.step == 14 and loaded.meta["metrics"] == {
      "val/size": val[14]["val/size"]
  }


def test_the_loss_of_a_step_is_logged_for_that_step(whole):
  """Metrics are fetched late; step 1's loss is that of the first batch."""
  path, _ = whole
  batch, params = toy.batch_numpy(0, 0), toy.init_params(0)
  s = batch["x"] @ params["student"]["w"]
  t = batch["y"] @ toy.init_frozen(0)["teacher"]["w"]
  z = np.tanh(s) @ np.tanh(t).T / np.exp(-1.0)
  logp = z - np.log(np.exp(z).sum(1, keepdims=True))
  want = -np.diagonal(logp).mean()
  got = {s: r["train/loss"] for s, r in rows(path, "train/").items()}
  assert abs(got[1] - want) < 0.4 < abs(got[2] - want)  # noise moves it a bit


def test_running_again_trains_no_further(whole, capsys):
  path, want = whole
  before = (path / "metrics.jsonl").read_text()
  state = toy.run(path, toy.get_config())
  assert "resumed from the checkpoint of step 14" in capsys.readouterr().out
  for name, value in toy.leaves(state).items():
    np.testing.assert_array_equal(value, want[name])
  assert (path / "metrics.jsonl").read_text() == before


def test_eight_devices_give_the_losses_of_one(whole, tmp_path):
  toy.run(tmp_path, toy.get_config(), devices=8)
  one, eight = rows(whole[0], "train/"), rows(tmp_path, "train/")
  for step in one:
    for name in ("train/loss", "train/grad_norm"):
      np.testing.assert_allclose(eight[step][name], one[step][name], rtol=1e-4)


def test_a_run_of_eight_devices_goes_on_with_one(whole, tmp_path):
  config = toy.get_config(sigterm_at=6)
  with pytest.raises(loop.Preempted):
    toy.run(tmp_path, config, devices=8)
  toy.run(tmp_path, toy.get_config())
  one, mixed = rows(whole[0], "train/"), rows(tmp_path, "train/")
  assert sorted(mixed) == sorted(one)
  for step in one:
    np.testing.assert_allclose(
        mixed[step]["train/loss"], one[step]["train/loss"], rtol=1e-4
    )


def test_sigterm_saves_and_exits_with_143(whole, tmp_path, capsys):
  with pytest.raises(SystemExit) as stop:
    toy.run(tmp_path, toy.get_config(sigterm_at=5))
  assert stop.value.code == 143 and stop.value.step == 6
  assert saved(tmp_path) == [4, 6]
  assert "SIGTERM: saved step 6" in capsys.readouterr().out
  state = toy.run(tmp_path, toy.get_config())
  for name, value in toy.leaves(state).items():
    np.testing.assert_array_equal(value, whole[1][name])


def test_a_validation_that_a_signal_prevented_is_made_up_for(tmp_path):
  toy.run(tmp_path / "whole", toy.get_config(validate_every=3))
  with pytest.raises(loop.Preempted) as stop:
    toy.run(tmp_path / "run", toy.get_config(validate_every=3, sigterm_at=5))
  assert stop.value.step == 6
  assert 6 not in rows(tmp_path / "run", "val/")
  for _ in range(2):  # once, however often it resumes
    toy.run(tmp_path / "run", toy.get_config(validate_every=3))
  want = rows(tmp_path / "whole", "val/")
  assert 6 in want and rows(tmp_path / "run", "val/") == want
  lines = [
      (tmp_path / name / "metrics.jsonl").read_text().count("val/")
      for name in ("whole", "run")
  ]
  assert lines[0] == lines[1]


def test_nan_stops_and_the_last_good_checkpoint_stays(tmp_path):
  config = toy.get_config(nan_at=8, checkpoint_every=1, validate_every=0)
  want = "step 9: got loss nan"
  with pytest.raises(FloatingPointError, match=want) as error:
    toy.run(tmp_path, config)
  assert isinstance(error.value, InputError)
  assert "the checkpoint of step 8 is kept" in str(error.value)
  loaded = checkpoints.load(tmp_path)
  assert loaded.step == 8
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(loaded.params))


def test_a_finite_loss_with_a_bad_gradient_is_not_saved(tmp_path):
  """sqrt at zero: the loss is 0, its gradient infinite, the update NaN."""
  def loss_fn(params, carried, frozen, batch, key):
    w = params["student"]["w"].sum() * 0
    return batch["x"][:, 0] * 0 + jnp.sqrt(w), {}, carried

  config = toy.get_config(checkpoint_every=1, validate_every=0)
  with pytest.raises(loop.NonFiniteError, match="step 1: got loss 0.0 and"):
    toy.run(tmp_path, config, loss_fn=loss_fn)
  assert saved(tmp_path) == []


def test_batches_that_end_early_are_an_error(tmp_path):
  config = toy.get_config(stop_at=3)
  with pytest.raises(InputError, match="batches: got 3, want 14"):
    toy.run(tmp_path, config)


def test_bad_configs(tmp_path):
  for field, value in [
      ("total_steps", 0),
      ("log_every", 0),
      ("checkpoint_every", 0),
      ("validate_every", -1),
      ("batch_size", 0),
  ]:
    with pytest.raises(InputError, match=f"{field}: got {value}"):
      loop.check_config(toy.get_config(**{field: value}))


def test_fewer_steps_than_saved_are_refused(whole, tmp_path):
  path = tmp_path / "w"
  shutil.copytree(whole[0] / "checkpoints", path / "checkpoints")
  (path / "checkpoints").rename(tmp_path / "kept")
  toy.workdir.claim(path, toy.get_config(total_steps=3))
  (tmp_path / "kept").rename(path / "checkpoints")
  with pytest.raises(InputError, match="total_steps: got 3, want 14 or more"):
    toy.run(path, toy.get_config(total_steps=3))


def test_pace_on_a_made_up_clock():
  """8 segments a step; compile 100 s; then 2 s a step, 1 s of it waiting."""
  now = [0.0]
  pace = loop.Pace(8, total_steps=20, clock=lambda: now[0])

  def batches():
    while True:
      now[0] += 1
      yield "batch"

  rows = batches()
  idle, working = (lambda: False), (lambda: True)
  assert pace.next(rows, idle) == "batch"
  now[0] += 100
  pace.finished(1)
  assert pace.report(1) == {}
  for step in (2, 3, 4, 5):
    pace.next(rows, idle if step < 4 else working)
    now[0] += 1
    pace.finished(step)
  report = pace.report(5)
  assert report["train/segments_per_s"] == 4 * 8 / 8
  assert report["train/data_wait_share"] == 2 / 8  # the other two were hidden
  assert report["train/time_left_s"] == 15 * 2
  with pace.paused():  # validation: in the time left, not in the speed
    now[0] += 10
  pace.next(rows, working)
  now[0] += 1
  pace.finished(6)
  report = pace.report(6)
  assert report["train/segments_per_s"] == 8 / 2
  assert report["train/time_left_s"] == 14 * (8 + 12) / 5
