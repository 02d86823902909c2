"""Losses of prediction against loops in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.losses import regression


def pair(seed=0, b=5, d=4):
  rng = np.random.default_rng(seed)
  return rng.normal(size=(2, b, d)).astype(np.float32) * np.float32([[[3]]])


def cosine(a, b):
  """1 - cos of each row and its gradient by the first, in float64."""
  losses, grads = [], []
  for x, y in zip(np.float64(a), np.float64(b), strict=True):
    inner = sum(p * q for p, q in zip(x, y, strict=True))
    m, n = np.sqrt(sum(x * x)), np.sqrt(sum(y * y))
    losses.append(1 - inner / (m * n))
    grads.append(-(y / n - inner / (m * n) * x / m) / m)
  return np.array(losses), np.array(grads)


def test_cosine():
  a, b = pair()
  want, want_grad = cosine(a, b)
  got = regression.cosine(a, b)
  assert got.shape == (5,) and got.dtype == jnp.float32
  np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
  grad = jax.grad(lambda a: regression.cosine(a, b).sum())(a)
  np.testing.assert_allclose(grad, want_grad, rtol=1e-4, atol=1e-6)


def test_cosine_tells_direction_alone():
  a, _ = pair(1)
  np.testing.assert_allclose(regression.cosine(a, 7 * a), 0.0, atol=1e-6)
  np.testing.assert_allclose(regression.cosine(a, -0.1 * a), 2.0, rtol=1e-6)
  across = np.float32([[1, 0]]), np.float32([[0, 3]])
  np.testing.assert_allclose(regression.cosine(*across), 1.0)


@pytest.mark.parametrize("loss", [regression.cosine, regression.mse])
def test_zero_rows_are_safe(loss):
  a, b = pair(2)
  a[1], b[2] = 0, 0
  a[3], b[3] = 0, 0
  got = loss(a, b)
  if loss is regression.cosine:
    np.testing.assert_allclose(got[1:4], 1.0)
  grads = jax.grad(lambda a, b: loss(a, b).sum(), argnums=(0, 1))(a, b)
  assert np.isfinite(got).all()
  assert all(np.isfinite(grad).all() for grad in grads)


def test_mse():
  a, b = pair(3)
  want = [
      sum((float(p) - float(q)) ** 2 for p, q in zip(x, y, strict=True)) / 4
      for x, y in zip(a, b, strict=True)
  ]
  got = regression.mse(a, b)
  assert got.shape == (5,) and got.dtype == jnp.float32
  np.testing.assert_allclose(got, want, rtol=1e-5)
  grad = jax.grad(lambda a: regression.mse(a, b).sum())(a)
  np.testing.assert_allclose(grad, 2 * (a - b) / 4, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("loss", [regression.cosine, regression.mse])
def test_half_precision_rows_give_a_float32_loss(loss):
  halves = [jnp.asarray(x, jnp.bfloat16) for x in pair(4)]
  got = loss(*halves)
  assert got.dtype == jnp.float32
  np.testing.assert_array_equal(
      got, loss(*(x.astype(jnp.float32) for x in halves))
  )


@pytest.mark.parametrize("loss", [regression.cosine, regression.mse])
def test_shapes_are_checked(loss):
  a, b = pair(5)
  with pytest.raises(InputError, match=r"target: got shape \[5, 3\], want"):
    loss(a, b[:, :3])
  with pytest.raises(InputError, match=r"target: got shape \[4, 4\], want"):
    loss(a, b[:4])
