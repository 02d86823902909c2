"""The walk-through in docs/cohort.md works as it is written."""

import pathlib
import re

import numpy as np
import pytest

from accfm import prepare
from accfm.base import configfiles, plugins
from accfm.base.errors import InputError
from accfm.configs import prepare as prepare_config
from accfm.data import manifest

DOC = pathlib.Path(__file__).parents[2] / "docs" / "cohort.md"


@pytest.fixture
def folder(tmp_path, monkeypatch):
  """A folder with the document's file, which is the current one."""
  monkeypatch.setattr(plugins, "_named", {})
  monkeypatch.setattr(plugins, "_files", {})
  text, = re.findall(r"```python\n(.*?)```", DOC.read_text(), re.S)
  (tmp_path / "watch.py").write_text(text)
  monkeypatch.chdir(tmp_path)
  return tmp_path


def write_cohort(folder, seconds=70):
  rng = np.random.default_rng(0)
  t = 1000.0 + np.arange(50 * seconds) / 50
  for person in ("P01", "P02", "P03"):
    rows = np.stack([
        t, *(9.80665 * (rng.normal(0, 0.02, (3, len(t))) + [[0], [0], [1]])),
        np.sin(2 * np.pi * 1.2 * t + rng.random()), np.full(len(t), 72.0),
    ], axis=1)
    np.savetxt(folder / f"{person}_day.csv", rows, delimiter=",",
               header="time_s,ax,ay,az,green,bpm", comments="")


@pytest.mark.parametrize("workers", [1, 2])
def test_the_example_source_prepares_a_cohort(folder, workers):
  write_cohort(folder)
  c = configfiles.load("prepare:./watch.py,split=1/1/1")
  with c.unlocked():
    c.workers = workers
  made = prepare.run(c, str(folder), "data")
  facts = manifest.load(made)
  assert facts["windows"] == {"train": 1, "val": 1, "test": 1}
  assert facts["label_windows"]["train"]["hr_bpm"] == 1
  assert sorted(sum(facts["splits"].values(), [])) == [
      "watch/P01", "watch/P02", "watch/P03"
  ]
  assert (facts["name"], facts["source"]) == ("watch", "./watch.py")
  # Other code is another data set, and what exists is not run to be read.
  assert prepare.run(c, str(folder), "data") == made
  with open("watch.py", "a") as file:
    file.write("\n# changed\n")
  with pytest.raises(InputError, match="code of source ./watch.py cha.*choose"):
    prepare.run(c, str(folder), "data")


def test_the_source_holds_its_prepare_config(folder):
  write_cohort(folder)
  c = configfiles.load("prepare:./watch.py,name=plain,split=1/1/1")
  assert c.source_cfg.rate_hz == 50.0 and c.labels.beat_source == "track"
  short = prepare.MAIN.parse([
      "--source=./watch.py,name=plain,split=1/1/1", "--source_dir=.",
      "--data_dir=data"])
  assert short.config.to_dict() == c.to_dict()
  with c.unlocked():
    c.workers = 1
  facts = manifest.load(prepare.run(c, str(folder), "data"))
  assert facts["name"] == "plain" and facts["qc"]["kept"] == 3


@pytest.mark.parametrize("text, name, message", [
    ("", "./watch.py", "has no list_recordings and no read_recording"),
    ("def list_recordings(d, c): pass", "./watch.py", "has no read_recording"),
    ("", "./other.py", "no file './other.py'"),
    ("", "wacth", "got 'wacth', want one of .*, or a file of your own"),
])
def test_what_is_no_source(folder, text, name, message):
  (folder / "watch.py").write_text(text)
  c = prepare_config.get_config("e4").unlock()
  c.source, c.name = name, "x"
  with pytest.raises(InputError, match=message) as error:
    prepare.run(c, str(folder), "data")
  assert "\n" not in str(error.value)
  with pytest.raises(InputError):
    prepare_config.get_config("wacth")


def test_the_example_source_reads_what_was_written(folder):
  tmp_path = folder
  source = plugins.load_file("./watch.py", "source")
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
