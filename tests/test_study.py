"""Studies: every run once, one table, and on from where it stopped."""

import json

import pytest

from accfm import study
from accfm.base.errors import InputError
from accfm.configs import ablations
from accfm.configs import study as study_config
from accfm.evals.stats import intervals
from accfm.signals import augment

# A teacher, two that need it, one that does not; --full runs all.
SOME = ("teacher", "distilled", "cosine", "accel_person")


def config_of(module, data_dir):
  config = module.get_config("tiny").unlock()
  config.data_dir = data_dir
  config.evaluate.report = False
  return config


@pytest.fixture(scope="module")
def work(simulated, tmp_path_factory):
  """(config, workdir, table) of some ablations and a supervised run."""
  folder = tmp_path_factory.mktemp("study")
  config = config_of(ablations, simulated)
  plain = config_of(study_config, simulated)
  config.runs.supervised = plain.runs.supervised_50pct
  config.evaluate = plain.evaluate
  config.order = (*SOME, "supervised")
  for name in SOME:  # augmentations take long to compile
    fields = config.runs[name].config
    both = "student" in fields.augment
    fields.augment = (
        {"student": augment.off(), "teacher": augment.off()} if both
        else augment.off()
    )
  return config, folder, study.run(config, str(folder))


def test_one_row_a_run_and_the_shared_rows(work):
  config, folder, table = work
  assert list(table["errors"]) == [
      "PPG teacher", "distilled", "untrained encoder", "hand-made features",
      "predict the mean", "cosine regression", "Accel-CL, by person",
      "supervised",
  ]
  probed = {"hr@0.5", "hr@1", "sdnn@0.5", "sdnn@1", "rmssd@0.5", "rmssd@1"}
  for title, row in table["errors"].items():
    # A supervised run is judged at the fraction it was trained on.
    want = {n for n in probed if title != "supervised" or n.endswith("0.5")}
    assert set(row) == want, title
    assert all(value > 0 for value, _, _ in row.values())
  metrics = json.loads(
      (folder / "simulated_easy/distilled/evaluation/metrics.json").read_text()
  )
  value, *ends = table["errors"]["distilled"]["hr@1"]
  assert value == pytest.approx(metrics["test/probe_hr/mae_bpm"], rel=1e-4)
  assert ends == [None, None]  # of fewer than five people
  assert "test/probe_hr/mae_bpm_ci95_low" not in metrics
  mean = metrics["test/mean/probe_hr/mae_bpm"]
  gain = table["improvements"]["predict the mean"]["hr@1"][0]
  assert gain == pytest.approx(1 - value / mean, abs=1e-3)
  for title in ("distilled", "cosine regression"):
    assert "acc2ppg" in table["retrieval"][title]
  text = (folder / "table.md").read_text()
  assert f"| {value:.2f} |" in text and intervals.FEW in text
  assert json.loads((folder / "table.json").read_text()) == table
  assert (folder / "table.png").stat().st_size > 10_000


def test_again_it_trains_nothing(work, monkeypatch, capsys):
  config, folder, table = work
  monkeypatch.setattr(study, "MAINS", {
      name: None for name in study.MAINS
  })
  assert study.run(config, str(folder)) == table
  assert capsys.readouterr().out.count("done before") == len(config.order)


@pytest.mark.full
def test_every_ablation_runs(simulated, tmp_path):
  config = config_of(ablations, simulated)
  table = study.run(config, str(tmp_path))
  assert len(table["runs"]) == len(config.order) == 26


@pytest.mark.full
def test_the_whole_study_runs(simulated, tmp_path):
  table = study.run(config_of(study_config, simulated), str(tmp_path))
  assert {"Accel-CL", "Accel-MAE", "distilled", "supervised"} <= set(
      table["errors"]
  )
  # Two runs, one a fraction, make one row.
  assert set(table["errors"]["supervised"]) == set(table["errors"]["distilled"])


@pytest.mark.parametrize("change, match", [
    (dict(order=("distilled",)), "runs.distilled.needs: got 'teacher', which "
                                 "does not come before it"),
    (dict(order=("teachr",)), "order: got 'teachr', want one of .*; did you "
                              "mean 'teacher'"),
    (dict(datasets=("simulated_esay",)), "'simulated_esay': not in .* holds"),
])
def test_what_is_no_study(simulated, tmp_path, change, match):
  config = config_of(study_config, simulated)
  config.update(change)
  with pytest.raises(InputError, match=match):
    study.run(config, str(tmp_path / "w"))
  assert not (tmp_path / "w").exists()


def test_ablations_by_group():
  config = ablations.get_config("tiny,group=joint")
  assert config.order == ("teacher", "distilled", "teacher_trained", "joint")
  with pytest.raises(InputError, match="group: got 'joints', want one of .*; "
                                       "did you mean 'joint'"):
    ablations.get_config("tiny,group=joints")
