"""The device mesh and the two shardings everything uses.

One path for one device, eight simulated ones or a pod: a mesh with a `data`
axis, batches split over it by rows, everything else replicated. Axes are
`Auto`: `jax.make_mesh` defaults to explicit axes, with which ordinary model
code fails on reshape.
"""

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from accfm.base.errors import InputError


def make_mesh(devices=None):
  """A one-axis (`data`) mesh over `devices`, by default all of the job's."""
  devices = jax.devices() if devices is None else devices
  return Mesh(np.asarray(devices), ("data",), axis_types=(AxisType.Auto,))


def rows(mesh):
  """The sharding of a batch: rows over `data`."""
  return NamedSharding(mesh, PartitionSpec("data"))


def replicated(mesh):
  """The sharding of parameters: a copy on each device."""
  return NamedSharding(mesh, PartitionSpec())


def check_batch(batch_size, mesh):
  """Raises InputError unless the batch divides over devices and processes."""
  devices = mesh.size
  if batch_size % devices:
    near = max(devices, batch_size // devices * devices)
    raise InputError(
        f"batch_size: got {batch_size} for {devices} devices, want a "
        f"multiple of {devices}; set --config.batch_size={near}"
    )


def local_rows(batch_size):
  """The slice of the global batch that this process reads."""
  per_process = batch_size // jax.process_count()
  start = jax.process_index() * per_process
  return slice(start, start + per_process)


def put_rows(batch, mesh):
  """Makes this process's rows of a batch (NumPy pytree) global arrays."""
  sharding = rows(mesh)
  return jax.tree.map(
      lambda x: jax.make_array_from_process_local_data(sharding, x), batch
  )


def put_replicated(tree, mesh):
  """Copies a pytree to every device of the mesh."""
  return jax.device_put(tree, replicated(mesh))
