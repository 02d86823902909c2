"""The evaluation main, wired to splits in memory and linear towers."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pyarrow.parquet as pq
import pytest

from accfm import evaluate
from accfm.base.errors import InputError
from accfm.evals import suite
from accfm.evals.compare import paired as compare
from accfm.evals.results.figures import Figure, load_figures
from accfm.evals.results.outcome import Outcome
from accfm.evals.results.section import Cell, Line, Plot, Section, Table
from accfm.models import build
from accfm.steps import record, state
from accfm.train import checkpoints
from tests.evals import pages, worlds


@pytest.fixture
def world(monkeypatch):
  return worlds.make(monkeypatch)


def test_writes_numbers_predictions_and_a_page(world, tmp_path, capsys):
  got = evaluate.run(worlds.config(), "ckpt", str(tmp_path / "out"))
  plain = json.loads((tmp_path / "out/metrics.json").read_text())
  about = plain.pop("_meta")
  assert plain == got
  for key in (
      "test/acc2ppg/recall@1_pool8", "test/ppg2acc/recall@1_pool8",
      "test/probe_hr/mae_bpm", "test/untrained/probe_hr/mae_bpm",
      "test/mean/probe_hr/mae_bpm", "test/features/probe_hr/mae_bpm",
      "test/ppg/probe_hr/mae_bpm", "test/envelope/acc2ppg/recall@1_pool8",
      "test/untrained/acc2ppg/mean_rank_pool8", "test/health/effective_rank",
      "test/identity/acc2ppg/recall@1_pool8", "test/membership_pair/auc",
      "test/health/cka_with_ppg",
  ):
    assert plain[key] is not None, key
  missing = {item["key"] for item in about["not_evaluable"]}
  assert missing == {key for key, value in plain.items() if value is None}
  assert about["windows"] == {"train": 60, "val": 24, "test": 36}
  assert about["people"]["test"] == 6 and about["seen"] == []
  assert about["config"]["bootstrap_draws"] == 100 and about["step"] == 7

  hr = compare.load([tmp_path / "out/predictions.parquet"])["hr", "encoder"]
  assert hr.errors.shape == (1, 36)
  key = "test/probe_hr/mae_bpm"
  assert compare.score(hr, 100, 0) == pytest.approx(
      [plain[key], plain[f"{key}_ci95_low"], plain[f"{key}_ci95_high"]])

  text = (tmp_path / "out/report.html").read_text()
  assert text.count("<svg") >= 6 and "<script" not in text
  for link in ("src=\"http", "href=\"http", "url(http", "@import"):
    assert link not in text
  assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
      "figures.json", "metrics.json", "predictions.parquet",
      "queries.parquet", "report.html"]
  figures = load_figures(tmp_path / "out/figures.json")
  assert figures.flat() == got  # the same, structured
  out = capsys.readouterr().out
  assert "recall@1 acc->ppg, pool 8" in out and "HR error, bpm (n=36)" in out


def test_two_evaluations_agree_exactly(world, tmp_path):
  one = evaluate.run(worlds.config(report=False), "c", str(tmp_path / "a"))
  two = evaluate.run(
      worlds.config(report=False, batch_size=8), "c", str(tmp_path / "b"))
  assert one.keys() == two.keys()
  for key, value in one.items():
    if value is None:
      assert two[key] is None
      continue
    assert value == pytest.approx(two[key], rel=1e-4, abs=1e-4), key


def test_refuses_people_it_was_trained_on(world, tmp_path):
  with pytest.raises(InputError, match="leak guard.*10 of the 10 people"):
    evaluate.run(worlds.config(split="train"), "c", str(tmp_path / "a"))
  assert not (tmp_path / "a").exists()
  got = evaluate.run(
      worlds.config(split="train", allow_seen=True), "c", str(tmp_path / "a"))
  assert got["train/acc2ppg/recall@1_pool8"] is not None
  assert got["train/probe"] is None
  about = json.loads((tmp_path / "a/metrics.json").read_text())["_meta"]
  assert len(about["seen"]) == 10
  assert "seen in training" in (tmp_path / "a/report.html").read_text()


def test_validation_people_are_marked_and_no_test_people(
    world, tmp_path, capsys
):
  folder = tmp_path / "val"
  evaluate.run(worlds.quick(split="val", report=True), "c", str(folder))
  about = json.loads((folder / "metrics.json").read_text())["_meta"]
  assert about["seen"] == about["untold"] == []
  assert about["validated"] == world.meta["cohorts"][0]["splits"]["val"]
  assert "4 of these people are validation people" in (
      (folder / "report.html").read_text())
  assert "(4 PEOPLE ARE VALIDATION PEOPLE" in capsys.readouterr().out
  people = world.meta["cohorts"][0]["splits"]
  world.meta["cohorts"][0]["splits"] = {**people, "val": people["test"]}
  with pytest.raises(InputError, match="6 of the 6 .*are validation people"):
    evaluate.run(worlds.quick(), "c", str(tmp_path / "test"))


def test_people_under_another_salt_are_refused_or_marked(world, tmp_path):
  world.meta["cohorts"][0]["known_salt"] = "salt/0123456789ab"
  with pytest.raises(InputError, match="cannot tell whether the encoder trai"):
    evaluate.run(worlds.quick(), "c", str(tmp_path / "a"))
  evaluate.run(
      worlds.quick(allow_seen=True, report=True), "c", str(tmp_path / "a"))
  about = json.loads((tmp_path / "a/metrics.json").read_text())["_meta"]
  assert about["seen"] == [] and len(about["untold"]) == 6
  assert "6 of these people may have been seen in training" in (
      (tmp_path / "a/report.html").read_text())


def test_one_encoder_alone_has_probes_and_a_control(world, tmp_path):
  world.meta.update(signals=["acc"], kind="contrastive")
  world.towers = {"acc": dataclasses.replace(world.towers["acc"], head=False)}
  got = evaluate.run(
      worlds.config(untrained=False, report=True), "c", str(tmp_path / "a"))
  assert got["test/probe_hr/mae_bpm"] is not None
  assert got["test/envelope/acc2ppg/recall@1_pool8"] is not None
  assert got["test/acc2ppg/recall@1_pool8"] is None
  assert "test/ppg/probe_hr/mae_bpm" not in got


def test_retrieval_alone_needs_only_its_split(world, tmp_path):
  del world.splits["train"], world.splits["val"]
  config = worlds.config(evals=("retrieval",), report=False)
  got = evaluate.run(config, "c", str(tmp_path / "a"))
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
  meta = {**world.meta, "config": config, "parent": {
      **world.meta, "config": config, "kind": "mae", "signals": ["ppg"],
  }}
  monkeypatch.setattr(evaluate.checkpoints, "load", world.load)
  monkeypatch.setattr(
      suite.towers, "from_checkpoint", world.from_checkpoint)
  monkeypatch.setattr(suite.towers, "untrained", world.untrained)
  made = world.untrained(record.from_plain(meta), 3)
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
      worlds.config(report=False, seed=3), str(tmp_path / "run"),
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
  want = evaluate.run(worlds.quick(**plain), "c", str(tmp_path / "plain"))
  config = worlds.quick(
      **plain, **fields, report=True, map_label="participant")
  got = evaluate.run(config, "c", str(tmp_path / "out"))
  assert got == want
  named, texts = (_texts(tmp_path / name) for name in ("plain", "out"))
  tables = ["predictions.parquet", "queries.parquet", "test.parquet",
            "train.parquet", "val.parquet"]
  assert sorted(texts) == ["figures.json", "metrics.json", *tables[:2],
                           "report.html", *tables[2:]]
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
  evaluate.run(worlds.quick(evals=("health",)), "c", str(tmp_path), redact=True)
  about = json.loads((tmp_path / "metrics.json").read_text())["_meta"]
  assert about["config"]["redact"] is True and about["redaction"]


def test_embeddings_are_kept_and_read(world, tmp_path, capsys, monkeypatch):
  config = worlds.quick(save_embeddings=True)
  one = evaluate.run(config, "c", str(tmp_path))
  assert sorted(p.name for p in (tmp_path / "embeddings").iterdir()) == [
      "test.parquet", "train.parquet", "val.parquet"]
  monkeypatch.setattr(suite.forward, "embed_split", None)
  assert evaluate.run(config, "c", str(tmp_path)) == one
  assert capsys.readouterr().out.count("made of the same rows by the") == 3


def test_an_earlier_evaluation_leaves_nothing(world, tmp_path):
  for name in suite.FILES:
    (tmp_path / name).write_text("")
  evaluate.run(worlds.quick(evals=("health",)), "c", str(tmp_path))
  assert sorted(p.name for p in tmp_path.iterdir()) == [
      "figures.json", "metrics.json", "predictions.parquet"]


def test_metrics_are_written_last(world, tmp_path, monkeypatch):
  """A folder that has them is whole: nothing goes on from a half one."""
  (tmp_path / "metrics.json").write_text("{}")

  def full(*_, **__):
    raise OSError("no room")

  monkeypatch.setattr(suite.page, "draw_report", full)
  config = worlds.quick(evals=("health",), report=True)
  with pytest.raises(OSError, match="no room"):
    evaluate.run(config, "c", str(tmp_path))
  assert not (tmp_path / "metrics.json").exists()


def test_an_evaluator_is_one_function(world, tmp_path, monkeypatch):
  """Its figures and its section go wherever those of others go."""

  def score_spread(data, cfg, figures):
    x = data.encoders["encoder"][data.split]
    figures.add(Figure(data.split, "spread"), float(x.std()), measure="sd")

    def describe():
      found = figures.value(Figure(data.split, "spread"), measure="sd")
      return [Section("Spread", "How far <embeddings> lie apart.", [
          Table(["", "SD"], [Line([Cell("this"), Cell(f"{found:.3f}")])]),
          Plot("spectra", {"sizes": {"encoder": x.std(0)}}, "By dimension."),
      ])]

    return Outcome(describe)

  monkeypatch.setitem(suite.EVALS, "spread", score_spread)
  config = worlds.quick(evals=("spread",), report=True)
  got = evaluate.run(config, "c", str(tmp_path))
  assert list(got) == ["test/spread/sd"] and got["test/spread/sd"] > 0
  heads, text = pages.read(tmp_path / "report.html")
  assert heads == ["Acceleration encoder, taught by PPG", "Spread", "Details"]
  assert "How far <embeddings> lie apart. SD this " in text
  assert "By dimension." in text
  (figure,) = load_figures(tmp_path / "figures.json")
  assert (figure.evaluator, figure.value) == ("spread", got["test/spread/sd"])


def test_a_collapsed_encoder_finds_nothing(world, tmp_path):
  """recall@1, queries.parquet and the report's captions agree on ties."""
  for name, tower in world.towers.items():
    world.towers[name] = dataclasses.replace(
        tower, weights=0 * tower.weights, bias=1.0)
  got = evaluate.run(
      worlds.config(untrained=False), "c", str(tmp_path))
  assert got["test/acc2ppg/recall@1_pool8"] == 0
  assert got["test/health/collapsed"] == 1
  ranks = pq.read_table(tmp_path / "queries.parquet")["rank"].to_pylist()
  assert set(ranks) == {36}
  _, text = pages.read(tmp_path / "report.html")
  assert "Retrieved pairs" in text and "Found first." not in text
  assert text.count("the right one was at rank 36.") == 4
