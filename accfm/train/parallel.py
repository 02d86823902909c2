"""The one parallel path: a jitted `shard_map` over the mesh axis `data`.

One device, eight simulated ones or a pod run the same program. Any further
axis of the mesh stays automatic, so parameters may be sharded over it
without a word here.
"""

import jax
from jax.sharding import PartitionSpec

ROWS = PartitionSpec("data")
WHOLE = PartitionSpec()


def make_parallel(step, mesh):
  """Compiles a step for a mesh.

  Args:
    step: `step(state, frozen, batch, key) -> (state, metrics)` that works on
      one device's rows and averages over the axis `data` itself.
    mesh: a mesh with an axis `data`.

  Returns:
    The same function of global arrays: batch leaves split over `data` by
    rows, everything else whole on each device. The state is donated: the
    caller's old one, and any array that shares its memory, is gone.
  """
  sharded = jax.shard_map(
      step,
      mesh=mesh,
      in_specs=(WHOLE, WHOLE, ROWS, WHOLE),
      out_specs=(WHOLE, WHOLE),
      axis_names={"data"},
  )
  return jax.jit(sharded, donate_argnums=0)
