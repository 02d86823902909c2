"""Supervised mains: from nothing, from a checkpoint, on few labels."""

import shutil

import numpy as np
import pytest

from accfm import evaluate, pretrain, supervise
from accfm.base.errors import InputError
from accfm.configs import acc_contrastive, acc_supervised, finetune
from accfm.configs import evaluate as evaluate_config
from accfm.data import labelled, manifest, pipeline
from accfm.evals import validate
from accfm.evals.compare import paired as compare
from accfm.signals.targets import Target
from accfm.steps.supervised import check_warp
from accfm.train import checkpoints, fit, opening


def config_of(module, data_dir, arg="tiny", **fields):
  config = module.get_config(arg).unlock()
  config.data_dir = data_dir
  config.update(fields)
  return config


@pytest.fixture(scope="module")
def encoder(simulated, tmp_path_factory):
  """The workdir of a pre-trained acceleration encoder."""
  folder = tmp_path_factory.mktemp("encoder")
  pretrain.run(config_of(acc_contrastive, simulated), str(folder))
  return folder


@pytest.mark.parametrize("module", [acc_supervised, finetune])
def test_a_warp_of_time_that_would_falsify_labels(module, simulated, tmp_path):
  """Off in the presets; asked for, it is refused for labels of time."""
  config = config_of(module, simulated)
  assert config.augment.time_warp.prob == 0.0
  if module is finetune:
    return
  config.augment.time_warp.prob = 0.15
  with pytest.raises(InputError, match=(
      "time_warp.prob: got 0.15 with labels .'labels/hr_bpm', "
      "'labels/sdnn_ms', 'labels/rmssd_ms'., .* want 0")):
    supervise.run(config, str(tmp_path / "w"))
  targets = [Target("attributes/age_years"), Target("labels/hr_bpm")]
  check_warp(config.augment, targets[:1])
  with pytest.raises(InputError, match="labels/breath_rate"):
    check_warp(config.augment, [Target("labels/breath_rate")])
  for prob in (None, 0.0):  # no such operation
    check_warp({"time_warp": {"prob": prob}}, targets)
  check_warp({}, targets)


def test_from_nothing_to_predictions(simulated, tmp_path, capsys):
  config = config_of(
      acc_supervised, simulated, "tiny,fraction=0.5",
      classes=("attributes/sex",),
  )
  supervise.run(config, str(tmp_path / "w"))
  loaded = checkpoints.load(tmp_path / "w")
  assert sorted(loaded.params) == ["encoder", "predictor"]
  assert loaded.meta["kind"] == "supervised"
  # Mean, SD and classes are those of the people of the fraction alone.
  train = pipeline.open_split(
      manifest.find(simulated, "simulated_easy"), "train"
  )
  people = labelled.some_people(train.table["participant"], 0.5, 0)
  assert len(people) == 4
  mine = np.isin(train.table["participant"], people)
  assert f"labels: {mine.sum()} windows of 4 people, 50 % of those" in (
      capsys.readouterr().out
  )
  by_column = {t["column"]: t for t in loaded.meta["targets"]}
  hr = train.table["labels/hr_bpm"][mine].astype(np.float64)
  hr = hr[np.isfinite(hr)]
  assert by_column["labels/hr_bpm"]["mean"] == pytest.approx(hr.mean())
  assert by_column["labels/hr_bpm"]["sd"] == pytest.approx(hr.std())
  assert by_column["attributes/sex"]["classes"] == [0.0, 1.0]

  got = evaluate.run(
      evaluate_config.get_config("tiny"), str(tmp_path / "w"),
      str(tmp_path / "out"),
  )
  for key in ("direct_hr/mae_bpm", "direct_rmssd/mae_ms", "probe_hr/mae_bpm"):
    assert got[f"test/{key}"] is not None
  # Untrained as it is, it says about the mean of its labels.
  assert 0 < got["test/direct_hr/mae_bpm"] < 30
  found = compare.load([tmp_path / "out/predictions.parquet"])
  assert found["direct_hr", "encoder"].unit == "bpm"


def spoil(data, outside, rng):
  """Makes noise of the labels `outside` the share; nobody of val has any."""
  for column in [c for c in data.train.table if c.startswith("labels/")]:
    train, val = (
        np.array(split.table[column]) for split in (data.train, data.val))
    known = outside & np.isfinite(train)
    train[known] = rng.normal(900, 300, known.sum())
    data.train.table[column], data.val.table[column] = train, val * np.nan


def test_no_label_outside_the_share_is_read(simulated, tmp_path, monkeypatch):
  """Not for training, nor for the best step."""
  config = config_of(
      acc_supervised, simulated, "tiny,fraction=0.5", total_steps=3,
      validate_every=1, checkpoint_every=1, keep_latest=1, label_seed=1,
  )
  open_data, make = opening.open_data, validate.make_validate
  given, spoiled = {}, False

  def opened(*args):
    data = open_data(*args)
    given["people"] = data.train.table["participant"]
    chosen = labelled.some_people(given["people"], 0.5, 1)
    if spoiled:
      spoil(data, ~np.isin(given["people"], chosen), np.random.default_rng(0))
    return data

  def made(*args, **fields):
    given["among"] = fields["among"]
    return make(*args, **fields)

  monkeypatch.setattr(supervise.opening, "open_data", opened)
  monkeypatch.setattr(supervise.validate, "make_validate", made)
  supervise.run(config, str(tmp_path / "a"))
  chosen = labelled.some_people(given["people"], 0.5, 1)
  held = labelled.hold_out(chosen, 0.2, 1)
  assert len(chosen) == 4 and len(held) == 1
  np.testing.assert_array_equal(
      given["among"], np.flatnonzero(given["people"] == held[0]))
  spoiled = True
  supervise.run(config, str(tmp_path / "b"))
  for step in ("best", "latest"):
    one, two = (
        checkpoints.load(tmp_path / name, step) for name in ("a", "b"))
    assert one.step == two.step and one.record.metrics == two.record.metrics
    assert np.isfinite(one.record.metrics["val/loss"])
    for a, b in zip(leaves(one.params), leaves(two.params), strict=True):
      np.testing.assert_array_equal(a, b)
    assert one.record.targets == two.record.targets
  assert one.record.best.metric == "val/loss"


@pytest.mark.parametrize("fraction, says, ranked", [
    (0.2, "of 2 people, 20 % of those labelled; none choose", False),
    (0.5, "of 4 people, 50 % of those labelled; 1 of them choose", True),
    (1.0, "100 % of those labelled; the people of the val split choose", True),
])
def test_who_chooses_the_best_step(
    simulated, tmp_path, capsys, monkeypatch, fraction, says, ranked):
  given = {}
  monkeypatch.setattr(supervise.fit, "fit", lambda x: given.update(run=x))
  monkeypatch.setattr(
      supervise.validate, "make_validate", lambda *a, **k: given.update(k))
  supervise.run(config_of(
      acc_supervised, simulated, f"tiny,fraction={fraction}"), str(tmp_path))
  assert says in capsys.readouterr().out
  assert given["run"].ranked == ranked
  assert (given["among"] is None) == (fraction != 0.5)
  ranking = fit._open_checkpoints(given["run"], tmp_path)
  ranking.close()
  assert ranking._best["metric"] == ("val/loss" if ranked else "")


@pytest.mark.parametrize("linear", [True, False])
def test_from_a_checkpoint(simulated, encoder, tmp_path, linear):
  init, tmp_path = tmp_path / "init", tmp_path / "run"
  shutil.copytree(encoder, init)
  config = config_of(
      finetune, simulated, "tiny,linear" if linear else "tiny",
      init=str(init), hold_encoder_steps=0 if linear else 1,
  )
  supervise.run(config, str(tmp_path))
  mine, theirs = checkpoints.load(tmp_path), checkpoints.load(encoder)
  assert mine.meta["config"]["encoder"] == theirs.meta["config"]["encoder"]
  assert mine.record.parent.kind == "contrastive"
  before = np.concatenate([
      x.ravel() for x in leaves(theirs.params["encoder"])
  ])
  if linear:
    assert sorted(mine.params) == ["predictor"]
    after = mine.frozen["encoder"]["params"]
  else:
    after = mine.params["encoder"]
  after = np.concatenate([x.ravel() for x in leaves(after)])
  assert np.array_equal(before, after) == linear
  # The same command again, without the checkpoint it began from.
  init.rename(init.with_name("gone"))
  supervise.run(config, str(tmp_path))


def leaves(tree):
  if isinstance(tree, dict):
    return [x for key in sorted(tree) for x in leaves(tree[key])]
  return [tree]


@pytest.mark.parametrize("fields, match", [
    (dict(numbers=("labels/hr",)), r"targets: got 'labels/hr', want some of"),
    (dict(numbers=()), "targets: got none, want at least one label"),
    (dict(label_fraction=0.0), "label_fraction: got 0.0, want above 0"),
    (dict(numbers=("labels/missing",)), "targets: got 'labels/missing'"),
    (dict(freeze_encoder=True), "init: got none with freeze_encoder"),
    (dict(init="nowhere"), "nowhere: got nothing there, want the workdir of"),
    (dict(hold_out_share=1.0), "hold_out_share: got 1.0, want at least 0"),
    (dict(hold_encoder_steps=-1), "hold_encoder_steps: got -1, want 0 or mor"),
])
def test_what_cannot_be_supervised(simulated, tmp_path, fields, match):
  config = config_of(acc_supervised, simulated, **fields)
  with pytest.raises(InputError, match=match):
    supervise.run(config, str(tmp_path / "w"))
  assert not (tmp_path / "w").exists()


def test_an_encoder_of_another_signal(simulated, encoder, tmp_path):
  config = config_of(finetune, simulated, init=str(encoder), signal="ppg")
  with pytest.raises(InputError, match="got an encoder of 'acc', want one of "
                                       "'ppg'"):
    supervise.run(config, str(tmp_path / "w"))
