"""Parameters that devices share: gathered for a step, gradients scattered.

Fully sharded data parallelism (ZeRO, Rajbhandari et al. 2020, arXiv
1910.02054): of a split parameter, its gradient and its optimiser state a
device keeps one part of `fsdp` equal ones. The whole parameter exists for the
length of a step. Gradients are summed in float32, whole or split.

`dims` below is a pytree like the parameters: the axis along which each is
split, or -1 for one that every device holds whole.
"""

import jax
import jax.numpy as jnp

from accfm.base.mesh import ROWS

AXIS = "fsdp"


def whole(params):
  """`dims` that split nothing."""
  return jax.tree.map(lambda _: -1, params)


def gather(params, dims):
  """Parts -> whole parameters, known to be equal on all devices."""
  return jax.tree.map(
      lambda x, dim: x if dim < 0 else jax.lax.all_gather(
          x, AXIS, axis=dim, tiled=True, to="invarying"
      ), params, dims,
  )


def mean_gradients(grads, dims):
  """Each device's own gradients -> this device's parts of their mean."""
  def mean(grad, dim):
    if dim < 0:
      return jax.lax.pmean(grad, ROWS)
    part = jax.lax.psum_scatter(
        grad, AXIS, scatter_dimension=dim, tiled=True
    )
    return jax.lax.pmean(part, "data") / jax.lax.axis_size(AXIS)

  return jax.tree.map(mean, grads, dims)


def norm(tree, dims):
  """The global norm of a tree of parts; equal on all devices."""
  def squares(x, dim):
    total = jnp.sum(jnp.square(x.astype(jnp.float32)))
    return total if dim < 0 else jax.lax.psum(total, AXIS)

  return jnp.sqrt(sum(jax.tree.leaves(jax.tree.map(squares, tree, dims))))
