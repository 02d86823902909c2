"""Pooled folds and paired differences against loops over people."""

import re

import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.evals.compare import paired as compare
from accfm.evals.files import store
from accfm.evals.results.figures import TESTED
from accfm.evals.results.outcome import Predictions
from accfm.evals.stats import intervals
from tests.evals.stats.oracle import t_ends

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
  assert (low, high) == pytest.approx(
      t_ends(got.people, mae, intervals.POSITIVE))
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
  assert (low, high) == pytest.approx(
      t_ends(people, below, intervals.BELOW_ONE))
  assert low < value < high


def test_equal_predictions_do_not_differ_in_any_draw(tmp_path):
  found = compare.load(written(tmp_path, fold(0, 3), fold(1, 5)))
  one = found["hr", "encoder"]
  assert compare.improvement(one, one, DRAWS, SEED) == [0.0, 0.0, 0.0]
  value, low, high = compare.improvement(one, found["hr", "mean"], DRAWS, SEED)
  assert low < value < high  # which others do


def test_half_the_error_is_half_in_every_draw():
  people = np.array(list("aabbccde"))
  errors = np.array([1.0, 8, 2, 3, 5, 1, 4, 2])
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
  assert (low, high) == pytest.approx(t_ends(people, less))


def test_a_constant_difference_is_certain_where_each_error_is_not():
  """What pairing is for: the intervals overlap, the difference is plain."""
  people = np.array(list("aabbccddee"))
  errors = np.array([1.0, 2, 8, 9, 3, 4, 6, 5, 4, 5])
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
  assert (low, high) == pytest.approx(
      t_ends(people, less, intervals.DIFFERENCE))


def test_what_a_mean_error_hides():
  """Mostly right, sometimes far off: over draws, medians and shares' means."""
  rng = np.random.default_rng(0)
  true = rng.normal(70, 10, 40)
  errors = np.where(rng.random((3, 40)) < 0.2, 40.0, rng.normal(0, 3, (3, 40)))
  one = compare.Scored(
      np.arange(40).astype(str), np.repeat([*"abcdefgh"], 5), true,
      true + errors, "bpm")
  found = compare.typical(one, 1, 0)
  assert set(found) == {"median_abs_error", "within_5bpm_share"}
  far = np.abs(errors)
  value, low, high = found["median_abs_error"]
  assert value == pytest.approx(np.median(far, axis=1).mean())
  assert low < value < high < far.mean()
  assert found["within_5bpm_share"][0] == pytest.approx((far <= 5).mean())


def test_the_best_cell_is_bold():
  column = {"a": (2.0, "2"), "b": (1.0, "1"), "c": (None, "-"), "d": (0.5, "h")}
  assert compare.mark_best(column, True, ["d"]) == {
      "a": "2", "b": "**1**", "c": "-", "d": "h"}
  assert compare.mark_best(column, False)["a"] == "**2**"
  equal = {"a": (1.0, "1"), "b": (1.0, "1")}
  assert compare.mark_best(equal, True) == {"a": "**1**", "b": "**1**"}
  assert compare.mark_best({"c": (None, "-")}, True) == {"c": "-"}


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


# --- draws of labels, folds --------------------------------------------------


def several(seed, draws, people=5, each=3, unit="bpm"):
  """Predictions of several draws of labelled people, tested in two folds."""
  rng = np.random.default_rng(seed)
  n = people * each
  who = np.repeat(np.arange(people), each)
  true = np.random.default_rng(0).integers(400, 800, n) / 8.0
  if unit == "log_odds":
    true = (true > 75).astype(float)
  return Predictions("hr", unit, {
      "participant": np.array([f"x/{i}" for i in who]),
      "session": np.array(["a"] * n),
      "start_s": 1000.0 + np.tile(np.arange(each), people),
  }, true, {
      TESTED: true + np.round(rng.normal(size=(draws, n)), 1) + 9.0 * (who % 2),
  }, share=0.1, fold=who % 2)


def loaded(path, *found):
  store.write_predictions(path, found, {})
  return compare.load([path])[found[0].task, TESTED]


def test_draws_and_folds_are_read_back(tmp_path):
  made = several(1, 3)
  got = loaded(tmp_path / "p.parquet", made)
  np.testing.assert_array_equal(got.predicted, made.predicted[TESTED])
  np.testing.assert_array_equal(got.fold, made.fold)
  np.testing.assert_array_equal(got.true, made.true)
  assert got.draws == 3 and len(set(got.keys)) == len(got.true) == 15


def test_files_without_fold_and_draw_are_one_of_each(tmp_path):
  made, path = fold(0, 3), tmp_path / "p.parquet"
  types = {k: v for k, v in store.TYPES.items()
           if k in (*made.rows, *store.PREDICTIONS)}
  store.write(path, types, [{
      **made.rows, "true": made.true, "predicted": made.predicted[TESTED][0],
      "task": ["hr"] * 12, "unit": ["bpm"] * 12, "row": [TESTED] * 12,
  }], {})
  got = compare.load([path])["hr", TESTED]
  np.testing.assert_array_equal(got.predicted, made.predicted[TESTED])
  assert got.fold.tolist() == [0] * 12


def test_each_file_has_folds_of_its_own_and_the_draws_that_all_have(tmp_path):
  paths = []
  for number, draws in enumerate((3, 2)):
    paths.append(tmp_path / f"{number}.parquet")
    store.write_predictions(paths[-1], [several(number, draws)], {})
  got = compare.load(paths)["hr_at_10pct", TESTED]
  assert got.predicted.shape == (2, 30)
  first = several(0, 1).fold
  assert got.fold.tolist() == [*first, *(first + 2)]


def test_draws_that_do_not_fit_are_not_read(tmp_path):
  made, path = several(1, 2), tmp_path / "p.parquet"
  for draws, match in (
      ([0] * 15 + [1] * 14, "want as many of each"),
      ([0] * 15 + [2] * 15, "want as many of each"),
      ([10 ** 15] * 15, "want as many of each"),
  ):
    n = len(draws)
    rows = np.arange(n) % 15
    store.write(path, {
        k: v for k, v in store.TYPES.items()
        if k in (*made.rows, *store.PREDICTIONS, *store.FITS)
    }, [{
        **{k: v[rows] for k, v in made.rows.items()}, "draw": draws,
        "true": made.true[rows], "predicted": made.true[rows],
        "fold": [0] * n, "task": ["hr"] * n, "unit": ["bpm"] * n,
        "row": [TESTED] * n,
    }], {})
    with pytest.raises(InputError, match=match):
      compare.load([path])


def test_scores_and_differences_are_means_over_draws(tmp_path):
  one = loaded(tmp_path / "a.parquet", several(1, 3))
  two = loaded(tmp_path / "b.parquet", several(2, 3))
  errors = [np.abs(s.predicted - s.true).mean(axis=1) for s in (one, two)]
  assert compare.score(one, DRAWS, SEED)[0] == pytest.approx(errors[0].mean())
  assert compare.difference(one, two, DRAWS, SEED)[0] == pytest.approx(
      (errors[0] - errors[1]).mean())
  assert compare.improvement(one, two, DRAWS, SEED)[0] == pytest.approx(
      1 - errors[0].sum() / errors[1].sum())
  # Draws that one lacks are not compared.
  few = loaded(tmp_path / "c.parquet", several(2, 3), )
  few = compare.Scored(
      few.keys, few.people, few.true, few.predicted[:1], few.unit, few.fold)
  assert compare.difference(one, few, DRAWS, SEED)[0] == pytest.approx(
      errors[0][0] - errors[1][0])


def test_classes_are_ranked_within_folds_of_each_draw(tmp_path):
  made = several(1, 2, unit="log_odds")
  got = loaded(tmp_path / "a.parquet", made)
  want = []
  for odds in made.predicted[TESTED]:
    wins = pairs = 0
    for i in range(15):
      for j in range(15):
        if made.fold[i] == made.fold[j] and made.true[i] > made.true[j]:
          pairs += 1
          wins += (odds[i] > odds[j]) + 0.5 * (odds[i] == odds[j])
    want.append(wins / pairs)
  assert compare.score(got, DRAWS, SEED)[0] == pytest.approx(np.mean(want))


def test_draws_are_joined_in_one_order_of_segments():
  people = np.array(list("aabb"))
  order = np.array([2, 0, 3, 1])
  one = scored([1.0, 2, 3, 4], people)
  two = scored([5.0, 6, 7, 8], people, order)
  got = compare.join_draws(one, two)
  assert got.predicted.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
  assert got.people.tolist() == list("aabb")
  with pytest.raises(InputError, match="of different windows"):
    compare.join_draws(one, scored([1.0], ["a"]))
