"""Soft targets against a NumPy double loop over the whole cross-entropy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from accfm.losses import infonce, soft_targets
from tests.losses.test_infonce import unit_rows


def oracle(query, keys, own, others, tau, soft, weight, first=0):
  """Losses [B] and gradients of their sum by query and keys, in float64.

  loss_i = -sum_j y_ij log p_ij, with d loss_i / d z_ij = p_ij - y_ij.
  """
  query, keys = np.float64(query), np.float64(keys)
  own, others = np.float64(own), np.float64(others)
  losses, dq, dk = np.zeros(len(query)), 0 * query, 0 * keys
  for i in range(len(query)):
    z = np.array([query[i] @ k / tau for k in keys])
    p = np.exp(z) / np.exp(z).sum()
    alike = np.array([np.exp(own[i] @ o / soft) for o in others])
    y = weight * alike / alike.sum()
    y[first + i] += 1 - weight
    assert y.sum() == pytest.approx(1.0)
    for j in range(len(keys)):
      losses[i] -= y[j] * np.log(p[j])
      dq[i] += (p[j] - y[j]) * keys[j] / tau
      dk[j] += (p[j] - y[j]) * query[i] / tau
  return losses, dq, dk


def loss(query, keys, own, others, tau, soft, weight, first=0, block=0):
  """What a step adds up."""
  gap = soft_targets.soft_gap(
      query, keys, own, others, tau, soft, first, block
  )
  return infonce.infonce(query, keys, tau, first, block) + weight * gap


def inputs(b, n, first):
  """Unit rows of queries, keys, and the teacher's own of another width."""
  others = unit_rows(3, n, 7)
  return unit_rows(0, b, 5), unit_rows(1, n, 5), others[first:first + b], others


@pytest.mark.parametrize("b, n, first", [(6, 6, 0), (3, 9, 0), (3, 9, 5)])
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("block", [0, 2])
def test_values_and_gradients(b, n, first, weight, block):
  rows = inputs(b, n, first)
  want, *want_grads = oracle(*rows, 0.2, 0.3, weight, first)
  got = loss(*rows, 0.2, 0.3, weight, first, block)
  assert got.shape == (b,) and got.dtype == jnp.float32
  np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
  grads = jax.grad(
      lambda *rows: loss(*rows, 0.2, 0.3, weight, first, block).sum(),
      argnums=(0, 1, 2, 3),
  )(*rows)
  for grad, want in zip(grads, want_grads, strict=False):
    np.testing.assert_allclose(grad, want, rtol=1e-4, atol=1e-4)
  for grad in grads[2:]:  # the targets are constants
    assert not np.asarray(grad).any()


def test_alike_rows_share_the_target_and_a_cold_target_is_the_own_row():
  """Two rows that the teacher cannot tell apart: half the target each."""
  own = np.eye(3, dtype=np.float32)[[0, 0, 1]]
  query, keys = unit_rows(0, 3, 5), unit_rows(1, 3, 5)
  gap = soft_targets.soft_gap(query, keys, own, own, 1.0, 1e-3)
  z = query @ keys.T
  want = [z[0, 0] - z[0, :2].mean(), z[1, 1] - z[1, :2].mean(), 0.0]
  np.testing.assert_allclose(gap, want, atol=1e-6)


def test_centring():
  every = np.float32([[3, 1], [3, -1], [5, 0], [1, 0]])
  got = soft_targets.centred(every[:2], every)
  np.testing.assert_allclose(got, [[0, 1], [0, -1]], atol=1e-6)
  same = np.ones((3, 2), np.float32)  # no NaN where all rows are alike
  assert np.isfinite(soft_targets.centred(same, same)).all()
