"""InfoNCE and recall against NumPy double loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.losses import infonce


def unit_rows(seed, n, d):
  x = np.random.default_rng(seed).normal(size=(n, d))
  return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def oracle(query, keys, temperature, first=0):
  """Losses [B] and the gradients of their sum, in float64, pair by pair.

  z_ij = q_i . k_j / tau; loss_i = log sum_j exp z_ij - z_ii and
  d loss_i / d z_ij = p_ij - [j is i's own].
  """
  q, k = np.float64(query), np.float64(keys)
  losses, dq, dk, dtau = np.zeros(len(q)), 0 * q, 0 * k, 0.0
  for i in range(len(q)):
    z = [sum(q[i] * k[j]) / temperature for j in range(len(k))]
    total = sum(np.exp(z[j]) for j in range(len(k)))
    losses[i] = np.log(total) - z[first + i]
    for j in range(len(k)):
      dz = np.exp(z[j]) / total - (j == first + i)
      dq[i] += dz * k[j] / temperature
      dk[j] += dz * q[i] / temperature
      dtau -= dz * z[j] / temperature
  return losses, dq, dk, dtau


@pytest.mark.parametrize("b, n, first", [(6, 6, 0), (3, 9, 0), (3, 9, 5)])
@pytest.mark.parametrize("temperature", [0.04, 1.0])
def test_values_and_gradients(b, n, first, temperature):
  query, keys = unit_rows(0, b, 5), unit_rows(1, n, 5)
  want, *want_grads = oracle(query, keys, temperature, first)
  got = infonce.infonce(query, keys, temperature, first)
  assert got.shape == (b,) and got.dtype == jnp.float32
  np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)

  def total(query, keys, temperature):
    return infonce.infonce(query, keys, temperature, first).sum()

  grads = jax.grad(total, argnums=(0, 1, 2))(
      query, keys, jnp.float32(temperature)
  )
  for grad, want in zip(grads, want_grads, strict=True):
    np.testing.assert_allclose(grad, want, rtol=1e-3, atol=1e-3)


def test_temperature_and_offset_may_be_traced():
  query, keys = unit_rows(0, 3, 5), unit_rows(1, 9, 5)
  got = jax.jit(infonce.infonce)(query, keys, 0.1, 4)
  np.testing.assert_allclose(
      got, oracle(query, keys, 0.1, 4)[0], rtol=1e-5, atol=1e-5
  )


def test_half_precision_inputs_give_a_float32_loss():
  query, keys = unit_rows(0, 4, 8), unit_rows(1, 4, 8)
  got = infonce.infonce(
      jnp.asarray(query, jnp.bfloat16), jnp.asarray(keys, jnp.bfloat16), 0.04
  )
  rounded = (np.asarray(jnp.asarray(x, jnp.bfloat16), np.float64)
             for x in (query, keys))
  assert got.dtype == jnp.float32
  np.testing.assert_allclose(got, oracle(*rounded, 0.04)[0], rtol=1e-4)


def test_a_small_temperature_does_not_overflow():
  x = np.eye(4, dtype=np.float32)
  np.testing.assert_allclose(infonce.infonce(x, x, 1e-3), 0.0, atol=1e-6)
  np.testing.assert_allclose(
      infonce.infonce(x, np.roll(x, 1, 0), 1e-3), 1000.0, rtol=1e-5
  )


def test_equal_keys_cost_the_logarithm_of_their_number():
  x = np.repeat(unit_rows(0, 1, 6), 7, axis=0)
  np.testing.assert_allclose(infonce.infonce(x, x, 0.04), np.log(7), rtol=1e-5)


def test_shapes_are_checked():
  with pytest.raises(InputError, match="keys: got shape"):
    infonce.infonce(unit_rows(0, 3, 5), unit_rows(0, 3, 4), 1.0)


@pytest.mark.parametrize("first", [0, 4])
def test_recall_at_1(first):
  query, keys = unit_rows(2, 12, 3), unit_rows(3, 16, 3)
  keys[first:first + 12] = 0.5 * keys[first:first + 12] + query
  want = []
  for i, q in enumerate(query):
    own = first + i
    nearer = [j for j in range(16)
              if j != own and q @ keys[j] >= q @ keys[own]]
    want.append(float(not nearer))
  assert 2 < sum(want) < 11
  np.testing.assert_array_equal(
      infonce.recall_at_1(query, keys, first), want
  )


@pytest.mark.parametrize("seed", range(4))
def test_a_tie_counts_against(seed):
  """Twice the same key: whichever rounding, it is not found."""
  query = unit_rows(seed, 8, 33)
  keys = np.concatenate([query, query])
  np.testing.assert_array_equal(infonce.recall_at_1(query, keys), 0.0)
  np.testing.assert_array_equal(infonce.recall_at_1(query, query), 1.0)
