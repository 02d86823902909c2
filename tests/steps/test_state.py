"""The shared update: one device and eight agree with a NumPy oracle."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from accfm.base import mesh as meshes
from accfm.steps import state as states
from accfm.train import parallel

B, N, D = 16, 5, 3


def batch_and_params(seed):
  rng = np.random.default_rng(seed)
  batch = {
      "x": rng.normal(size=(B, N)).astype(np.float32),
      "y": rng.normal(size=(B, N)).astype(np.float32),
  }
  params = {
      "u": rng.normal(size=(N, D)).astype(np.float32),
      "v": rng.normal(size=(N, D)).astype(np.float32),
  }
  return batch, params


def oracle(params, batch):
  """Mean InfoNCE and its gradients, float64, row by row.

  Logits z_ij = q_i . k_j with q = x u, k = y v; loss_i = -log p_ii and
  d loss_i / d z_ij = p_ij - [i == j]. The keys get gradients from all rows.
  """
  u, v = (np.float64(params[n]) for n in "uv")
  x, y = (np.float64(batch[n]) for n in "xy")
  q, k = x @ u, y @ v
  loss, dq, dk = 0.0, np.zeros_like(q), np.zeros_like(k)
  for i in range(B):
    z = np.array([q[i] @ k[j] for j in range(B)])
    p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
    loss -= np.log(p[i]) / B
    for j in range(B):
      dz = (p[j] - (i == j)) / B
      dq[i] += dz * k[j]
      dk[j] += dz * q[i]
  return loss, {"u": x.T @ dq, "v": y.T @ dk}


def infonce(params, frozen, batch, key):
  q, k = batch["x"] @ params["u"], batch["y"] @ params["v"]
  keys = jax.lax.all_gather(k, "data", tiled=True)  # [B, D]
  own = jax.lax.axis_index("data") * q.shape[0] + jnp.arange(q.shape[0])
  logp = jax.nn.log_softmax(q @ keys.T, axis=-1)
  return -jnp.take_along_axis(logp, own[:, None], axis=1)[:, 0], {}


def one_step(loss_fn, params, batch, devices, frozen=(), tx=None):
  mesh = meshes.make_mesh(jax.devices()[:devices])
  tx = tx or optax.sgd(1.0)
  step = parallel.make_parallel(states.make_update(loss_fn, tx), mesh)
  state = meshes.put_replicated(states.create(params, tx), mesh)
  frozen = meshes.put_replicated(frozen, mesh)
  batch = meshes.put_rows(batch, mesh)
  return step(state, frozen, batch, jax.random.key(3))


@pytest.mark.parametrize("devices", [1, 2, 8])
def test_gathered_negatives_give_the_gradient_of_the_global_loss(devices):
  batch, params = batch_and_params(0)
  want_loss, want = oracle(params, batch)
  with jax.default_matmul_precision("highest"):
    state, metrics = one_step(infonce, params, batch, devices)
  np.testing.assert_allclose(metrics["loss"], want_loss, rtol=1e-5)
  norm = np.sqrt(sum((g**2).sum() for g in want.values()))
  np.testing.assert_allclose(metrics["grad_norm"], norm, rtol=1e-5)
  for name in params:  # plain SGD at rate 1: the update is the gradient
    got = params[name] - np.asarray(state.params[name])
    np.testing.assert_allclose(got, want[name], rtol=1e-4, atol=1e-5)
  assert int(state.step) == 1


def test_metrics_are_means_over_devices():
  batch, params = batch_and_params(1)

  def loss_fn(params, frozen, batch, key):
    losses = jnp.square(batch["x"]).sum(1) * jnp.square(params["u"]).sum()
    return losses, {
        "first": batch["x"][:, 0].mean(),
        "frozen": frozen["c"],
        "index": jax.lax.axis_index("data"),
    }

  _, metrics = one_step(
      loss_fn, params, batch, 8, frozen={"c": np.float32(7)}
  )
  np.testing.assert_allclose(
      metrics["first"], batch["x"][:, 0].mean(), rtol=1e-5
  )
  assert float(metrics["frozen"]) == 7
  assert float(metrics["index"]) == 3.5
  assert all(m.dtype == jnp.float32 for m in metrics.values())


def test_the_key_follows_the_step_and_not_the_device():
  batch, params = batch_and_params(2)
  seen = []

  def loss_fn(params, frozen, batch, key):
    draw = jax.random.uniform(key)
    return 0 * batch["x"].sum(1) * params["u"].sum() + draw, {}

  for devices in (1, 8):
    mesh = meshes.make_mesh(jax.devices()[:devices])
    tx = optax.sgd(0.0)
    step = parallel.make_parallel(states.make_update(loss_fn, tx), mesh)
    state = meshes.put_replicated(states.create(params, tx), mesh)
    rows = meshes.put_rows(batch, mesh)
    for _ in range(2):
      state, metrics = step(state, {}, rows, jax.random.key(3))
      seen.append(float(metrics["loss"]))
  np.testing.assert_allclose(seen[:2], seen[2:], rtol=1e-6)
  assert seen[0] != seen[1]


def test_bf16_layers_keep_float32_gradients_between_devices():
  batch, params = batch_and_params(4)

  def loss_fn(params, frozen, batch, key):
    half = jnp.bfloat16
    q = batch["x"].astype(half) @ params["u"].astype(half)
    return jnp.square(q).sum(1), {}

  mesh = meshes.make_mesh(jax.devices()[:8])
  tx = optax.sgd(1.0)
  step = parallel.make_parallel(states.make_update(loss_fn, tx), mesh)
  state = meshes.put_replicated(states.create(params, tx), mesh)
  compiled = step.lower(
      state, {}, meshes.put_rows(batch, mesh), jax.random.key(0)
  ).compile()
  reduced = [
      line for line in compiled.as_text().splitlines()
      if " all-reduce(" in line or " all-reduce-start(" in line
  ]
  assert reduced
  assert not [line for line in reduced if "bf16" in line.split("=")[1]]


def test_the_old_state_is_donated():
  batch, params = batch_and_params(5)
  mesh = meshes.make_mesh(jax.devices()[:1])
  tx = optax.sgd(1.0)
  step = parallel.make_parallel(states.make_update(infonce, tx), mesh)
  old = meshes.put_replicated(states.create(params, tx), mesh)
  step(old, {}, meshes.put_rows(batch, mesh), jax.random.key(0))
  assert old.params["u"].is_deleted()
