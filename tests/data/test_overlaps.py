"""Which segments share signal, against the times of a made-up data set."""

import numpy as np
import pytest

from accfm.data import overlaps, samplers
from accfm.evals import validate
from tests.data.test_samplers import Joined, Part


def part(hop_sec, *people):
  """An open split of people with so many rows."""
  made = Part("/data", people)
  made.manifest = {"hop_sec": hop_sec, "contract": {"window_sec": 60.0}}
  return made


def segments(split):
  """[(part, person, start in s, window in s)] of every row, one by one."""
  out = []
  for place, one in enumerate(split.parts):
    hop, window = (
        one.manifest["hop_sec"], one.manifest["contract"]["window_sec"])
    for person, count in enumerate(one.people[1]):
      out += [(place, person, hop * row, window) for row in range(count)]
  return out


def share(a, b):
  """Whether two segments have a sample in common."""
  return a[:2] == b[:2] and abs(a[2] - b[2]) < a[3] - 1e-9


SPLITS = {
    "one": Joined(part(20.0, 5, 1, 9)),
    "no hop divides the window": Joined(part(25.0, 7, 2)),
    "several hops": Joined(part(60.0, 3, 4), part(20.0, 5, 3), part(30.0, 6)),
}


@pytest.mark.parametrize("name", SPLITS)
def test_rows_share_signal_where_their_spans_meet(name):
  split = SPLITS[name]
  every = segments(split)
  rows = np.random.default_rng(0).permutation(len(every))
  spans = overlaps.spans(rows, split.parts, split.bounds)
  assert spans.dtype == np.int32 and spans.shape == (len(rows), 2)
  for i, a in enumerate(rows):
    for j, b in enumerate(rows):
      meet = spans[i, 0] < spans[j, 1] and spans[j, 0] < spans[i, 1]
      assert meet == share(every[a], every[b]), (a, b)


def test_where_no_two_overlap_there_are_no_spans():
  split = Joined(part(60.0, 3, 4), part(90.0, 5))
  assert overlaps.spans(np.arange(4), split.parts, split.bounds) is None
  np.testing.assert_array_equal(
      overlaps.thin(split.parts, split.bounds), np.arange(12))


@pytest.mark.parametrize("name", SPLITS)
def test_thinned_rows_share_nothing_and_no_row_could_be_added(name):
  split = SPLITS[name]
  every = segments(split)
  rows = overlaps.thin(split.parts, split.bounds).tolist()
  assert rows == sorted(set(rows))
  for row in range(len(every)):
    near = [kept for kept in rows if share(every[row], every[kept])]
    assert near == [row] if row in rows else near


@pytest.mark.parametrize("name", SPLITS)
@pytest.mark.parametrize("by_people", [False, True])
def test_a_validation_counts_no_sample_twice(name, by_people):
  split = SPLITS[name]
  every = segments(split)
  draw = validate.draw_rows(split, 100, by_people)
  used = draw.rows.tolist()
  if by_people:
    owners = [every[row][:2] for row in used]
    assert [every[row][:2] for row in draw.pairs] == owners
    assert len(set(owners)) == len(owners) > 0
    used += draw.pairs.tolist()
  for i, a in enumerate(used):
    for b in used[:i]:
      assert not share(every[a], every[b])


@pytest.mark.parametrize("apart", [1, 2, 3, 5])
def test_a_pair_is_apart_and_every_such_pair_comes(apart):
  counts = np.array([1, 2, 3, 4, 5, 6, 11])
  first = np.cumsum(counts) - counts
  sampler = samplers.People((first, counts), 1, 0, apart=apart)
  assert sampler.left_out == (counts <= apart).sum()
  found = set()
  for k in range(6000):
    draw = sampler(k)
    found.add((int(draw.rows[0]), int(draw.pairs[0])))
  want = {
      (int(f) + a, int(f) + b) for f, n in zip(first, counts, strict=True)
      for a in range(n) for b in range(n) if abs(a - b) >= apart
  }
  assert found == want
