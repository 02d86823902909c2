"""What the evaluation main refuses, and what it calls not evaluable."""

import dataclasses
import json

import numpy as np
import pytest

from accfm import evaluate
from accfm.base.errors import InputError
from tests.evals import toy, worlds


@pytest.fixture
def world(monkeypatch):
  return worlds.make(monkeypatch)


def _contract(world, signal="", **fields):
  contract = world.splits["test"].contract
  if signal:
    spec = dataclasses.replace(contract.signals[signal], **fields)
    fields = {"signals": {**contract.signals, signal: spec}}
  world.splits["test"].contract = dataclasses.replace(contract, **fields)


@pytest.mark.parametrize("signal, fields, want", [
    ("", {"rate_hz": 50.0}, "rate_hz is 50.0, want 64.0; prepare the rec"),
    ("", {"window_sec": 10.0}, "window_sec is 10.0, want 20.0"),
    ("acc", {"unit": "m/s2"}, "acc.unit is 'm/s2', want 'g'; no setting of"),
    ("acc", {"channels": 1}, "acc.channels is 1, want 3; no setting of"),
    ("acc", {"gravity_kept": False, "band_hz": (0.5, 20.0)},
     "acc.gravity_kept is False, want True; acc.band_hz is .*, want None; "
     "prepare the recordings again with --config.signals.acc.gravity_kept=Tr"),
    ("acc", {"kind": "gyro"}, "acc.kind is 'gyro', want 'acc'; no setting of"),
])
def test_refuses_shards_of_another_contract(
    world, tmp_path, signal, fields, want
):
  _contract(world, signal, **fields)
  with pytest.raises(InputError, match=f"/data/toy: .*{want}"):
    evaluate.run(worlds.config(), "c", str(tmp_path / "out"))
  assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("change, match", [
    (dict(evals=("probes",)), "evals: got 'probes', want some of .*'probe'.*"),
    (dict(batch_size=0), "batch_size: got 0, want 1 or more"),
    (dict(bootstrap_draws=0), "bootstrap_draws: got 0, want 1 or more"),
])
def test_refuses_what_cannot_be_evaluated(tmp_path, change, match):
  with pytest.raises(InputError, match=match):
    evaluate.run(worlds.config(**change), "nowhere", str(tmp_path))
  file = tmp_path / "file"
  file.touch()
  with pytest.raises(InputError, match="--workdir: got .*, a file, want a"):
    evaluate.run(worlds.config(), "nowhere", str(file))


@pytest.mark.parametrize("folder", ["/proc/accfm/w", "n" * 300])
def test_refuses_a_folder_that_cannot_be_written(world, tmp_path, folder):
  with pytest.raises(InputError, match="--workdir: .* cannot be written"):
    evaluate.run(worlds.config(), "c", str(tmp_path / folder))


def test_refuses_a_checkpoint_of_another_modality(world, tmp_path):
  """An encoder of PPG has nothing to read in shards of acceleration alone."""
  signals = world.splits["test"].contract.signals
  _contract(world, signals={"acc": signals["acc"]})
  world.meta.update(signals=["ppg"], kind="contrastive")
  with pytest.raises(InputError, match=r"signal 'ppg' is absent, have \['acc'"):
    evaluate.run(worlds.config(), "c", str(tmp_path / "out"))


def test_refuses_a_record_that_does_not_say_who_was_trained_on(world, tmp_path):
  del world.meta["cohorts"]
  for dataset in ("", "toy"):
    with pytest.raises(InputError, match="does not say who was trained on"):
      evaluate.run(worlds.config(dataset=dataset), "c", str(tmp_path / "out"))


@pytest.mark.parametrize("name", ["test", "train"])
def test_refuses_a_split_without_windows(world, tmp_path, name):
  world.splits[name].table = {
      column: x[:0] for column, x in world.splits[name].table.items()}
  with pytest.raises(InputError, match=f"toy: split {name} has 0 windows"):
    evaluate.run(worlds.config(), "c", str(tmp_path / "out"))


@pytest.fixture
def three_signals(world):
  """A checkpoint of acceleration alone, and shards with two other signals."""
  rng = np.random.default_rng(9)
  for split in world.splits.values():
    ecg = dataclasses.replace(split.contract.signals["ppg"], kind="ecg")
    split.contract = dataclasses.replace(
        split.contract, signals={"acc": split.contract.signals["acc"],
                                 "ecg": ecg, **split.contract.signals})
    split.values["ecg"] = rng.integers(
        -3000, 3000, split.values["ppg"].shape).astype(np.int16)
    split.values["ecg_scale"] = split.values["ppg_scale"]
  world.meta.update(signals=["acc"], kind="contrastive")
  world.towers = {"acc": dataclasses.replace(world.towers["acc"], head=False)}
  return world


def test_a_third_signal_asks_for_the_partner(three_signals, tmp_path):
  config = worlds.config(untrained=False, report=False)
  with pytest.raises(InputError, match=(
      r"partner: got none for a checkpoint of 'acc' alone, want the signal to "
      r"retrieve, one of \['ecg', 'ppg'\]; set --config.partner")):
    evaluate.run(config, "c", str(tmp_path / "out"))
  assert not (tmp_path / "out").exists()
  got = {}
  for partner in ("ppg", "ecg"):
    config.partner = partner
    got[partner] = evaluate.run(config, "c", str(tmp_path / partner))
    assert got[partner][f"test/acc2{partner}/recall@1_pool8"] is None
  key = "test/envelope/acc2{}/mean_rank_poolall"
  assert got["ppg"][key.format("ppg")] != got["ecg"][key.format("ecg")]
  # What retrieves nothing needs no partner.
  config.partner, config.evals = "", ("health",)
  evaluate.run(config, "c", str(tmp_path / "health"))


def test_a_third_signal_changes_no_figure(three_signals, world, tmp_path):
  config = worlds.config(untrained=False, report=False, partner="ppg")
  got = evaluate.run(config, "c", str(tmp_path / "three"))
  for split in world.splits.values():
    signals = {n: s for n, s in split.contract.signals.items() if n != "ecg"}
    split.contract = dataclasses.replace(split.contract, signals=signals)
  config.partner = ""
  assert evaluate.run(config, "c", str(tmp_path / "two")) == got


@pytest.mark.parametrize("signals, partner, want", [
    (["acc"], "egc", r"partner: got 'egc', want one of \['ecg', 'ppg'\], the "
                     "data set's others"),
    (["acc"], "acc", "partner: got 'acc', want one of"),
    (["acc", "ppg"], "ecg", r"got 'ecg', want one of \['ppg'\], the checkpoi"),
])
def test_what_is_no_partner(three_signals, tmp_path, signals, partner, want):
  kind = "distill" if len(signals) > 1 else "contrastive"
  three_signals.meta.update(signals=signals, kind=kind)
  with pytest.raises(InputError, match=want):
    evaluate.run(worlds.config(partner=partner), "c", str(tmp_path))


def _reasons(folder):
  about = json.loads((folder / "metrics.json").read_text())["_meta"]
  return {item["key"]: item["reason"] for item in about["not_evaluable"]}


def test_one_person_has_no_interval_and_no_probe(world, tmp_path):
  split = toy.Split(1, 36, seconds=20, seed=3, prefix="toy/c")
  split.manifest = world.splits["test"].manifest
  world.splits["test"] = split
  got = evaluate.run(worlds.quick(), "c", str(tmp_path))
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
  got = evaluate.run(worlds.quick(), "c", str(tmp_path))
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
