"""Studies: every run once, one table, and on from where it stopped."""

import json
import pathlib

import pytest

from accfm import study
from accfm.base.errors import InputError
from accfm.configs import ablations
from accfm.configs import study as study_config
from accfm.signals import augment
from accfm.train import checkpoints

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
  config.runs.supervised_draw1 = plain.runs.supervised_50pct_draw1
  config.evaluate = plain.evaluate
  config.order = (*SOME, "supervised", "supervised_draw1")
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
    draws = {n: 2 if n.endswith("0.5") else 1 for n in want}
    assert table["draws"][title] == draws, title
  metrics = json.loads(
      (folder / "simulated_easy/distilled/evaluation/metrics.json").read_text()
  )
  value, low, high = table["errors"]["distilled"]["hr@1"]
  assert value == pytest.approx(metrics["test/probe_hr/mae_bpm"], rel=1e-4)
  assert low == pytest.approx(
      metrics["test/probe_hr/mae_bpm_ci95_low"], rel=1e-3
  )
  mean = metrics["test/mean/probe_hr/mae_bpm"]
  gain = table["improvements"]["predict the mean"]["hr@1"][0]
  assert gain == pytest.approx(1 - value / mean, abs=1e-3)
  for title in ("distilled", "cosine regression"):
    assert "acc2ppg" in table["retrieval"][title]
  few = table["errors"]["distilled"]["hr@0.5"][0]
  assert few == pytest.approx(
      metrics["test/probe_hr_at_50pct/mae_bpm"], rel=1e-4)
  text = (folder / "table.md").read_text()
  assert "below 100 % each error is the mean over 2 draws of labelled" in text
  assert f"{value:.2f} [{low:.2f}, {high:.2f}]" in text
  assert json.loads((folder / "table.json").read_text()) == table
  assert (folder / "table.png").stat().st_size > 10_000


def test_supervised_runs_of_a_share_are_one_row_of_draws(work):
  """Each is trained on the people of the probe's draw, at its best step."""
  _, folder, table = work
  made = []
  for draw, name in enumerate(("supervised", "supervised_draw1")):
    run = folder / "simulated_easy" / name
    record = checkpoints.read_record(checkpoints.find(run, "best"))
    assert record.config["label_seed"] == draw
    assert record.config["label_fraction"] == 0.5
    metrics = json.loads((run / "evaluation/metrics.json").read_text())
    assert metrics["_meta"]["step"] == record.step
    made.append(metrics["test/direct_hr/mae_bpm"])
  assert made[0] != made[1]
  assert table["errors"]["supervised"]["hr@0.5"][0] == pytest.approx(
      sum(made) / 2, rel=1e-4)


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


def test_a_run_for_each_share_and_draw():
  config = study_config.get_config("small,draws=3")
  names = [n for n in config.order if n.startswith("supervised")]
  assert names == [
      "supervised_1pct", "supervised_1pct_draw1", "supervised_1pct_draw2",
      "supervised_10pct", "supervised_10pct_draw1", "supervised_10pct_draw2",
      "supervised_100pct",
  ]
  assert config.evaluate.label_draws == 3
  config = config.copy_and_resolve_references().unlock()
  config.evaluate.label_seed = 7
  resolved = [study.resolve(config, n, "x", pathlib.Path()) for n in names]
  assert [r.label_seed for r in resolved] == [7, 8, 9, 7, 8, 9, 7]
  assert [r.label_fraction for r in resolved] == [0.01] * 3 + [0.1] * 3 + [1]
  for scale, count in (("small", 15), ("paper", 20), ("tiny", 7)):
    assert len(study_config.get_config(scale).order) == count


def test_ablations_by_group():
  config = ablations.get_config("tiny,group=joint")
  assert config.order == ("teacher", "distilled", "teacher_trained", "joint")
  with pytest.raises(InputError, match="group: got 'joints', want one of .*; "
                                       "did you mean 'joint'"):
    ablations.get_config("tiny,group=joints")
