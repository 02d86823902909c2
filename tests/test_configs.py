"""Every config: its golden text, and its tiny form run end to end."""

import importlib.util
import json
import pathlib
import re
import shutil

import jax
import ml_collections
import numpy as np
import pytest

from accfm import distill, evaluate, pretrain
from accfm.base import configlib
from accfm.base.errors import InputError
from accfm.configs import common
from accfm.configs import evaluate as evaluate_config
from accfm.data import manifest
from accfm.signals import augment
from accfm.train import checkpoints, writer
from tests.data import shards

FOLDER = pathlib.Path(__file__).parents[1] / "configs"
NAMES = sorted(
    p.stem for p in FOLDER.glob("*.py") if p.stem not in ("__init__", "common")
)
PRETRAIN = [n for n in NAMES if n.split("_")[-1] in ("mae", "contrastive")]
STUDIES = ["ablations", "study"]
OTHERS = ["acc_distill", "acc_supervised", "collate", "embed", "evaluate",
          "export", "finetune", "prepare", "table", *STUDIES]
ARGUMENTS = {
    "prepare": ("simulated", "simulated,tiny", "e4", "e4,name=stress_predict",
                "ieee_spc", "embraceplus", "cwa"),
    "evaluate": ("", "tiny"),
    **dict.fromkeys(("table", "collate", "embed", "export"), ("",)),
    "study": ("tiny",), "ablations": (),  # see test_golden_variants
}
GOLDEN = [
    (name, arg) for name in NAMES
    for arg in ARGUMENTS.get(name, ("", *sorted(common.SCALES)))
]


def load(name):
  """The module configs/<name>.py, as --config loads it: from its path."""
  spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def fields(node, prefix=""):
  """Lines `dotted.name = value`, sorted."""
  lines = []
  for key in node:
    value = node.get_ref(key).get() if hasattr(node, "get_ref") else node[key]
    if isinstance(value, ml_collections.ConfigDict):
      lines += fields(value, f"{prefix}{key}.")
    else:
      lines.append(f"{prefix}{key} = {value!r}")
  return sorted(lines)


@pytest.mark.parametrize("scale", ["paper", "small", "tiny", "easy"])
def test_golden_variants(golden, scale):
  """Each run of the ablations as what differs from the plain student's."""
  config = load("ablations").get_config(scale)
  plain = config.to_dict()["runs"]
  lines = []
  for name in config.order:
    spec = plain[name]
    lines += [f"{name}: {spec['main']} as {spec['title']!r} after "
              f"{spec['needs'] or 'nothing'}"]
    if spec["claim"]:
      lines += [f"  the paper: {spec['claim']}"]
    base = plain["distilled" if spec["main"] == "distill" else "teacher"]
    if spec is not base:
      lines += [
          f"  {line}"
          for line in configlib.differences(base["config"], spec["config"])
      ]
  golden(f"ablations_{scale}", "\n".join(lines))


def test_every_config_is_known_here():
  assert sorted(PRETRAIN + OTHERS) == NAMES and len(PRETRAIN) >= 4


@pytest.mark.parametrize("name, arg", GOLDEN)
def test_golden_fields(golden, name, arg):
  config = load(name).get_config(arg or None)
  assert config.is_locked
  plain = config.to_json_best_effort()
  assert json.loads(plain)  # plain values alone
  text = "_".join(filter(None, [name, *arg.replace("=", "_").split(",")]))
  golden(f"config_{text}", "\n".join(fields(config)))


@pytest.mark.parametrize("name", NAMES)
def test_each_says_its_command(name):
  assert re.search(r"^(Command: |  )accfm [a-z]+ ", load(name).__doc__, re.M)


def tiny(name, data_dir, **changes):
  config = load(name).get_config("tiny")
  config.data_dir = data_dir
  config.update(changes)
  return config


# Each has a twin of the other signal, which always runs.
TWINS = ("acc_contrastive", "ppg_mae")


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=pytest.mark.full if name in TWINS else ())
    for name in PRETRAIN
])
def test_pretraining_runs(name, simulated, tmp_path, capsys):
  # One of them with its parameters split over four of the devices.
  fsdp = 4 if name == "acc_mae" else 1
  config = tiny(name, simulated, fsdp=fsdp)
  if "minutes_per_person" in config:
    config.minutes_per_person = 2
  state = pretrain.run(config, str(tmp_path))
  assert int(state.step) == config.total_steps == 2
  split = {x.sharding.is_fully_replicated for x in jax.tree.leaves(state)}
  assert split == ({True} if fsdp == 1 else {True, False})
  rows = writer.load_rows(tmp_path)
  assert any("train/loss" in row for row in rows)
  assert any("val/loss" in row for row in rows)
  loaded = checkpoints.load(tmp_path)
  meta = loaded.meta
  assert loaded.step == 2 and loaded.frozen == {}
  assert meta["kind"] == config.objective
  assert meta["signals"] == [config.signal] and meta["parent"] is None
  kind = meta["contract"]["signals"][config.signal]["kind"]
  config.augment = augment.resolve(config.augment, kind)
  assert meta["config"] == json.loads(config.to_json())
  assert meta["contract"]["window_sec"] == 8.0
  (cohort,) = meta["cohorts"]
  assert cohort["dataset"] == "simulated_easy"
  assert len(cohort["splits"]["train"]) == 8
  assert f"{config.objective} of {config.signal}: " in capsys.readouterr().out


@pytest.fixture(scope="module")
def world(simulated, tmp_path_factory):
  """(data_dir, teacher's workdir, student's workdir) after tiny runs."""
  folder = tmp_path_factory.mktemp("runs")
  teacher, student = folder / "teacher", folder / "student"
  pretrain.run(tiny("ppg_contrastive", simulated), str(teacher))
  distill.run(
      tiny("acc_distill", simulated, teacher=str(teacher)), str(student)
  )
  return simulated, teacher, student


def test_distillation_keeps_the_teacher_and_says_who_it_was(world):
  _, teacher, student = world
  mine, theirs = checkpoints.load(student), checkpoints.load(teacher)
  assert mine.meta["kind"] == "distill"
  assert mine.meta["signals"] == ["acc", "ppg"]
  assert mine.record.parent.kind == "contrastive"
  assert mine.record.parent.signals == ("ppg",)
  assert sorted(mine.params) == ["student", "student_head", "teacher_head"]
  same(mine.frozen["teacher"], {"params": theirs.params["encoder"]})
  (row,) = [r for r in writer.load_rows(student) if "val/loss" in r]
  assert 0 <= row["val/acc2ppg/recall@1"] <= 1
  assert row["val/effective_rank"] >= 1


def test_a_record_without_ids_guards_as_well(world, tmp_path):
  data_dir, teacher, _ = world
  distill.run(
      tiny("acc_distill", data_dir, teacher=str(teacher),
           pseudonym_salt="pepper"), str(tmp_path / "w"),
  )
  record = (tmp_path / "w/checkpoints/2/record.json").read_text()
  people = manifest.load(manifest.find(data_dir, "simulated_easy"))["splits"]
  for person in sum(people.values(), []):
    assert f'"{person}"' not in record
  config = evaluate_config.get_config("tiny").unlock()
  config.update(evals=("health",), untrained=False, handmade=False,
                report=False)
  evaluate.run(config, str(tmp_path / "w"), str(tmp_path / "out"))
  config.split = "train"
  with pytest.raises(InputError, match="encoder and its teacher trained on 8 "):
    evaluate.run(config, str(tmp_path / "w"), str(tmp_path / "leak"))


def same(a, b, path=""):
  if isinstance(a, dict):
    assert a.keys() == b.keys(), path
    for key in a:
      same(a[key], b[key], f"{path}.{key}")
  else:
    np.testing.assert_array_equal(a, b, err_msg=path)


@pytest.fixture
def alone(world, tmp_path):
  """(data_dir, a copy of the student's workdir) and no teacher anywhere."""
  data_dir, teacher, student = world
  away = teacher.rename(tmp_path / "away")
  yield data_dir, pathlib.Path(shutil.copytree(student, tmp_path / "w"))
  away.rename(teacher)


def test_evaluation_needs_the_checkpoint_alone(alone, tmp_path):
  _, student = alone
  config = evaluate_config.get_config("tiny")
  got = evaluate.run(config, str(student), str(tmp_path / "out"))
  for key in ("test/acc2ppg/recall@1_pool8", "test/ppg2acc/recall@1_pool8",
              "test/untrained/acc2ppg/recall@1_pool8",
              "test/health/effective_rank", "test/probe_hr/mae_bpm",
              "test/untrained/probe_hr/mae_bpm"):
    assert got[key] is not None, key
  assert (tmp_path / "out/report.html").stat().st_size > 10_000
  again = evaluate.run(
      config, str(student / "checkpoints" / "2"), str(tmp_path / "again")
  )
  assert again == got


def test_the_same_command_resumes_without_the_teachers_folder(alone, capsys):
  data_dir, student = alone
  config = tiny(
      "acc_distill", data_dir,
      teacher=json.loads((student / "config.json").read_text())["config"][
          "teacher"],
  )
  before = checkpoints.load(student)
  distill.run(config, str(student))
  assert "resumed from the checkpoint of step 2" in capsys.readouterr().out
  same(checkpoints.load(student).params, before.params)


# --- bad input, each one line before work starts -----------------------------


def fails(run, config, workdir, match):
  with pytest.raises(InputError, match=match) as error:
    run(config, str(workdir))
  assert "\n" not in str(error.value)
  assert not pathlib.Path(workdir, "checkpoints").exists()


def test_no_such_data(simulated, tmp_path):
  config = tiny("ppg_mae", simulated, dataset="simulated_esay")
  fails(pretrain.run, config, tmp_path / "w",
        r"'simulated_esay': not in .* holds \['simulated_easy'\]; prepare it")
  fails(pretrain.run, tiny("ppg_mae", str(tmp_path / "no")), tmp_path / "w",
        "data_dir .*no: no such folder")
  assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("changes, match", [
    (dict(batch_size=1000), "batch_size: got 1000, want at most the 56 rows "
                            "of split train.*set --config.batch_size=56 or"),
    (dict(batch_size=12), "batch_size: got 12 for 8 devices, want a multiple "
                          "of 8; set --config.batch_size=8"),
    (dict(signal="ecg"), r"signal: got 'ecg', want one of \['acc', 'ppg'\]"),
    (dict(total_steps=0), "total_steps: got 0, want 1 or more"),
    (dict(objective="gan"), "objective: got 'gan', want one of"),
    (dict(encoder=dict(patch=60)), "patch: got 60 for segments of 512"),
    (dict(mask_ratio=1.0), "mask_ratio: got 1.0"),
    (dict(lr=-1.0), "lr: got -1.0"),
])
def test_what_cannot_be_trained(simulated, tmp_path, changes, match):
  config = tiny("ppg_mae", simulated)
  config.update(changes)
  fails(pretrain.run, config, tmp_path / "w", match)
  assert not (tmp_path / "w").exists()


def test_no_teacher(world, tmp_path):
  data_dir, _, student = world
  (tmp_path / "empty").mkdir()
  for teacher, match in [
      ("", "teacher: got none, want a pre-training workdir; set --config.tea"),
      (str(tmp_path / "no"), "no: got nothing there, want the workdir of"),
      (str(tmp_path / "empty"), r"empty: got no checkpoint \(it is empty\)"),
      (str(student), "got a 'distill' checkpoint, want one of accfm.pretrain"),
  ]:
    config = tiny("acc_distill", data_dir, teacher=teacher)
    fails(distill.run, config, tmp_path / "w", match)
    assert not (tmp_path / "w").exists()


def test_a_teacher_of_the_students_own_signal(simulated, tmp_path):
  pretrain.run(tiny("acc_contrastive", simulated), str(tmp_path / "teacher"))
  config = tiny("acc_distill", simulated, teacher=str(tmp_path / "teacher"))
  fails(distill.run, config, tmp_path / "w",
        "teacher: got one of 'acc', the student's own signal")


def test_shards_of_another_contract(world, tmp_path):
  data_dir, teacher, student = world
  other = pathlib.Path(shutil.copytree(data_dir, tmp_path / "data"))

  def narrower(facts):
    for part in ("contract", "prepare_config"):
      facts[part]["signals"]["ppg"]["band_hz"] = [0.5, 4.0]
      facts[part]["signals"]["acc"]["band_order"] = 3

  shards.edit(manifest.find(other, "simulated_easy"), narrower)
  config = tiny("acc_distill", str(other), teacher=str(teacher))
  match = r"ppg.band_hz is \(0.5, 4.0\), want \(0.5, 8.0\); prepare the rec"
  fails(distill.run, config, tmp_path / "w", match)
  check = evaluate_config.get_config("tiny")
  check.data_dir = str(other)
  match = "acc.band_order is 3, want 2; prepare the rec"
  with pytest.raises(InputError, match=match):
    evaluate.run(check, str(student), str(tmp_path / "out"))
  assert not (tmp_path / "out").exists()


def test_a_resumed_run_whose_data_changed(world, tmp_path):
  """The same name, people and counts, but another row."""
  data_dir, teacher, student = world
  copy = pathlib.Path(shutil.copytree(student, tmp_path / "w"))
  saved = json.loads((copy / "config.json").read_text())["config"]
  other = pathlib.Path(shutil.copytree(data_dir, tmp_path / "data"))
  # The same folder name with other contents.
  away = pathlib.Path(data_dir).rename(tmp_path / "away")
  shutil.copytree(other, data_dir)
  try:
    folder = manifest.find(data_dir, "simulated_easy")
    shards.rewrite(folder, 0, shards.put_scale([1, 1, 1]))
    config = tiny("acc_distill", data_dir, teacher=saved["teacher"],
                  total_steps=2)
    match = r"other data of the same name \(simulated_easy\), differing in " + (
        r"simulated_easy\.digest: '\w+' -> '\w+'; restore that data set or c"
    )
    with pytest.raises(InputError, match=match):
      distill.run(config, str(copy))
  finally:
    shutil.rmtree(data_dir)
    away.rename(data_dir)
  assert teacher.exists()


def test_a_workdir_of_another_config(world):
  data_dir, _, student = world
  before = checkpoints.load(student).step
  config = tiny("acc_distill", data_dir, lr=0.5)
  with pytest.raises(InputError, match="written by another config, differing "
                                       "in lr: .* -> 0.5"):
    distill.run(config, str(student))
  assert checkpoints.load(student).step == before


def test_a_workdir_of_another_main(world):
  data_dir, _, student = world
  with pytest.raises(InputError, match="written by another config"):
    pretrain.run(
        tiny("ppg_contrastive", data_dir), str(student)
    )


def test_a_damaged_newest_checkpoint_is_set_aside(alone, capsys):
  """Also where the teacher comes from the run's own checkpoints."""
  data_dir, student = alone
  newest = student / "checkpoints" / "2"
  shutil.copytree(newest, student / "checkpoints" / "3")
  (student / "checkpoints" / "3" / "checksums.json").write_text("{")
  saved = json.loads((student / "config.json").read_text())["config"]
  distill.run(
      tiny("acc_distill", data_dir, teacher=saved["teacher"]), str(student)
  )
  said = capsys.readouterr()
  assert "damaged-3" in said.err
  assert "resumed from the checkpoint of step 2" in said.out
