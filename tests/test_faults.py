"""Mains on damaged data and with bad steps: stopped, or gone on as asked."""

import shutil

import numpy as np
import pytest

from accfm import pretrain
from accfm.base.errors import InputError
from accfm.configs import acc_mae
from accfm.data import damage, manifest, pipeline
from accfm.train import checkpoints, guard, writer
from tests.data.shards import put_scale, rewrite


def hurt(folder, split, row):
  rewrite(folder, row, put_scale([1, np.nan, 1]), split)


@pytest.fixture
def data_dir(simulated, tmp_path):
  return shutil.copytree(simulated, tmp_path / "data")


def config_of(data_dir, **fields):
  config = acc_mae.get_config("tiny").unlock()
  config.data_dir = str(data_dir)
  config.update(fields)
  return config


def test_a_damaged_row_of_training(data_dir, tmp_path, capsys):
  """Stops the run; with a share it is replaced, counted and said once."""
  folder = manifest.find(data_dir, "simulated_easy")
  hurt(folder, "train", 5)
  epoch = len(pipeline.open_split(folder, "train")) // 8  # all rows are met
  work = tmp_path / "w"
  config = config_of(
      data_dir, total_steps=epoch, validate_every=0, checkpoint_every=epoch
  )
  with pytest.raises(damage.DamagedError, match="row 5 of split train"):
    pretrain.run(config, str(work))
  assert not checkpoints.exists(work)
  capsys.readouterr()
  config.max_damaged_share = 0.1
  pretrain.run(config, str(work))
  assert checkpoints.load(work).step == epoch
  said = capsys.readouterr().out
  assert said.count("damaged row 1 of at most") == 1
  assert said.count(": row 5 of split train acc/scale is [1.0, nan, 1.0]") == 1
  counts = [row["train/damaged_rows"] for row in writer.load_rows(work)]
  assert len(counts) == epoch and counts[-1] == 1


def test_a_damaged_row_of_validation_stops(data_dir, tmp_path):
  folder = manifest.find(data_dir, "simulated_easy")
  hurt(folder, "val", 0)
  config = config_of(data_dir, max_damaged_share=0.5)
  with pytest.raises(damage.DamagedError, match="row 0 of split val"):
    pretrain.run(config, str(tmp_path / "w"))


def test_bad_steps_name_their_rows_and_people(simulated, tmp_path, capsys):
  """A learning rate that blows up at the second step, whatever the batch."""
  config = config_of(
      simulated, lr=1e30, on_bad_step="skip", max_skipped=2,
      validate_every=0,
  )
  with pytest.raises(guard.BadStepError, match="2 batches are left out alr"):
    pretrain.run(config, str(tmp_path))
  said = [
      line for line in capsys.readouterr().out.splitlines()
      if line.startswith("warning: ")
  ]
  split = pipeline.open_split(
      manifest.find(simulated, "simulated_easy"), "train"
  )
  records = guard.Guard(tmp_path, config)._records
  assert len(said) == len(records) == 2
  for line, record in zip(said, records, strict=True):
    assert len(set(record["rows"])) == 8
    people = split.table["participant"][record["rows"]]
    assert set(record["people"]) == set(people.tolist())
    assert "rows " + ", ".join(map(str, record["rows"])) + " of " in line
    assert people[0] in line
  assert records[0]["batch"] != records[1]["batch"]


@pytest.mark.parametrize("field, value", [
    ("on_bad_step", "no"), ("profile_steps", "3:1"), ("profile_steps", "1:9"),
    ("max_damaged_share", 1.5),
])
def test_fields_are_checked_before_anything_is_written(
    simulated, tmp_path, field, value
):
  with pytest.raises(InputError, match=f"{field}: got"):
    pretrain.run(
        config_of(simulated, **{field: value}), str(tmp_path / "w")
    )
  assert not (tmp_path / "w").exists()
