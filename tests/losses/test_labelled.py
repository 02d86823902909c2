"""Losses of labelled rows against loops; unlabelled rows say nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.losses import labelled

UNKNOWN = (1, 4)


def test_squared_error():
  rng = np.random.default_rng(0)
  prediction, label = rng.normal(size=(2, 6)).astype(np.float32)
  label[1], label[4] = np.nan, np.inf
  want, want_grad = np.zeros(6), np.zeros(6)
  for i, (p, y) in enumerate(zip(prediction, label, strict=True)):
    if i not in UNKNOWN:
      want[i] = (float(p) - float(y)) ** 2
      want_grad[i] = 2 * (float(p) - float(y))
  got = labelled.squared_error(prediction, label)
  assert got.shape == (6,) and got.dtype == jnp.float32
  np.testing.assert_allclose(got, want, rtol=1e-5)
  assert not got[jnp.array(UNKNOWN)].any()
  grad = jax.grad(lambda p: labelled.squared_error(p, label).sum())(prediction)
  np.testing.assert_allclose(grad, want_grad, rtol=1e-5)


@pytest.mark.parametrize("classes", [2, 5])
def test_cross_entropy(classes):
  rng = np.random.default_rng(1)
  logits = 3 * rng.normal(size=(7, classes)).astype(np.float32)
  label = rng.integers(classes, size=7).astype(np.float32)
  label[list(UNKNOWN)] = np.nan
  want, want_grad = np.zeros(7), np.zeros((7, classes))
  for i, z in enumerate(np.float64(logits)):
    if i in UNKNOWN:
      continue
    total = sum(np.exp(z[j]) for j in range(classes))
    want[i] = np.log(total) - z[int(label[i])]
    for j in range(classes):
      want_grad[i, j] = np.exp(z[j]) / total - (j == label[i])
  got = labelled.cross_entropy(logits, label)
  assert got.shape == (7,) and got.dtype == jnp.float32
  np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)
  assert not got[jnp.array(UNKNOWN)].any()
  grad = jax.grad(lambda z: labelled.cross_entropy(z, label).sum())(logits)
  np.testing.assert_allclose(grad, want_grad, rtol=1e-4, atol=1e-6)


def test_no_label_at_all_is_no_loss_and_no_gradient():
  label = np.full(3, np.nan, np.float32)
  z = np.float32([[1, -2], [1e30, 0], [0, 0]])
  for loss, out in (
      (labelled.squared_error, z[:, 0]), (labelled.cross_entropy, z)
  ):
    assert not loss(out, label).any()
    assert not jax.grad(lambda x, f=loss: f(x, label).sum())(out).any()


def test_large_logits_do_not_overflow():
  logits = np.float32([[300, -300], [300, -300]])
  np.testing.assert_allclose(
      labelled.cross_entropy(logits, np.float32([0, 1])), [0, 600]
  )


def test_half_precision_outputs_give_a_float32_loss():
  logits = jnp.asarray([[0.1, 0.7], [2.3, 0.2]], jnp.bfloat16)
  label = np.float32([1, 0])
  for loss, out in (
      (labelled.squared_error, logits[:, 0]), (labelled.cross_entropy, logits)
  ):
    got = loss(out, label)
    assert got.dtype == jnp.float32
    np.testing.assert_array_equal(
        got, loss(out.astype(jnp.float32), label)
    )


def test_shapes_are_checked():
  label = np.zeros(3, np.float32)
  with pytest.raises(InputError, match=r"label: got shape \[3\], want \[B\]"):
    labelled.squared_error(np.zeros(2, np.float32), label)
  with pytest.raises(InputError, match=r"logits: got shape \[3\], want \[B, "):
    labelled.cross_entropy(label, label)
