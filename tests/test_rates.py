"""Signals of two rates, from preparation to scores."""

import numpy as np

import accfm
from accfm import distill, evaluate, prepare, pretrain
from accfm.configs import acc_distill, ppg_contrastive
from accfm.configs import evaluate as evaluate_config
from accfm.configs import prepare as prepare_config
from accfm.data import pipeline
from accfm.signals import augment


def config_of(module, data_dir):
  config = module.get_config("tiny").unlock()
  config.data_dir, config.dataset = data_dir, "two_rates"
  config.augment = (
      {"student": augment.off(), "teacher": augment.off()}
      if "student" in config.augment else augment.off()
  )
  return config


def test_acceleration_at_32_hz_and_ppg_at_64_hz(tmp_path):
  data_dir = str(tmp_path / "data")
  config = prepare_config.get_config(
      "simulated,participants=12,minutes=1,split=8/2/2,name=two_rates")
  config.window_sec = config.hop_sec = 10.0
  config.signals.acc.rate_hz = 32.0
  config.labels.min_pairs = 4
  config.workers = 1
  folder = prepare.run(config, "", data_dir)
  rows = pipeline.open_split(folder, "test").read([0], ["acc", "ppg"])
  assert rows["acc"].shape == (1, 320, 3)
  assert rows["ppg"].shape == (1, 640, 4)
  teacher, student = str(tmp_path / "teacher"), str(tmp_path / "student")
  pretrain.run(config_of(ppg_contrastive, data_dir), teacher)
  config = config_of(acc_distill, data_dir)
  config.teacher = teacher
  distill.run(config, student)
  config = evaluate_config.get_config("tiny").unlock()
  config.update(report=False, evals=("retrieval", "probe", "health"))
  scores = evaluate.run(config, student, str(tmp_path / "scores"))
  assert scores["test/acc2ppg/recall@1_pool8"] is not None
  assert scores["test/probe_hr/mae_bpm"] is not None
  encoder = accfm.load(student)
  assert encoder.rate_hz == 32.0
  minute = np.tile([0.6, 0.0, 0.8], (320, 1))
  assert encoder.embed(minute, rate_hz=32, unit="g").shape[0] == 1
