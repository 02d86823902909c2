"""Attention and positions are those of their formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from accfm.models import transformer
from tests.models import fresh


def test_attention_against_a_loop():
  x = np.random.default_rng(0).normal(size=(2, 5, 8)).astype(np.float32)
  attention = transformer.Attention(heads=2, dtype=jnp.float32)
  variables = fresh.variables(attention, x)
  p = jax.tree.map(np.float64, variables["params"])
  want = np.zeros((2, 5, 8))
  for b in range(2):
    qkv = x[b] @ p["qkv"]["kernel"] + p["qkv"]["bias"]
    q, k, v = qkv[:, :8], qkv[:, 8:16], qkv[:, 16:]
    for h in (slice(0, 4), slice(4, 8)):
      for i in range(5):
        weight = np.exp([q[i, h] @ k[j, h] / 2 for j in range(5)])
        want[b, i, h] = (weight / weight.sum()) @ v[:, h]
    want[b] = want[b] @ p["out"]["kernel"] + p["out"]["bias"]
  np.testing.assert_allclose(
      attention.apply(variables, x), want, rtol=1e-4, atol=1e-5
  )


def test_positions_against_a_loop():
  got = transformer.sinusoidal_positions(7, 6)
  for place in range(7):
    for i in range(3):
      angle = place / 10_000 ** (i / 3)
      assert got[place, i] == pytest.approx(np.sin(angle), abs=1e-6)
      assert got[place, 3 + i] == pytest.approx(np.cos(angle), abs=1e-6)
