"""What was read is read once, and never more than there is room for."""

import concurrent.futures

from accfm.data.record_cache import RecordCache


class Source:
  """Record i is i bytes of i; notes what is asked."""

  def __init__(self, rows):
    self.rows, self.asked = rows, []

  def __len__(self):
    return self.rows

  def __getitems__(self, rows):
    self.asked += rows
    return [bytes([row]) * row for row in rows]


def test_rows_are_the_sources_and_read_once():
  source = Source(20)
  cache = RecordCache(source, 10_000)
  assert len(cache) == 20
  for rows in ([3, 1, 4, 1, 5], [9, 2, 6], [5, 3, 5, 8, 9]):
    assert cache.__getitems__(rows) == [bytes([r]) * r for r in rows]
  assert sorted(source.asked) == [1, 2, 3, 4, 5, 6, 8, 9]


def test_room_is_kept():
  source = Source(20)
  cache = RecordCache(source, 12)
  cache.__getitems__([5, 6, 7, 1])  # 5 + 6 + 1: no room for 7
  cache.__getitems__([5, 6, 7, 1])
  assert source.asked == [5, 6, 7, 1, 7]
  none = RecordCache(source, 0)
  assert none.__getitems__([2, 2]) == [b"\2\2"] * 2


def test_a_row_that_fails_is_not_held():
  source = Source(20)
  cache = RecordCache(source, 100)
  works, source.__class__.__getitems__ = Source.__getitems__, _fail
  try:
    cache.__getitems__([4])
  except OSError:
    pass
  else:
    raise AssertionError("the error of the source was lost")
  finally:
    Source.__getitems__ = works
  assert cache.__getitems__([4]) == [b"\4" * 4]


def _fail(self, rows):
  raise OSError(rows)


def test_threads_share_it():
  source = Source(200)
  cache = RecordCache(source, 1_000_000)
  wanted = [[(7 * k + j) % 200 for j in range(50)] for k in range(40)]
  with concurrent.futures.ThreadPoolExecutor(4) as pool:
    for rows, got in zip(wanted, pool.map(cache.__getitems__, wanted),
                         strict=True):
      assert got == [bytes([r]) * r for r in rows]
  before = len(source.asked)
  cache.__getitems__(list(range(200)))
  assert len(source.asked) == before
