"""A tower: what turns stored samples of one signal into a vector.

It undoes the storage scale, normalises as the contract says, embeds and, where
there is a head, projects or predicts. It is a pytree, so it can be passed to
jit and placed on devices. Nothing of training is in it, nor imported here:
whoever uses a model needs no more.
"""

from typing import Any

import jax
from flax import struct

from accfm.models import heads
from accfm.signals import feed


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
