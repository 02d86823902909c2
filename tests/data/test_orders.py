"""Orders of rows: each row once an epoch, and near others where asked."""

import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.data import orders, samplers
from accfm.data.orders import Nearness

SOME = [
    Nearness(), Nearness(lanes=4), Nearness(block=5, window=3),
    Nearness(lanes=2, block=7, window=2), Nearness(block=400),
    Nearness(block=1, window=1),
]


def epoch_of(rows, count, near, epoch, seed=3):
  """All batches [n, count] of one epoch."""
  n = rows // near.lanes // (count // near.lanes)
  return np.stack([
      orders.permuted(rows, count, seed, k, near=near)
      for k in range(epoch * n, (epoch + 1) * n)
  ])


@pytest.mark.parametrize("near", SOME)
@pytest.mark.parametrize("rows, count", [(103, 8), (64, 16), (8, 8)])
def test_each_row_once_an_epoch_but_for_less_than_a_batch(near, rows, count):
  seen, all_orders = set(), []
  for epoch in range(12):
    got = epoch_of(rows, count, near, epoch).ravel()
    assert len(set(got.tolist())) == len(got) > rows - count - near.lanes
    assert got.min() >= 0 and got.max() < rows
    seen |= set(got.tolist())
    all_orders.append(tuple(got))
  assert seen == set(range(rows))  # whoever waited comes in another epoch
  # Eight rows that lie together, or two of a lane, have few orders.
  assert len(set(all_orders)) > (8 if rows > count else 2)


@pytest.mark.parametrize("near", SOME)
def test_an_order_depends_on_seed_and_number_alone(near):
  def batches(numbers, seed=1):
    return {k: orders.permuted(50, 8, seed, k, near=near).tolist()
            for k in numbers}

  assert batches(range(20)) == batches(reversed(range(20)))
  assert batches(range(20)) != batches(range(20), seed=2)


@pytest.mark.parametrize("near", [n for n in SOME if n.lanes > 1])
def test_a_lane_keeps_to_its_rows(near):
  rows, count = 103, 8
  each = count // near.lanes
  for epoch in range(5):
    for batch in epoch_of(rows, count, near, epoch):
      for place, row in enumerate(batch):
        lane = place // each
        first, end = (n * rows // near.lanes for n in (lane, lane + 1))
        assert first <= row < end


@pytest.mark.parametrize("rows", [65_537, 70_000, 262_145])
def test_a_permutation_that_is_not_held(rows):
  """A bijection, whose steps and places look like chance."""
  got = orders.shuffled(np.arange(rows), rows, 5, 1)
  np.testing.assert_array_equal(np.sort(got), np.arange(rows))
  other = orders.shuffled(np.arange(rows), rows, 5, 2)
  assert (got == other).sum() < 12  # one is expected
  some = np.array([9, 70, 3])
  np.testing.assert_array_equal(orders.shuffled(some, rows, 5, 1), got[some])
  # Chi-squared of first by second of two neighbours, 8 x 8 cells, 63 degrees
  # of freedom: 5 SD above its mean at most.
  cells = np.histogram2d(got[::2][: rows // 2], got[1::2], bins=8)[0]
  want = cells.sum() / 64
  assert ((cells - want) ** 2 / want).sum() < 63 + 5 * np.sqrt(2 * 63)
  # And of each of the last three bits.
  for bit in range(3):
    ones = ((got[: rows // 2] >> bit) & 1).sum()
    assert abs(ones - rows / 4) < 5 * np.sqrt(rows / 8)


def test_a_window_has_few_blocks():
  """Rows that follow each other lie in few runs of neighbours."""
  near = Nearness(block=10, window=3)
  order = epoch_of(200, 10, near, 0).ravel()
  for first in range(0, 200, 30):
    part = np.sort(order[first:first + 30])
    # Whole blocks, wherever they begin: a run ends where a step is not 1.
    runs = 1 + int((np.diff(part) != 1).sum())
    assert runs <= 4  # three blocks, one of them perhaps about the end
  assert (np.diff(order) != 1).mean() > 0.8  # and within them at random
  everywhere = epoch_of(200, 10, Nearness(), 0).ravel()
  runs = 1 + int((np.diff(np.sort(everywhere[:30])) != 1).sum())
  assert runs > 10


def test_blocks_begin_elsewhere_in_each_epoch():
  near = Nearness(block=10, window=1)
  firsts = {
      int(np.sort(epoch_of(200, 10, near, epoch)[0])[0]) % 10
      for epoch in range(20)
  }
  assert len(firsts) > 5


def test_lanes_of_a_mixture_keep_to_their_rows():
  near = Nearness(lanes=2)
  sampler = samplers.Mixture([
      samplers.Rows(0, 20, 4, 1, near), samplers.Rows(20, 60, 8, 2, near)
  ], 0, lanes=2)
  for k in range(10):
    rows = sampler(k).rows
    assert len(set(rows.tolist())) == 12
    for lane, part in enumerate(rows.reshape(2, 6)):
      small, large = part[part < 20], part[part >= 20] - 20
      assert len(small) == 2 and len(large) == 4
      assert (small // 10 == lane).all() and (large // 20 == lane).all()


@pytest.mark.parametrize("near, match", [
    (Nearness(lanes=3), "order.lanes: got 3 for 8 rows of a batch"),
    (Nearness(lanes=0), "order.lanes: got 0, want 1 or more"),
    (Nearness(block=-1), "order.block: got -1, want 0 or more"),
    (Nearness(window=0), "order.window: got 0, want 1 or more"),
])
def test_what_cannot_be(near, match):
  with pytest.raises(InputError, match=match):
    near.check(8)
