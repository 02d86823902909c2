"""Evaluators beside a training: what they write, and which cannot run."""

import json

import pytest

from accfm import evaluate, pretrain
from accfm.base import mesh as meshes
from accfm.base.errors import InputError
from accfm.configs import acc_contrastive
from accfm.configs import evaluate as evaluate_config
from accfm.evals import in_training
from accfm.evals.retrieval import ranks
from accfm.signals import augment
from tests.evals import toy


def test_a_training_writes_the_figures_of_an_evaluation(simulated, tmp_path):
  """Those of the last step are what accfm.evaluate finds on that split."""
  config = acc_contrastive.get_config("tiny").unlock()
  config.update(data_dir=simulated, total_steps=4, validate_every=1,
                evals_every=2, checkpoint_every=4)
  config.augment = augment.off()
  config.train_evals = ("health", "reidentify")
  pretrain.run(config, str(tmp_path / "run"))
  lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
  rows = {}
  for row in map(json.loads, lines):
    rows.setdefault(row["step"], {}).update(row)
  key = "val/health/effective_rank"
  assert [key in rows[step] for step in (1, 2, 3, 4)] == [
      False, True, False, True]
  assert all("val/loss" in row for row in rows.values())
  checked = evaluate_config.get_config("tiny").unlock()
  checked.update(split="val", evals=config.train_evals, untrained=False,
                 handmade=False, report=False, adjacent_sec=300.0)
  want = evaluate.run(checked, str(tmp_path / "run"), str(tmp_path / "out"))
  got = {k: v for k, v in rows[4].items()
         if k.startswith(("val/health", "val/reidentify"))}
  assert set(got) == {k for k, v in want.items()
                      if v is not None and "_ci95_" not in k}
  for name, value in got.items():
    assert value == pytest.approx(want[name], rel=1e-4), name


def test_two_towers_are_retrieved_among_all_rows():
  split = toy.Split(4, 6, seconds=20)
  towers = toy.make_towers(split)
  got = in_training.run_evaluators(
      ("retrieval", "health"), split, towers, ("acc", "ppg"),
      meshes.make_mesh(), 8)
  x = {s: t.project(split.values[s], split.values[f"{s}_scale"])
       for s, t in towers.items()}
  (counts,) = ranks.count(x["acc"], x["ppg"])
  assert got["val/acc2ppg/recall@1_poolall"] == pytest.approx(
      (counts.beaten_by == 0).mean())
  assert "val/ppg/health/effective_rank" in got
  assert "val/acc2ppg/recall@1_pool256" not in got  # of 24 windows
  assert not [k for k in got if "_ci95_" in k]
  assert all(isinstance(v, float) for v in got.values())


@pytest.mark.parametrize("fields, signals, want", [
    (dict(train_evals=("probe",)), ("acc", "ppg"),
     "train_evals: got 'probe' .probes are fitted on the train split, which is "
     "not embedded while training., want some of .'health', 'reidentify', "
     "'retrieval'"),
    (dict(train_evals=("retrieval",)), ("acc",),
     "got 'retrieval' .it needs a run of two signals., want some of .'health', "
     "'reidentify'"),
    (dict(train_evals=("direct",)), ("acc",),
     "got 'direct' .it needs a run that learns labels."),
    (dict(train_evals=("helth",)), ("acc",), "did you mean 'health'"),
    (dict(evals_every=15), ("acc",), "evals_every: got 15 with validate_every "
     "10, want 0 or a multiple of validate_every"),
    (dict(evals_every=-10), ("acc",), "evals_every: got -10"),
    (dict(validate_every=0), ("acc",), "with validate_every 0, want 0 or a"),
])
def test_what_cannot_run_is_refused(fields, signals, want):
  config = dict(train_evals=("health",), evals_every=20, validate_every=10)
  in_training.check(config, signals, ())
  with pytest.raises(InputError, match=want):
    in_training.check({**config, **fields}, signals, ())


def test_a_run_of_before_has_no_evaluators():
  in_training.check({"validate_every": 0}, ("acc",), ())


@pytest.mark.parametrize("every, due", [(0, [1, 2, 3, 4, 5]), (2, [2, 4, 5])])
def test_evaluators_are_due_at_the_end_too(every, due):
  config = dict(evals_every=every, total_steps=5)
  assert [s for s in range(1, 6) if in_training.is_due(config, s)] == due
