"""The page of several encoders: scores, differences, shares of labels."""

import itertools

import pytest

from accfm.evals.compare import page
from accfm.evals.report import draw
from tests.evals import pages


@pytest.fixture
def no_drawing(monkeypatch):
  pages.no_drawing(monkeypatch)


def _task(target, measure, unit, scores, evaluator="probe", share=1.0):
  return _part(measure, unit, scores, evaluator=evaluator, target=target,
               share=share)


def _part(measure, unit, scores, **fields):
  pairs = itertools.combinations(scores, 2)
  return {
      **fields, "measure": measure, "unit": unit,
      "errors": {r: [v, v - 0.1, v + 0.1] for r, v in scores.items()},
      "differences": {
          f"{a} minus {b}": [
              scores[a] - scores[b], scores[a] - scores[b] - 0.2,
              scores[a] - scores[b] + 0.2]
          for a, b in pairs
      },
  }


def _comparison(runs=("stu<dent", "base_line", "scratch")):
  one, two, three = runs
  return {
      "runs": list(runs),
      "tasks": {
          "hr": _task("hr", "mae", "bpm", {one: 2.0, two: 4.25}),
          "hr_at_1pct": _task(
              "hr", "mae", "bpm", {one: 2.5, two: 5.0}, share=0.01),
          "direct_hr": _task("hr", "mae", "bpm", {three: 3.125}, "direct"),
          "sex": _task("sex", "auc", "", {one: 0.6, two: 0.5, three: 0.55}),
          "bmi": {**_task("bmi", "mae", "", {}), "errors": {
              one: [1.5, None, None], two: [None, None, None]},
              "differences": {f"{one} minus {two}": [None, None, None]}},
      },
      "retrieval": {
          f"{way}/recall@1_pool{pool}": _part(
              "recall@1", "", {one: 0.9, two: 0.4}, query=way[:3],
              answer=way[4:], pool=pool)
          for way in ("acc2ppg", "ppg2acc") for pool in (256, "all")
      },
      "facts": {run: {
          "dataset": "toy", "split": "test", "windows": {"test": 5000},
          "people": {"test": 30}, "step": 7, "seen": [],
      } | ({"label_fraction": 0.01} if run == three else {}) for run in runs},
  }


def _write(tmp_path, comparison):
  path = tmp_path / "comparison.html"
  page.draw_comparison(path, comparison)
  return *pages.read(path), path.read_text()


def test_a_comparison_shows_everything(tmp_path):
  heads, text, _ = _write(tmp_path, _comparison())
  assert heads[:3] == ["3 encoders compared", "Scores", "Retrieval"]
  for title in ("acceleration \u2192 PPG, among 256", "HR", "sex", "BMI",
                "HR, predicted directly", "Fewer labels", "Details"):
    assert title in heads, title
  # The second pool is in the tables alone.
  assert "acceleration \u2192 PPG, among all" not in heads
  for said in ("5,000 windows of 30 people", "toy / test", "4.25",
               "4.15 to 4.35", "stu<dent \u2212 base_ line",
               "\u22122.25 \u22122.45 to \u22122.05", "among all", "1 %"):
    assert said in text, said
  assert "1.50" in text  # a score without an interval


def test_people_seen_in_training_are_told(tmp_path, no_drawing):
  comparison = _comparison()
  _, text, _ = _write(tmp_path, comparison)
  assert "seen in training" not in text
  for run, count in zip(comparison["runs"], (0, 1200, 3), strict=True):
    comparison["facts"][run]["seen"] = ["p"] * count
  _, text, html = _write(tmp_path, comparison)
  two, three = comparison["runs"][1:]
  assert (f"People scored here were seen in training: 1,200 by {two}, "
          f"3 by {three}") in text
  assert html.index("class='warn loud'") < html.index("<h2>Scores")
  comparison["facts"][two]["validated"] = ["p"] * 4
  _, text, _ = _write(tmp_path, comparison)
  assert f"by whom the checkpoint was chosen: 4 by {two}" in text


def test_the_best_is_bold(tmp_path, no_drawing):
  *_, html = _write(tmp_path, _comparison())
  table = html[html.index("<h2>Scores"):html.index("<h2>Retrieval")]
  bold = [part.split("<")[0] for part in table.split("<td class='main'>")[1:]]
  assert bold == ["0.900", "0.900", "0.900", "0.900", "2.00", "0.60"]


def test_a_teacher_is_a_ceiling_and_never_bold(tmp_path, no_drawing):
  comparison = _comparison()
  one, two, three = comparison["runs"]
  for run, signal, kind in (
      (one, "ppg", "contrastive"), (two, "acc", "distill"),
      (three, "acc", "mae"),
  ):
    comparison["facts"][run] |= {"student": signal, "kind": kind}
  assert page.find_ceilings(comparison["facts"]) == [one]
  _, text, html = _write(tmp_path, comparison)
  assert f"{one} (ceiling)" in text and f"{two} (ceiling)" not in text
  table = html[html.index("<h2>Scores"):html.index("<h2>Retrieval")]
  bold = [part.split("<")[0] for part in table.split("<td class='main'>")[1:]]
  assert bold == ["0.55"]  # of sex, which another run has a score of as well


def test_a_supervised_run_is_a_point_at_its_share(tmp_path, no_drawing):
  _, text, _ = _write(tmp_path, _comparison())
  table = text[text.index("The figures of these curves"):]
  assert "scratch, direct 3.12" in table or "scratch, direct 3.13" in table
  comparison = _comparison()
  del comparison["facts"]["scratch"]["label_fraction"]
  _, text, _ = _write(tmp_path, comparison)
  assert "scratch, direct" not in text


def test_many_pairs_are_drawn_to_the_first_alone(tmp_path, monkeypatch):
  runs = ["r0", "r1", "r2", "r3", "r4"]
  comparison = {
      "runs": runs, "retrieval": {}, "facts": {},
      "tasks": {"hr": _task("hr", "mae", "bpm", {
          r: 1.0 + i for i, r in enumerate(runs)})},
  }
  drawn = []
  monkeypatch.setitem(
      draw.PLOTS, "forest",
      lambda differences, **_: drawn.append(differences) or "<svg></svg>")
  heads, text, _ = _write(tmp_path, comparison)
  assert list(drawn[0]) == [("r0", r) for r in runs[1:]]
  assert "Differences to r0; the table has 6 more." in text
  assert "r3 \u2212 r4" in text and "Fewer labels" not in heads


def test_nothing_to_compare_is_said(tmp_path, no_drawing):
  heads, text, _ = _write(
      tmp_path, {
          "runs": ["a", "b"], "tasks": {}, "retrieval": {}, "facts": {}})
  assert heads == ["2 encoders compared"]
  assert "Nothing could be compared" in text
