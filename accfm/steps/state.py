"""What training changes, and the one update that every step shares.

An objective is a function from parameters and a batch to a loss per example;
`make_update` turns it into a step. The step runs inside a `shard_map` over
the mesh axis `data`: each device holds its own rows and a full copy of the
parameters, and the collectives are written out. Parameters are cast to
"varying" before they are differentiated, so that each device first gets its
own float32 gradient and the mean over devices is an explicit float32
all-reduce whatever the compute type of the layers.
"""

from typing import Any

import flax
import jax
import jax.numpy as jnp
import optax

from accfm.base import keys


@flax.struct.dataclass
class TrainState:
  """All that training changes, and nothing else.

  Attributes:
    step: int32 scalar, the number of updates done.
    params: pytree of float32 arrays; what is frozen is not in it.
    opt_state: the state of the optax transformation.
  """

  step: jax.Array
  params: Any
  opt_state: Any


def create(params, tx):
  """The TrainState before the first update."""
  return TrainState(jnp.zeros((), jnp.int32), params, tx.init(params))


def make_update(loss_fn, tx, axis="data"):
  """Turns an objective into a step for `train.parallel.make_parallel`.

  A loss may depend on other devices' rows (negatives by `lax.all_gather`):
  the transposed collective brings their share of the gradient home, and the
  mean over devices is the gradient of the mean loss over the global batch.

  Args:
    loss_fn: `loss_fn(params, frozen, batch, key) -> (losses, metrics)` with
      losses [b] of this device's rows and metrics a dict of scalars, means
      over this device's rows. The key already holds the step: fold in a name
      and the global row for what is random per row.
    tx: an optax transformation.
    axis: the mesh axis of the rows.

  Returns:
    `update(state, frozen, batch, key) -> (state, metrics)`; metrics are
    float32 scalars, equal on all devices: those of `loss_fn`, "loss", and
    "grad_norm", the global norm of the mean gradient before any clipping.
  """

  def update(state, frozen, batch, key):
    key = keys.stream(key, "step", state.step)

    def mean_loss(params):
      losses, metrics = loss_fn(params, frozen, batch, key)
      return losses.astype(jnp.float32).mean(), metrics

    varying = jax.lax.pcast(state.params, (axis,), to="varying")
    grad_fn = jax.value_and_grad(mean_loss, has_aux=True)
    (loss, metrics), grads = grad_fn(varying)
    grads = jax.lax.pmean(grads, axis)
    metrics = jax.tree.map(
        lambda x: jax.lax.pmean(jnp.asarray(x, jnp.float32), axis),
        {**metrics, "loss": loss},
    )
    metrics["grad_norm"] = optax.tree.norm(grads)
    return apply_gradients(state, grads, tx), metrics

  return update


def apply_gradients(state, grads, tx):
  """One optimiser update; `grads` is a pytree like `state.params`."""
  updates, opt_state = tx.update(grads, state.opt_state, state.params)
  params = optax.apply_updates(state.params, updates)
  return TrainState(state.step + 1, params, opt_state)
