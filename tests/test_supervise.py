"""Supervised mains: from nothing, from a checkpoint, on few labels."""

import shutil

import numpy as np
import pytest

from accfm import evaluate, pretrain, supervise
from accfm.base.errors import InputError
from accfm.configs import acc_contrastive, acc_supervised, finetune
from accfm.configs import evaluate as evaluate_config
from accfm.data import labelled, manifest, pipeline
from accfm.evals.compare import paired as compare
from accfm.signals.targets import Target
from accfm.steps.supervised import check_warp
from accfm.train import checkpoints


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
