"""Every number of every config: NaN, infinity and what cannot be are refused
by one line that names the field, before anything is read.
"""

import math

import pytest
from ml_collections import ConfigDict

from accfm import distill, evaluate, prepare, pretrain, study, supervise
from accfm.base import values
from accfm.base.errors import InputError
from accfm.configs import ablations as ablations_config
from accfm.configs import (
  acc_distill,
  acc_mae,
  acc_supervised,
  common,
  finetune,
  ppg_contrastive,
  ppg_mae,
)
from accfm.configs import evaluate as evaluate_config
from accfm.configs import prepare as prepare_config
from accfm.configs import study as study_config
from accfm.configs import table as table_config
from accfm.data import allowed as data_allowed
from accfm.evals import suite
from accfm.evals.compare import study as study_lib
from accfm.train import allowed

EFFICIENT = "laptop,encoder=efficientnet_xs"
CONFIGS = {
    "distill": acc_distill.get_config("tiny"),
    "distill_paper": acc_distill.get_config("paper"),
    "supervise": acc_supervised.get_config("tiny"),
    "finetune": finetune.get_config("tiny"),
    "contrastive": ppg_contrastive.get_config("quickstart"),
    "efficientnet": ppg_contrastive.get_config(EFFICIENT),
    "mae": ppg_mae.get_config("tiny"),
    "acc_mae": acc_mae.get_config("laptop"),
    "prepare": prepare_config.get_config("simulated"),
    "prepare_e4": prepare_config.get_config("e4,name=stress_predict"),
    "prepare_spc": prepare_config.get_config("ieee_spc"),
    "evaluate": evaluate_config.get_config(),
}
# The few numbers that may be negative, whatever else they may be.
MAY_BE_NEGATIVE = (
    "signals.acc.delay_s", "signals.ppg.delay_s",
    "labels.min_template_r",  # a correlation
    "source_cfg.acc_limits_g", "source_cfg.tag_spans",
)


def check(name, config):
  """The check that the config's main makes before it reads anything."""
  if name.startswith("prepare"):
    data_allowed.check(config)
  elif name == "evaluate":
    suite.check(config)
  else:
    allowed.check(config)


def numbers():
  """(config, dotted field, value) of every number, or tuple with numbers."""
  for name, config in CONFIGS.items():
    for path, value in values.leaves(config):
      first = value
      while isinstance(first, (tuple, list)) and first:
        first = first[-1]
      if isinstance(first, (int, float)) and not isinstance(first, bool):
        yield name, path, value


NUMBERS = list(numbers())


def changed(name, path, value):
  """A copy of a config with one field set, whatever its type was."""
  plain = CONFIGS[name].to_dict()
  group = plain
  *parents, last = path.split(".")
  for parent in parents:
    group = group[parent]
  group[last] = value
  return ConfigDict(plain)


def put(value, new):
  """`new` in place of the last number of a value."""
  if isinstance(value, (tuple, list)):
    return (*value[:-1], put(value[-1], new))
  return new


@pytest.mark.parametrize("name", CONFIGS)
def test_what_is_published_is_allowed(name):
  check(name, CONFIGS[name])


@pytest.mark.parametrize("scale", sorted(common.SCALES))
@pytest.mark.parametrize("module", [
    acc_distill, acc_supervised, ppg_contrastive, ppg_mae, finetune,
])
def test_every_scale_is_allowed(module, scale):
  allowed.check(module.get_config(scale))


@pytest.mark.parametrize("module, scale", [
    (study_config, "small"), (ablations_config, "small"),
    (ablations_config, "paper"), (study_config, "tiny"),
    (ablations_config, "easy"), (ablations_config, "realistic"),
])
def test_every_run_of_a_study_is_allowed(module, scale):
  config = module.get_config(scale)
  study.check_runs(config, study_lib.check_order(config))


def test_enough_numbers_are_tried():
  # Not of a table in the code: by hand, of what a config is made of.
  paths = {path for _, path, _ in NUMBERS}
  assert {"temperature", "order.window", "signals.ppg.band_hz", "pools",
          "label_fractions", "augment.student.noise.prob", "encoder.width",
          "quality.max_crest", "split.fractions"} - paths == {
              "augment.student.noise.prob"}  # which waits for the kind
  assert len(NUMBERS) > 350


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_no_number_is_nan_or_infinite(name, bad):
  for which, path, value in NUMBERS:
    if which == name:
      with pytest.raises(InputError) as error:
        check(name, changed(name, path, put(value, bad)))
      text = str(error.value)
      assert text.startswith(f"{path}: got {bad}"), (path, text)
      assert f"--config.{path}" in text and "\n" not in text


@pytest.mark.parametrize("name", CONFIGS)
def test_few_numbers_may_be_negative(name):
  for which, path, value in NUMBERS:
    if which != name or path in MAY_BE_NEGATIVE:
      continue
    with pytest.raises(InputError, match=path.rsplit(".", 1)[-1]) as error:
      check(name, changed(name, path, put(value, -1)))
    assert "-1" in str(error.value), path


@pytest.mark.parametrize("name, path, value, message", [
    ("distill", "temperature", 0.0, "temperature: got 0.0, want above 0"),
    ("distill", "student_weight", 1.5, "student_weight: got 1.5, want 0 to 1"),
    ("distill", "teacher_mode", "cold", "teacher_mode: got 'cold', want one"),
    ("distill", "teacher_head", "mpl", "did you mean 'mlp'"),
    ("distill", "loss", "cosin", "did you mean 'cosine'"),
    ("distill", "teacher_step", "-3", "teacher_step: got '-3', want 'latest'"),
    ("distill", "order.lanes", 3, "order.lanes: got 3 for 8 rows of a batch"),
    ("distill", "augment.teacher.noise.prob", 2.0,
     "augment.teacher.noise.prob: got 2.0, want 0 to 1"),
    ("distill", "augment.student.preset", "egc", "did you mean 'ecg'"),
    ("distill", "encoder.pool", "max", "encoder.pool: got 'max', want 'mean'"),
    ("distill", "encoder.dtype", "float99", "encoder.dtype: got 'float99'"),
    ("distill", "teacher_encoder.heads", 0, "teacher_encoder.heads: got 0"),
    ("distill", "encoder.family", "resnet", "encoder family: got 'resnet'"),
    ("distill", "optimizer", "adamv", "did you mean 'adam"),
    ("distill", "lr_multipliers", (("(", 1.0),), "want a regular expression"),
    ("distill", "profile_steps", "3:1", "profile_steps: got '3:1'"),
    ("distill", "dataset", "a" * 300, "dataset: got 'aaa.*at most 100 bytes"),
    ("distill", "dataset", "../x", "dataset: got '../x'"),
    ("distill", "dataset", "a:0", "dataset: got 'a:0'"),
    ("distill", "dataset", "a:nan", "dataset: got 'a:nan'"),
    ("contrastive", "positives", "person", "positives: got 'person'"),
    ("contrastive", "momentum", 1.0, "momentum: got 1.0, want at least 0 and"),
    ("contrastive", "seed", 2**64, "seed: got 18446744073709551616, want"),
    ("mae", "mask_ratio", 1.0, "mask_ratio: got 1.0, want above 0 and below"),
    ("mae", "decoder.heads", 0, "decoder.heads: got 0, want 1 or more"),
    ("supervise", "label_fraction", 0.0, "label_fraction: got 0.0, want above"),
    ("supervise", "encoder.dropout", 1.0, "encoder.dropout: got 1.0, want at"),
    ("efficientnet", "encoder.se_ratio", 0.0, "encoder.se_ratio: got 0.0"),
    ("efficientnet", "encoder.kernels", (3, 0), "encoder.kernels: got"),
    ("evaluate", "split", "tset", "did you mean 'test'"),
    ("evaluate", "step", "newest", "step: got 'newest'"),
    ("evaluate", "dataset", "a/../b", "dataset: got 'a/../b', want letters"),
    ("evaluate", "pools", (8, 0), r"pools: got \(8, 0\), want each 1 or more"),
    ("evaluate", "map_method", "umap", "map_method: got 'umap', want 'pca' or"),
    ("evaluate", "label_fractions", (0.5, 1.5), "label_fractions: got"),
    ("evaluate", "label_draws", 0, "label_draws: got 0, want 1 or more"),
    ("prepare", "name", "a" * 300, "name: got 'aaa.*, want letters"),
    ("prepare", "name", "..", r"name: got '\.\.', want letters"),
    ("prepare", "name", "a b", "name: got 'a b'"),
    ("prepare", "rate_hz", 0.0, "rate_hz: got 0.0, want above 0"),
    ("prepare", "window_sec", 0.0, "window_sec: got 0.0, want above 0"),
    ("prepare", "window_sec", 0.01, "window_sec: got 0.01 s .*two samples"),
    ("prepare", "hop_sec", 0.0, "hop_sec: got 0.0, want above 0"),
    ("prepare", "hop_sec", 0.01, "hop_sec: got 0.01 s .*whole number of"),
    ("prepare", "rate_hz", 16.0, "band_hz|motion level: got .* at 16.0 Hz"),
    ("prepare", "signals.ppg.kind", "pgg", "did you mean 'ppg'"),
    ("prepare", "signals.ppg.normalize", "banana",
     "signals.ppg.normalize: got 'banana', want 'zscore' or 'none'"),
    ("prepare", "signals.ppg.band_order", 0, "band_order: got 0, want 1 to 10"),
    ("prepare", "signals.ppg.band_order", 100, "band_order: got 100, want 1"),
    ("prepare", "signals.ppg.band_hz", (8.0, 0.5), "band_hz: got .8.0, 0.5."),
    ("prepare", "signals.ppg.band_hz", (0.5, 40.0), "band_hz: got .*half the"),
    ("prepare", "signals.acc.gravity_kept", False, "gravity_kept=False contra"),
    ("prepare", "signals.acc.channels", 1, "motion needs three axes"),
    ("prepare", "labels.beat_source", "beat", "did you mean 'beats'"),
    ("prepare", "labels.min_coverage", 1.1, "min_coverage: got 1.1, want 0 to"),
    ("prepare", "quality.max_crest", 0.0, "quality.max_crest: got 0.0"),
    ("prepare", "quality.range", {"eeg": (0, 1)}, "'eeg' is unknown"),
    ("prepare", "quality.range", {"acc": (1, 0)}, "quality.range.acc: got"),
    ("prepare", "split.kind", "folds", "split.kind: got 'folds'"),
    ("prepare", "split.fractions", (0.5, 0.5, 0.5), "sum to 1.5"),
    ("prepare", "split.fractions", (0.5, 0.5), "split: got 2 sizes"),
    ("prepare", "split.fold", 1, "split.fold: got 1 of 1 folds"),
])
def test_values_that_cannot_be(name, path, value, message):
  with pytest.raises(InputError, match=message) as error:
    check(name, changed(name, path, value))
  assert "\n" not in str(error.value)


@pytest.mark.parametrize("run, name, path, value", [
    (pretrain.run, "contrastive", "temperature", 0.0),
    (distill.run, "distill", "temperature", math.nan),
    (supervise.run, "supervise", "label_fraction", -1.0),
    (evaluate.run, "evaluate", "bootstrap_draws", 0),
    (prepare.run, "prepare_e4", "signals.ppg.band_order", 100),
])
def test_mains_check_before_they_read(tmp_path, run, name, path, value):
  config = changed(name, path, value)
  if "data_dir" in config:
    config.data_dir = str(tmp_path / "nowhere")
  if "teacher" in config:
    config.teacher = str(tmp_path / "nobody")
  more = [str(tmp_path / "w")]
  if run is evaluate.run:
    more = [str(tmp_path / "nothing"), *more]
  if run is prepare.run:
    more = [str(tmp_path / "no recordings"), str(tmp_path / "w")]
  with pytest.raises(InputError, match=f"^{path}: got"):
    run(config, *more)
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path, value, message", [
    ("runs.distilled.config.temperature", 0.0,
     "^runs.distilled.config: temperature: got 0.0"),
    ("runs.teacher.config.koleo_weight", math.nan,
     "^runs.teacher.config.koleo_weight: got nan"),
    ("evaluate.pools", (0,), "pools: got"), ("datasets", (), "datasets: got"),
    ("datasets", ("a", "../b"), "datasets: got"),
    ("runs.supervised_50pct.fraction", 0.0, "supervised_50pct.fraction: got"),
    ("total_steps", 0, "total_steps: got 0"),
])
def test_a_study_checks_all_its_runs_first(tmp_path, path, value, message):
  plain = study_config.get_config("tiny").to_dict()
  group = plain
  *parents, last = path.split(".")
  for parent in parents:
    group = group[parent]
  group[last] = value
  plain["data_dir"] = str(tmp_path / "nowhere")
  with pytest.raises(InputError, match=message):
    study.run(ConfigDict(plain), str(tmp_path / "w"))
  assert not list(tmp_path.iterdir())


def test_a_table_has_finite_numbers():
  values.check(table_config.get_config())
