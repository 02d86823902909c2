"""The device mesh and the two shardings that everything uses.

There is one path for one device, eight simulated ones or a pod. A mesh has
three axes, most of them of one device. Rows of a batch are split over `data`
and `fsdp`. Parameters are whole on each device, except what `train.sharding`
splits over `fsdp` and `model` where a config asks for it. Axes are `Auto`:
`jax.make_mesh` makes explicit ones by default, with which ordinary model code
fails on reshape.
"""

import collections
import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from accfm.base.errors import InputError

ROW_AXES = ("data", "fsdp")  # the axes that rows are split over, in this order


def make_mesh(
    devices: Sequence[Any] | None = None, fsdp: int = 1, model: int = 1
) -> Mesh:
  """A mesh (data, fsdp, model) over `devices`, by default all of the job's.

  Neighbours in `devices` share `model`, then `fsdp`: on a pod they are the
  nearest chips. The devices of a process lie side by side, and so do its rows.

  Raises:
    InputError: fsdp * model does not divide the devices, or a process's own.
  """
  if devices is None:
    devices = sorted(jax.devices(), key=lambda d: (d.process_index, d.id))
  grid = np.asarray(devices)
  for name, shares, count, what in (
      ("fsdp * model", fsdp * model, grid.size, "devices"),
      ("model", model, grid.size // jax.process_count(),
       "devices of a process"),
  ):
    if min(fsdp, model) < 1 or count % shares:
      raise InputError(
          f"{name}: got {shares} (--config.fsdp={fsdp} --config.model={model})"
          f" for {count} {what}, want a divisor of {count}"
      )
  return Mesh(
      grid.reshape(-1, fsdp, model), (*ROW_AXES, "model"),
      axis_types=(AxisType.Auto,) * 3,
  )


def row_shards(mesh: Mesh) -> int:
  """Into how many parts a mesh splits the rows of a batch."""
  return mesh.shape["data"] * mesh.shape["fsdp"]


def for_rows(mesh: Mesh, count: int) -> Mesh:
  """A mesh of the same devices over which `count` rows divide.

  The rows are split into the most parts that divide both them and
  `row_shards`. Where that is fewer than all, neighbouring devices have the
  same part and compute the same.
  """
  parts = math.gcd(count, row_shards(mesh))
  if parts == row_shards(mesh):
    return mesh
  return Mesh(
      mesh.devices.reshape(parts, 1, -1), mesh.axis_names,
      axis_types=mesh.axis_types,
  )


def rows(mesh: Mesh) -> NamedSharding:
  """The sharding of a batch: its rows over `ROW_AXES`."""
  return NamedSharding(mesh, PartitionSpec(ROW_AXES))


def replicated(mesh: Mesh) -> NamedSharding:
  """The sharding of parameters: a copy on each device."""
  return NamedSharding(mesh, PartitionSpec())


def check_batch(batch_size: int, mesh: Mesh) -> None:
  """Raises InputError unless the batch divides over devices and processes."""
  devices = row_shards(mesh)
  counts = collections.Counter(d.process_index for d in mesh.devices.flat)
  if len(set(counts.values())) > 1:
    raise InputError(
        f"devices: got {dict(counts)} of the processes, want as many of each"
    )
  if batch_size % devices:
    near = max(devices, batch_size // devices * devices)
    of = f" of {len(counts)} processes" if len(counts) > 1 else ""
    raise InputError(
        f"batch_size: got {batch_size} for {devices} devices{of}, want a "
        f"multiple of {devices}; set --config.batch_size={near}"
    )


def local_rows(batch_size: int) -> slice:
  """The slice of the global batch that this process reads."""
  per_process = batch_size // jax.process_count()
  start = jax.process_index() * per_process
  return slice(start, start + per_process)


def put_rows(batch: Any, mesh: Mesh) -> Any:
  """Makes this process's rows of a batch (NumPy pytree) global arrays."""
  sharding = rows(mesh)
  return jax.tree.map(
      lambda x: jax.make_array_from_process_local_data(sharding, x), batch
  )


def put_all_rows(batch: Any, mesh: Mesh) -> Any:
  """Makes a batch that every process has whole global arrays."""
  return jax.tree.map(lambda x: put(x, rows(mesh)), batch)


def put_replicated(tree: Any, mesh: Mesh) -> Any:
  """Copies a pytree that all processes have to every device of the mesh."""
  return jax.tree.map(lambda x: put(x, replicated(mesh)), tree)


def put(x: Any, sharding: NamedSharding) -> jax.Array:
  """An array that all processes have, laid out over the devices.

  Each process copies its own part and waits for no other. Whether all have
  the same values is not checked here.
  """
  if jax.process_count() == 1 or not getattr(x, "is_fully_addressable", True):
    return jax.device_put(x, sharding)
  x = np.asarray(x)
  return jax.make_array_from_callback(x.shape, sharding, lambda at: x[at])


def traced_device() -> Any:
  """The kind of device that is traced for, None outside a mesh.

  It has `platform`, `device_kind` and `num_cores`.
  """
  return jax.sharding.get_abstract_mesh().abstract_device
