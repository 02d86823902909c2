"""The towers of a checkpoint: its encoders and heads, built anew."""

from typing import Any

import jax
import jax.numpy as jnp

from accfm.base import keys
from accfm.models import build
from accfm.signals import feed
from accfm.steps import kinds
from accfm.steps.record import Record
from accfm.steps.tower import Tower


def from_checkpoint(
    params: Any, carried: Any, frozen: Any, record: Record
) -> dict[str, Tower]:
  """The towers of a checkpoint.

  Args:
    params, carried: of the TrainState.
    frozen: what was frozen, by name: variables.
    record: the checkpoint's record.

  Returns:
    {signal: Tower}, the trained encoder's first.
  """
  kind = kinds.of_record(record)
  configs, found = kinds.encoder_configs(record), kind.heads(record)
  towers = {}
  for name, signal in zip(kind.encoders, record.signals, strict=True):
    head_name, head = found.get(name, ("", None))
    weights = params.get(head_name, {})
    towers[signal] = Tower(
        variables=encoder_variables(params, carried, frozen, name),
        head_variables={"params": weights} if weights else {},
        signal=signal,
        encoder=build.build_encoder(configs[name]),
        head=head,
        normalize=feed.make_normalize(record.contract.signals[signal]),
    )
  return towers


def encoder_variables(
    params: Any, carried: Any, frozen: Any, name: str
) -> dict[str, Any]:
  """{"params", "batch_stats"?} of an encoder, trained or frozen."""
  if name in frozen:
    return frozen[name]
  stats = carried.get("batch_stats", {})
  out = {"params": params[name]}
  if name in stats:
    out["batch_stats"] = stats[name]
  return out


def untrained(record: Record, seed: int) -> dict[str, Tower]:
  """Towers of the same architecture with fresh weights of `seed`."""
  kind, contract = kinds.of_record(record), record.contract
  configs, found = kinds.encoder_configs(record), kind.heads(record)
  root = jax.random.key(seed)
  params, fresh = {}, {}
  for name, signal in zip(kind.encoders, record.signals, strict=True):
    channels = contract.signals[signal].channels
    x = jnp.zeros((1, contract.length(signal), channels))
    encoder = build.build_encoder(configs[name])
    fresh[name] = jax.jit(encoder.init)(
        keys.stream(root, f"untrained/{name}"), x
    )
    if name in found:
      head_name, head = found[name]
      embedding = jnp.zeros((1, encoder.embed_dim))
      params[head_name] = jax.jit(head.init)(
          keys.stream(root, f"untrained/{head_name}"), embedding
      ).get("params", {})
  return from_checkpoint(params, {}, fresh, record)
