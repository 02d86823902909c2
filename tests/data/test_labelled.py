"""Fractions of labelled people: nested, seeded, of ids alone."""

import hashlib
import re

import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.data import labelled

IDS = [f"e4/S{i:02d}" for i in range(23)]
FRACTIONS = (0.001, 0.01, 0.1, 0.3, 0.5, 0.77, 1.0)


def test_people_are_the_first_in_the_order_of_their_hashes():
  """The rule itself: other code chooses the same people by it."""
  left, first = set(IDS), []
  while left:
    nearest = min(left, key=lambda i: hashlib.sha256(
        f"7:label:{i}".encode()).hexdigest())
    left.remove(nearest)
    first.append(nearest)
  for fraction in FRACTIONS:
    count = max(1, round(fraction * 23))
    assert labelled.some_people(IDS, fraction, 7) == sorted(first[:count])


def test_who_is_held_out_is_another_order_of_hashes():
  order = sorted(IDS, key=lambda i: hashlib.sha256(
      f"7:held:{i}".encode()).hexdigest())
  for share, count in ((0.0, 0), (0.02, 0), (0.2, 5), (0.5, 12)):
    got = labelled.hold_out([*IDS, *IDS], share, 7)
    assert got == sorted(order[:count])
  assert labelled.hold_out(IDS[:2], 0.2, 0) == []  # two people: nobody
  assert len(labelled.hold_out(IDS[:3], 0.2, 0)) == 1


def test_fractions_are_nested_and_never_empty():
  sizes, before = [], set()
  for fraction in FRACTIONS:
    chosen = labelled.some_people(IDS, fraction, 0)
    assert len(set(chosen)) == len(chosen) and set(chosen) <= set(IDS)
    assert before <= set(chosen)
    before = set(chosen)
    sizes.append(len(chosen))
  assert sizes == [1, 1, 2, 7, 12, 18, 23]
  assert labelled.some_people(IDS[:1], 0.1, 0) == IDS[:1]


def test_people_depend_on_ids_and_seed_alone():
  want = labelled.some_people(IDS, 0.4, 3)
  rng = np.random.default_rng(0)
  windows = rng.permutation(np.repeat(np.array(IDS), rng.integers(1, 9, 23)))
  assert labelled.some_people(windows, 0.4, 3) == want
  assert labelled.some_people(IDS[::-1], 0.4, 3) == want
  others = [labelled.some_people(IDS, 0.4, seed) for seed in range(4, 9)]
  assert want not in others


def test_everybody_is_as_likely():
  counts = dict.fromkeys(IDS, 0)
  for seed in range(400):
    for person in labelled.some_people(IDS, 0.2, seed):
      counts[person] += 1
  share = 5 / 23
  bound = 5 * np.sqrt(400 * share * (1 - share))
  assert max(abs(n - 400 * share) for n in counts.values()) < bound


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.01, float("nan")])
def test_fractions_out_of_range(fraction):
  with pytest.raises(InputError, match=re.escape(
      f"label_fraction: got {fraction}, want above 0 and up to 1"
  )):
    labelled.some_people(IDS, fraction, 0)


def table():
  """Nine people with four windows; "a" is known of 0 to 5, "b" of 4 to 7."""
  who = np.repeat(np.arange(9), 4)
  rng = np.random.default_rng(1)
  a, b = rng.normal(size=(2, 36)).astype(np.float32)
  a[who > 5], b[(who < 4) | (who > 7)] = np.nan, np.nan
  a[::4], b[1::4] = np.nan, np.nan  # not in every window
  condition = np.where(who == 8, "rest", "")
  return {
      "participant": np.array([f"x/{i}" for i in who]),
      "start_s": np.arange(36.0), "condition": condition,
      "labels/a": a, "labels/b": b,
  }


@pytest.mark.parametrize("columns, labelled_people", [
    (("labels/a",), range(6)), (("labels/a", "labels/b"), range(8)),
    (("labels/b", "condition"), range(4, 9)),
])
@pytest.mark.parametrize("fraction", [0.2, 0.5, 1.0])
def test_rows_with_any_label_of_some_of_the_labelled(
    columns, labelled_people, fraction
):
  t = table()
  people = labelled.some_people(
      [f"x/{i}" for i in labelled_people], fraction, 2
  )
  want = []
  for row in range(36):
    known = [
        t[c][row] != "" if c == "condition" else not np.isnan(t[c][row])
        for c in columns
    ]
    if any(known) and t["participant"][row] in people:
      want.append(row)
  rows, count = labelled.choose(t, columns, fraction, 2)
  assert rows.tolist() == want
  assert count == len(people) == max(1, round(fraction * len(labelled_people)))


def test_nothing_to_choose_from():
  t = table()
  with pytest.raises(InputError, match=re.escape(
      "targets: got 'labels/c', want some of ['condition', 'labels/a', "
      "'labels/b']"
  )):
    labelled.choose(t, ["labels/a", "labels/c"], 1.0, 0)
  with pytest.raises(InputError, match="targets: got none, want at least one"):
    labelled.choose(t, [], 1.0, 0)
  t["labels/a"][:] = np.nan
  with pytest.raises(InputError, match=re.escape(
      "targets: got no labelled row for ['labels/a'], want some; look at the "
      "label columns"
  )):
    labelled.choose(t, ["labels/a"], 1.0, 0)
