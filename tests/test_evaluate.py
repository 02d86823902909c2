"""The evaluation main, wired to splits in memory and linear towers."""

import dataclasses
import json
import pathlib
import types

import jax.numpy as jnp
import numpy as np
import pyarrow.parquet as pq
import pytest

from accfm import evaluate
from accfm.base import configlib
from accfm.base.errors import InputError
from accfm.evals import compare, inputs, suite
from accfm.models import build
from accfm.steps import state
from accfm.train import checkpoints
from configs import evaluate as evaluate_config
from tests.evals import toy


@pytest.fixture
def world(monkeypatch):
  """A checkpoint, its data set and towers, without files."""
  splits = {
      "train": toy.Split(10, 6, seconds=20, seed=1, prefix="toy/a"),
      "val": toy.Split(4, 6, seconds=20, seed=2, prefix="toy/b"),
      "test": toy.Split(6, 6, seconds=20, seed=3, prefix="toy/c"),
  }
  people = {
      name: sorted(set(split.table["participant"]))
      for name, split in splits.items()
  }
  for split in splits.values():
    split.manifest = {
        "name": "toy", "split_hash": "abc", "code_version": "0",
        "splits": people,
    }
  meta = {
      "kind": "distill", "signals": ["acc", "ppg"], "teacher": None,
      "contract": toy.make_contract(20).to_dict(),
      "cohorts": [
          {"dataset": "toy", "split_hash": "abc", "splits": people}
      ],
      "config": {"data_dir": "/data", "dataset": "toy"},
      "code_version": "0",
  }
  world = types.SimpleNamespace(
      splits=splits, meta=meta, towers=toy.make_towers(splits["train"])
  )
  loaded = types.SimpleNamespace(
      step=7, params={}, carried={}, frozen={}, meta=meta,
      path=pathlib.Path("/run/7"),
  )
  world.loaded = loaded
  world.load = evaluate.checkpoints.load
  world.untrained = suite.towers.untrained
  world.from_checkpoint = suite.towers.from_checkpoint
  monkeypatch.setattr(evaluate.checkpoints, "load", lambda *_: loaded)
  monkeypatch.setattr(
      inputs.manifest, "find", lambda folder, name: f"{folder}/{name}")
  monkeypatch.setattr(
      inputs.pipeline, "open_split", lambda _, name: splits[name])
  monkeypatch.setattr(
      suite.towers, "from_checkpoint", lambda *_: world.towers)
  monkeypatch.setattr(
      suite.towers, "untrained",
      lambda _, seed: toy.make_towers(splits["test"], seed=99 + seed))
  return world


def _config(**fields):
  return configlib.update(evaluate_config.get_config("tiny"), fields)


def _quick(**fields):
  """A config without rows that need no learning, and without a page."""
  return _config(**{
      "untrained": False, "handmade": False, "report": False, **fields})


def test_writes_numbers_predictions_and_a_page(world, tmp_path, capsys):
  got = evaluate.run(_config(), "ckpt", str(tmp_path / "out"))
  plain = json.loads((tmp_path / "out/metrics.json").read_text())
  about = plain.pop("_meta")
  assert plain == got
  for key in (
      "test/acc2ppg/recall@1_pool8", "test/ppg2acc/recall@1_pool8",
      "test/probe_hr/mae_bpm", "test/untrained/probe_hr/mae_bpm",
      "test/mean/probe_hr/mae_bpm", "test/features/probe_hr/mae_bpm",
      "test/ppg/probe_hr/mae_bpm", "test/envelope/acc2ppg/recall@1_pool8",
      "test/untrained/acc2ppg/mean_rank_pool8", "test/health/effective_rank",
  ):
    assert plain[key] is not None, key
  missing = {item["key"] for item in about["not_evaluable"]}
  assert missing == {key for key, value in plain.items() if value is None}
  assert about["windows"] == {"train": 60, "val": 24, "test": 36}
  assert about["people"]["test"] == 6 and about["seen"] == []
  assert about["config"]["bootstrap_draws"] == 100 and about["step"] == 7

  hr = compare.load([tmp_path / "out/predictions.parquet"])["hr", "encoder"]
  assert len(hr.errors) == 36
  key = "test/probe_hr/mae_bpm"
  assert compare.score(hr, 100, 0) == pytest.approx(
      [plain[key], plain[f"{key}_ci95_low"], plain[f"{key}_ci95_high"]])

  text = (tmp_path / "out/report.html").read_text()
  assert text.count("<svg") >= 6 and "<script" not in text
  for link in ("src=\"http", "href=\"http", "url(http", "@import"):
    assert link not in text
  assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
      "metrics.json", "predictions.parquet", "queries.parquet", "report.html"]
  out = capsys.readouterr().out
  assert "recall@1 acc->ppg, pool 8" in out and "HR error, bpm (n=36)" in out


def test_two_evaluations_agree_exactly(world, tmp_path):
  one = evaluate.run(_config(report=False), "c", str(tmp_path / "a"))
  two = evaluate.run(
      _config(report=False, batch_size=8), "c", str(tmp_path / "b"))
  assert one.keys() == two.keys()
  for key, value in one.items():
    if value is None:
      assert two[key] is None
      continue
    assert value == pytest.approx(two[key], rel=1e-4, abs=1e-4), key


def test_refuses_people_it_was_trained_on(world, tmp_path):
  with pytest.raises(InputError, match="leak guard.*10 of the 10 people"):
    evaluate.run(_config(split="train"), "c", str(tmp_path / "a"))
  assert not (tmp_path / "a").exists()
  got = evaluate.run(
      _config(split="train", allow_seen=True), "c", str(tmp_path / "a"))
  assert got["train/acc2ppg/recall@1_pool8"] is not None
  assert got["train/probe"] is None
  about = json.loads((tmp_path / "a/metrics.json").read_text())["_meta"]
  assert len(about["seen"]) == 10
  assert "seen in training" in (tmp_path / "a/report.html").read_text()


def test_one_encoder_alone_has_probes_and_a_control(world, tmp_path):
  world.meta["signals"] = ["acc"]
  world.towers = {"acc": dataclasses.replace(world.towers["acc"], head=False)}
  got = evaluate.run(
      _config(untrained=False, report=True), "c", str(tmp_path / "a"))
  assert got["test/probe_hr/mae_bpm"] is not None
  assert got["test/envelope/acc2ppg/recall@1_pool8"] is not None
  assert got["test/acc2ppg/recall@1_pool8"] is None
  assert "test/ppg/probe_hr/mae_bpm" not in got


def test_retrieval_alone_needs_only_its_split(world, tmp_path):
  del world.splits["train"], world.splits["val"]
  got = evaluate.run(
      _config(evals=("retrieval",), report=False), "c", str(tmp_path / "a"))
  assert got["test/acc2ppg/recall@1_pool8"] is not None


def test_rebuilds_its_encoders_from_a_checkpoint_on_disk(
    world, tmp_path, monkeypatch
):
  encoder = build.encoder_config("vit_tiny").to_dict()
  config = {
      "data_dir": "/data", "dataset": "toy", "encoder": encoder,
      "head": {"hidden": 0, "out": 8, "bins": 1, "dtype": "float32"},
      "teacher_head": "mlp", "loss": "contrastive",
  }
  meta = {
      **world.meta, "config": config,
      "teacher": {**world.meta, "config": config, "kind": "mae"},
  }
  monkeypatch.setattr(evaluate.checkpoints, "load", world.load)
  monkeypatch.setattr(
      suite.towers, "from_checkpoint", world.from_checkpoint)
  monkeypatch.setattr(suite.towers, "untrained", world.untrained)
  made = world.untrained(meta, 3)
  params = {
      "student": made["acc"].variables["params"],
      "student_head": made["acc"].head_variables["params"],
      "teacher_head": made["ppg"].head_variables["params"],
  }
  frozen = {"teacher": made["ppg"].variables}
  with checkpoints.Checkpoints(tmp_path / "run/checkpoints") as saver:
    saver.save(
        5, state.TrainState(jnp.int32(5), params, {}, ()), frozen, meta
    )
  got = evaluate.run(
      _config(report=False, seed=3), str(tmp_path / "run"),
      str(tmp_path / "out"))
  # Fresh weights of seed 3 are what was saved.
  key = "acc2ppg/recall@1_pool8"
  assert got[f"test/{key}"] == pytest.approx(got[f"test/untrained/{key}"])
  about = json.loads((tmp_path / "out/metrics.json").read_text())["_meta"]
  assert about["step"] == 5 and about["checkpoint"].endswith("5")


def _ids(world):
  """What of people must not be in a file that hides them."""
  return {
      name for split in world.splits.values()
      for name in split.table["participant"]
  }


def _texts(folder):
  """file -> all that it holds, Parquet as its rows and schema."""
  out = {}
  for path in sorted(folder.rglob("*.*")):
    if path.suffix == ".parquet":
      table = pq.read_table(path)
      out[path.name] = f"{table.to_pylist()} {table.schema.metadata}"
    else:
      out[path.name] = path.read_text()
  return out


@pytest.mark.parametrize("fields", [
    {"pseudonym_salt": "pepper"}, {"redact": True},
])
def test_no_file_names_anybody(world, tmp_path, fields):
  """Nor does what people are called change any score."""
  for split in world.splits.values():
    names = np.char.replace(split.table["participant"], "/", "/patient-")
    split.table["participant"] = names
    split.table["session"] = np.array([f"of {p}" for p in names])
  people = {"train": sorted(_ids(world)), "val": [], "test": []}
  world.meta["cohorts"][0]["splits"] = people  # so `seen` names them
  world.meta["config"]["pseudonym_salt"] = "mint"
  plain = dict(allow_seen=True, save_embeddings=True)
  want = evaluate.run(_quick(**plain), "c", str(tmp_path / "plain"))
  got = evaluate.run(
      _quick(**plain, **fields, report=True, map_label="participant"), "c",
      str(tmp_path / "out"))
  assert got == want
  named, texts = (_texts(tmp_path / name) for name in ("plain", "out"))
  tables = ["predictions.parquet", "queries.parquet", "test.parquet",
            "train.parquet", "val.parquet"]
  assert sorted(texts) == ["metrics.json", *tables[:2], "report.html",
                           *tables[2:]]
  for person in _ids(world):
    assert any(person in text for text in named.values())
    for name, text in texts.items():
      assert person.removeprefix("toy/") not in text, (name, person)
  for name, text in texts.items():
    assert "pepper" not in text and "mint" not in text, name
    if "redact" in fields and name in tables:
      assert "session" not in text and "start_s" not in text
  about = json.loads(texts["metrics.json"])["_meta"]
  assert len(about["seen"]) == 6
  if "redact" in fields:
    assert all(name.isdecimal() for name in about["seen"])
    assert "Retrieved pairs" not in texts["report.html"]


def test_the_redact_switch_is_the_field(world, tmp_path):
  evaluate.run(_quick(evals=("health",)), "c", str(tmp_path), redact=True)
  about = json.loads((tmp_path / "metrics.json").read_text())["_meta"]
  assert about["config"]["redact"] is True and about["redaction"]


def test_embeddings_are_kept_and_read(world, tmp_path, capsys, monkeypatch):
  config = _quick(save_embeddings=True)
  one = evaluate.run(config, "c", str(tmp_path))
  assert sorted(p.name for p in (tmp_path / "embeddings").iterdir()) == [
      "test.parquet", "train.parquet", "val.parquet"]
  monkeypatch.setattr(suite.cache.embed, "run", None)
  assert evaluate.run(config, "c", str(tmp_path)) == one
  assert capsys.readouterr().out.count("made of the same rows by the") == 3


def test_an_earlier_evaluation_leaves_nothing(world, tmp_path):
  for name in suite.FILES:
    (tmp_path / name).write_text("")
  evaluate.run(_quick(evals=("health",)), "c", str(tmp_path))
  assert sorted(p.name for p in tmp_path.iterdir()) == [
      "metrics.json", "predictions.parquet"]


def test_metrics_are_written_last(world, tmp_path, monkeypatch):
  """A folder that has them is whole: nothing goes on from a half one."""
  (tmp_path / "metrics.json").write_text("{}")

  def full(*_):
    raise OSError("no room")

  monkeypatch.setattr(suite.page, "write", full)
  with pytest.raises(OSError, match="no room"):
    evaluate.run(_quick(evals=("health",), report=True), "c", str(tmp_path))
  assert not (tmp_path / "metrics.json").exists()


# --- several checkpoints, and a run that is followed -------------------------


@pytest.fixture
def runs(world, monkeypatch):
  """Checkpoints one, two, three of other weights, by "--checkpoint=one,two"."""
  loaded = {}
  for number, name in enumerate(("one", "two", "three"), 1):
    path = pathlib.Path(f"/runs/{name}/checkpoints/7")
    loaded[path] = types.SimpleNamespace(**{
        **vars(world.loaded), "params": {"seed": number}, "path": path,
        "meta": {**world.meta},
    })
  load = evaluate.checkpoints
  monkeypatch.setattr(load, "find", lambda name, _: pathlib.Path(
      f"/runs/{name}/checkpoints/7"))
  monkeypatch.setattr(load, "read_meta", lambda path: loaded[path].meta)
  monkeypatch.setattr(load, "load", lambda path: loaded[path])
  monkeypatch.setattr(
      suite.towers, "from_checkpoint", lambda params, *_: toy.make_towers(
          world.splits["train"], seed=params["seed"]))
  world.runs = {path.parts[2]: found for path, found in loaded.items()}
  return world


@pytest.mark.parametrize("redact", [False, True])
def test_several_checkpoints_are_compared(runs, tmp_path, capsys, redact):
  opened = []
  find = inputs.pipeline.open_split
  inputs.pipeline.open_split = lambda *args: opened.append(args) or find(*args)
  config = _quick(report=redact)
  got = evaluate.run(config, "one,two,three", str(tmp_path), redact=redact)
  inputs.pipeline.open_split = find
  assert len(opened) == 3  # each split once for all
  assert list(got) == ["one", "two", "three"]
  for name, metrics in got.items():
    plain = json.loads((tmp_path / name / "metrics.json").read_text())
    assert plain.pop("_meta")["checkpoint"] == f"/runs/{name}/checkpoints/7"
    assert plain == metrics
  table = json.loads((tmp_path / "comparison.json").read_text())
  assert table["runs"] == ["one", "two", "three"]
  key = "test/probe_hr/mae_bpm"
  part = table["tasks"]["hr"]
  for name, metrics in got.items():
    ends = [metrics[f"{key}_ci95_{end}"] for end in ("low", "high")]
    if redact:  # the draws come to people in another order
      assert part["errors"][name][0] == pytest.approx(metrics[key])
    else:
      assert part["errors"][name] == pytest.approx([metrics[key], *ends])
  value = part["differences"]["one minus three"][0]
  assert value == pytest.approx(got["one"][key] - got["three"][key])
  key = "acc2ppg/recall@1_pool8"
  value = table["retrieval"][key]["differences"]["two minus three"][0]
  assert value == pytest.approx(
      got["two"][f"test/{key}"] - got["three"][f"test/{key}"])
  assert "one minus two" in (tmp_path / "comparison.md").read_text()
  assert (tmp_path / "comparison.html").exists() == redact
  assert "== two: /runs/two/checkpoints/7" in capsys.readouterr().out


def test_all_are_checked_before_any_is_evaluated(runs, tmp_path):
  config, out = _quick(), tmp_path / "out"
  people = {"train": ["toy/c000"], "val": [], "test": []}
  runs.runs["two"].meta["cohorts"] = [
      {"dataset": "toy", "split_hash": "abc", "splits": people}]
  with pytest.raises(InputError, match="leak guard: the encoder trained on 1"):
    evaluate.run(config, "one,two", str(out))
  runs.runs["two"].meta["cohorts"] = [
      {"dataset": "e4", "split_hash": "abc", "splits": people}]
  with pytest.raises(InputError, match="runs of other data sets .*'e4'.* set "
                                       "--config.dataset"):
    evaluate.run(config, "one,two", str(out))
  assert not out.exists()


def test_runs_whose_data_differ_are_not_compared(runs, tmp_path, monkeypatch):
  """The same name in two data folders, with other windows in them."""
  other = toy.Split(6, 5, seconds=20, seed=3, prefix="toy/c")
  other.manifest = runs.splits["test"].manifest
  find = inputs.pipeline.open_split
  monkeypatch.setattr(
      inputs.pipeline, "open_split", lambda folder, name: other
      if (folder, name) == ("/elsewhere/toy", "test") else find(folder, name))
  runs.runs["two"].meta["config"] = {"data_dir": "/elsewhere"}
  with pytest.raises(InputError, match="rows_hash of two is .*, that of one"):
    evaluate.run(_config(report=False), "one,two", str(tmp_path / "out"))
  other.manifest = {**other.manifest, "split_hash": "xyz"}
  with pytest.raises(InputError, match="split_hash of two is 'xyz', that of"):
    evaluate.run(_config(report=False), "one,two", str(tmp_path / "out"))
  assert not (tmp_path / "out").exists()


def test_several_data_sets_are_compared_one_by_one(runs, tmp_path):
  for found in runs.runs.values():
    found.meta["cohorts"] = [
        {**runs.meta["cohorts"][0], "dataset": name} for name in ("a", "b")]
  config = _quick(evals=("retrieval",))
  got = evaluate.run(config, "one,two", str(tmp_path))
  assert set(got["one"]) == {"a", "b"}
  for name in ("a", "b"):
    assert sorted(p.name for p in (tmp_path / name).iterdir()) == [
        "comparison.json", "comparison.md", "one", "two"]


def _save(folder, meta, *steps):
  """Real checkpoints of a run of 4 steps, of which the newest two stay."""
  folder.mkdir(exist_ok=True)
  (folder / "config.json").write_text('{"config": {"total_steps": 4}}')
  with checkpoints.Checkpoints(folder / "checkpoints") as saver:
    for step in steps:
      saver.save(step, state.TrainState(
          jnp.int32(step), {"w": jnp.zeros(3)}, {}, ()), {}, meta)


def test_a_run_is_followed_while_it_trains(world, tmp_path, capsys):
  run, work = tmp_path / "run", tmp_path / "work"
  config = _quick(evals=("retrieval",))
  script = [lambda: _save(run, world.meta, 1, 2), lambda: None,
            lambda: _save(run, world.meta, 3, 4)]
  got = evaluate.run(
      config, f"{run}/checkpoints", str(work), watch=True,
      wait=lambda _: script.pop(0)(),
  )
  assert list(got) == [1, 2, 3, 4] and not script
  assert checkpoints.stored.steps(run) == [3, 4]
  assert sorted(p.name for p in work.iterdir()) == [
      "1", "2", "3", "4", "config.json", "history.jsonl"]
  lines = (work / "history.jsonl").read_text().splitlines()
  key = "test/acc2ppg/recall@1_pool8"
  assert [json.loads(line)[key] for line in lines] == [
      metrics[key] for metrics in got.values()]
  said = capsys.readouterr().out
  assert f"waiting for a run to begin in {run}" in said
  assert "the run has ended: step 4 of 4" in said

  # Started again: one step was cut short, and the history was lost.
  (work / "4" / "metrics.json").unlink()
  (work / "history.jsonl").unlink()
  again = evaluate.run(config, str(run), str(work), watch=True, wait=None)
  assert again == {4: got[4]}
  assert (work / "history.jsonl").read_text().splitlines() == lines
  assert evaluate.run(
      config, str(run), str(work), watch=True, wait=None) == {}
  # Another config, or another run, in the same folder.
  with pytest.raises(InputError, match="another config, differing in seed"):
    evaluate.run(
        _quick(evals=("retrieval",), seed=5),
        str(run), str(work), watch=True)
  with pytest.raises(InputError, match="differing in watched"):
    evaluate.run(config, str(tmp_path), str(work), watch=True)


def test_a_watch_of_several_runs(world, tmp_path):
  with pytest.raises(InputError, match="--watch: got 2 checkpoints, want the"):
    evaluate.run(_config(), "a,b", str(tmp_path / "out"), watch=True)
  assert not (tmp_path / "out").exists()


# --- what cannot be evaluated ------------------------------------------------


def _contract(world, signal="", **fields):
  contract = world.splits["test"].contract
  if signal:
    spec = dataclasses.replace(contract.signals[signal], **fields)
    fields = {"signals": {**contract.signals, signal: spec}}
  world.splits["test"].contract = dataclasses.replace(contract, **fields)


@pytest.mark.parametrize("signal, fields, want", [
    ("", {"rate_hz": 50.0}, "rate_hz is 50.0, want 64.0"),
    ("", {"window_sec": 10.0}, "window_sec is 10.0, want 20.0"),
    ("acc", {"unit": "m/s2"}, "acc.unit is 'm/s2', want 'g'"),
    ("acc", {"channels": 1}, "acc.channels is 1, want 3"),
    ("acc", {"gravity_kept": True}, "acc.gravity_kept is True, want False"),
    ("acc", {"kind": "gyro"}, "acc.kind is 'gyro', want 'acc'"),
    ("ppg", {"band_hz": (0.5, 4.0)}, r"ppg.band_hz is \(0.5, 4.0\), want None"),
])
def test_refuses_shards_of_another_contract(
    world, tmp_path, signal, fields, want
):
  _contract(world, signal, **fields)
  with pytest.raises(InputError, match=f"/data/toy: .*{want}; prepare the rec"):
    evaluate.run(_config(), "c", str(tmp_path / "out"))
  assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("change, match", [
    (dict(evals=("probes",)), "evals: got 'probes', want some of .*'probe'.*"),
    (dict(batch_size=0), "batch_size: got 0, want 1 or more"),
    (dict(bootstrap_draws=0), "bootstrap_draws: got 0, want 1 or more"),
])
def test_refuses_what_cannot_be_evaluated(tmp_path, change, match):
  with pytest.raises(InputError, match=match):
    evaluate.run(_config(**change), "nowhere", str(tmp_path))
  file = tmp_path / "file"
  file.touch()
  with pytest.raises(InputError, match="--workdir: got .*, a file, want a"):
    evaluate.run(_config(), "nowhere", str(file))


def test_refuses_a_checkpoint_of_another_modality(world, tmp_path):
  """An encoder of PPG has nothing to read in shards of acceleration alone."""
  signals = world.splits["test"].contract.signals
  _contract(world, signals={"acc": signals["acc"]})
  world.meta["signals"] = ["ppg"]
  with pytest.raises(InputError, match=r"signal 'ppg' is absent, have \['acc'"):
    evaluate.run(_config(), "c", str(tmp_path / "out"))


def test_refuses_a_record_that_does_not_say_who_was_trained_on(world, tmp_path):
  del world.meta["cohorts"]
  for dataset in ("", "toy"):
    with pytest.raises(InputError, match="does not say who was trained on"):
      evaluate.run(_config(dataset=dataset), "c", str(tmp_path / "out"))


@pytest.mark.parametrize("name", ["test", "train"])
def test_refuses_a_split_without_windows(world, tmp_path, name):
  world.splits[name].table = {
      column: x[:0] for column, x in world.splits[name].table.items()}
  with pytest.raises(InputError, match=f"toy: split {name} has 0 windows"):
    evaluate.run(_config(), "c", str(tmp_path / "out"))


def _reasons(folder):
  about = json.loads((folder / "metrics.json").read_text())["_meta"]
  return {item["key"]: item["reason"] for item in about["not_evaluable"]}


def test_one_person_has_no_interval_and_no_probe(world, tmp_path):
  split = toy.Split(1, 36, seconds=20, seed=3, prefix="toy/c")
  split.manifest = world.splits["test"].manifest
  world.splits["test"] = split
  got = evaluate.run(_quick(), "c", str(tmp_path))
  key = "test/acc2ppg/recall@1_pool8"
  assert got[key] is not None and f"{key}_ci95_low" not in got
  assert got["test/probe_hr/mae_bpm"] is None
  assert _reasons(tmp_path)["test/probe_hr/mae_bpm"] == (
      "36 labelled rows of 1 people to test, want at least 4 of 2")


def test_labels_that_say_nothing_are_named(world, tmp_path):
  """Unknown everywhere, or the same everywhere: null, with the reason."""
  for split in world.splits.values():
    split.table["labels/hr_bpm"][:] = 61.5
    split.table["attributes/sex"][:] = 1.0
    split.table["attributes/age_years"][:] = np.nan
  got = evaluate.run(_quick(), "c", str(tmp_path))
  reasons = _reasons(tmp_path)
  for row in ("", "ppg/", "mean/"):
    assert got[f"test/{row}probe_hr/mae_bpm"] is None
    assert reasons[f"test/{row}probe_hr/mae_bpm"] == (
        "the label is constant (61.5) to fit on")
    assert reasons[f"test/{row}probe_sdnn/mae_ms"].startswith(
        "0 labelled rows of 0 people to fit on")
    assert reasons[f"test/{row}probe_age/mae_years"].startswith("0 labelled")
  assert "0 people of the rarer class" in reasons["test/probe_sex/auc"]
  assert sorted(reasons) == sorted(k for k, v in got.items() if v is None)
