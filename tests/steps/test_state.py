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


def infonce(params, carried, frozen, batch, key):
  q, k = batch["x"] @ params["u"], batch["y"] @ params["v"]
  keys = jax.lax.all_gather(k, meshes.ROW_AXES, tiled=True)  # [B, D]
  first = jax.lax.axis_index(meshes.ROW_AXES) * q.shape[0]
  own = first + jnp.arange(q.shape[0])
  logp = jax.nn.log_softmax(q @ keys.T, axis=-1)
  return -jnp.take_along_axis(logp, own[:, None], axis=1)[:, 0], {}, carried


def start(loss_fn, params, tx, devices, fsdp=1, **parts):
  """(mesh, compiled step, first state) of an objective on so many devices."""
  mesh = meshes.make_mesh(jax.devices()[:devices], fsdp)
  objective = states.Objective(params, loss_fn, **parts)
  step = parallel.make_parallel(states.make_update(objective, tx), mesh)
  return mesh, step, meshes.put_replicated(
      states.create(objective, tx), mesh
  )


def one_step(loss_fn, params, batch, devices, frozen=(), tx=None, **parts):
  mesh, step, state = start(
      loss_fn, params, tx or optax.sgd(1.0), devices, **parts
  )
  frozen = meshes.put_replicated(frozen, mesh)
  batch = meshes.put_rows(batch, mesh)
  return step(state, frozen, batch, jax.random.key(3))


@pytest.mark.parametrize("devices, fsdp", [(1, 1), (2, 1), (8, 1), (8, 4)])
def test_gathered_negatives_give_the_gradient_of_the_global_loss(
    devices, fsdp
):
  batch, params = batch_and_params(0)
  want_loss, want = oracle(params, batch)
  with jax.default_matmul_precision("highest"):
    state, metrics = one_step(infonce, params, batch, devices, fsdp=fsdp)
  np.testing.assert_allclose(metrics["loss"], want_loss, rtol=1e-5)
  norm = np.sqrt(sum((g**2).sum() for g in want.values()))
  np.testing.assert_allclose(metrics["grad_norm"], norm, rtol=1e-5)
  for name in params:  # plain SGD at rate 1: the update is the gradient
    got = params[name] - np.asarray(state.params[name])
    np.testing.assert_allclose(got, want[name], rtol=1e-4, atol=1e-5)
  assert int(state.step) == 1


def test_metrics_are_means_over_devices():
  batch, params = batch_and_params(1)

  def loss_fn(params, carried, frozen, batch, key):
    losses = jnp.square(batch["x"]).sum(1) * jnp.square(params["u"]).sum()
    return losses, {
        "first": batch["x"][:, 0].mean(),
        "frozen": frozen["c"],
        "index": jax.lax.axis_index(meshes.ROW_AXES),
    }, carried

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

  def loss_fn(params, carried, frozen, batch, key):
    draw = jax.random.uniform(key)
    losses = 0 * batch["x"].sum(1) * params["u"].sum() + draw
    return losses, {}, carried

  for devices in (1, 8):
    mesh, step, state = start(loss_fn, params, optax.sgd(0.0), devices)
    rows = meshes.put_rows(batch, mesh)
    for _ in range(2):
      state, metrics = step(state, {}, rows, jax.random.key(3))
      seen.append(float(metrics["loss"]))
  np.testing.assert_allclose(seen[:2], seen[2:], rtol=1e-6)
  assert seen[0] != seen[1]


def test_bf16_layers_keep_float32_gradients_between_devices():
  batch, params = batch_and_params(4)

  def loss_fn(params, carried, frozen, batch, key):
    half = jnp.bfloat16
    q = batch["x"].astype(half) @ params["u"].astype(half)
    return jnp.square(q).sum(1), {}, carried

  mesh, step, state = start(loss_fn, params, optax.sgd(1.0), 8)
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
  mesh, step, old = start(infonce, params, optax.sgd(1.0), 1)
  step(old, {}, meshes.put_rows(batch, mesh), jax.random.key(0))
  assert old.params["u"].is_deleted()


def test_what_is_carried_moves_without_a_gradient():
  """A running mean of the batch, and a target that follows the weights."""
  batch, params = batch_and_params(6)

  def loss_fn(params, carried, frozen, batch, key):
    mean = jax.lax.pmean(batch["x"].mean(0), meshes.ROW_AXES)
    losses = jnp.square(batch["x"] @ params["u"]).sum(1)
    losses += jnp.square(batch["x"] @ carried["target"]["u"]).sum(1)
    return losses, {}, {**carried, "mean": 0.5 * carried["mean"] + 0.5 * mean}

  def advance(params, carried):
    target = {"u": 0.75 * carried["target"]["u"] + 0.25 * params["u"]}
    return {**carried, "target": target}

  u, x = params["u"].copy(), batch["x"]
  for devices in (1, 8):
    carried = {"mean": np.ones(N, np.float32), "target": {"u": 0 * u}}
    state, _ = one_step(
        loss_fn, jax.tree.map(np.array, params), batch, devices,
        carried=carried, advance=advance, tx=optax.sgd(0.1),
    )
    np.testing.assert_allclose(
        state.carried["mean"], 0.5 + 0.5 * x.mean(0), rtol=1e-5, atol=1e-6
    )
    # The target took a quarter of the weights as they were before the step.
    np.testing.assert_allclose(
        state.carried["target"]["u"], 0.25 * u, rtol=1e-6
    )
    grad = 2 * x.T.astype(np.float64) @ (x @ u) / B
    np.testing.assert_allclose(
        state.params["u"], u - 0.1 * grad, rtol=1e-4, atol=1e-5
    )


def test_the_loss_of_each_cohort():
  batch, params = batch_and_params(7)
  batch["cohort"] = np.array([0, 1, 1, 0] + [0] * 12, np.int32)

  def loss_fn(params, carried, frozen, batch, key):
    return batch["x"][:, 0] + 0 * params["u"].sum(), {}, carried

  objective = states.Objective(params, loss_fn)
  tx = optax.sgd(1.0)
  for devices in (1, 8):
    mesh = meshes.make_mesh(jax.devices()[:devices])
    update = states.make_update(objective, tx, ("big", "small"))
    state = meshes.put_replicated(
        states.create(
            states.Objective(jax.tree.map(np.array, params), loss_fn), tx
        ), mesh,
    )
    _, metrics = parallel.make_parallel(update, mesh)(
        state, {}, meshes.put_rows(batch, mesh), jax.random.key(0)
    )
    for name, place in (("big", 0), ("small", 1)):
      mine = [v for v, c in zip(batch["x"][:, 0], batch["cohort"], strict=True)
              if c == place]
      assert float(metrics[f"loss/{name}"]) == pytest.approx(
          np.mean(mine), abs=1e-5
      )
