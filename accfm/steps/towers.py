"""Towers: what a checkpoint knows of one signal, from int16 to a vector.

A tower undoes the storage scale, normalises as the contract says, embeds
and, where there is a head, projects or predicts. It is a pytree, so it can be
passed to jit and placed on devices; nothing of the training objective is in
it.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from accfm.base import keys
from accfm.models import build, heads
from accfm.signals import feed
from accfm.steps import kinds
from accfm.steps.record import Record


@struct.dataclass
class Tower:
  """One signal's encoder and head.

  Attributes:
    variables: of the encoder, {"params": ..., "batch_stats"?: ...}.
    head_variables: of the head, or None.
    signal: the contract's name of it.
    encoder, head: linen modules; head is None where there is none.
    normalize: `[B, T, C] -> [B, T, C]`.
  """

  variables: Any
  head_variables: Any
  signal: str = struct.field(pytree_node=False)
  encoder: Any = struct.field(pytree_node=False)
  head: Any = struct.field(pytree_node=False)
  normalize: Any = struct.field(pytree_node=False)

  def embed(self, x: jax.Array, scale: jax.Array) -> jax.Array:
    """int16 [B, T, C] and scale [B, C] -> encoder output [B, D] float32."""
    x = self.normalize(feed.dequantize(x, scale))
    return self.encoder.apply(self.variables, x, train=False)

  def project(self, x: jax.Array, scale: jax.Array) -> jax.Array | None:
    """As `embed`, then the head: [B, P] unit rows, or None without one."""
    if self.head is None or isinstance(self.head, heads.Predictor):
      return None
    return heads.unit(
        self.head.apply(self.head_variables, self.embed(x, scale))
    )

  def predict(self, x: jax.Array, scale: jax.Array) -> Any:
    """As `embed`, then the predictor: [B, O], or None without one."""
    if not isinstance(self.head, heads.Predictor):
      return None
    return self.head.apply(self.head_variables, self.embed(x, scale))


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
