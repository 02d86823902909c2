"""Several data sets at once: shares of a batch, their losses, their scores."""

import json
import pathlib
import shutil

import pytest

from accfm import distill, evaluate, prepare, pretrain
from accfm.base.errors import InputError
from accfm.configs import acc_contrastive, acc_distill, ppg_contrastive
from accfm.configs import evaluate as evaluate_config
from accfm.configs import prepare as prepare_config
from accfm.signals import augment
from accfm.train import allowed, checkpoints, writer

MIXED = "simulated_easy:3,simulated_other:1"


@pytest.fixture(scope="module")
def both(simulated, tmp_path_factory):
  """data_dir with "simulated_easy" and "simulated_other", other people."""
  folder = tmp_path_factory.mktemp("both")
  shutil.copytree(simulated, folder, dirs_exist_ok=True)
  config = prepare_config.get_config(
      "simulated,participants=12,minutes=1,split=8/2/2,seed=1,"
      "name=simulated_other"
  )
  config.window_sec = config.hop_sec = 8.0
  config.labels.min_pairs = 4
  config.workers = 1
  prepare.run(config, "", str(folder))
  return str(folder)


def config_of(module, data_dir, **fields):
  config = module.get_config("tiny").unlock()
  config.data_dir = data_dir
  # Augmentations take long to compile, and know nothing of cohorts.
  config.augment = (
      {"student": augment.off(), "teacher": augment.off()}
      if "student" in config.augment else augment.off()
  )
  config.update(fields)
  return config


def test_a_mixture_from_teacher_to_scores(both, tmp_path):
  teacher, student = str(tmp_path / "teacher"), str(tmp_path / "student")
  pretrain.run(config_of(ppg_contrastive, both, dataset=MIXED), teacher)
  rows = writer.load_rows(tmp_path / "teacher")
  last = [r for r in rows if "train/loss" in r][-1]
  # Six rows of eight are the first's.
  mixed = (6 * last["train/loss/simulated_easy"]
           + 2 * last["train/loss/simulated_other"]) / 8
  assert mixed == pytest.approx(last["train/loss"], rel=1e-5)
  assert any("val/loss/simulated_other" in r for r in rows)
  meta = checkpoints.load(teacher).meta
  assert [c["dataset"] for c in meta["cohorts"]] == [
      "simulated_easy", "simulated_other"
  ]

  distill.run(
      config_of(acc_distill, both, dataset=MIXED, teacher=teacher), student
  )
  config = evaluate_config.get_config("tiny").unlock()
  config.update(report=False, evals=("retrieval",))
  got = evaluate.run(config, student, str(tmp_path / "out"))
  assert set(got) == {"simulated_easy", "simulated_other"}
  for name, metrics in got.items():
    assert metrics["test/acc2ppg/recall@1_pool8"] is not None
    assert pathlib.Path(tmp_path, "out", name, "metrics.json").exists()
  # The leak guard knows the people of every data set.
  config.update(dataset="simulated_other", split="train")
  with pytest.raises(InputError, match="leak guard: the encoder and its teac"):
    evaluate.run(config, student, str(tmp_path / "leak"))


def test_acceleration_alone_mixes_cohorts_of_other_ppg(both, tmp_path):
  """Trained on two data sets that differ in PPG, scored on each."""
  folder = tmp_path / "data"
  shutil.copytree(both, folder)
  config = prepare_config.get_config(
      "simulated,participants=12,minutes=1,split=8/2/2,seed=2,name=one_ppg,"
      "cohort=one"
  )
  config.window_sec = config.hop_sec = 8.0
  config.signals.ppg.band_hz = (0.5, 4.0)
  config.labels.min_pairs = 4
  config.workers = 1
  prepare.run(config, "", str(folder))
  mixed = "simulated_easy,one_ppg"
  with pytest.raises(InputError, match="data set one_ppg: .*ppg.band_hz is"):
    pretrain.run(config_of(ppg_contrastive, str(folder), dataset=mixed),
                 str(tmp_path / "ppg"))
  run = str(tmp_path / "acc")
  pretrain.run(config_of(acc_contrastive, str(folder), dataset=mixed), run)
  record = checkpoints.load(run).record
  assert list(record.contract.signals) == ["acc"]
  assert record.cohorts is not None and len(record.cohorts) == 2
  config = evaluate_config.get_config("tiny").unlock()
  config.update(report=False, untrained=False, evals=("probe", "health"))
  got = evaluate.run(config, run, str(tmp_path / "out"))
  for metrics in got.values():
    assert metrics["test/health/effective_rank"] is not None
  # Probes of the one, tested on the other.
  config.update(dataset="one_ppg", fit_dataset="simulated_easy")
  got = evaluate.run(config, run, str(tmp_path / "across"))
  assert got["test/probe_hr/mae_bpm"] is not None
  about = json.loads(
      (tmp_path / "across/metrics.json").read_text())["_meta"]
  assert about["fit_dataset"]["dataset"] == "simulated_easy"
  assert set(about["windows"]) == {
      "simulated_easy.train", "simulated_easy.val", "test"}


@pytest.mark.parametrize("text, want", [
    ("a", {"a": 1.0}), ("a:2,b", {"a": 2.0, "b": 1.0}),
    ("a:0.5, b:1.5", {"a": 0.5, "b": 1.5}),
])
def test_a_mixture_is_read(text, want):
  assert allowed.parse_mixture(text) == want


@pytest.mark.parametrize("text", [
    "", "a,,b", "a:0", "a:-1", "a:x", "a:inf", "a:nan", "a,a:2", ":2",
])
def test_what_is_no_mixture(text):
  with pytest.raises(InputError, match="dataset: got .* want a name or"):
    allowed.parse_mixture(text)


def test_a_share_that_gets_no_row(both, tmp_path):
  config = config_of(
      ppg_contrastive, both, dataset="simulated_easy:100,simulated_other:1"
  )
  with pytest.raises(InputError, match="want at least one row of each data"):
    pretrain.run(config, str(tmp_path / "w"))
  assert not (tmp_path / "w").exists()
