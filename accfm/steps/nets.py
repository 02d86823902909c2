"""Modules in training: where their weights and statistics lie, and what is
drawn for whom.

The weights of an encoder called NAME are `params[NAME]` (trained) or
`frozen[NAME]["params"]`; its batch statistics, if it has any, are
`carried["batch_stats"][NAME]`.
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from accfm.base import keys as keylib
from accfm.base.mesh import ROW_AXES
from accfm.models import build
from accfm.signals.contract import Contract


def encoder(cfg: Mapping[str, Any] | str) -> Any:
  """The encoder of a config, for training inside the mesh."""
  return build.build_encoder(cfg, axis_name=ROW_AXES)  # for batch norm


def init(module: nn.Module, seed: int, name: str, *inputs: jax.Array) -> Any:
  """Variables of a fresh module, drawn by seed and name."""
  key = keylib.stream(jax.random.key(seed), f"init/{name}")
  return jax.jit(module.init)(key, *inputs)


def init_encoder(
    module: nn.Module, seed: int, name: str, contract: Contract, signal: str
) -> Any:
  """Variables of a fresh encoder of a signal."""
  channels = contract.signals[signal].channels
  return init(
      module, seed, name, jnp.zeros((1, contract.length(signal), channels))
  )


def init_head(module: nn.Module, seed: int, name: str, dim: int) -> Any:
  """Parameters of a fresh head of embeddings of `dim`; {} if it has none."""
  return init(module, seed, name, jnp.zeros((1, dim))).get("params", {})


def carry(**variables: Mapping[str, Any]) -> dict[str, Any]:
  """What trained encoders carry from step to step: batch statistics, if any.

  Args:
    **variables: name = variables.
  """
  stats = {
      name: v["batch_stats"] for name, v in variables.items()
      if "batch_stats" in v
  }
  return {"batch_stats": stats} if stats else {}


def forward(
    module: nn.Module, name: str, params: Any, carried: Any, x: jax.Array,
    key: jax.Array, rows: jax.Array,
) -> tuple[jax.Array, Any]:
  """A trained encoder's output, with dropout and batch statistics.

  Args:
    module: an encoder.
    name: its name in `params` and `carried`.
    params, carried: of the TrainState.
    x: [b, T, C].
    key: of the step (and view).
    rows: [b] global rows.

  Returns:
    ([b, D], carried with the new statistics).
  """
  row_keys = keylib.row_streams(key, f"dropout/{name}", rows)
  stats = carried.get("batch_stats", {})
  variables = {"params": params[name]}
  if name in stats:
    variables["batch_stats"] = stats[name]
  out, new = module.apply(
      variables, x, train=True, row_keys=row_keys, mutable=["batch_stats"]
  )
  if name in stats:
    stats = {**stats, name: new["batch_stats"]}
    carried = {**carried, "batch_stats": stats}
  return out, carried


def project(head: nn.Module, params: Any, x: jax.Array) -> Any:
  """A head's output [b, P]; a head without weights needs none."""
  return head.apply({"params": params} if params else {}, x)
