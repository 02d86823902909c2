"""Evaluation on a cohort of another kind, and of probes fitted on another."""

import dataclasses
import html
import json

import numpy as np
import pytest

from accfm import evaluate
from accfm.base.errors import InputError
from accfm.evals import opened
from tests.evals import toy, worlds


@pytest.fixture
def world(monkeypatch):
  return worlds.make(monkeypatch)


def _meta(folder):
  return json.loads((folder / "metrics.json").read_text())["_meta"]


def _change_ppg(world, **fields):
  """Another PPG in all splits of the data set, or none for no fields."""
  for split in world.splits.values():
    signals = dict(split.contract.signals)
    ppg = signals.pop("ppg")
    if fields:
      signals["ppg"] = dataclasses.replace(ppg, **fields)

    def read(rows, names, read=split.read):
      assert "ppg" not in names
      return read(rows, names)

    split.read = read
    split.contract = dataclasses.replace(split.contract, signals=signals)


@pytest.mark.parametrize("fields, reason", [
    ({}, "no ppg"), ({"channels": 4}, "ppg.channels is 4, want 1"),
    ({"unit": "V", "band_hz": (0.5, 4.0)},
     "ppg.unit is 'V', want 'au'; ppg.band_hz is (0.5, 4.0), want None"),
])
def test_without_the_teachers_signal_the_rest_is_as_it_was(
    world, tmp_path, capsys, fields, reason
):
  config = worlds.config(subgroups=False)
  want = evaluate.run(config, "c", str(tmp_path / "whole"))
  _change_ppg(world, **fields)
  print("== without")
  got = evaluate.run(config, "c", str(tmp_path / "out"))
  assert got["test/acc2ppg/recall@1_pool8"] is None
  missing = {m["key"]: m["reason"]
             for m in _meta(tmp_path / "out")["not_evaluable"]}
  assert missing["test/acc2ppg/recall@1_pool8"] == reason
  assert missing["test/ppg/health/effective_rank"] == reason
  assert _meta(tmp_path / "out")["absent"] == {"ppg": reason}
  same = [k for k, v in got.items() if v is not None and "/health/al" not in k
          and "/health/uniformity" not in k]  # these are of projections
  for key in same:
    assert got[key] == want[key], key
  for key in ("probe_hr/mae_bpm", "features/probe_hr/mae_bpm",
              "untrained/probe_hr/mae_bpm", "health/effective_rank",
              "reidentify/recall@1"):
    assert f"test/{key}" in same, key
  assert not any("/ppg/probe" in key or "envelope" in key for key in got)
  page = (tmp_path / "out/report.html").read_text()
  ceiling = f"ceiling{{}}: PPG of toy is not read: {reason}"
  assert ceiling.format(" to compare with") in html.unescape(page)
  told = capsys.readouterr().out.rpartition("== without")[2]
  assert f"no {ceiling.format('')}" in told
  assert "has no encoder of another signal" not in page + told


def test_the_encoders_own_signal_must_be_there(world, tmp_path):
  _change_ppg(world)
  world.meta.update(signals=["ppg", "acc"])
  with pytest.raises(InputError, match="signal 'ppg' is absent, have .'acc'"):
    evaluate.run(worlds.quick(), "c", str(tmp_path / "out"))


@pytest.fixture
def two(world, monkeypatch):
  """Cohort B beside the world's own, which is A; people have other ids."""
  world.others = {
      name: toy.Split(count, 6, seconds=20, seed=seed, prefix=f"other/{name}")
      for name, count, seed in (("train", 7, 5), ("val", 5, 6), ("test", 8, 7))
  }
  people = {
      name: sorted(set(split.table["participant"]))
      for name, split in world.others.items()
  }
  for split in world.others.values():
    split.manifest = {"name": "other", "split_hash": "def",
                      "code_version": "0", "splits": people}
  monkeypatch.setattr(opened.pipeline, "open_split", lambda folder, name: (
      world.others if folder.endswith("/other") else world.splits)[name])
  for split in (*world.splits.values(), *world.others.values()):
    for field in ("windows", "rows"):
      split.manifest.setdefault(field, {})
  return world


def test_probes_fitted_on_one_cohort_are_tested_on_another(
    two, tmp_path, capsys
):
  """As probes of one data set whose splits are those of the two."""
  config = worlds.config(dataset="other", subgroups=False)
  config = config.copy_and_resolve_references().unlock()
  config.fit_dataset = "toy"
  got = evaluate.run(config, "c", str(tmp_path / "out"))
  own = two.splits["test"]
  two.splits["test"] = two.others["test"]
  two.splits["test"].manifest = {**own.manifest, "name": "other"}
  config.update(fit_dataset="", dataset="toy")
  want = evaluate.run(config, "c", str(tmp_path / "one"))
  assert got.keys() == want.keys()
  for key, value in want.items():
    assert got[key] == (value and pytest.approx(value, rel=1e-6)), key
  assert got["test/probe_hr/mae_bpm"] is not None
  about = _meta(tmp_path / "out")
  assert about["dataset"] == "other"
  assert about["fit_dataset"] == {
      "dataset": "toy", "split_hash": "abc", "data_hash": own.digest}
  assert about["windows"] == {"toy.train": 60, "toy.val": 24, "test": 48}
  told = capsys.readouterr().out
  assert "Probes are fitted on people of toy" in told
  assert "embedding 132 windows of toy and other\n" in told
  assert "Probes are fitted on people of toy" in (
      (tmp_path / "out/report.html").read_text())


@pytest.mark.parametrize("split, people", [("train", 7), ("val", 5)])
def test_any_split_of_the_other_cohort_can_be_tested(
    two, tmp_path, split, people
):
  got = evaluate.run(worlds.quick(
      dataset="other", fit_dataset="toy", split=split, evals=("probe",)),
      "c", str(tmp_path))
  assert got[f"{split}/probe_hr/mae_bpm"] is not None
  assert got[f"{split}/probe_hr/people"] == people


def test_people_who_are_fitted_on_are_not_tested(two, tmp_path):
  people = two.others["test"].manifest["splits"]["test"]
  two.meta["cohorts"][0]["splits"] = {"train": ["toy/x"], "val": [], "test": []}
  table = two.splits["val"].table
  table["participant"] = np.where(
      table["participant"] == table["participant"][0], people[0],
      table["participant"])
  for split in two.splits.values():
    split.manifest["splits"] = {
        n: sorted(set(s.table["participant"])) for n, s in two.splits.items()}
  with pytest.raises(InputError, match="leak guard: probes are fitted on 1 of "
                     "the 8 people"):
    evaluate.run(worlds.quick(dataset="other", fit_dataset="toy"), "c",
                 str(tmp_path / "out"))


def test_labels_that_one_data_set_lacks_are_not_evaluable(two, tmp_path):
  for split in two.others.values():
    split.table["labels/stress"] = np.arange(len(split)) % 2 * 1.0
    del split.table["attributes/age_years"]
  for split in two.splits.values():
    split.table["attributes/smoker"] = np.array(["no"] * len(split))
  for split in two.others.values():
    split.table["attributes/smoker"] = np.ones(len(split), np.float32)
  got = evaluate.run(worlds.quick(
      dataset="other", fit_dataset="toy", evals=("probe",)), "c", str(tmp_path))
  assert got["test/probe_hr/mae_bpm"] is not None
  reasons = {m["key"]: m["reason"] for m in _meta(tmp_path)["not_evaluable"]}
  assert reasons["test/probe_stress/auc"] == (
      "the data set that probes are fitted on has no such label")
  assert reasons["test/probe_age/mae_years"] == (
      "the data set under evaluation has no such label")
  assert reasons["test/probe_smoker/auc"] == (
      "the label is text in one data set and a number in the other")
