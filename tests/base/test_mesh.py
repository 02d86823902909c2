"""Batches are split by rows, parameters copied, on 1 device and on 8."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

from accfm.base import mesh
from accfm.base.errors import InputError


@pytest.fixture(params=[1, 8])
def some_mesh(request):
  return mesh.make_mesh(jax.devices()[: request.param])


def test_the_default_mesh_holds_all_devices():
  m = mesh.make_mesh()
  assert dict(m.shape) == {"data": 8, "fsdp": 1, "model": 1}
  assert m.axis_types == (AxisType.Auto,) * 3


def test_axes_that_a_config_asks_for():
  m = mesh.make_mesh(fsdp=2, model=2)
  assert dict(m.shape) == {"data": 2, "fsdp": 2, "model": 2}
  assert mesh.row_shards(m) == 4
  x = mesh.put_rows(np.arange(8.0), m)
  for place, device in np.ndenumerate(m.devices):
    mine = next(s for s in x.addressable_shards if s.device == device)
    first = 4 * place[0] + 2 * place[1]  # whatever its place in `model`
    np.testing.assert_array_equal(mine.data, [first, first + 1])
  mesh.check_batch(12, m)


@pytest.mark.parametrize("axes", [dict(fsdp=3), dict(model=16), dict(fsdp=0),
                                  dict(fsdp=4, model=4)])
def test_axes_that_do_not_divide_the_devices(axes):
  with pytest.raises(InputError, match="for 8 devices.*want a divisor of 8"):
    mesh.make_mesh(**axes)


def test_rows_are_split_in_order(some_mesh):
  batch = {
      "acc": np.arange(16 * 5 * 3, dtype=np.int16).reshape(16, 5, 3),
      "row": np.arange(16, dtype=np.int32),
  }
  placed = mesh.put_rows(batch, some_mesh)
  per_device = 16 // some_mesh.size
  for name, want in batch.items():
    np.testing.assert_array_equal(placed[name], want)
    assert placed[name].dtype == want.dtype
    for shard in placed[name].addressable_shards:
      first = list(some_mesh.devices).index(shard.device) * per_device
      np.testing.assert_array_equal(
          shard.data, want[first:first + per_device]
      )


def test_parameters_are_copied_to_every_device(some_mesh):
  tree = {"w": np.ones((3, 2), np.float32), "b": np.zeros(2, np.float32)}
  placed = mesh.put_replicated(tree, some_mesh)
  for name, want in tree.items():
    shards = placed[name].addressable_shards
    assert {s.device for s in shards} == set(some_mesh.devices.flat)
    for shard in shards:
      np.testing.assert_array_equal(shard.data, want)


def test_ordinary_code_runs_under_the_mesh(some_mesh):
  x = np.arange(48, dtype=np.float32).reshape(8, 6)
  fold = jax.jit(lambda x: jnp.tanh(x.reshape(8, 3, 2)).sum((0, 2)))
  np.testing.assert_allclose(
      fold(mesh.put_rows(x, some_mesh)),
      np.tanh(x.reshape(8, 3, 2)).sum((0, 2)), rtol=1e-6,
  )


@pytest.mark.parametrize("batch, fix", [(12, 8), (20, 16), (4, 8), (65, 64)])
def test_a_batch_that_does_not_divide_is_refused(batch, fix):
  with pytest.raises(InputError) as error:
    mesh.check_batch(batch, mesh.make_mesh())
  assert f"got {batch} for 8 devices" in str(error.value)
  assert f"--config.batch_size={fix}" in str(error.value)


@pytest.mark.parametrize("batch", [8, 16, 64])
def test_a_batch_that_divides_passes(batch):
  mesh.check_batch(batch, mesh.make_mesh())


def test_processes_read_disjoint_rows_that_make_the_batch(monkeypatch):
  read = []
  monkeypatch.setattr(jax, "process_count", lambda: 4)
  for process in range(4):
    monkeypatch.setattr(jax, "process_index", lambda p=process: p)
    read += list(range(24))[mesh.local_rows(24)]
  assert read == list(range(24))
