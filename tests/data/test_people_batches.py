"""Several segments of each person in a batch: counted over cuts and epochs."""

import re

import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.data import orders, overlaps, people_batches, samplers
from tests.data.test_samplers import FIRST, ROWS, Joined, Part, person, plain


def make(batch, each, seed=0, apart=1, people=(FIRST, ROWS), **near):
  return people_batches.SegmentsOfPeople(
      people, batch, each, seed, apart, orders.Nearness(**near)
  )


@pytest.mark.parametrize("each, batch, apart", [
    (2, 8, 1), (3, 9, 1), (2, 4, 2), (2, 2, 4), (1, 8, 1),
])
def test_a_batch_holds_m_distant_rows_of_each_of_its_people(
    each, batch, apart
):
  sampler = make(batch, each, apart=apart)
  fits = {p for p in range(8) if -(-(ROWS[p] - apart + 1) // apart) >= each}
  assert sampler.left_out == 8 - len(fits)
  seen = set()
  for k in range(60):
    draw = sampler(k)
    assert draw.rows.shape == (batch,) and draw.pairs is None
    owners = [person(row) for row in draw.rows]
    assert len(set(owners)) == batch // each
    for who in set(owners):
      mine = [r for r, p in zip(draw.rows, owners, strict=True) if p == who]
      assert len(mine) == each
      gaps = [abs(a - b) for i, a in enumerate(mine) for b in mine[:i]]
      assert min(gaps, default=apart) >= apart
    seen |= set(owners)
  assert seen == fits


@pytest.mark.parametrize("rows, each, apart", [
    (12, 3, 1), (24, 2, 1), (7, 2, 1), (13, 2, 3), (9, 4, 2),
])
def test_a_persons_rows_are_used_evenly(rows, each, apart):
  """Once at most in a cut; over many cuts within 5 SD of even."""
  sampler = make(each, each, apart=apart, people=([5], [rows]))
  turns = (rows // apart) // each * apart  # of one cut
  cuts, used = 400, np.zeros(rows, int)
  for cut in range(cuts):
    got = np.concatenate([
        sampler(k).rows for k in range(cut * turns, (cut + 1) * turns)
    ]) - 5
    assert len(set(got.tolist())) == len(got) == turns * each
    used[got] += 1
  share = turns * each / rows
  bound = 5 * np.sqrt(cuts * share * (1 - share))
  assert abs(used - cuts * share).max() <= bound


def test_every_pair_of_rows_meets_as_often():
  """15 pairs of 6 rows: within 5 SD of a fair die."""
  sampler = make(2, 2, people=([0], [6]), seed=4)
  counts, draws = np.zeros((6, 6)), 6000
  for k in range(draws):
    a, b = sorted(sampler(k).rows)
    counts[a, b] += 1
  off = counts[np.triu_indices(6, 1)]
  bound = 5 * np.sqrt(draws / 15 * (1 - 1 / 15))
  assert abs(off - draws / 15).max() < bound


def test_an_epoch_has_everybody_once():
  sampler = make(4, 2)  # 6 people, two a batch
  for epoch in range(5):
    owners = [
        person(row) for k in range(3 * epoch, 3 * epoch + 3)
        for row in sampler(k).rows[::2]
    ]
    assert len(owners) == len(set(owners)) == 6


def test_groups_depend_on_seed_and_number_alone():
  forward = {k: plain(make(6, 2)(k)) for k in range(20)}
  again = make(6, 2)
  assert {k: plain(again(k)) for k in reversed(range(20))} == forward
  assert {k: plain(make(6, 2, seed=1)(k)) for k in range(20)} != forward


def test_lanes_keep_to_their_people():
  people = 7 * np.arange(20), np.full(20, 7)
  sampler = make(8, 2, people=people, lanes=2)
  for k in range(30):
    rows = sampler(k).rows
    assert (rows[:4] < 70).all() and (rows[4:] >= 70).all()


def test_long_permutations_are_bijections():
  """`shuffled_each` against all places of each length."""
  for rows in (1, 2, 3, 5, 16, 17, 1000):
    keys = np.full(rows, 9, np.uint64)
    got = orders.shuffled_each(np.arange(rows), np.full(rows, rows), keys)
    np.testing.assert_array_equal(np.sort(got), np.arange(rows))
  lengths = np.array([5, 9, 70_000])
  keys = np.array([1, 2, 3], np.uint64)
  together = orders.shuffled_each(np.array([4, 0, 66_000]), lengths, keys)
  for i, place in enumerate([4, 0, 66_000]):
    alone = orders.shuffled_each(
        np.array([place]), lengths[i:i + 1], keys[i:i + 1]
    )
    assert alone[0] == together[i]


# --- of data sets ------------------------------------------------------------


def part(folder, rows, hop=60.0):
  made = Part(folder, rows)
  made.manifest = {"hop_sec": hop, "contract": {"window_sec": 60.0}}
  return made


@pytest.mark.parametrize("hop, apart", [
    (60.0, 1), (20.0, 3), (25.0, 3), (90.0, 1), (0.1, 600),
])
def test_rows_that_share_no_signal(hop, apart):
  assert overlaps.rows_apart(part("/d", [1], hop).manifest) == apart


def test_a_mixture_takes_whole_people_of_each_data_set():
  split = Joined(part("/data/a", [9, 4, 1]), part("/data/b", [20, 30, 6], 20.0))
  sampler = samplers.make(split, 8, 3, (1.0, 1.0), each=2)
  assert sampler.left_out == 1
  assert "fewer than 2 segments that do not" in sampler.why_left_out
  ends = np.cumsum([9, 4, 1, 20, 30, 6])
  for k in range(20):
    rows = np.sort(sampler(k).rows)
    owners = np.searchsorted(ends, rows, side="right")
    assert sum(owners < 3) == 4
    assert sorted(np.unique(owners, return_counts=True)[1]) == [2, 2, 2, 2]
    far = [b - a for a, b in zip(rows, rows[1:], strict=False) if a >= 14]
    assert all(gap >= 3 for gap in far)


@pytest.mark.parametrize("batch, match", [
    (9, "minutes_per_person: got 2 for a batch of 9, want a divisor of 9; set "
        "--config.batch_size=8"),
    (8, "batch_size: got 2 of each of 4 people, want at most the 3 people with "
        "2 segments that do not overlap of split train in /data/a; set "
        "--config.batch_size=6 or set --config.minutes_per_person=1 or "
        "prepare more recordings"),
])
def test_what_cannot_be_drawn(batch, match):
  split = Joined(part("/data/a", [4, 2, 5, 1]))
  with pytest.raises(InputError, match=re.escape(match) + "$"):
    samplers.make(split, batch, 0, (1.0,), each=2)
