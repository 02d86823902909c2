"""The model folder: written, opened without training code, refused."""

import dataclasses
import json
import os
import pathlib
import shutil

import numpy as np
import pytest
import yaml

import accfm
from accfm import distill, evaluate, export
from accfm.base.errors import InputError
from accfm.configs import acc_distill
from accfm.configs import evaluate as evaluate_config
from accfm.configs import export as export_config
from accfm.steps import record as recordlib
from accfm.use import (
  as_checkpoint,
  card,
  folder,
  ledger,
  scores,
  sealed,
  weights,
)
from accfm.use.load import load_checkpoint
from tests import test_light_imports
from tests.fuzz.test_json import RECORD


@pytest.fixture(scope="module")
def run(simulated, tmp_path_factory):
  """(data_dir, workdir of a tiny distilled student)."""
  workdir = tmp_path_factory.mktemp("runs") / "student"
  config = acc_distill.get_config("tiny")
  config.data_dir, config.teacher_mode = simulated, "scratch"
  distill.run(config, str(workdir))
  return simulated, workdir


@pytest.fixture(scope="module")
def model(run, tmp_path_factory):
  """A model folder with probes."""
  path = tmp_path_factory.mktemp("models") / "m"
  config = export_config.get_config()
  config.data_dir, config.coverage = run[0], 0.6
  export.run(config, str(run[1]), str(path))
  return path


@pytest.fixture
def copy(model, tmp_path):
  """A copy of it to damage."""
  out = tmp_path / "m"
  out.mkdir()
  for file in model.iterdir():
    (out / file.name).write_bytes(file.read_bytes())
  return out


def minutes(encoder, count=3):
  rng = np.random.default_rng(0)
  n = encoder.contract.length(encoder.signal)
  return np.array([0.0, 0.6, 0.8]) + 0.01 * rng.normal(size=(count * n, 3))


def test_the_folder_embeds_as_the_checkpoint_does(run, model):
  one, two = accfm.load(run[1]), accfm.load(model)
  x = minutes(one)
  np.testing.assert_array_equal(
      two.embed(x, rate_hz=64, unit="g"), one.embed(x, rate_hz=64, unit="g"))
  assert [p.name for p in two.probes] == ["hr", "sdnn", "rmssd"]
  hr = two.probes[0].predict(two.embed(x, rate_hz=64, unit="g"))
  assert np.isfinite(hr.value).all()
  assert list(two.contract.signals) == ["acc"]


def test_it_is_used_with_what_a_plain_install_brings(model):
  """Nor does it import what trains, evaluates or reads checkpoints."""
  code = f"{test_light_imports.HIDE}\npath = {str(model)!r}" + """
import accfm, numpy as np
encoder = accfm.load(path)
n = encoder.contract.length("acc")
x = np.random.default_rng(0).normal(0, 0.01, (n, 3)) + [0, 0, 1]
vectors = encoder.embed(x, rate_hz=encoder.rate_hz, unit="g")
print(vectors.shape, len(encoder.probes[0].predict(vectors).low))
print([m for m in sys.modules if m.startswith(
    ("accfm.train", "accfm.evals", "accfm.losses", "orbax"))])
"""
  found = test_light_imports.run(code, *test_light_imports.ABSENT)
  assert found.returncode == 0, found.stderr
  assert found.stdout.splitlines() == ["(1, 16) 1", "[]"]


def test_the_ledger_names_nobody_and_tells_who_was_seen(run, model):
  plain = folder.ledger(model)
  text = json.dumps(plain["cohorts"])
  assert "p00001" not in text
  record = recordlib.from_plain(plain)
  assert record.cohorts[0].salt and record.parent is None
  from accfm.base.pseudonyms import pseudonym
  from accfm.data import manifest

  people = manifest.load(manifest.find(run[0], "simulated_easy"))["splits"]
  for person in people["train"]:
    assert pseudonym(person, record.cohorts[0].salt) in (
        record.cohorts[0].splits["train"])


def test_the_card_says_what_it_is(model):
  text = (model / "README.md").read_text()
  assert text.startswith("---\nlicense: ")
  for words in ("library_name: accfm", "8 people in train", "`hr` in bpm",
                "Not a medical device", "Embeddings identify people"):
    assert words in text


def test_what_is_there_is_not_overwritten(run, model):
  with pytest.raises(InputError, match="is there already"):
    export.run(export_config.get_config(), str(run[1]), str(model))


def rewrite(path, **fields):
  plain = json.loads(path.read_text())
  path.write_text(json.dumps({**plain, **fields}))


def seal(path):
  """Hashes that agree with whatever the files are now."""
  sealed.write(path, folder.SEALED)


@pytest.mark.parametrize("damage, message", [
    (lambda m: (m / "model.safetensors").unlink(),
     "does not name model.safetensors"),
    (lambda m: (m / "model.safetensors").write_bytes(b"x" * 99),
     "not the file that config.json was written for"),
    (lambda m: change(m / "golden.safetensors", "embedding", np.zeros_like),
     "golden window's embedding differs"),
    (lambda m: change(m / "golden.safetensors", "window",
                      lambda x: x.astype(np.int32)), "both of floats"),
    (lambda m: (m / "contract.json").unlink(), "contract.json"),
    (lambda m: (m / "config.json").write_text("{"), "not valid JSON"),
    (lambda m: rewrite(m / "config.json", format="x"), "got format 'x'"),
    (lambda m: rewrite(m / "config.json", version=9), "got version 9"),
    (lambda m: rewrite(m / "config.json", signal="ppg"), "signal is 'ppg'"),
    (lambda m: rewrite(m / "config.json", more=1), "field 'more'"),
    (lambda m: (m / "golden.safetensors").unlink(),
     "does not name golden.safetensors"),
    (lambda m: rewrite(m / "config.json", encoder={"family": "os:system"}),
     "family|plug-in"),
    (lambda m: rewrite(m / "config.json", arrays=1), "config says 1;"),
    (lambda m: rewrite(m / "config.json", parameters=7), "config says 7;"),
    (lambda m: rewrite(m / "config.json", embed_dim=5), "embed_dim is 5"),
    (lambda m: rewrite(m / "config.json", encoder={
        **json.loads((m / "config.json").read_text())["encoder"],
        "width": 10**9}), "has the number 1e[+]09"),
    (lambda m: rewrite(m / "config.json", encoder={
        **json.loads((m / "config.json").read_text())["encoder"],
        "depth": 3000}), "far fewer than the encoder"),
])
def test_a_damaged_folder_is_refused(copy, damage, message):
  damage(copy)
  if (copy / "contract.json").exists():
    seal(copy)
  with pytest.raises(InputError, match=message):
    folder.load(copy)


@pytest.mark.parametrize("name", folder.SEALED)
def test_a_file_that_is_lost_or_changed_is_named(copy, name):
  file = copy / name
  if name != "config.json":  # its format is looked at first
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(InputError, match=f"{name}: is not the file"):
      folder.load(copy)
  else:
    rewrite(file, accfm="0.0.9")
    with pytest.raises(InputError, match=f"{name}: is not the file"):
      folder.load(copy)
  file.unlink()
  with pytest.raises(InputError, match=f"{name}"):
    folder.load(copy)


def test_hashes_say_what_belongs_to_a_folder(copy):
  rewrite(copy / "checksums.json", **{"../x": "0" * 64})
  with pytest.raises(InputError, match="names '../x', which no model folder"):
    folder.load(copy)
  seal(copy)
  plain = json.loads((copy / "checksums.json").read_text())
  del plain["probes.json"]
  (copy / "checksums.json").write_text(json.dumps(plain))
  with pytest.raises(InputError, match="checksums.json does not name it"):
    folder.load(copy)
  (copy / "checksums.json").unlink()
  with pytest.raises(InputError, match="checksums.json"):
    folder.load(copy)


def test_the_card_may_be_edited_and_hubs_add_files(copy):
  (copy / "README.md").write_text("another text")
  (copy / ".gitattributes").write_text("*.safetensors filter=lfs")
  assert folder.load(copy).signal == "acc"


def test_others_may_read_what_they_are_handed(model):
  modes = {file.name: file.stat().st_mode & 0o777 for file in model.iterdir()}
  assert len(set(modes.values())) == 1, modes


def change(path, name, edit, config=None):
  """Rewrites an array, and the digest if the config is to agree."""
  arrays = weights.load(path)
  arrays[name] = edit(arrays[name])
  weights.save(path, {k: v for k, v in arrays.items() if v is not None})
  if config is not None:
    arrays = weights.flatten(weights.nest(
        {k: v for k, v in arrays.items() if v is not None}))
    rewrite(config, sha256=weights.digest(path), arrays=len(arrays),
            parameters=sum(x.size for x in arrays.values()))
  seal(path.parent)


def test_other_weights_are_found_by_the_golden_window(copy):
  name = next(k for k in weights.load(copy / "model.safetensors")
              if k.endswith("kernel"))
  change(copy / "model.safetensors", name, lambda x: np.roll(x, 1, 0),
         copy / "config.json")
  with pytest.raises(InputError, match="golden window's embedding differs"):
    folder.load(copy)


@pytest.mark.parametrize("edit, message", [
    (lambda x: np.full_like(x, np.nan), "NaN or infinite"),
    (lambda x: x[..., :1], "the encoder wants"),
    (lambda x: x.astype(np.float16), "the encoder wants float32"),
    (lambda x: None, "lacks 1 of the encoder's"),
])
def test_weights_that_do_not_fit(copy, edit, message):
  name = next(k for k in weights.load(copy / "model.safetensors")
              if k.endswith("kernel"))
  change(copy / "model.safetensors", name, edit, copy / "config.json")
  with pytest.raises(InputError, match=message):
    folder.load(copy)


def test_a_link_out_of_the_folder_is_read_as_any_file(copy, tmp_path):
  """What it leads to has to be the very weights."""
  other = tmp_path / "w"
  os.replace(copy / "model.safetensors", other)
  (copy / "model.safetensors").symlink_to(other)
  assert folder.load(copy).signal == "acc"


def test_nothing_half_written_is_left(run, tmp_path, monkeypatch):
  encoder = accfm.load(run[1])
  monkeypatch.setattr(folder.weights, "digest", lambda path: 1 / 0)
  with pytest.raises(ZeroDivisionError):
    folder.write(tmp_path / "m", encoder)
  assert not list(pathlib.Path(tmp_path).iterdir())


def test_a_model_folder_has_no_steps(model):
  with pytest.raises(InputError, match="has no steps"):
    accfm.load(model, step=3)
  with pytest.raises(InputError, match="has no other encoder"):
    accfm.load(model, signal="ppg")


@pytest.fixture(scope="module")
def scored(run, tmp_path_factory):
  """(config, workdir of an evaluation of the run, its metrics)."""
  config = evaluate_config.get_config("tiny").unlock()
  config.data_dir = run[0]
  config.update(report=False, untrained=False, evals=("probe", "health"))
  out = tmp_path_factory.mktemp("evaluations") / "run"
  return config, out, evaluate.run(config, str(run[1]), str(out))


def test_it_is_evaluated_under_the_guard(scored, model, tmp_path):
  """Its scores are those of the checkpoint's encoder; who was seen is known."""
  config, _, one = scored
  two = evaluate.run(config, "", str(tmp_path / "model"), encoder=str(model))
  for name in ("test/probe_hr/mae_bpm", "test/health/effective_rank"):
    assert two[name] == pytest.approx(one[name], rel=1e-4), name
  config = config.copy_and_resolve_references()
  config.split = "train"
  with pytest.raises(InputError, match="leak guard"):
    evaluate.run(config, str(model), str(tmp_path / "leak"))


def test_the_card_shows_scores_beside_their_controls(run, scored, tmp_path):
  config = export_config.get_config().unlock()
  config.evaluation = str(scored[1])
  export.run(config, str(run[1]), str(tmp_path / "m"))
  text = (tmp_path / "m" / "README.md").read_text()
  value = scored[2]["test/probe_hr/mae_bpm"]
  head = yaml.safe_load(text.split("---\n")[1])  # as model hubs read it
  metrics = head["model-index"][0]["results"][0]["metrics"]
  assert {"type": "test/probe_hr/mae_bpm", "name": "HR, mean error in bpm",
          "value": pytest.approx(value, rel=1e-5)} in metrics
  assert "the 2 test people of `simulated_easy`" in text
  assert f"| HR, mean error in bpm | {value:.2f} |" in text
  assert "the best without learning" in text
  assert "seen in training" not in text


@pytest.mark.parametrize("facts, message", [
    ({"step": 1}, "its step is 1, this one's 2"),
    ({"student": "ppg"}, "its signal is 'ppg'"),
    ({"kind": "contrastive"}, "its kind of training is 'contrastive'"),
    ({"trained_on": []}, r"its training data is \[\]"),
    ({"kind": "mae", "seen": ["toy/1"]}, ""),
])
def test_scores_of_another_checkpoint_are_refused(
    run, scored, tmp_path, facts, message
):
  work = tmp_path / "evaluation"
  shutil.copytree(scored[1], work)
  plain = json.loads((work / "metrics.json").read_text())
  plain["_meta"].update(facts)
  (work / "metrics.json").write_text(json.dumps(plain))
  encoder, record = load_checkpoint(run[1])
  if message:
    with pytest.raises(InputError, match=message):
      scores.load(str(work), record, "acc", ("mae",))
  else:
    found = scores.load(str(work), record, "acc", ("mae",))
    text = card.write(encoder, record, [], found, "other")
    assert "**People scored here were seen in training: 1 by this" in text


def test_without_a_ledger_the_guard_can_tell_nothing(copy):
  (copy / "ledger.json").unlink()
  with pytest.raises(InputError, match="ledger.json: is not there"):
    as_checkpoint.load(copy)
  seal(copy)
  with pytest.raises(InputError, match="has no ledger.json"):
    as_checkpoint.load(copy)


def test_a_ledger_tells_no_folder_and_nobody_of_a_batch():
  """A run that left batches out lists their people in its record."""
  parent = recordlib.from_plain(RECORD)
  record = dataclasses.replace(
      parent, parent=parent, skipped=({"batch": 3, "people": ["toy/anna"]},),
      config={**parent.config, "data_dir": "/home/anna/data",
              "teacher": "../anna/teacher/", "evals": ["x/y"],
              "encoder": {"family": "./nets.py:ConvNet"}})
  made = ledger.make(record)
  text = json.dumps(recordlib.to_plain(made))
  assert "anna" not in text and '"toy/1"' not in text
  assert made.config["data_dir"] == "data"
  assert made.config["teacher"] == "teacher"
  assert made.config["encoder"]["family"] == "./nets.py:ConvNet"
  assert made.parent is not None and made.parent.skipped == ()
  assert made.cohorts[0].salt == made.parent.cohorts[0].salt != ""
  assert ledger.make(record, "s").cohorts[0].salt == "s"
