"""The best of a line is marked, whoever it is; a ceiling is no rival."""

from accfm.evals.results import words
from accfm.evals.results.figures import TESTED
from accfm.evals.results.section import find_best, score_cells
from accfm.evals.stats.people import Estimate


def _scores(**values):
  return {row: None if x is None else Estimate(x) for row, x in values.items()}


def test_the_best_is_marked_and_ours_in_another_way():
  scores = _scores(encoder=7.0, ppg=2.0, features=5.0, mean=9.0)
  less = {c.text: (c.main, c.own) for c in score_cells(scores, 1, True)}
  assert less == {"7.0": (False, True), "2.0": (False, False),
                  "5.0": (True, False), "9.0": (False, False)}
  more = [c.text for c in score_cells(scores, 1, False) if c.main]
  assert more == ["9.0"]


def test_equals_are_both_the_best_and_one_alone_is_not():
  assert find_best(_scores(a=1.0, b=1.0, c=2.0), True) == {"a", "b"}
  assert find_best(_scores(a=1.0, b=None), True) == set()


def test_somebody_elses_encoder_is_a_rival_and_the_other_signal_is_not():
  scores = dict.fromkeys((TESTED, "ppg", "theirs.parquet", "features"))
  assert words.ceilings(scores) == {"ppg"}
