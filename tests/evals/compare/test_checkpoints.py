"""Several evaluations side by side, against loops over people and pools."""

import json
import math
import pathlib

import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.configs import evaluate as evaluate_config
from accfm.evals.compare import checkpoints as compare
from accfm.evals.compare import page
from accfm.evals.files import store
from accfm.evals.results.figures import (
  TESTED,
  Figure,
  Figures,
  write_figures,
)
from accfm.evals.results.outcome import Predictions
from accfm.evals.stats import intervals
from accfm.evals.stats.people import Estimate
from tests.evals import pages
from tests.evals.stats.oracle import t_ends

DRAWS, SEED = 120, 3
PEOPLE = np.repeat([f"x/{i}" for i in range(5)], 6)
ROWS = {
    "participant": PEOPLE, "session": np.array(["a"] * 30),
    "start_s": 1e9 + np.arange(30.0),
}


def evaluation(folder, seed, rows=ROWS, facts=(), redaction="", sex=True):
  """The files of an evaluation; returns what they hold."""
  rng = np.random.default_rng(seed)
  folder.mkdir(parents=True)
  true = np.random.default_rng(0).integers(400, 800, 30) / 8.0
  hr = Predictions("hr", "bpm", rows, true, {
      TESTED: true + rng.integers(-40, 40, 30) / 8.0, "mean": true * 0 + 70,
  })
  labels = np.array([0.0, 1.0, 1.0, 0.0, 1.0])
  found = [hr, Predictions(
      "sex", "log_odds", {"participant": np.unique(rows["participant"])},
      labels, {TESTED: rng.normal(size=5)},
  )]
  about = {"redaction": redaction}
  store.write_predictions(
      folder / "predictions.parquet", found if sex else found[:1], about
  )
  ranks = rng.integers(1, 12, 30)
  store.write_queries(
      folder / "queries.parquet", {"acc2ppg": (np.full(30, 30), ranks)}, rows,
      about,
  )
  meta = {
      "dataset": "toy", "split": "test", "split_hash": "abc",
      "rows_hash": "r", "checkpoint": f"/runs/{folder.name}", "step": seed,
      "kind": "mae", "student": "acc", "teacher": "ppg",
      "windows": {"test": 30}, "people": {"test": 5},
      "pools": [8, 64], "seen": [], **dict(facts),
  }
  (folder / "metrics.json").write_text(json.dumps({"_meta": meta}))
  figures = Figures()
  for target, measure, unit in (
      ("hr", "mae", "bpm"), ("bmi", "mae", ""), ("sex", "auc", ""),
  ):
    figures.add(Figure("test", "probe", subject=target, measure=measure,
                       unit=unit), 1.0)
  figures.add(Figure("test", "probe", subject="hr", unit="bpm",
                     measure="mae_minus_best_unlearned", rival="features"),
              Estimate(-0.5, -0.9, -0.1))
  write_figures(folder / "figures.json", figures)
  return hr, ranks


def check(got, measure, within=intervals.ANY):
  assert got[0] == pytest.approx(measure(range(30)))
  np.testing.assert_allclose(
      got[1:], t_ends(PEOPLE, measure, within), rtol=1e-6)


@pytest.fixture
def two(tmp_path):
  """(folders, what a holds, what b holds)."""
  folders = {name: tmp_path / name for name in ("a", "b")}
  return folders, *(
      evaluation(folder, seed) for seed, folder in enumerate(folders.values())
  )


def test_errors_and_differences_of_a_probe(two):
  folders, (one, _), (other, _) = two
  table = compare.tabulate_runs(folders, DRAWS, SEED)
  assert table["runs"] == ["a", "b"] and list(table["tasks"]) == ["hr", "sex"]
  part = table["tasks"]["hr"]
  assert part["measure"] == "mae" and part["unit"] == "bpm"
  assert (part["evaluator"], part["target"], part["share"]) == (
      "probe", "hr", 1.0)
  errors = [np.abs(p.predicted[TESTED][0] - p.true) for p in (one, other)]
  check(part["errors"]["a"], lambda r: np.mean(errors[0][list(r)]),
        intervals.POSITIVE)
  check(part["errors"]["b"], lambda r: np.mean(errors[1][list(r)]),
        intervals.POSITIVE)
  assert list(part["differences"]) == ["a minus b"]
  check(part["differences"]["a minus b"],
        lambda r: np.mean((errors[0] - errors[1])[list(r)]))
  assert table["tasks"]["sex"]["measure"] == "auc"
  assert table["facts"]["b"]["step"] == 1
  assert json.loads(json.dumps(table)) == table


def test_each_run_is_told_beside_its_own_rival(two, tmp_path):
  table = compare.tabulate_runs(two[0], DRAWS, SEED)
  said = ("1.00 bpm, 0.50 better (0.10 to 0.90) than motion features, the best "
          "without learning.")
  assert table["verdicts"] == {run: [["HR", said, "good"]] for run in "ab"}
  assert f"a:\n- HR: {said}\n\nb:\n- HR: {said}" in compare.markdown(table)
  page.draw_comparison(tmp_path / "c.html", table)
  heads, text = pages.read(tmp_path / "c.html")
  assert "What a shows" in heads and f"HR: {said}" in text


def hit(rank, pool):
  """P(none of the rank - 1 nearer ones of 29 is among pool - 1 drawn)."""
  return math.comb(29 - (rank - 1), pool - 1) / math.comb(29, pool - 1)


def test_recall_is_paired_over_queries(two):
  folders, (_, one), (_, other) = two
  table = compare.tabulate_runs(folders, DRAWS, SEED)["retrieval"]
  # No pool of 64 among 30 windows.
  assert list(table) == ["acc2ppg/recall@1_pool8", "acc2ppg/recall@1_poolall"]
  assert [(p["query"], p["answer"], p["pool"]) for p in table.values()] == [
      ("acc", "ppg", 8), ("acc", "ppg", "all")]
  for pool, part in zip((8, 30), table.values(), strict=True):
    hits = np.array([[hit(r, pool) for r in ranks] for ranks in (one, other)])
    check(part["errors"]["b"], lambda r, h=hits: h[1][list(r)].mean(),
          intervals.SHARE)
    check(part["differences"]["a minus b"],
          lambda r, h=hits: (h[0] - h[1])[list(r)].mean(),
          intervals.DIFFERENCE)


def test_what_one_run_lacks_is_left_out_of_it(two, tmp_path):
  folders, *_ = two
  folders["c"] = tmp_path / "c"
  evaluation(folders["c"], 2, sex=False, facts={
      "trained_config": {"label_fraction": 0.5}}.items())
  (folders["c"] / "queries.parquet").unlink()
  table = compare.tabulate_runs(folders, DRAWS, SEED)
  assert list(table["tasks"]["hr"]["differences"]) == [
      "a minus b", "a minus c", "b minus c"]
  assert list(table["tasks"]["sex"]["errors"]) == ["a", "b"]
  assert "label_fraction" not in table["facts"]["a"]
  assert table["facts"]["c"]["label_fraction"] == 0.5
  (recall, _) = table["retrieval"].values()
  assert list(recall["differences"]) == ["a minus b"]
  text = compare.markdown(table)
  value, low, high = table["tasks"]["hr"]["differences"]["b minus c"]
  assert f"{value:.2f} [{low:.2f}, {high:.2f}]" in text
  (line,) = [x for x in text.splitlines() if x.startswith("| sex, AUC | ")
             and x.count("–") == 1]
  assert line.endswith("| – |")
  assert text.startswith("30 windows of 5 people in toy / test")
  table["facts"]["b"]["seen"] = ["p", "q"]
  assert compare.markdown(table).startswith(
      "**People scored here were seen in training: 2 by b: nothing here says")
  table["facts"]["b"].update(seen=[], untold=["p"])
  assert "their ids do not tell: 1 by b:" in compare.markdown(table)


def test_written_as_json_and_text(two, tmp_path, capsys):
  folders, *_ = two
  config = evaluate_config.get_config("tiny")
  table = compare.write_comparison(config, folders, tmp_path)
  assert json.loads((tmp_path / "comparison.json").read_text()) == table
  text = (tmp_path / "comparison.md").read_text()
  assert text == compare.markdown(table) and text in capsys.readouterr().out
  assert "2 encoders compared" in (tmp_path / "comparison.html").read_text()
  (tmp_path / "comparison.html").unlink()
  config.report = False
  compare.write_comparison(config, folders, tmp_path)
  assert not (tmp_path / "comparison.html").exists()


@pytest.mark.parametrize("facts, want", [
    ({"split_hash": "x"}, "split_hash of b is 'x', that of a is 'abc'"),
    ({"rows_hash": "x"}, "rows_hash of b is 'x', that of a is 'r'"),
    ({"split": "val"}, "split of b is 'val', that of a is 'test'"),
    ({"dataset": "e4"}, "dataset of b is 'e4', that of a is 'toy'"),
])
def test_other_people_or_windows_are_not_compared(tmp_path, facts, want):
  evaluation(tmp_path / "a", 0)
  evaluation(tmp_path / "b", 1, facts=facts.items())
  folders = {name: tmp_path / name for name in "ab"}
  with pytest.raises(InputError, match=f"comparison: {want}, want the same"):
    compare.tabulate_runs(folders, DRAWS, SEED)


def test_predictions_of_other_windows_are_not_compared(tmp_path):
  evaluation(tmp_path / "a", 0)
  evaluation(tmp_path / "b", 1, {**ROWS, "start_s": ROWS["start_s"] + 1})
  folders = {name: tmp_path / name for name in "ab"}
  with pytest.raises(InputError, match="predictions of different windows"):
    compare.tabulate_runs(folders, DRAWS, SEED)


@pytest.mark.parametrize("tokens, fits", [("kk", True), ("kl", False)])
def test_numbered_people_are_compared_within_one_command(
    tmp_path, tokens, fits
):
  """The person 3 of another command is somebody else."""
  rows = {
      "participant": np.repeat(list("12345"), 6),
      "window": np.tile(np.arange(1, 7), 5),
  }
  for seed, (name, token) in enumerate(zip("ab", tokens, strict=True)):
    evaluation(tmp_path / name, seed, rows, redaction=token)
  folders = {name: tmp_path / name for name in "ab"}
  if fits:
    table = compare.tabulate_runs(folders, DRAWS, SEED)
    assert table["tasks"]["hr"]["differences"]
    return
  with pytest.raises(InputError, match="with --redact, in one command"):
    compare.tabulate_runs(folders, DRAWS, SEED)


@pytest.mark.parametrize("text, want", [
    (None, "No such file"), ("{", "JSON"), ("{}", "no '_meta'"),
])
def test_what_is_no_evaluation(two, text, want):
  folders, *_ = two
  path = folders["b"] / "metrics.json"
  path.unlink() if text is None else path.write_text(text)
  with pytest.raises(InputError, match=f"metrics.json: .*{want}"):
    compare.tabulate_runs(folders, DRAWS, SEED)


@pytest.mark.parametrize("paths, want", [
    (["/r/student/checkpoints/4", "/r/mae/checkpoints/4"], ["student", "mae"]),
    (["/r/student/checkpoints/4", "/r/student/checkpoints/12"],
     ["student-4", "student-12"]),
    (["/a/student/checkpoints/4", "/b/student/checkpoints/4"],
     ["a-student", "b-student"]),
    (["/a/s/checkpoints/4", "/b/s/checkpoints/4", "/a/s/checkpoints/5"],
     ["a-s-4", "b-s-4", "a-s-5"]),
    (["/x/a/s/checkpoints/4", "/y/a/s/checkpoints/4"], ["a-s-4-1", "a-s-4-2"]),
    (["/r/student/4", "/r/other/4"], ["student", "other"]),
])
def test_names_tell_runs_apart(paths, want):
  assert compare.name_runs([pathlib.Path(p) for p in paths]) == want


def test_a_checkpoint_twice():
  path = pathlib.Path("/r/s/checkpoints/4")
  with pytest.raises(InputError, match="got /r/s/checkpoints/4 twice"):
    compare.name_runs([path, path])
