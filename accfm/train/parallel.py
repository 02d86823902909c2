"""The one parallel path: a jitted `shard_map` over the rows of a batch.

One device, eight simulated ones or a pod run the same program. Where the mesh
axis `model` has more than one device it stays automatic: the compiler
partitions what is sharded over it. It cannot partition our kernels, which
need all axes to be explicit.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import Mesh, PartitionSpec

from accfm.base import mesh as meshlib

BY_ROW = PartitionSpec(meshlib.ROWS)
WHOLE = PartitionSpec()


def make_parallel(
    step: Callable, mesh: Mesh, state_specs: Any = WHOLE
) -> Any:
  """Compiles a step for a mesh.

  Args:
    step: `step(state, frozen, batch, key) -> (state, metrics)` that works on
      one device's rows and averages over the axes `mesh.ROWS` itself.
    mesh: as `mesh.make_mesh`.
    state_specs: PartitionSpecs of the state over `mesh.ROWS`, by default
      whole on each device; as `sharding.row_specs`.

  Returns:
    The same function of global arrays, jitted: batch leaves are split by
    rows, the state as `state_specs` says, everything else is whole on each
    device. The state is donated: the caller's old one, and any array that
    shares its memory, is gone.
  """
  sharded = jax.shard_map(
      step,
      mesh=mesh,
      in_specs=(state_specs, WHOLE, BY_ROW, WHOLE),
      out_specs=(state_specs, WHOLE),
      axis_names={
          name for name, size in mesh.shape.items()
          if name in meshlib.ROWS or size == 1
      },
  )
  return jax.jit(sharded, donate_argnums=0)
