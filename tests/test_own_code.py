"""A run with an encoder of one's own, from training to its use.

Only a command that names the code has it imported: its checkpoint does not.
"""

import numpy as np
import pytest
from ml_collections import ConfigDict

import accfm
from accfm import evaluate, pretrain
from accfm.base import plugins
from accfm.base.errors import InputError
from accfm.configs import acc_contrastive
from accfm.configs import evaluate as evaluate_config
from accfm.steps import towers
from accfm.train import checkpoints
from tests.models.test_own_encoders import NETS

NAME = "./nets.py:ConvNet"


@pytest.fixture
def run(simulated, tmp_path, monkeypatch):
  """(data_dir, workdir) of a run of two steps; now nothing is named."""
  monkeypatch.setattr(plugins, "_named", {})
  monkeypatch.setattr(plugins, "_files", {})
  monkeypatch.chdir(tmp_path)
  (tmp_path / "nets.py").write_text(NETS)
  config = acc_contrastive.get_config("tiny").unlock()
  config.data_dir = simulated
  config.encoder = ConfigDict(dict(
      family=NAME, width=3, taps=(7, 4), embed_dim=8, dropout=0.1,
      dtype="float32",
  ))
  pretrain.run(config.lock(), "run")
  plugins._named.clear()
  return simulated, tmp_path / "run"


def test_its_checkpoint_is_refused_until_a_command_names_it(run):
  data_dir, workdir = run
  (workdir.parent / "nets.py").write_text(NETS + "\nopen('ran', 'w').close()\n")
  plugins._files.clear()
  loaded = checkpoints.load(workdir)
  assert loaded.meta["config"]["encoder"]["family"] == NAME
  parts = loaded.params, loaded.carried, loaded.frozen, loaded.record
  config = evaluate_config.get_config("tiny").unlock()
  config.data_dir = data_dir
  for use in (
      lambda: towers.from_checkpoint(*parts),
      lambda: towers.untrained(loaded.record, 0),
      lambda: accfm.load(workdir),
      lambda: evaluate.run(config, str(workdir), "evaluation"),
  ):
    with pytest.raises(InputError, match=rf"add --plugins={NAME}"):
      use()
  assert not (workdir.parent / "ran").exists()


def test_with_the_name_it_is_used(run, tmp_path):
  _, workdir = run
  elsewhere = tmp_path / "kept" / "nets.py"  # files are known by their name
  elsewhere.parent.mkdir()
  (tmp_path / "nets.py").rename(elsewhere)
  plugins._files.clear()
  encoder = accfm.load(workdir, plugins=[f"{elsewhere}:ConvNet"])
  x = np.random.default_rng(0).normal(size=(512, 3)) * 0.01 + [0, 0, 1]
  got = encoder.embed(x, rate_hz=64, unit="g")
  assert got.shape == (1, 8) and np.isfinite(got).all()
