"""Alignment against least squares, scikit-learn's CCA and planted pairs."""

import numpy as np
import pytest
from sklearn import cross_decomposition

from accfm.evals.embedding import alignment
from accfm.evals.stats import scaling


def _pairs(n=600, shared=4, noise=0.3, seed=0, turns=7):
  """Two embeddings of a common latent, each turned and with its own noise."""
  turn = np.random.default_rng(turns)
  a, b = (turn.normal(size=(shared + 5, d)) for d in (9, 12))
  rng = np.random.default_rng(seed)
  z = rng.normal(size=(n, shared))
  own = [np.concatenate([z, rng.normal(size=(n, 5))], axis=1) for _ in "ab"]
  x, y = own[0] @ a, own[1] @ b
  return (x + noise * rng.normal(size=x.shape) + 3,
          y + noise * rng.normal(size=y.shape) - 50)


def _standard(x):
  return scaling.make_scaler(x, np.arange(len(x)))(x)


@pytest.mark.parametrize("penalty", [1e-3, 0.5])
def test_ridge_is_least_squares_with_penalty_rows(penalty, monkeypatch):
  monkeypatch.setattr(alignment, "BLOCK", 101)  # whatever the blocks
  x, y = _pairs()
  x[:, 2] = 4.0  # constant: no weight
  first, second = alignment.fit_ridge(alignment.Moments.of(x, y), penalty)
  zx, zy = _standard(x), _standard(y)
  d = zx.shape[1]
  want = np.linalg.lstsq(
      np.concatenate([zx, np.sqrt(penalty * len(x)) * np.eye(d)]),
      np.concatenate([zy, np.zeros((d, zy.shape[1]))]), rcond=None)[0]
  np.testing.assert_allclose(first(x), zx @ want, atol=1e-5)
  np.testing.assert_allclose(second(y), zy, atol=1e-5)
  assert first(x).dtype == np.float32


def test_variates_are_scikit_learns():
  x, y = _pairs(noise=1.0)
  one, two, found = alignment.fit_cca(
      alignment.Moments.of(x, y), 0.0, weigh=False)
  theirs = cross_decomposition.CCA(4, scale=True, tol=1e-12, max_iter=5000)
  u, v = theirs.fit(x, y).transform(x, y)
  mine_u, mine_v = one(x), two(y)
  assert len(found) == 9 and (np.diff(found) <= 0).all()
  for k in range(4):
    assert found[k] == pytest.approx(
        np.corrcoef(u[:, k], v[:, k])[0, 1], abs=1e-5)
    assert np.corrcoef(mine_u[:, k], mine_v[:, k])[0, 1] == pytest.approx(
        found[k], abs=1e-5)
    assert abs(np.corrcoef(mine_u[:, k], u[:, k])[0, 1]) > 0.9999
    assert abs(np.corrcoef(mine_v[:, k], v[:, k])[0, 1]) > 0.9999
  # White: unit variance, uncorrelated.
  np.testing.assert_allclose(np.cov(mine_u.T, bias=True), np.eye(9), atol=1e-4)


def test_reciprocal_rank_is_a_loop():
  rng = np.random.default_rng(0)
  a = rng.normal(size=(30, 4))
  b = a + rng.normal(size=a.shape)
  b[3] = b[4]  # a tie counts against both
  a1, b1 = scaling.unit_rows(a), scaling.unit_rows(b)
  total = []
  for q, k in ((a1, b1), (b1, a1)):
    for i in range(30):
      total.append(1 / np.sum([
          q[i] @ k[j] >= q[i] @ k[i] - 1e-9 for j in range(30)]))
  assert alignment.reciprocal_rank(a, b) == pytest.approx(np.mean(total))


def test_what_is_shared_is_found_for_others():
  """Also where there are fewer rows than columns.

  Ridge compares in the whole space of the second, most of which the first
  cannot know; the variates leave that out.
  """
  test = _pairs(200, seed=2)
  for n in (2000, 15):
    made = alignment.fit(*_pairs(n), *_pairs(300, seed=1))
    assert set(made) == {"aligned_ridge", "aligned_cca"}
    for name, maps in made.items():
      got = alignment.reciprocal_rank(
          maps.first(test[0]), maps.second(test[1]))
      floor = 0.1 if n == 15 else {"aligned_ridge": 0.2}.get(name, 0.4)
      assert got > floor, (name, n, got)
      assert abs(maps.score - got) < 0.2
  unrelated = _pairs(2000)[0], _pairs(2000, seed=9)[1]
  for maps in alignment.fit(*unrelated, *_pairs(300, seed=1)).values():
    assert alignment.reciprocal_rank(
        maps.first(test[0]), maps.second(test[1])) < 0.08


def test_a_constant_side_aligns_with_nothing():
  x, y = _pairs(50)
  made = alignment.fit(np.ones_like(x), y, np.ones_like(x), y)
  for maps in made.values():
    assert np.isfinite(maps.first(x)).all()
    assert maps.score < 0.1
