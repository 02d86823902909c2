"""Which rows make a batch: counted over epochs, for every sampler."""

import re

import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.data import orders, samplers

# Persons 0 to 7: their first rows and numbers of rows.
ROWS = np.array([3, 1, 2, 5, 1, 4, 2, 9])
FIRST = np.cumsum(ROWS) - ROWS
PAIRED = {0, 2, 3, 5, 6, 7}


def person(row):
  """Whose row it is."""
  (who,) = [p for p in range(8) if FIRST[p] <= row < FIRST[p] + ROWS[p]]
  return who


def people(batch_size, seed=0):
  return samplers.People((FIRST, ROWS), batch_size, seed)


def plain(draw):
  """(rows, pairs) as lists."""
  pairs = draw.pairs
  return draw.rows.tolist(), None if pairs is None else pairs.tolist()


def test_rows_are_permuted_within_their_range():
  sampler = samplers.Rows(20, 31, 4, 3)
  assert sampler.left_out == 0
  for k in range(6):
    draw = sampler(k)
    assert draw.pairs is None
    np.testing.assert_array_equal(
        draw.rows, 20 + orders.permuted(11, 4, 3, k)
    )
    assert draw.rows.min() >= 20 and draw.rows.max() < 31


# --- people ------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 4, 6])
def test_a_batch_holds_a_person_once_with_two_of_their_rows(batch):
  sampler = people(batch)
  for k in range(30):
    draw = sampler(k)
    assert len(draw.rows) == len(draw.pairs) == batch
    owners = [person(row) for row in draw.rows]
    assert len(set(owners)) == batch
    assert [person(row) for row in draw.pairs] == owners
    assert (draw.rows != draw.pairs).all()


@pytest.mark.parametrize("batch", [1, 2, 3, 6])
def test_an_epoch_has_everybody_once_who_can_be_paired(batch):
  sampler, per_epoch = people(batch), 6 // batch
  orders = []
  for epoch in range(3):
    numbers = range(epoch * per_epoch, (epoch + 1) * per_epoch)
    owners = [person(row) for k in numbers for row in sampler(k).rows]
    assert len(owners) == 6 and set(owners) == PAIRED
    orders.append(owners)
  assert orders[0] != orders[1] != orders[2]


def test_people_with_one_row_are_left_out_and_counted():
  assert people(2).left_out == 2
  everybody = samplers.People(([0, 2], [2, 3]), 2, 0)
  assert everybody.left_out == 0


def test_each_pair_of_rows_is_equally_likely():
  """20 ordered pairs of 5 rows; their counts within 5 SD of a fair die."""
  sampler = samplers.People(([7], [5]), 1, 1)
  draws, counts = 3000, np.zeros((5, 5))
  for k in range(draws):
    draw = sampler(k)
    counts[draw.rows[0] - 7, draw.pairs[0] - 7] += 1
  assert not counts.diagonal().any()
  share = 1 / 20
  bound = 5 * np.sqrt(draws * share * (1 - share))
  off = counts[~np.eye(5, dtype=bool)]
  assert abs(off - draws * share).max() < bound


def test_pairs_depend_on_seed_and_number_alone():
  forward = {k: plain(people(3)(k)) for k in range(12)}
  again = people(3)
  assert {k: plain(again(k)) for k in reversed(range(12))} == forward
  assert {k: plain(people(3, seed=1)(k)) for k in range(12)} != forward


# --- chosen rows -------------------------------------------------------------


@pytest.mark.parametrize("rows, batch", [(7, 3), (6, 6), (3, 8), (1, 4)])
def test_chosen_rows_are_covered_evenly(rows, batch):
  """At any time the most and the least frequent row differ by one."""
  numbers = 10 + 5 * np.arange(rows)
  sampler = samplers.Chosen(numbers, batch, 2)
  assert sampler.left_out == 0
  seen = dict.fromkeys(numbers.tolist(), 0)
  for k in range(3 * rows):
    draw = sampler(k)
    assert draw.rows.shape == (batch,) and draw.pairs is None
    for row in draw.rows.tolist():
      seen[row] += 1
    assert max(seen.values()) - min(seen.values()) <= 1
  assert set(seen.values()) == {3 * batch}


def test_chosen_rows_depend_on_seed_and_number_alone():
  def batches(seed, numbers):
    sampler = samplers.Chosen([4, 9, 2, 30, 11], 3, seed)
    return {k: plain(sampler(k)) for k in numbers}

  forward = batches(0, range(20))
  assert batches(0, reversed(range(20))) == forward
  assert batches(1, range(20)) != forward
  orders = [forward[k][0] + forward[k + 1][0] for k in range(0, 20, 5)]
  assert len(set(map(tuple, orders))) == 4  # another order each time round


# --- mixtures ----------------------------------------------------------------


def mixture(seed=5):
  """Rows 0 to 9 and 10 to 39, at 3 and 5 of a batch of 8."""
  return samplers.Mixture(
      [samplers.Rows(0, 10, 3, 1), samplers.Rows(10, 40, 5, 2)], seed
  )


def test_a_mixture_holds_each_cohort_at_its_share():
  sampler, early = mixture(), np.zeros((8, 2))
  assert sampler.left_out == 0
  for k in range(60):
    draw = sampler(k)
    assert draw.pairs is None
    small = np.sort(orders.permuted(10, 3, 1, k))
    large = np.sort(orders.permuted(30, 5, 2, k, 10))
    np.testing.assert_array_equal(
        np.sort(draw.rows), np.concatenate([small, large])
    )
    early[np.arange(8), (draw.rows >= 10).astype(int)] += 1
  # Each place holds either cohort, by and by at its share.
  bound = 5 * np.sqrt(60 * 3 / 8 * 5 / 8)
  assert abs(early - [60 * 3 / 8, 60 * 5 / 8]).max() < bound


def test_a_mixture_depends_on_seed_and_number_alone():
  forward = {k: plain(mixture()(k)) for k in range(12)}
  again = mixture()
  assert {k: plain(again(k)) for k in reversed(range(12))} == forward
  other = {k: plain(mixture(6)(k)) for k in range(12)}
  assert other != forward
  assert {k: sorted(r) for k, (r, _) in other.items()} == {
      k: sorted(r) for k, (r, _) in forward.items()
  }


def test_pairs_of_a_mixture_stay_with_their_rows():
  far = FIRST + 100
  sampler = samplers.Mixture([
      samplers.People((FIRST, ROWS), 4, 0), samplers.People((far, ROWS), 3, 1)
  ], 0)
  assert sampler.left_out == 4
  for k in range(20):
    draw = sampler(k)
    assert sum(draw.rows < 100) == 4 and len(draw.rows) == 7
    np.testing.assert_array_equal(draw.rows < 100, draw.pairs < 100)
    assert [person(row % 100) for row in draw.rows] == [
        person(row % 100) for row in draw.pairs
    ]


def largest_remainder(weights, batch):
  """Whole shares, one left-over place after another to the neediest."""
  exact = [w / sum(weights) * batch for w in weights]
  counts = [int(e) for e in exact]
  while sum(counts) < batch:
    lack = [e - c for e, c in zip(exact, counts, strict=True)]
    counts[lack.index(max(lack))] += 1
  return counts


def test_shares_are_by_largest_remainder():
  rng = np.random.default_rng(0)
  for _ in range(200):
    cohorts = int(rng.integers(1, 6))
    weights = rng.uniform(0.2, 1, cohorts).tolist()
    batch = int(rng.integers(5 * cohorts, 90))
    got = samplers.shares(weights, batch)
    assert got == largest_remainder(weights, batch)
    assert sum(got) == batch and all(type(n) is int for n in got)
  assert samplers.shares([1, 1, 1], 8) == [3, 3, 2]
  assert samplers.shares([2, 1, 1], 8) == [4, 2, 2]
  assert samplers.shares([0.3], 8) == [8]


def test_a_share_of_no_row():
  with pytest.raises(InputError, match=re.escape(
      "dataset: got weights [1.0, 0.01] for a batch of 8, want at least one "
      "row of each data set; raise the smallest weight or --config.batch_size"
  )):
    samplers.shares([1.0, 0.01], 8)


# --- the sampler of a split --------------------------------------------------


class Part:
  """The attributes of `pipeline.Split` that samplers read."""

  name = "train"
  manifest = {"hop_sec": 60.0, "contract": {"window_sec": 60.0}}

  def __init__(self, folder, rows):
    self.dataset_dir = folder
    rows = np.array(rows)
    self.people = np.cumsum(rows) - rows, rows

  def __len__(self):
    return int(self.people[1].sum())


class Joined:
  """The attributes of `joined.Joined` that samplers read."""

  def __init__(self, *parts):
    self.parts = parts
    self.bounds = np.cumsum([0, *map(len, parts)])


def test_one_data_set_is_drawn_as_it_is():
  split = Joined(Part("/data/a", [9, 4]))
  sampler = samplers.make(split, 5, 3, (2.0,))
  for k in range(5):
    rows, pairs = plain(sampler(k))
    assert rows == orders.permuted(13, 5, 3, k).tolist() and pairs is None
  pairs = samplers.make(split, 2, 3, (2.0,), by_people=True)
  want = samplers.People(([0, 9], [9, 4]), 2, 3)
  assert [plain(pairs(k)) for k in range(5)] == [
      plain(want(k)) for k in range(5)
  ]


def test_several_data_sets_are_drawn_at_their_weights():
  split = Joined(Part("/data/a", [9, 4]), Part("/data/b", [20, 30]))
  sampler = samplers.make(split, 8, 3, (1.0, 3.0))
  seen = set()
  for k in range(60):
    rows = sampler(k).rows
    assert sum(rows < 13) == 2 and len(set(rows.tolist())) == 8
    seen |= set(rows.tolist())
  assert seen == set(range(63))


def test_cohorts_of_one_size_are_drawn_in_orders_of_their_own():
  split = Joined(Part("/data/a", [12]), Part("/data/b", [12]))
  sampler = samplers.make(split, 8, 3, (1.0, 1.0))
  one, two = [], []
  for k in range(3):
    rows = sampler(k).rows
    one.append(set(rows[rows < 12].tolist()))
    two.append(set((rows[rows >= 12] - 12).tolist()))
  assert one != two


def test_people_of_several_data_sets():
  split = Joined(Part("/data/a", [9, 4, 1, 5]), Part("/data/b", [6, 2, 1]))
  sampler = samplers.make(split, 4, 3, (1.0, 1.0), by_people=True)
  assert sampler.left_out == 2
  ends = np.cumsum([9, 4, 1, 5, 6, 2, 1])
  seen = set()
  for k in range(20):
    draw = sampler(k)
    owners = np.searchsorted(ends, draw.rows, side="right")
    np.testing.assert_array_equal(
        owners, np.searchsorted(ends, draw.pairs, side="right")
    )
    assert sum(owners < 4) == 2 and len(set(owners.tolist())) == 4
    seen |= set(owners.tolist())
  assert seen == {0, 1, 3, 4, 5}


@pytest.mark.parametrize("multiple, fix", [
    (1, "set --config.batch_size=8 or prepare"),
    (3, "set --config.batch_size=6 or prepare"),
    (16, "prepare"),
])
def test_a_batch_larger_than_a_data_set(multiple, fix):
  split = Joined(Part("/data/a", [20]), Part("/data/b", [3, 1]))
  with pytest.raises(InputError, match=re.escape(
      "batch_size: got 6, want at most the 4 rows of split train in /data/b; "
      f"{fix} more recordings"
  ) + "$"):
    samplers.make(split, 12, 0, (1.0, 1.0), multiple=multiple)
  assert len(samplers.make(split, 8, 0, (1.0, 1.0))(0).rows) == 8


@pytest.mark.parametrize("batch, multiple, fix", [
    (7, 1, "set --config.batch_size=6 or "), (8, 4, "set --config.batch_size=4"
                                              " or "), (7, 8, ""),
])
def test_more_people_than_can_be_paired(batch, multiple, fix):
  split = Joined(Part("/data/a", [4, 1, 2, 2, 1, 3, 2, 2]))
  with pytest.raises(InputError, match=re.escape(
      f"batch_size: got {batch}, want at most the 6 people with two segments "
      f"of split train in /data/a; {fix}set --config.positives=segment or "
      "prepare more recordings"
  )):
    samplers.make(
        split, batch, 0, (1.0,), by_people=True, multiple=multiple
    )
