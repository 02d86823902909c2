"""Splits: nobody twice, sizes as asked, folds that tile, errors that help."""

import hashlib
import random

import pytest

from accfm.base.errors import InputError
from accfm.configs import prepare as prepare_config
from accfm.data import splits
from accfm.data.splits import NAMES, split_participants

FRACTIONS = (0.8, 0.1, 0.1)


def people(n):
  return [f"e4/S{i:03d}" for i in range(n)]


@pytest.mark.parametrize("n, want", [
    (3, (1, 1, 1)), (10, (8, 1, 1)), (12, (10, 1, 1)), (15, (11, 2, 2)),
    (23, (19, 2, 2)), (35, (27, 4, 4)), (240, (192, 24, 24)),
])
def test_fractions_are_rounded(n, want):
  out = split_participants(people(n), FRACTIONS, seed=0)
  assert tuple(len(out[name]) for name in NAMES) == want
  assert sorted(sum(out.values(), [])) == people(n)


def test_counts():
  out = split_participants(people(35), (20, 5, 10), seed=1)
  assert [len(out[name]) for name in NAMES] == [20, 5, 10]
  assert sorted(sum(out.values(), [])) == people(35)


def test_order_is_the_sha256_of_seed_and_id():
  ranked = []
  for person in people(9):
    digest = hashlib.sha256(("5:" + person).encode()).hexdigest()
    ranked.append((digest, person))
  ranked = [person for _, person in sorted(ranked)]
  out = split_participants(people(9), (5, 2, 2), seed=5)
  assert out["test"] == sorted(ranked[:2])
  assert out["val"] == sorted(ranked[2:4])


def test_order_of_recordings_does_not_matter_and_the_seed_does():
  shuffled = people(35)
  random.Random(0).shuffle(shuffled)
  want = split_participants(people(35), FRACTIONS, seed=0)
  assert split_participants(shuffled, FRACTIONS, seed=0) == want
  assert split_participants(shuffled, FRACTIONS, seed=1) != want


@pytest.mark.parametrize("n, sizes, folds", [
    (35, (21, 7, 7), 5), (20, (0.6, 0.2, 0.2), 5), (12, (4, 4, 4), 3),
])
def test_folds_tile_the_people(n, sizes, folds):
  tested = []
  for fold in range(folds):
    out = split_participants(people(n), sizes, 0, fold, folds)
    assert sorted(sum(out.values(), [])) == people(n)
    tested += out["test"]
  assert sorted(tested) == people(n)


def test_a_last_fold_that_does_not_divide_covers_the_rest():
  tested = [
      person for fold in range(4)
      for person in split_participants(
          people(35), (20, 5, 10), 0, fold, 4
      )["test"]
  ]
  assert set(tested) == set(people(35)) and len(tested) == 40


@pytest.mark.parametrize("n, sizes, fold, folds, message", [
    (1, FRACTIONS, 0, 1, "got 1 participant, want at least 3"),
    (2, (1, 1, 0), 0, 1, "got 2 participants, want at least 3"),
    (35, (20, 5, 9), 0, 1, "20/5/9 sum to 34, the recordings are of 35"),
    (25, (20, 5, 0), 0, 1, "want at least one each"),
    (25, (30, -6, 1), 0, 1, "want at least one each"),
    (25, (0.8, 0.1, 0.2), 0, 1, "sum to 1.1, want 1"),
    (3, (0.1, 0.1, 0.8), 0, 1, "want at least one each"),
    (10, (0.8, 0.2), 0, 1, "got 2 sizes"),
    (35, (21, 7, 7), 5, 5, "want 0 to 4"),
    (35, (21, 7, 7), 0, 6, "want at most 5"),
])
def test_errors(n, sizes, fold, folds, message):
  with pytest.raises(InputError, match=message.replace("/", "/")):
    split_participants(people(n), sizes, 0, fold, folds)


def test_twice():
  with pytest.raises(InputError, match="e4/S001.*twice"):
    split_participants(people(5) + ["e4/S001"], FRACTIONS, 0)


def test_people_by_name():
  ids = [f"c/{name}" for name in ("A1", "A2", "B1x", "B22", "C3")]
  assert splits.split_by_names(ids, ("A*+C*", "B1*", "B2?")) == {
      "train": ["c/A1", "c/A2", "c/C3"], "val": ["c/B1x"], "test": ["c/B22"]}


@pytest.mark.parametrize("patterns, message", [
    (("A*", "B*", "B2*"), "'B22' is in val and test of A\\*/B\\*/B2\\*"),
    (("A*", "B1*", "B2*"), "'C3' is in no split"),
    (("A*+C*+B*", "D*", "E*"), "'D\\*' is nobody, want at least one person"),
])
def test_people_by_name_are_each_in_one_split(patterns, message):
  ids = [f"c/{name}" for name in ("A1", "A2", "B1x", "B22", "C3")]
  with pytest.raises(InputError, match=message):
    splits.split_by_names(ids, patterns)


def test_a_split_by_name_comes_from_the_command():
  split = prepare_config.get_config("simulated,split=A*+C*/B1*/B2*").split
  assert (split.kind, split.names) == ("names", ("A*+C*", "B1*", "B2*"))
  splits.check(split)
  with pytest.raises(InputError, match="want train/val/test as 20/5/10"):
    prepare_config.get_config("simulated,split=A*/B*")
