"""FSDP: devices share the parameters, gather them for a step, and scatter the
gradients.

Fully sharded data parallelism (ZeRO, Rajbhandari et al. 2020, arXiv
1910.02054): each device keeps one of `fsdp` equal parts of a sharded
parameter, of its gradient and of its optimiser state. The whole parameter
exists only while a step runs. Gradients are summed in float32, whole or
sharded.

`dims` below is a pytree like the parameters: the axis along which each
parameter is sharded, or -1 where every device holds it whole.
"""

from typing import Any

import jax
import jax.numpy as jnp

from accfm.base.mesh import ROW_AXES

AXIS = "fsdp"


def unsharded_dims(params: Any) -> Any:
  """The `dims` of parameters that every device holds whole."""
  return jax.tree.map(lambda _: -1, params)


def gather_params(shards: Any, dims: Any) -> Any:
  """Shards -> whole parameters, known to be equal on all devices."""
  return jax.tree.map(
      lambda x, dim: x if dim < 0 else jax.lax.all_gather(
          x, AXIS, axis=dim, tiled=True, to="invarying"
      ), shards, dims,
  )


def scatter_gradients(grads: Any, dims: Any) -> Any:
  """Each device's own gradients -> this device's shards of their mean."""
  def mean(grad, dim):
    if dim < 0:
      return jax.lax.pmean(grad, ROW_AXES)
    shard = jax.lax.psum_scatter(
        grad, AXIS, scatter_dimension=dim, tiled=True
    )
    return jax.lax.pmean(shard, "data") / jax.lax.axis_size(AXIS)

  return jax.tree.map(mean, grads, dims)


def global_norm(shards: Any, dims: Any) -> jax.Array:
  """The norm of a whole tree, given its shards; equal on all devices."""
  def squares(x, dim):
    total = jnp.sum(jnp.square(x.astype(jnp.float32)))
    return total if dim < 0 else jax.lax.psum(total, AXIS)

  return jnp.sqrt(sum(jax.tree.leaves(jax.tree.map(squares, shards, dims))))
