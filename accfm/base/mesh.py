"""The device mesh and the two shardings everything uses.

One path for one device, eight simulated ones or a pod. A mesh has three axes,
most of them of one device. Rows of a batch are split over `data` and `fsdp`;
parameters are whole on each device, but for what `train.sharding` splits over
`fsdp` and `model` where a config asks for it. Axes are `Auto`:
`jax.make_mesh` defaults to explicit axes, with which ordinary model code
fails on reshape.
"""

import collections

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from accfm.base.errors import InputError

ROWS = ("data", "fsdp")  # the axes that rows are split over, in this order


def make_mesh(devices=None, fsdp=1, model=1):
  """A mesh (data, fsdp, model) over `devices`, by default all of the job's.

  Neighbours in `devices` share `model`, then `fsdp`: on a pod they are the
  nearest chips. Those of a process lie side by side, so that its rows do.

  Raises:
    InputError: fsdp * model does not divide the devices, or a process's own.
  """
  if devices is None:
    devices = sorted(jax.devices(), key=lambda d: (d.process_index, d.id))
  devices = np.asarray(devices)
  for name, shares, count, what in (
      ("fsdp * model", fsdp * model, devices.size, "devices"),
      ("model", model, devices.size // jax.process_count(),
       "devices of a process"),
  ):
    if min(fsdp, model) < 1 or count % shares:
      raise InputError(
          f"{name}: got {shares} (--config.fsdp={fsdp} --config.model={model})"
          f" for {count} {what}, want a divisor of {count}"
      )
  return Mesh(
      devices.reshape(-1, fsdp, model), (*ROWS, "model"),
      axis_types=(AxisType.Auto,) * 3,
  )


def row_shards(mesh):
  """Into how many parts a mesh splits the rows of a batch."""
  return mesh.shape["data"] * mesh.shape["fsdp"]


def rows(mesh):
  """The sharding of a batch: its rows over `ROWS`."""
  return NamedSharding(mesh, PartitionSpec(ROWS))


def replicated(mesh):
  """The sharding of parameters: a copy on each device."""
  return NamedSharding(mesh, PartitionSpec())


def check_batch(batch_size, mesh):
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
  """Copies a pytree that all processes have to every device of the mesh."""
  return jax.tree.map(lambda x: put(x, replicated(mesh)), tree)


def put(x, sharding):
  """An array that all processes have, as one that lies as `sharding` says.

  Each process copies its own part and waits for no other: that they have the
  same values is not checked here.
  """
  if jax.process_count() == 1 or not getattr(x, "is_fully_addressable", True):
    return jax.device_put(x, sharding)
  x = np.asarray(x)
  return jax.make_array_from_callback(x.shape, sharding, lambda at: x[at])


def traced_device():
  """The kind of device of the mesh that is traced for, None without one.

  With `platform`, `device_kind` and `num_cores`.
  """
  return jax.sharding.get_abstract_mesh().abstract_device
