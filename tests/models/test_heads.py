"""Heads against their formulas; which heads a distillation has."""

import re

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.models import build, heads
from tests.models import fresh


def embeddings(b=5, d=8, seed=0):
  rng = np.random.default_rng(seed)
  return (3 * rng.normal(size=(b, d)) + 1).astype(np.float32)


def unit_rows(x):
  return np.stack([row / np.sqrt(sum(row * row)) for row in np.float64(x)])


def test_identity_is_the_embedding():
  x, head = embeddings(), heads.IdentityHead(normalize=False)
  assert fresh.variables(head, x) == {}
  np.testing.assert_array_equal(head.apply({}, x), x)
  half = head.apply({}, x.astype(jnp.bfloat16))
  assert half.dtype == jnp.float32
  np.testing.assert_array_equal(half, x.astype(jnp.bfloat16))


def test_identity_has_unit_rows_unless_told_otherwise():
  x, head = embeddings(), heads.IdentityHead()
  assert fresh.variables(head, x) == {}
  np.testing.assert_allclose(head.apply({}, x), unit_rows(x), rtol=1e-5)


def test_unit_is_safe_at_zero():
  x = embeddings()
  x[2] = 0
  got = heads.unit(x)
  np.testing.assert_array_equal(got[2], 0)
  weights = embeddings(seed=1)
  grad = jax.grad(lambda x: (weights * heads.unit(x)).sum())(x)
  assert np.isfinite(grad).all() and grad.any()


def test_predictor_is_one_linear_map():
  x, head = embeddings(), heads.Predictor(3)
  variables = fresh.variables(head, x)
  assert jax.tree.map(np.shape, variables) == {
      "params": {"out": {"kernel": (8, 3), "bias": (3,)}}
  }
  out = variables["params"]["out"]
  want = np.zeros((5, 3))
  for i, j in np.ndindex(5, 3):
    want[i, j] = out["bias"][j] + sum(
        float(x[i, d]) * float(out["kernel"][d, j]) for d in range(8)
    )
  got = head.apply(variables, x)
  assert got.dtype == jnp.float32
  np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
  half = x.astype(jnp.bfloat16)
  np.testing.assert_array_equal(
      head.apply(variables, half),
      head.apply(variables, half.astype(jnp.float32)),
  )


@pytest.mark.parametrize("bins", [1, 2])
def test_a_linear_head_of_free_length(bins):
  """Layer norm of each part and one map for all of them, by hand."""
  x, head = embeddings(), heads.MLPHead(0, 6, bins, normalize=False)
  variables = fresh.variables(head, x)
  norm, dense = (
      variables["params"][name] for name in ("LayerNorm_0", "Dense_0")
  )
  want = []
  for row in np.float64(x):
    parts = []
    for part in np.split(row, bins):
      z = (part - part.mean()) / np.sqrt(part.var() + 1e-6)
      z = z * norm["scale"] + norm["bias"]
      parts.append(z @ dense["kernel"] + dense["bias"])
    want.append(np.concatenate(parts))
  got = head.apply(variables, x)
  np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
  assert np.ptp(np.linalg.norm(got, axis=1)) > 0.1


def test_normalising_is_all_that_differs():
  x = embeddings()
  free, fixed = (heads.MLPHead(7, 4, normalize=n) for n in (False, True))
  variables = fresh.variables(free, x)
  np.testing.assert_allclose(
      fixed.apply(variables, x), unit_rows(free.apply(variables, x)),
      rtol=1e-4, atol=1e-6,
  )
  default = heads.MLPHead(7, 4).apply(variables, x)
  np.testing.assert_array_equal(default, fixed.apply(variables, x))


def test_bins_that_do_not_divide_the_embedding():
  with pytest.raises(InputError, match=re.escape(
      "head.bins: got 3 for embeddings of 8 values, want a divisor"
  )):
    fresh.variables(heads.MLPHead(0, 6, 3), embeddings())


# --- the two heads of a distillation -----------------------------------------


def config(out):
  return ml_collections.ConfigDict(
      dict(hidden=5, out=out, bins=1, dtype="float32")
  )


@pytest.mark.parametrize("normalize", [True, False])
def test_two_projections_of_one_size(normalize):
  mine, theirs = heads.distill_configs(config(6), "mlp", normalize, 11)
  assert mine == theirs == {
      "hidden": 5, "out": 6, "bins": 1, "dtype": "float32",
      "normalize": normalize,
  }
  assert build.build_head(mine) == heads.MLPHead(5, 6, normalize=normalize)


@pytest.mark.parametrize("out", [0, 11])
@pytest.mark.parametrize("normalize", [True, False])
def test_a_projection_to_the_teachers_embedding(out, normalize):
  mine, theirs = heads.distill_configs(config(out), "identity", normalize, 11)
  assert build.build_head(mine) == heads.MLPHead(5, 11, normalize=normalize)
  assert build.build_head(theirs) == heads.IdentityHead(normalize)


def test_the_config_of_the_head_stays_as_it_was():
  head = config(0)
  heads.distill_configs(head, "identity", False, 11)
  assert head == config(0)


@pytest.mark.parametrize("out, teacher_head, want", [
    (0, "mlp", "head.out: got 0, want the size of both projections"),
    (6, "linear", "teacher_head: got 'linear', want 'mlp' or 'identity'"),
    (6, "identity",
     "head.out: got 6 beside a teacher's embedding of 11, want that number or "
     "0 for it; set --config.head.out=0"),
])
def test_heads_that_do_not_fit(out, teacher_head, want):
  with pytest.raises(InputError, match=re.escape(want)):
    heads.distill_configs(config(out), teacher_head, True, 11)
