"""The masked error against a loop over patches."""

import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.losses import masked_mse


def test_masked_mse_counts_hidden_patches_only():
  rng = np.random.default_rng(0)
  prediction, target = rng.normal(size=(2, 4, 6, 5)).astype(np.float32)
  hidden = (rng.random((4, 6)) < 0.5).astype(np.float32)
  hidden[:, 0] = 1
  want = []
  for b in range(4):
    errors = [
        (float(p) - float(t)) ** 2
        for patch in range(6) if hidden[b, patch]
        for p, t in zip(prediction[b, patch], target[b, patch], strict=True)
    ]
    want.append(sum(errors) / len(errors))
  got = masked_mse.masked_mse(prediction, target, hidden)
  assert got.shape == (4,) and got.dtype == np.float32
  np.testing.assert_allclose(got, want, rtol=1e-5)
  # What was visible does not matter.
  seen = prediction + 100 * (1 - hidden[..., None])
  np.testing.assert_allclose(
      masked_mse.masked_mse(seen, target, hidden), got, rtol=1e-6
  )


def test_normalized_patches():
  rng = np.random.default_rng(1)
  patches = (3 + 5 * rng.normal(size=(2, 3, 40))).astype(np.float32)
  patches[0, 1] = 7.0  # without variation
  got = masked_mse.normalize_patches(patches)
  for b in range(2):
    for patch in range(3):
      row = np.float64(patches[b, patch])
      want = (row - row.mean()) / np.sqrt(row.var() + 1e-6)
      np.testing.assert_allclose(got[b, patch], want, atol=1e-4)
  np.testing.assert_array_equal(got[0, 1], 0.0)


def test_shapes_are_checked():
  x = np.zeros((2, 3, 4), np.float32)
  with pytest.raises(InputError, match="hidden: got shape"):
    masked_mse.masked_mse(x, x, np.ones((2, 4), np.float32))
