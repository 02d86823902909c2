"""Ranks against double loops in exact and in double precision."""

import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.evals.retrieval import ranks
from accfm.evals.retrieval.masks import Mask
from accfm.evals.stats import scaling


def _loop(query, key, answer, allowed):
  """[Q, K]: whether a key is at least as near as the right one; a loop."""
  unit = lambda v: v / (np.sqrt(sum(v * v)) or 1)  # noqa: E731
  query, key = np.asarray(query, float), np.asarray(key, float)
  out = np.zeros(allowed.shape, bool)
  for i, q in enumerate(query):
    right = sum(unit(q) * unit(key[answer[i]]))
    for j in np.flatnonzero(allowed[i]):
      out[i, j] = sum(unit(q) * unit(key[j])) >= right - ranks.TIE
    out[i, answer[i]] = False
  return out


def _poor(rng, n, d, spread):
  """Embeddings that are nearly one point, in float32."""
  middle = rng.normal(size=d)
  return (middle + spread * rng.normal(size=(n, d))).astype(np.float32)


def _kinds(n, d=6):
  rng = np.random.default_rng(3)
  z = rng.normal(size=(n, d))
  query, key = z + 0.8 * rng.normal(size=(2, n, d))
  yield "plain", query, key
  double = rng.integers(0, n // 2, n)
  yield "doubled", query, key[double]
  gone = query.copy()
  gone[::4] = 0
  yield "zeros", gone, np.where(np.arange(n)[:, None] % 3, key, 0)
  yield "poor", _poor(rng, n, d, 1e-3), _poor(rng, n, d, 1e-3)
  yield "collapsed", _poor(rng, n, d, 0), _poor(rng, n, d, 0)


def _groups(rng, n):
  """Masks: all, one's own run of rows, all but that, and a mixture."""
  starts = np.sort(rng.choice(np.arange(1, n), 4, replace=False))
  ends = np.append(starts, n)
  starts = np.append(0, starts)
  own = np.searchsorted(starts, np.arange(n), "right") - 1
  run = np.stack([starts[own], ends[own]], axis=1)
  near = np.stack([np.arange(n) - 3, np.arange(n) + 4], axis=1).clip(0, n)
  everyone = Mask.everything(n, n)
  return [
      everyone, Mask(run, 0 * run), Mask(everyone.keep, run),
      Mask(run, near),
  ]


@pytest.mark.parametrize("kind", range(5))
def test_counts_equal_a_double_loop(kind):
  n = 75
  kind_name, query, key = list(_kinds(n))[kind]
  rng = np.random.default_rng(kind)
  control = rng.normal(size=(2, n, 4)).astype(np.float32)
  control[:, ::5] = control[:, :1]  # ties of the control
  masks, own = _groups(rng, n), np.arange(n)
  both = own[:, None], own[None]
  everyone = np.ones((n, n), bool)
  b = _loop(query, key, own, everyone)
  e = _loop(*control, own, everyone)
  with_control = ranks.count(query, key, masks, control, block=(4, 64))
  alone = ranks.count(query, key, masks, block=(7, 13))
  once = ranks.count(query, key, masks, control)
  for mask, got, single, want in zip(
      masks, with_control, alone, once, strict=True):
    for name, counts in vars(got).items():
      np.testing.assert_array_equal(counts, getattr(want, name))
    allowed = mask.allows(*np.broadcast_arrays(*both))
    beside = allowed & ~np.eye(n, dtype=bool)
    np.testing.assert_array_equal(got.candidates, 1 + beside.sum(axis=1))
    np.testing.assert_array_equal(got.beaten_by, (b & allowed).sum(axis=1))
    np.testing.assert_array_equal(
        got.control_beaten_by, (e & allowed).sum(axis=1))
    np.testing.assert_array_equal(
        got.both_beaten_by, (b & e & allowed).sum(axis=1))
    np.testing.assert_array_equal(single.candidates, got.candidates)
    np.testing.assert_array_equal(single.beaten_by, got.beaten_by)
    assert single.control_beaten_by is None and single.both_beaten_by is None
  assert kind_name == "collapsed" or 0 < b.sum() < n * (n - 1)


def test_whole_numbers_tie_exactly():
  """Products of whole numbers, compared without any rounding.

  q.k / |k| >= q.r / |r| for whole vectors: both sides squared with their
  signs and multiplied out are whole numbers. Many ties are of keys that are
  not multiples of each other.
  """
  rng = np.random.default_rng(0)
  query, key = rng.integers(-2, 3, (2, 200, 4))
  key[~key.any(axis=1)] = 1
  near, size = query @ key.T, (key * key).sum(axis=1)
  right = np.diag(near)
  ours = np.sign(near) * near ** 2 * size[:, None]  # [Q, K]
  theirs = np.sign(right)[:, None] * (right ** 2)[:, None] * size
  want = (ours >= theirs).sum(axis=1) - 1
  ties = (ours == theirs).sum() - len(query)
  assert ties > 500
  (got,) = ranks.count(query, key)
  np.testing.assert_array_equal(got.beaten_by, want)


@pytest.mark.parametrize("width", [1, 63, 64, 65, 200])
def test_bits_count_themselves_over_ranges(width):
  rng = np.random.default_rng(width)
  ours, theirs = rng.random((2, 30, width)) < 0.5
  ends = np.sort(rng.integers(-9, width + 9, (4, 30, 2)), axis=2)
  bits = ranks._Bits.pack(ours) & ranks._Bits.pack(theirs)
  want = [
      [(ours & theirs)[i, max(low, 0):max(high, 0)].sum()
       for i, (low, high) in enumerate(some)] for some in ends
  ]
  np.testing.assert_array_equal(bits.count(ends), want)
  assert np.max(want) > 0


def test_float32_alone_would_count_otherwise():
  """Pairs that float32 cannot tell apart matter: a few, or most of them."""
  rng = np.random.default_rng(0)
  for n, d, spread in ((600, 64, 1.0), (200, 32, 1e-4)):
    query, key = _poor(rng, n, d, spread), _poor(rng, n, d, spread)
    key[n // 2:] = key[:n // 2] * np.linspace(1.1, 1.9, n // 2)[:, None]
    q, k = scaling.unit_rows(query), scaling.unit_rows(key)
    near, fast = q @ k.T, q.astype(np.float32) @ k.astype(np.float32).T
    want = (near >= np.diag(near)[:, None] - ranks.TIE).sum(axis=1) - 1
    naive = (fast >= np.diag(fast)[:, None]).sum(axis=1) - 1
    assert (naive != want).any()
    (got,) = ranks.count(query, key)
    np.testing.assert_array_equal(got.beaten_by, want)


def test_an_answer_elsewhere():
  n = 50
  rng = np.random.default_rng(5)
  query, key = rng.normal(size=(30, 5)), rng.normal(size=(n, 5))
  answer = rng.integers(0, n, 30)
  (got,) = ranks.count(query, key, answer=answer)
  want = _loop(query, key, answer, np.ones((30, n), bool)).sum(axis=1)
  np.testing.assert_array_equal(got.beaten_by, want)
  assert (got.candidates == n).all()
  barred = Mask.everything(30, n)
  barred = Mask(barred.keep, np.stack([answer, answer + 1], axis=1))
  (got,) = ranks.count(query, key, [barred], answer=answer)
  np.testing.assert_array_equal(got.beaten_by, want)
  assert (got.candidates == n).all()  # the right answer takes part all the same


def test_a_collapsed_embedding_ranks_last_and_a_perfect_one_first():
  same = np.tile(np.float32([0.3, -0.2, 0.7]), (50, 1))
  query = np.random.default_rng(0).normal(size=(50, 3))
  for x, want in (
      (same, 49), (query, 0),
      (np.concatenate([query, query]), 1),  # each answer has a double
  ):
    (got,) = ranks.count(x, x)
    assert (got.beaten_by == want).all()


def test_refuses_what_is_not_finite():
  with pytest.raises(InputError, match="1 of them with NaN"):
    ranks.count(np.ones((2, 3)), np.array([[1, 2, 3], [1, np.nan, 3]]))
