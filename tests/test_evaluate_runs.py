"""The evaluation main: several checkpoints, and a run that is followed."""

import json
import pathlib
import types

import jax.numpy as jnp
import pytest

from accfm import evaluate
from accfm.base.errors import InputError
from accfm.evals import opened, suite
from accfm.steps import record, state
from accfm.train import checkpoints
from tests.evals import toy, worlds


@pytest.fixture
def world(monkeypatch):
  return worlds.make(monkeypatch)


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

  def read(path):
    found = loaded[path]
    found.record = record.from_plain(found.meta)  # as a test has changed it
    return found

  monkeypatch.setattr(load, "read_record", lambda path: read(path).record)
  monkeypatch.setattr(load, "load", read)
  monkeypatch.setattr(
      suite.towers, "from_checkpoint", lambda params, *_: toy.make_towers(
          world.splits["train"], seed=params["seed"]))
  world.runs = {path.parts[2]: found for path, found in loaded.items()}
  return world


@pytest.mark.parametrize("redact", [False, True])
def test_several_checkpoints_are_compared(runs, tmp_path, capsys, redact):
  found = []
  find = opened.pipeline.open_split
  opened.pipeline.open_split = lambda *args: found.append(args) or find(*args)
  config = worlds.quick(report=redact)
  got = evaluate.run(config, "one,two,three", str(tmp_path), redact=redact)
  opened.pipeline.open_split = find
  assert len(found) == 3  # each split once for all
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
  config, out = worlds.quick(), tmp_path / "out"
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
  find = opened.pipeline.open_split
  monkeypatch.setattr(
      opened.pipeline, "open_split", lambda folder, name: other
      if (folder, name) == ("/elsewhere/toy", "test") else find(folder, name))
  runs.runs["two"].meta["config"] = {"data_dir": "/elsewhere"}
  with pytest.raises(InputError, match="rows_hash of two is .*, that of one"):
    evaluate.run(worlds.config(report=False), "one,two", str(tmp_path / "out"))
  other.manifest = {**other.manifest, "split_hash": "xyz"}
  with pytest.raises(InputError, match="split_hash of two is 'xyz', that of"):
    evaluate.run(worlds.config(report=False), "one,two", str(tmp_path / "out"))
  assert not (tmp_path / "out").exists()


def test_several_data_sets_are_compared_one_by_one(runs, tmp_path):
  for found in runs.runs.values():
    found.meta["cohorts"] = [
        {**runs.meta["cohorts"][0], "dataset": name} for name in ("a", "b")]
  config = worlds.quick(evals=("retrieval",))
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
  config = worlds.quick(evals=("retrieval",))
  script = [lambda: _save(run, world.meta, 1, 2), lambda: None,
            lambda: _save(run, world.meta, 3, 4)]
  got = evaluate.run(
      config, f"{run}/checkpoints", str(work), watch=True,
      wait=lambda _: script.pop(0)(),
  )
  assert list(got) == [1, 2, 3, 4] and not script
  assert checkpoints.reader.steps(run) == [3, 4]
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
        worlds.quick(evals=("retrieval",), seed=5),
        str(run), str(work), watch=True)
  with pytest.raises(InputError, match="differing in watched"):
    evaluate.run(config, str(tmp_path), str(work), watch=True)


def test_a_watch_of_several_runs(world, tmp_path):
  with pytest.raises(InputError, match="--watch: got 2 checkpoints, want the"):
    evaluate.run(worlds.config(), "a,b", str(tmp_path / "out"), watch=True)
  assert not (tmp_path / "out").exists()
