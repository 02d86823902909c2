"""Rows that share samples are no wrong answers, on one device and on eight.

The losses run on given embeddings, so that NumPy loops can own the result.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from accfm.base import mesh as meshes
from accfm.steps import contrastive, distill
from tests.losses.test_infonce import unit_rows

B, TAU = 16, 0.1
START = np.array([0, 1, 2, 9, 10, 20, 30, 31, 40, 50, 60, 61, 62, 63, 70, 80])
SPAN = np.stack([START, START + 3], axis=1).astype(np.int32)
ROWS = {
    "one": unit_rows(0, B, 5), "two": unit_rows(1, B, 5),
    "alike": unit_rows(2, B, 7), "span": SPAN,
}
SHARED = np.array([
    [i != j and abs(a - b) < 3 for j, b in enumerate(START)]
    for i, a in enumerate(START)
])


def run(loss, devices, batch):
  """(losses [B], metrics, gradients by "one" and "two") of a loss."""
  mesh = meshes.make_mesh(jax.devices()[:devices])
  rows, whole = PartitionSpec(meshes.ROW_AXES), PartitionSpec()

  def fn(batch):
    def total(params):
      losses, metrics, _ = loss(
          params, {}, {}, {**batch, **params}, jax.random.key(0))
      return losses.sum(), (losses, metrics)

    params = {name: batch[name] for name in ("one", "two")}
    grads, (losses, metrics) = jax.grad(total, has_aux=True)(params)
    return losses, jax.lax.pmean(metrics, meshes.ROW_AXES), grads

  out = jax.jit(jax.shard_map(
      fn, mesh=mesh, in_specs=rows, out_specs=(rows, whole, rows),
      check_vma=False,
  ))(batch)
  return jax.tree.map(np.asarray, out)


def infonce(query, keys, out):
  """[B] losses in float64, without the keys that `out` [B, B] leaves out."""
  losses = []
  for i, q in enumerate(np.float64(query)):
    z = [np.exp(q @ k / TAU) for j, k in enumerate(keys) if not out[i, j]]
    losses.append(np.log(sum(z)) - q @ keys[i] / TAU)
  return np.array(losses)


def recall(query, keys, out):
  return np.mean([
      all(q @ keys[i] > q @ k for j, k in enumerate(keys)
          if j != i and not out[i, j]) for i, q in enumerate(np.float64(query))
  ])


def koleo(z, out):
  losses = []
  for i, one in enumerate(np.float64(z)):
    near = min(np.linalg.norm(one - other) for j, other in enumerate(z)
               if j != i and not out[i, j])
    losses.append(-np.log(near + 1e-8))
  return np.array(losses)


def views(koleo_weight, block, momentum):
  def embed(params, carried, key, view, batch):
    return batch[view], carried

  target = (lambda carried, key, view, batch: batch[view]) if momentum else None
  return contrastive.make_loss(embed, TAU, target, koleo_weight, block)


def pair(weight, block, soft=0.0):
  def embed(params, carried, key, batch):
    return batch["one"], carried

  def teach(params, carried, frozen, key, batch):
    if not soft:
      return batch["two"], carried
    return jnp.concatenate([batch["two"], batch["alike"]], axis=1), carried

  return distill.make_loss(
      "contrastive", embed, teach, TAU, weight, block, distill.Soft(soft, 0.3))


LOSSES = {
    "views": views(0.5, 0, False), "momentum": views(0.0, 3, True),
    "pair": pair(0.3, 0), "soft": pair(0.7, 1, 0.4),
}


@pytest.mark.parametrize("name", LOSSES)
def test_one_device_and_eight_leave_the_same_rows_out(name):
  one, eight = (run(LOSSES[name], n, ROWS) for n in (1, 8))
  every = run(LOSSES[name], 1, {k: v for k, v in ROWS.items() if k != "span"})
  for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(eight), strict=True):
    np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-5)
  assert np.abs(one[0] - every[0]).max() > 0.01
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(one))


def test_the_losses_are_those_without_the_shared_keys():
  q, k = np.float64(ROWS["one"]), np.float64(ROWS["two"])
  assert SHARED.sum() == 20
  losses, metrics, _ = run(LOSSES["views"], 8, ROWS)
  want = 0.5 * (infonce(q, k, SHARED) + infonce(k, q, SHARED))
  want += 0.5 * 0.5 * (koleo(q, SHARED) + koleo(k, SHARED))
  np.testing.assert_allclose(losses, want, rtol=1e-5, atol=1e-5)
  assert metrics["recall@1"] == pytest.approx(recall(q, k, SHARED))
  losses, _, _ = run(LOSSES["momentum"], 8, ROWS)
  want = 0.5 * (infonce(q, k, SHARED) + infonce(k, q, SHARED))
  np.testing.assert_allclose(losses, want, rtol=1e-5, atol=1e-5)
  losses, _, _ = run(LOSSES["pair"], 8, ROWS)
  want = 0.3 * infonce(q, k, SHARED) + 0.7 * infonce(k, q, SHARED)
  np.testing.assert_allclose(losses, want, rtol=1e-5, atol=1e-5)


def test_a_shared_key_is_no_soft_target_either():
  alike = np.float64(ROWS["alike"])
  alike = alike - alike.mean(0)
  alike /= np.linalg.norm(alike, axis=1, keepdims=True)

  def cross_entropy(query, keys):
    losses = []
    for i, q in enumerate(np.float64(query)):
      kept = [j for j in range(B) if not SHARED[i, j]]
      z = np.array([q @ keys[j] / TAU for j in kept])
      log_p = z - np.log(np.exp(z).sum())
      y = np.exp([alike[i] @ alike[j] / 0.3 for j in kept])
      y = 0.4 * y / y.sum()
      y[kept.index(i)] += 0.6
      losses.append(-(y * log_p).sum())
    return np.array(losses)

  losses, _, _ = run(LOSSES["soft"], 8, ROWS)
  want = 0.7 * cross_entropy(ROWS["one"], ROWS["two"])
  want += 0.3 * cross_entropy(ROWS["two"], ROWS["one"])
  np.testing.assert_allclose(losses, want, rtol=1e-5, atol=1e-5)


def test_rows_with_pairs_have_no_overlapping_neighbours():
  assert contrastive.gather_spans({"span": SPAN, "pair": {}}) is None
  assert contrastive.gather_spans({}) is None
