"""A state split over devices makes the step of one that is whole."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from accfm.base import mesh as meshes
from accfm.steps import fsdp
from accfm.steps import state as states
from accfm.train import checkpoints, optim, parallel, sharding
from tests.steps import wired
from tests.train.test_optim import config as optim_config


@pytest.mark.parametrize("path, shape, fsdp, model, want", [
    (("encoder", "mlp_in", "kernel"), (64, 256), 4, 1, P(None, "fsdp")),
    (("encoder", "mlp_out", "kernel"), (256, 64), 4, 1, P("fsdp")),
    (("encoder", "mlp_out", "kernel"), (256, 64), 4, 2, P("model", "fsdp")),
    (("encoder", "mlp_in", "kernel"), (64, 256), 4, 2, P("fsdp", "model")),
    (("encoder", "mlp_in", "bias"), (256,), 4, 2, P("model")),
    (("encoder", "mlp_out", "bias"), (64,), 4, 2, P()),
    (("encoder", "embed", "kernel"), (64, 256), 1, 2, P()),
    (("encoder", "embed", "kernel"), (33, 77), 4, 2, P()),  # nothing divides
    (("encoder", "norm", "scale"), (64,), 4, 1, P()),  # too small to matter
    (("temperature",), (), 4, 2, P()),
])
def test_the_rule(path, shape, fsdp, model, want):
  mesh = meshes.make_mesh(fsdp=fsdp, model=model)
  assert sharding.spec(path, shape, mesh) == want


@functools.cache
def trained(kind, devices, fsdp=1, model=1, steps=2):
  """(state, metrics) after AdamW steps that are clipped, and the mesh."""
  made = wired.build(kind)
  mesh = meshes.make_mesh(jax.devices()[:devices], fsdp, model)
  tx, _ = optim.make_optimizer(optim_config(clip_norm=0.1))
  specs = sharding.state_specs(states.shapes(made, tx), mesh)
  update = states.make_update(
      made, tx, dims=sharding.split_dims(specs.params)
  )
  step = parallel.make_parallel(update, mesh, sharding.row_specs(specs))
  made = dataclasses.replace(
      made, params=jax.tree.map(np.array, made.params),
      carried=jax.tree.map(np.array, made.carried),
  )
  state = sharding.place(states.create(made, tx), mesh)
  before = jax.tree.map(lambda x: x.sharding, state)
  frozen = meshes.put_replicated(made.frozen, mesh)
  batch = meshes.put_rows(wired.make_batch(), mesh)
  with jax.default_matmul_precision("highest"):
    for _ in range(steps):
      state, metrics = step(state, frozen, batch, jax.random.key(0))
  return state, metrics, before


@pytest.fixture
def small(monkeypatch):
  """Tiny encoders have small leaves."""
  monkeypatch.setattr(sharding, "LEAST", 16)


@pytest.mark.parametrize("kind, fsdp, model", [
    ("mae", 4, 1),
    pytest.param("mae", 2, 2, marks=pytest.mark.full),
    pytest.param("distill", 2, 2, marks=pytest.mark.full),
    pytest.param("momentum", 8, 1, marks=pytest.mark.full),
    pytest.param("efficientnet", 4, 1, marks=pytest.mark.full),
])
def test_split_or_whole_is_one_step(kind, fsdp, model, small):
  whole, want, _ = trained(kind, 1)
  parts, got, before = trained(kind, 8, fsdp, model)
  for name, value in want.items():
    np.testing.assert_allclose(got[name], value, rtol=2e-4, err_msg=name)
  start = wired.build(kind).params
  moved = jax.tree.map(
      lambda a, b, c: (np.asarray(a) - c, np.asarray(b) - c),
      whole.params, parts.params, start,
  )
  pairs = jax.tree.leaves(moved, is_leaf=lambda x: isinstance(x, tuple))
  far = np.array([np.linalg.norm(a - b) for a, b in pairs])
  size = np.array([np.linalg.norm(a) for a, _ in pairs])
  # AdamW makes a whole step of any gradient, also one that is rounding.
  assert np.linalg.norm(far) < 1e-2 * np.linalg.norm(size)
  # Each device holds its part, before and after.
  assert jax.tree.map(lambda x: x.sharding, parts) == before
  share = sum(
      x.addressable_shards[0].data.size
      for x in jax.tree.leaves((parts.params, parts.opt_state))
  ) / sum(x.size for x in jax.tree.leaves((parts.params, parts.opt_state)))
  assert share < 1.5 / fsdp


def test_parts_are_gathered_and_gradients_scattered():
  """Against the whole: x -> gather -> x, and the mean of eight gradients."""
  mesh = meshes.make_mesh(fsdp=4)
  x = {"a": np.arange(24.0, dtype=np.float32).reshape(3, 8),
       "b": np.arange(5, dtype=np.float32)}
  dims = {"a": 1, "b": -1}
  specs = {"a": P(None, "fsdp"), "b": P()}
  rows = np.arange(8, dtype=np.float32)

  def body(x, row):
    full = fsdp.gather_params(x, dims)
    mine = jax.tree.map(
        lambda p: jax.lax.pcast(p, meshes.ROW_AXES, to="varying") * row[0], full
    )
    mean = fsdp.scatter_gradients(mine, dims)
    return full, mean, fsdp.global_norm(mean, dims)

  full, mean, norm = jax.jit(jax.shard_map(
      body, mesh=mesh, in_specs=(specs, P(meshes.ROW_AXES)),
      out_specs=(P(), specs, P()), axis_names=set(meshes.ROW_AXES),
  ))(x, rows)
  for name, value in x.items():
    np.testing.assert_array_equal(full[name], value)
    np.testing.assert_allclose(mean[name], value * rows.mean(), rtol=1e-6)
  want = rows.mean() * np.sqrt(sum((v ** 2).sum() for v in x.values()))
  assert float(norm) == pytest.approx(want, rel=1e-6)


def test_a_checkpoint_of_parts_loads_whole_and_back(tmp_path, small):
  parts, _, _ = trained("mae", 8, 4, 1)
  whole, _, _ = trained("mae", 1)
  with checkpoints.Checkpoints(tmp_path / "checkpoints") as saved:
    saved.save(2, parts, {}, {"kind": "mae", "config": {}})
  with checkpoints.Checkpoints(tmp_path / "checkpoints") as saved:
    _, loaded, _ = saved.restore(whole, {})
    _, again, _ = saved.restore(parts, {})
  for one, two, three in zip(*map(jax.tree.leaves, (parts, loaded, again)),
                             strict=True):
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one, three)
    assert three.sharding == one.sharding
    assert len(two.sharding.device_set) == 1
