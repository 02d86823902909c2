"""The walk-through in docs/cohort.md works as it is written."""

import importlib.util
import pathlib
import re

import numpy as np
import pytest
from ml_collections import ConfigDict

from accfm import prepare
from accfm.base.errors import InputError
from accfm.configs import prepare as prepare_config
from accfm.data import manifest
from accfm.data.sources import SOURCES

DOC = pathlib.Path(__file__).parents[2] / "docs" / "cohort.md"


@pytest.fixture
def blocks(tmp_path):
  """The document's Python blocks as modules: the source and the config."""
  out = []
  for text in re.findall(r"```python\n(.*?)```", DOC.read_text(), re.S):
    path = tmp_path / f"block{len(out)}.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    module.ConfigDict = ConfigDict
    spec.loader.exec_module(module)
    out.append(module)
  return out


def write_cohort(folder, seconds=70):
  rng = np.random.default_rng(0)
  t = 1000.0 + np.arange(50 * seconds) / 50
  for person in ("P01", "P02", "P03"):
    rows = np.stack([
        t, *(9.80665 * (rng.normal(0, 0.02, (3, len(t))) + [[0], [0], [1]])),
        np.sin(2 * np.pi * 1.2 * t), np.full(len(t), 72.0),
    ], axis=1)
    np.savetxt(folder / f"{person}_day.csv", rows, delimiter=",",
               header="time_s,ax,ay,az,green,bpm", comments="")


def test_the_example_source_and_config_prepare_a_cohort(tmp_path, blocks):
  source, config = blocks
  write_cohort(tmp_path)
  c = prepare_config.get_config("ieee_spc,split=1/1/1")
  with c.unlocked():
    c.name = c.source = "watch"
    c.signals.ppg.channels = 1
    config.watch(c, None)
    c.workers = 1
  folder = prepare.run(
      c, str(tmp_path), str(tmp_path / "data"), {**SOURCES, "watch": source}
  )
  facts = manifest.load(folder)
  assert facts["windows"] == {"train": 1, "val": 1, "test": 1}
  assert facts["qc"]["kept"] == 3


def test_the_example_source_reads_what_was_written(tmp_path, blocks):
  source = blocks[0]
  cfg = {"rate_hz": 50.0}
  with pytest.raises(InputError, match="no recording"):
    source.list_recordings(tmp_path, cfg)
  write_cohort(tmp_path)
  r = source.read_recording(tmp_path, "P02_day", cfg)
  assert (r.participant, r.session, r.start_s) == ("P02", "day", 1000.0)
  assert r.signals["acc"].values[:, 2].mean() == pytest.approx(1, abs=0.01)
  np.testing.assert_array_equal(r.tracks["hr_bpm"].start_s,
                                1000.0 + np.arange(70))
  lines = (tmp_path / "P02_day.csv").read_text().split("\n")
  for broken, message in (
      (lines[:50] + lines[60:], "time step"),
      (lines[:50] + ["1,2"], "P02_day.csv"),
  ):
    (tmp_path / "P02_day.csv").write_text("\n".join(broken))
    with pytest.raises(InputError, match=message):
      source.read_recording(tmp_path, "P02_day", cfg)
