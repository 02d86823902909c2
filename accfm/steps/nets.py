"""Modules in training: where weights and statistics lie, who draws what.

An encoder called NAME has its weights in `params[NAME]` (trained) or
`frozen[NAME]["params"]`, and batch statistics, if it has any, in
`carried["batch_stats"][NAME]`.
"""

import jax
import jax.numpy as jnp

from accfm.base import keys as keylib
from accfm.base.mesh import ROWS
from accfm.models import build


def encoder(cfg):
  """The encoder of a config, for training inside the mesh."""
  return build.build_encoder(cfg, axis_name=ROWS)  # for batch norm


def init(module, seed, name, *inputs):
  """Variables of a fresh module, by seed and name."""
  key = keylib.stream(jax.random.key(seed), f"init/{name}")
  return jax.jit(module.init)(key, *inputs)


def init_encoder(module, seed, name, contract, signal):
  """Variables of a fresh encoder for a signal."""
  channels = contract.signals[signal].channels
  return init(
      module, seed, name, jnp.zeros((1, contract.samples, channels))
  )


def carry(**variables):
  """What is carried for trained encoders: their batch statistics, if any.

  Args:
    **variables: name = variables.
  """
  stats = {
      name: v["batch_stats"] for name, v in variables.items()
      if "batch_stats" in v
  }
  return {"batch_stats": stats} if stats else {}


def forward(module, name, params, carried, x, key, rows):
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


def project(head, params, x):
  """A head's output [b, P]; a head without weights needs none."""
  return head.apply({"params": params} if params else {}, x)
