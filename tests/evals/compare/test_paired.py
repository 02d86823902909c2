"""Pooled folds and paired differences against loops over people."""

import re

import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.evals.compare import paired as compare
from accfm.evals.files import store
from accfm.evals.results.figures import TESTED
from accfm.evals.results.outcome import Predictions
from tests.evals.compare.draws import drawn

DRAWS, SEED = 150, 3


def fold(seed, people, each=4):
  """Predictions of one fold: one task, two rows; errors of eighths."""
  rng = np.random.default_rng(seed)
  n = people * each
  true = rng.integers(400, 800, n) / 8.0
  return Predictions(
      "hr", "bpm",
      {
          "participant": np.repeat(
              [f"x/{seed}_{i}" for i in range(people)], each),
          "session": np.array(["a"] * n),
          "start_s": 1000.0 + np.tile(np.arange(each), people),
      },
      true,
      {
          TESTED: true + rng.integers(-40, 40, n) / 8.0,
          "mean": true + rng.integers(-90, 90, n) / 8.0,
      },
  )


def written(folder, *folds):
  paths = []
  for number, one in enumerate(folds):
    paths.append(folder / f"{number}.parquet")
    store.write_predictions(paths[-1], [one], {})
  return paths


def scored(errors, people, order=None):
  """Scored windows of these errors; `order` shuffles them."""
  errors, people = np.asarray(errors, float), np.asarray(people)
  keys = np.array([f"{p}|{i}" for i, p in enumerate(people)])
  order = np.arange(len(errors)) if order is None else order
  zero = np.zeros(len(errors))
  return compare.Scored(keys[order], people[order], zero, errors[order])


def test_folds_are_pooled(tmp_path):
  folds = fold(0, 3), fold(1, 4)
  found = compare.load(written(tmp_path, *folds))
  assert set(found) == {("hr", "encoder"), ("hr", "mean")}
  for row in (TESTED, "mean"):
    got = found["hr", row]
    assert len(set(got.keys)) == len(got.keys) == 28
    np.testing.assert_array_equal(
        got.people, np.concatenate([f.rows["participant"] for f in folds]))
    np.testing.assert_array_equal(
        got.true, np.concatenate([f.true for f in folds]))
    np.testing.assert_array_equal(
        got.predicted, np.concatenate([f.predicted[row] for f in folds], 1))
    want = [abs(p - y) for f in folds
            for p, y in zip(f.predicted[row][0], f.true, strict=True)]
    np.testing.assert_array_equal(got.errors, [want])


def test_tasks_stay_apart_and_persons_need_no_window(tmp_path):
  age = Predictions(
      "age", "years", {"participant": np.array(["x/1", "x/2"])},
      np.array([30.0, 40.0]), {TESTED: np.array([33.0, 35.0])},
  )
  store.write_predictions(tmp_path / "p.parquet", [fold(0, 3), age], {})
  found = compare.load([tmp_path / "p.parquet"])
  assert set(found) == {("hr", "encoder"), ("hr", "mean"), ("age", "encoder")}
  got = found["age", "encoder"]
  assert got.errors.tolist() == [[3.0, 5.0]]
  assert len(set(got.keys)) == 2


def test_the_same_window_in_two_folds_counts_twice(tmp_path):
  found = compare.load(written(tmp_path, fold(0, 3), fold(0, 3)))
  got = found["hr", "encoder"]
  assert len(set(got.keys)) == 24 and len(set(got.people)) == 3


def test_mae_and_its_interval_over_people(tmp_path):
  one, two = fold(0, 3), fold(1, 4, each=7)
  got = compare.load(written(tmp_path, one, two))["hr", "encoder"]
  value, low, high = compare.score(got, DRAWS, SEED)
  mae = lambda rows: np.mean([  # noqa: E731
      abs(got.predicted[0, r] - got.true[r]) for r in rows])
  assert value == pytest.approx(mae(range(40)))
  draws = drawn(got.people, DRAWS, SEED, mae)
  assert low == pytest.approx(np.percentile(draws, 2.5))
  assert high == pytest.approx(np.percentile(draws, 97.5))
  assert all(type(x) is float for x in (value, low, high))


def test_improvement_is_paired_over_windows_and_people():
  rng = np.random.default_rng(0)
  people = np.array(list("aabbbccdeeeef"))
  mine, theirs = rng.uniform(1, 9, (2, 13))
  one, other = rng.permutation(13), rng.permutation(13)
  value, low, high = compare.improvement(
      scored(mine, people, one), scored(theirs, people, other), DRAWS, SEED
  )

  def below(rows):
    return 1 - (sum(mine[r] for r in rows) / sum(theirs[r] for r in rows))

  assert value == pytest.approx(below(range(13)))
  draws = drawn(people, DRAWS, SEED, below)
  assert low == pytest.approx(np.percentile(draws, 2.5))
  assert high == pytest.approx(np.percentile(draws, 97.5))
  assert low < value < high


def test_equal_predictions_do_not_differ_in_any_draw(tmp_path):
  found = compare.load(written(tmp_path, fold(0, 3), fold(1, 5)))
  one = found["hr", "encoder"]
  assert compare.improvement(one, one, DRAWS, SEED) == [0.0, 0.0, 0.0]
  value, low, high = compare.improvement(one, found["hr", "mean"], DRAWS, SEED)
  assert low < value < high  # which others do


def test_half_the_error_is_half_in_every_draw():
  people = np.array(list("aabbcc"))
  errors = np.array([1.0, 8, 2, 3, 5, 1])
  got = compare.improvement(
      scored(errors, people), scored(2 * errors, people), DRAWS, SEED
  )
  assert got == pytest.approx([0.5, 0.5, 0.5])


def test_one_person_has_no_interval():
  one = scored([1.0, 3.0], ["a", "a"])
  assert compare.score(one, DRAWS, SEED) == [2.0, None, None]
  assert compare.improvement(one, one, DRAWS, SEED) == [0.0, None, None]


@pytest.mark.parametrize("count, names", [
    (4, ["a", "a", "b", "b"]), (5, ["a", "a", "b", "b", "c"]),
])
def test_other_windows_are_not_compared(count, names):
  one, other = scored(range(4), list("aabc")), scored(range(count), names)
  for way in (compare.improvement, compare.difference):
    with pytest.raises(InputError, match=re.escape(
        f"compare: got 4 and {count} predictions of different windows, want "
        "the same; evaluate both on one data set"
    )):
      way(one, other, DRAWS, SEED)


def test_files_that_no_evaluation_wrote(tmp_path):
  good, path = *written(tmp_path, fold(0, 2)), tmp_path / "other.parquet"
  for text, want in ((None, "FileNotFoundError"), ("hr,x\n", "ArrowInvalid")):
    if text is not None:
      path.write_text(text)
    with pytest.raises(InputError, match=(
        f"^{re.escape(str(path))}: cannot be read \\({want}.*, want the "
        "predictions.parquet of an evaluation; evaluate again$"
    )):
      compare.load([good, path])
  store.write(path, {"participant": store.TEXT}, [{"participant": ["a"]}], {})
  with pytest.raises(InputError, match="KeyError: 'task'"):
    compare.load([path])


def test_a_difference_is_paired_over_windows_and_people():
  rng = np.random.default_rng(0)
  people = np.array(list("aabbbccdeeeef"))
  mine, theirs = rng.uniform(1, 9, (2, 13))
  value, low, high = compare.difference(
      scored(mine, people, rng.permutation(13)),
      scored(theirs, people, rng.permutation(13)), DRAWS, SEED,
  )
  less = lambda rows: np.mean([mine[r] - theirs[r] for r in rows])  # noqa: E731
  assert value == pytest.approx(less(range(13)))
  draws = drawn(people, DRAWS, SEED, less)
  assert low == pytest.approx(np.percentile(draws, 2.5))
  assert high == pytest.approx(np.percentile(draws, 97.5))


def test_a_constant_difference_is_certain_where_each_error_is_not():
  """What pairing is for: the intervals overlap, the difference is plain."""
  people = np.array(list("aabbccdd"))
  errors = np.array([1.0, 2, 8, 9, 3, 4, 6, 5])
  one, two = scored(errors, people), scored(errors + 0.5, people)
  _, low, high = compare.score(one, DRAWS, SEED)
  assert low < 4 < 5 < high
  assert compare.difference(one, two, DRAWS, SEED) == pytest.approx([-0.5] * 3)


def area(y, odds, rows):
  """AUC of drawn rows by a loop over pairs; NaN without one."""
  wins, pairs = 0.0, 0
  for i in rows:
    for j in rows:
      if y[i] == 1 and y[j] == 0:
        pairs += 1
        wins += (odds[i] > odds[j]) + 0.5 * (odds[i] == odds[j])
  return wins / pairs if pairs else np.nan


@pytest.mark.parametrize("unit, judge", [
    ("log_odds", area),
    ("class", lambda y, p, rows: np.mean([y[r] == p[r] for r in rows])),
])
def test_classes_are_compared_by_their_own_measure(unit, judge):
  rng = np.random.default_rng(1)
  people = np.repeat(list("abcdef"), 3)
  y = np.tile([0.0, 1.0, 1.0], 6)
  one, two = np.round(rng.normal(size=(2, 18)) + y).clip(0, 1)
  first, second = (
      compare.Scored(people + np.char.mod("|%d", range(18)), people, y, p, unit)
      for p in (one, two)
  )
  rows = range(18)
  assert compare.score(first, DRAWS, SEED)[0] == pytest.approx(
      judge(y, one, rows))
  value, low, high = compare.difference(first, second, DRAWS, SEED)
  less = lambda rows: judge(y, one, rows) - judge(y, two, rows)  # noqa: E731
  assert value == pytest.approx(less(rows))
  draws = drawn(people, DRAWS, SEED, less)
  assert low == pytest.approx(np.nanpercentile(draws, 2.5))
  assert high == pytest.approx(np.nanpercentile(draws, 97.5))


def test_cells_and_tables():
  assert compare.cell([1.234, 1.1, 1.4], 2) == "1.23 [1.10, 1.40]"
  assert compare.cell([0.126, 0.05, 0.2], 0, percent=True) == "13 % [5, 20]"
  assert compare.cell([-0.5, -1.0, 0.0], 1) == "-0.5 [-1.0, 0.0]"
  assert compare.cell([0.5, None, None], 1) == "0.5"
  assert compare.cell([0.0, 0.0, 0.0], 1, percent=True) == "0.0 % [0.0, 0.0]"
  assert compare.cell(None, 2) == "–"
  assert compare.table(["a", "b"], [["1", "2"], ["3", "4"]]) == (
      "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |"
  )
