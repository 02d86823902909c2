"""Which device holds which part of the training state.

By default every device holds all of it: the paper's encoder and its AdamW
moments are 76 MB. With `fsdp` above 1, that many neighbouring devices split
the large arrays among them, as well as the batch. With `model` above 1 the
matrices of the Transformer blocks are split too, and the compiler partitions
their products (Shoeybi et al. 2019, arXiv 1909.08053).

The rule looks at a leaf's name and shape alone, so parameters and their
moments are split alike. What is carried (batch statistics, momentum targets)
and what is frozen stays whole.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from accfm.base import mesh as meshlib
from accfm.base import trees
from accfm.base.errors import InputError
from accfm.base.mesh import ROWS
from accfm.steps.fsdp import AXIS

LEAST = 1024  # a leaf with fewer numbers is not worth splitting
# Layers of a block whose outputs, and whose inputs, `model` splits.
OUTPUTS, INPUTS = ("qkv", "mlp_in"), ("out", "mlp_out")


def check_blocks(config: ConfigDict, mesh: Mesh) -> None:
  """Raises InputError for kernels that `model` would have to partition."""
  for name in ("encoder", "teacher_encoder"):
    block = config.get(name, {}).get("block")
    if mesh.shape["model"] > 1 and block == "fused":
      raise InputError(
          f"{name}.block: got 'fused' with --config.model="
          f"{mesh.shape['model']}, which cannot split a kernel, want 'plain'; "
          f"set --config.{name}.block=plain, or --config.model=1"
      )


def spec(
    path: tuple[str, ...], shape: tuple[int, ...], mesh: Mesh
) -> PartitionSpec:
  """The PartitionSpec of a leaf.

  Args:
    path: names from the root, e.g. ("encoder", "blocks_0", "mlp_in",
      "kernel").
    shape: of the leaf.
    mesh: as `mesh.make_mesh`.
  """
  axes: list[str | None] = [None] * len(shape)
  model, fsdp = mesh.shape["model"], mesh.shape[AXIS]
  layer = path[-2] if len(path) > 1 else ""
  place = {True: -1, False: -2}[layer in OUTPUTS]
  if (model > 1 and layer in OUTPUTS + INPUTS and len(shape) >= -place
      and shape[place] % model == 0):
    axes[place] = "model"
  size = 1
  for side in shape:
    size *= side
  free = [
      (side, dim) for dim, side in enumerate(shape)
      if axes[dim] is None and side % fsdp == 0
  ]
  if fsdp > 1 and size >= LEAST and free:
    axes[max(free)[1]] = AXIS
  while axes and axes[-1] is None:
    axes.pop()
  return PartitionSpec(*axes)


def state_specs(state: Any, mesh: Mesh) -> Any:
  """The specs of a TrainState of arrays or shapes, as a TrainState."""
  def of(tree):
    return jax.tree_util.tree_map_with_path(
        lambda path, x: spec(trees.names(path), x.shape, mesh), tree
    )

  whole = PartitionSpec()
  return state.replace(
      step=whole, params=of(state.params),
      carried=jax.tree.map(lambda _: whole, state.carried),
      opt_state=of(state.opt_state),
  )


def row_specs(specs: Any) -> Any:
  """Specs without `model`, for `parallel.make_parallel`."""
  return _map(
      lambda s: PartitionSpec(*(a if a in ROWS else None for a in s)), specs
  )


def split_dims(specs: Any) -> Any:
  """The `dims` of `steps.fsdp`."""
  return _map(lambda s: list(s).index(AXIS) if AXIS in s else -1, specs)


def place(state: Any, mesh: Mesh) -> Any:
  """A TrainState that every process has whole, put onto the devices."""
  return jax.tree.map(meshlib.put, state, shardings(state, mesh))


def shardings(state: Any, mesh: Mesh) -> Any:
  """A TrainState's NamedShardings."""
  return _map(lambda s: NamedSharding(mesh, s), state_specs(state, mesh))


def _map(function: Callable, specs: Any) -> Any:
  return jax.tree.map(
      function, specs, is_leaf=lambda x: isinstance(x, PartitionSpec)
  )
