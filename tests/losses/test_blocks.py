"""Blocks of rows change memory, never the result."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from accfm.losses import blocks, infonce, koleo


def rows(seed, n, d=5):
  x = np.random.default_rng(seed).normal(size=(n, d))
  return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("block", [0, 1, 3, 4, 7, 50])
def test_any_block_gives_each_row_its_place(block):
  """Also a block that does not divide the rows."""
  x = rows(0, 7)

  def fn(some, first):
    return some.sum(1), first + jnp.arange(len(some))

  total, place = blocks.by_rows(fn, x, block)
  np.testing.assert_allclose(total, x.sum(1), rtol=1e-6)
  np.testing.assert_array_equal(place, np.arange(7))


LOSSES = {
    "infonce": lambda q, k, block: infonce.infonce(q, k, 0.07, 2, block),
    "koleo": lambda q, k, block: koleo.nearest(q, k, 2, block),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("block", [1, 4, 5])
def test_losses_and_gradients(name, block):
  query, keys = rows(1, 9), rows(2, 13)
  weight = np.arange(1.0, 10.0, dtype=np.float32)

  def total(query, keys, block):
    losses = LOSSES[name](query, keys, block)
    return (weight * losses).sum(), losses

  grad = jax.value_and_grad(total, argnums=(0, 1), has_aux=True)
  (_, want), want_grads = grad(query, keys, 0)
  (_, got), grads = grad(query, keys, block)
  np.testing.assert_allclose(got, want, rtol=1e-6)
  for a, b in zip(grads, want_grads, strict=True):
    assert np.abs(b).max() > 0.1
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_recall():
  query, keys = rows(3, 9), rows(3, 12)
  keys[4] = keys[3]  # a tie is a miss
  want = infonce.recall_at_1(query, keys)
  assert 0 < want.sum() < len(want)
  for block in (1, 2, 4, 9):
    np.testing.assert_array_equal(
        infonce.recall_at_1(query, keys, 0, block), want)


@pytest.mark.parametrize("name", LOSSES)
def test_no_square_is_ever_held(name):
  """No array of the program, forward or backward, has B x N elements."""
  query, keys = rows(4, 96), rows(5, 128)

  def largest(block):
    fn = jax.grad(lambda q, k: LOSSES[name](q, k, block).sum(), (0, 1))
    found = []

    def walk(jaxpr):
      for eqn in jaxpr.eqns:
        found.extend(v.aval.size for v in eqn.outvars)
        for value in eqn.params.values():
          for inner in jax.tree.leaves(
              value, is_leaf=lambda v: hasattr(v, "eqns")
              or hasattr(v, "jaxpr")):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
              walk(inner)

    walk(jax.make_jaxpr(fn)(query, keys).jaxpr)
    return max(found)

  assert largest(0) >= 96 * 128
  assert largest(8) < 96 * 128 / 8
