"""What training changes, and the one update that every step shares.

An objective says what is trained and how a batch is scored; `make_update`
turns it into a step. The step runs inside a `shard_map` over `mesh.ROW_AXES`:
each device holds its own rows and a full copy of the parameters (gathered for
the step where they are sharded, see `fsdp`), and the collectives are written
out. Parameters are cast to "varying" before they are
differentiated, so that each device first gets its own float32 gradient and the
mean over devices is an explicit float32 sum whatever the compute type of the
layers.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from accfm.base import keys
from accfm.base.mesh import ROW_AXES
from accfm.steps import fsdp


@struct.dataclass
class TrainState:
  """All that training changes, and nothing else.

  Attributes:
    step: int32 scalar, the number of updates done.
    params: pytree of float32 arrays that gradients move; what is frozen is
      not in it.
    carried: pytree that moves without a gradient (batch statistics, momentum
      targets), {} where nothing does.
    opt_state: the state of the optax transformation.
  """

  step: jax.Array
  params: Any
  carried: Any
  opt_state: Any


@dataclasses.dataclass(frozen=True)
class Objective:
  """What a training config means: weights to start from, and their loss.

  Attributes:
    params: pytree, trained by gradient.
    loss: `loss(params, carried, frozen, batch, key) -> (losses [b], metrics,
      carried)`: one loss per row of this device, a dict of scalars that are
      means over these rows, and what is carried to the next step, equal on
      all devices. The key already holds the step: fold in a name and the
      global row for what is random per row.
    carried: pytree, moved by the loss and by `advance`.
    frozen: pytree, never moved.
    advance: `advance(params, carried) -> carried` before each step, e.g. a
      momentum target's; None for nothing.
  """

  params: Any
  loss: Callable
  carried: Any = dataclasses.field(default_factory=dict)
  frozen: Any = dataclasses.field(default_factory=dict)
  advance: Callable | None = None


def create(
    objective: Objective, tx: optax.GradientTransformation
) -> TrainState:
  """The TrainState before the first update."""
  return TrainState(
      jnp.zeros((), jnp.int32), objective.params, objective.carried,
      tx.init(objective.params),
  )


def shapes(objective: Objective, tx: optax.GradientTransformation) -> Any:
  """As `create`, of shapes: nothing is computed."""
  return jax.eval_shape(
      lambda params, carried: create(
          dataclasses.replace(objective, params=params, carried=carried), tx
      ), objective.params, objective.carried,
  )


def make_update(
    objective: Objective, tx: optax.GradientTransformation,
    cohorts: Sequence[str] = (), dims: Any = None,
) -> Callable:
  """Turns an objective into a step for `train.parallel.make_parallel`.

  A loss may depend on other devices' rows (negatives by `lax.all_gather`):
  the transposed collective brings their share of the gradient home, and the
  mean over devices is the gradient of the mean loss over the global batch.

  Args:
    objective: an Objective; of it only `loss` and `advance` are used.
    tx: an optax transformation, elementwise but for what it takes from the
      argument `grad_norm` of its update.
    cohorts: names of the mixed data sets, in the order of `batch["cohort"]`;
      with more than one, the mean loss of each is a metric too.
    dims: how the parameters are sharded, see `fsdp`; None for not at all.

  Returns:
    `update(state, frozen, batch, key) -> (state, metrics)`; metrics are
    float32 scalars, equal on all devices: those of the loss, "loss", and
    "grad_norm", the global norm of the mean gradient before any clipping.
  """
  tx = optax.with_extra_args_support(tx)

  def update(state, frozen, batch, key):
    key = keys.stream(key, "step", state.step)
    carried = state.carried
    over = fsdp.unsharded_dims(state.params) if dims is None else dims
    params = fsdp.gather_params(state.params, over)
    if objective.advance is not None:
      carried = objective.advance(params, carried)

    def mean_loss(params):
      losses, metrics, after = objective.loss(
          params, carried, frozen, batch, key
      )
      losses = losses.astype(jnp.float32)
      return losses.mean(), (losses, metrics, after)

    varying = jax.lax.pcast(params, ROW_AXES, to="varying")
    grad_fn = jax.value_and_grad(mean_loss, has_aux=True)
    (loss, (losses, metrics, carried)), grads = grad_fn(varying)
    grads = fsdp.scatter_gradients(grads, over)
    metrics = jax.tree.map(
        lambda x: jax.lax.pmean(jnp.asarray(x, jnp.float32), ROW_AXES),
        {**metrics, "loss": loss},
    )
    if len(cohorts) > 1:
      metrics |= cohort_losses(losses, batch["cohort"], cohorts)
    metrics["grad_norm"] = fsdp.global_norm(grads, over)
    updates, opt_state = tx.update(
        grads, state.opt_state, state.params, grad_norm=metrics["grad_norm"]
    )
    params = optax.apply_updates(state.params, updates)
    return TrainState(state.step + 1, params, carried, opt_state), metrics

  return update


def cohort_losses(
    losses: jax.Array, cohort: jax.Array, names: Sequence[str]
) -> dict[str, jax.Array]:
  """{"loss/NAME": the mean loss of the rows of each cohort, all devices}.

  Args:
    losses: [b] of this device's rows.
    cohort: [b], each row's place in `names`.
    names: of the cohorts.
  """
  mine = (cohort[:, None] == jnp.arange(len(names))[None]).astype(jnp.float32)
  sums, counts = jax.lax.psum((losses @ mine, mine.sum(0)), ROW_AXES)
  return {
      f"loss/{name}": sums[i] / counts[i] for i, name in enumerate(names)
  }
