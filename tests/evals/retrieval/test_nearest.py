"""Nearest neighbours against a stable sort, over blocks, masks and ties."""

import jax
import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.evals.retrieval import nearest
from accfm.evals.retrieval.masks import Mask


def _sorted(near, k, allowed):
  """(scores, columns) of the k largest, of equal ones the first: a sort."""
  scores = np.full((len(near), k), -np.inf, np.float32)
  columns = np.full((len(near), k), -1)
  for i, line in enumerate(near):
    some = np.flatnonzero(allowed[i])
    best = some[np.argsort(-line[some], kind="stable")][:k]
    scores[i, :len(best)], columns[i, :len(best)] = line[best], best
  return scores, columns


def _whole(rng, rows, d):
  """Vectors of small whole numbers: products are exact and tie often."""
  return rng.integers(-2, 3, (rows, d)).astype(np.float32)


def _mask(rng, queries, keys):
  """Two random ranges for each query, some of them empty."""
  keep, drop = np.sort(rng.integers(0, keys + 1, (2, queries, 2)), axis=2)
  return Mask(keep, drop)


@pytest.mark.parametrize("queries, keys, d, k, block", [
    (70, 700, 5, 3, (2, 64)),  # plain; the last blocks are padded
    (9, 700, 5, 3, (64, 256)),  # by groups of keys, in three blocks
    (5, 40, 4, 40, (512, 4096)),  # all of them, sorted
])
def test_top_k_equals_a_stable_sort(queries, keys, d, k, block):
  rng = np.random.default_rng(k)
  q, x = _whole(rng, queries, d), _whole(rng, keys, d)
  near = q @ x.T
  for mask in (None, _mask(rng, queries, keys)):
    allowed = np.ones(near.shape, bool)
    if mask:
      allowed = np.array([
          [mask.keep[i, 0] <= j < mask.keep[i, 1]
           and not mask.drop[i, 0] <= j < mask.drop[i, 1]
           for j in range(keys)] for i in range(queries)
      ])
      np.testing.assert_array_equal(mask.sizes(), allowed.sum(axis=1))
      rows, columns = np.indices(allowed.shape)
      np.testing.assert_array_equal(mask.allows(rows, columns), allowed)
      assert (allowed.sum(axis=1) < k).any()
    scores, columns = _sorted(near, k, allowed)
    got = nearest.top_k(q, x, k, mask, block)
    np.testing.assert_array_equal(got[0], scores)
    np.testing.assert_array_equal(got[1], columns)
  ties = np.diff(_sorted(near, k, near > -np.inf)[0], axis=1) == 0
  assert ties.mean() > 0.1


def test_padding_never_wins():
  q, x = -np.ones((3, 4)), np.ones((5, 4))  # a padded key would score 0
  scores, columns = nearest.top_k(q, x, 5)
  assert (scores == -4).all() and (columns == np.arange(5)).all()
  scores, columns = nearest.top_k(q, x, 6)
  assert (columns[:, 5] == -1).all() and (scores[:, 5] == -np.inf).all()


def test_groups_hold_the_best_wherever_they_are():
  """All ties, or all winners in one group: what a sort gives."""
  k, width = 4, 2 * 4 * nearest.GROUP
  rng = np.random.default_rng(0)
  some = rng.integers(0, 3, (20, width)).astype(np.float32)
  some[0] = 1
  some[1, 40:44] = 9
  some[2] = -np.inf
  some[3, -1] = 5
  got = nearest._select(some, k)
  want = _sorted(some, k, np.ones(some.shape, bool))
  np.testing.assert_array_equal(got[0], want[0])
  np.testing.assert_array_equal(got[1], want[1])


def test_one_compilation_for_all_blocks():
  rng = np.random.default_rng(0)
  q, x = _whole(rng, 50, 7), _whole(rng, 300, 7)
  nearest.make_merge.cache_clear()
  nearest.top_k(q, x, 3, block=(2, 64))
  blocks = nearest.Blocks(Mask.everything(50, 300), 300, (2, 64))
  assert len(blocks.firsts) == 4 and len(blocks.met(0)) == 5
  assert blocks.merge._cache_size() == 1
  assert blocks.mesh.size == len(jax.devices())


def test_blocks_out_of_reach_are_not_met():
  def met(ends):
    ends = np.array(ends)
    mask = Mask(ends, np.zeros_like(ends))
    return list(nearest.Blocks(mask, 400, (1, 64)).met(0))

  assert met([[70, 130], [100, 140], [9, 9], [0, 0]]) == [64, 128]
  assert met([[70, 130], [0, 400]]) == [*range(0, 400, 64)]
  assert met([[0, 0], [9, 9]]) == []


@pytest.mark.parametrize("q, x, k, want", [
    (np.ones((2, 3)), np.ones((2, 4)), 1, "keys: got shape"),
    (np.ones((2, 3)), np.ones((2, 3)), 0, "got k 0"),
    (np.ones((0, 3)), np.ones((2, 3)), 1, "got 0 queries"),
    (np.ones((2, 3)), np.full((4, 3), np.nan), 1, "4 of them with NaN"),
])
def test_refuses(q, x, k, want):
  with pytest.raises(InputError, match=want):
    nearest.top_k(q, x, k)
