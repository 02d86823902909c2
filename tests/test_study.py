"""Studies: every run once, one table, and on from where it stopped."""

import json
import pathlib
import shutil

import pytest

from accfm import study
from accfm.base.errors import InputError
from accfm.configs import ablations
from accfm.configs import study as study_config
from accfm.evals.compare import runs, variants
from accfm.evals.stats import intervals
from accfm.signals import augment
from accfm.train import checkpoints

READ = ("traced curve, not fitted", "harmonic sum, not fitted")
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
  config.by_variant = False
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
      *READ, "predict the mean", "cosine regression", "Accel-CL, by person",
      "supervised",
  ]
  probed = {"hr@0.5", "hr@1", "sdnn@0.5", "sdnn@1", "rmssd@0.5", "rmssd@1"}
  for title, row in table["errors"].items():
    # A supervised run is judged at the fraction it was trained on.
    want = {n for n in probed if title != "supervised" or n.endswith("0.5")}
    if title in READ:
      want = {n for n in probed if n.startswith("hr")}
    assert set(row) == want, title
    assert all(value > 0 for value, _, _ in row.values())
    draws = {n: 2 if n.endswith("0.5") else 1 for n in want}
    assert table["draws"][title] == draws, title
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
  few = table["errors"]["distilled"]["hr@0.5"][0]
  assert few == pytest.approx(
      metrics["test/probe_hr_at_50pct/mae_bpm"], rel=1e-4)
  text = (folder / "table.md").read_text()
  assert "below 100 % each error is the mean over 2 draws of labelled" in text
  assert f"{value:.2f}" in text and intervals.FEW in text
  assert table["ceilings"] == ["PPG teacher"]
  assert "| PPG teacher (ceiling) |" in text and "| distilled |" in text
  typical = table["typical"]["distilled"]["hr@1"]
  assert typical["median_abs_error"][0] == pytest.approx(
      metrics["test/probe_hr/median_abs_error_bpm"], rel=1e-4)
  assert typical["within_5bpm_share"][0] == pytest.approx(
      metrics["test/probe_hr/within_5bpm_share"])
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


def test_evaluated_anew_without_training(work, monkeypatch, capsys):
  config, folder, table = work
  monkeypatch.setattr(study, "MAINS", dict.fromkeys(study.MAINS))
  calls = []
  monkeypatch.setattr(
      study.evaluate, "run", lambda *args: calls.append(args[1:])
  )
  files = [runs.metrics_of(folder / "simulated_easy" / n)
           for n in config.order]
  kept = {path: path.read_text() for path in files}
  monkeypatch.setattr(study.study, "write_table", lambda *args: None)
  try:
    study.run(config, str(folder), evaluate_again=True)
    assert not any(path.exists() for path in files)
  finally:
    for path, text in kept.items():
      path.write_text(text)
  assert calls == [
      (str(path.parents[1]), str(path.parent)) for path in files
  ]
  assert "done before" not in capsys.readouterr().out


# --- ablations ---------------------------------------------------------------


@pytest.fixture(scope="module")
def seeds(work, tmp_path_factory):
  """(config, folder): two variants of two seeds, evaluated as `work` was.

  The second seed's figures are the first's, a little changed.
  """
  config, folder, _ = work
  config = config.copy_and_resolve_references().unlock()
  config.by_variant = True
  out = tmp_path_factory.mktemp("seeds")
  base = folder / "simulated_easy"
  order = []
  for name in ("teacher", "distilled", "cosine"):
    for seed in (0, 1):
      run = f"{name}_seed{seed}" if seed else name
      shutil.copytree(
          base / name / "evaluation", out / "simulated_easy" / run /
          "evaluation",
      )
      config.runs[run] = config.runs[name].copy_and_resolve_references()
      config.runs[run].variant = name
      order.append(run)
  path = out / "simulated_easy/cosine_seed1/evaluation/metrics.json"
  metrics = json.loads(path.read_text())
  metrics["test/probe_hr/mae_bpm"] += 2.0
  path.write_text(json.dumps(metrics))
  config.order = tuple(order)
  config.runs.cosine.claim = "as good [D2]"
  return config, out


def test_a_line_a_variant_with_the_range_over_seeds(seeds):
  config, folder = seeds
  table = variants.write_table(
      config, config.order, folder, str(folder / "table"))
  assert json.loads((folder / "table.json").read_text()) == table
  assert list(table["variants"]) == ["teacher", "distilled", "cosine"]

  def metric(run, name):
    path = folder / "simulated_easy" / run / "evaluation/metrics.json"
    return json.loads(path.read_text())[name]

  line = table["variants"]["cosine"]
  assert line["runs"] == ["cosine", "cosine_seed1"]
  first = metric("cosine", "test/probe_hr/mae_bpm")
  assert line["values"]["acc/hr"] == [first, first + 2.0]
  for column, name in [
      ("acc2ppg", "test/acc2ppg/recall@1_pool8"),
      ("ppg2acc", "test/ppg2acc/recall@1_pool8"),
      ("acc", "test/health/effective_rank"),
      ("ppg", "test/ppg/health/effective_rank"),
      ("ppg/hr", "test/ppg/probe_hr/mae_bpm"),
  ]:
    assert line["values"][column] == 2 * [metric("cosine", name)], column
  # A teacher is an encoder of PPG: its figures stand in PPG's columns.
  teacher = table["variants"]["teacher"]["values"]
  assert teacher["ppg"] == 2 * [metric("teacher", "test/health/effective_rank")]
  assert not [n for n in teacher if n.startswith("acc")]
  # Predictions of the seeds are pooled: here the same ones twice.
  want = first / metric("distilled", "test/probe_hr/mae_bpm") - 1
  assert line["change"]["hr"][0] == pytest.approx(want, abs=1e-3)
  value, low, high = line["change"]["hr"]
  assert low is None or low <= value <= high
  assert table["variants"]["distilled"]["change"] == {}
  text = (folder / "table.md").read_text()
  (row,) = [r for r in text.splitlines() if r.startswith("| cosine regression")]
  assert f"{first + 1:.2f} ({first:.2f} to {first + 2:.2f})" in row
  assert row.endswith("| as good [D2] |") and "the mean over 2 seeds" in text


@pytest.mark.full
def test_every_ablation_runs(simulated, tmp_path):
  config = config_of(ablations, simulated)
  table = study.run(config, str(tmp_path))
  assert len(table["variants"]) == len(config.order) == 29


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
  resolved = [runs.resolve(config, n, "x", pathlib.Path()) for n in names]
  assert [r.label_seed for r in resolved] == [7, 8, 9, 7, 8, 9, 7]
  assert [r.label_fraction for r in resolved] == [0.01] * 3 + [0.1] * 3 + [1]
  for scale, count in (("small", 15), ("paper", 20), ("tiny", 7)):
    assert len(study_config.get_config(scale).order) == count


def test_ablations_by_group():
  config = ablations.get_config("tiny,group=joint")
  assert config.order == ("teacher", "distilled", "teacher_trained", "joint")
  config = ablations.get_config("tiny,group=joint+soft,seeds=2")
  one = ("teacher", "distilled", "teacher_trained", "joint", "soft_50")
  assert config.order == (*one, *(f"{name}_seed1" for name in one))
  assert config.runs.distilled_seed1.needs == "teacher_seed1"
  assert config.runs.joint_seed1.needs == ""
  assert config.runs.joint_seed1.config.seed == 1
  assert config.runs.joint_seed1.variant == "joint"
  assert "seed" not in config.shared
  with pytest.raises(InputError, match="group: got 'joints', want one of .*; "
                                       "did you mean 'joint'"):
    ablations.get_config("tiny,group=joints")
