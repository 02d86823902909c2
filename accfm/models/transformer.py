"""The parts of a Transformer over tokens [B, L, W]: positions and blocks."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from accfm.base import mesh as meshlib
from accfm.models import regularise


def sinusoidal_positions(length: int, width: int) -> np.ndarray:
  """Fixed positions [L, W]: sines, then cosines, of geometric frequencies.

  Vaswani et al. 2017 (arXiv 1706.03762), section 3.5.
  """
  rate = np.exp(-np.log(10_000.0) * np.arange(width // 2) / (width // 2))
  angle = np.arange(length)[:, None] * rate
  return np.concatenate([np.sin(angle), np.cos(angle)], 1).astype(np.float32)


def by_rows(
    x: jax.Array, kernel: jax.Array, dimension_numbers: Any, **options: Any
) -> jax.Array:
  """`jax.lax.dot_general` of x [..., W] and a kernel [W, F], for `Dense`.

  On a CPU the batch and token axes of x are merged first. With both kept,
  the gradient of the kernel is a sum over two axes, and XLA transposes both
  factors for it. On a TPU the axes stay, since XLA lays them out well there.
  """
  if not _on_cpu():
    return jax.lax.dot_general(x, kernel, dimension_numbers, **options)
  rows = x.reshape(-1, x.shape[-1])
  y = jax.lax.dot_general(rows, kernel, (((1,), (0,)), ((), ())), **options)
  return y.reshape(*x.shape[:-1], -1)


Dense = functools.partial(nn.Dense, dot_general=by_rows)


def attend(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
  """Softmax attention of [B, L, H, D] (Vaswani et al. 2017, eq. 1).

  `jax.nn.dot_product_attention`. On a CPU the same values are computed with
  the heads axis first: matrices that are contiguous in memory multiply 1.5
  times as fast.
  """
  if not _on_cpu():
    return jax.nn.dot_product_attention(q, k, v)
  q, k, v = (x.transpose(0, 2, 1, 3) for x in (q, k, v))  # [B, H, L, D]
  scores = jnp.einsum(
      "bhqd,bhkd->bhqk", q, k, preferred_element_type=jnp.float32
  ) * np.float32(q.shape[-1] ** -0.5)
  weights = jax.nn.softmax(scores).astype(v.dtype)
  return jnp.einsum("bhqk,bhkd->bhqd", weights, v).transpose(0, 2, 1, 3)


def _on_cpu() -> bool:
  """Whether a program for a mesh of CPUs is being traced."""
  device = meshlib.traced_device()
  return device is not None and device.platform == "cpu"


class Attention(nn.Module):
  """Multi-head self-attention with one joint projection to q, k and v.

  Attributes:
    heads: number of heads; it divides W.
    dtype: compute type.
  """

  heads: int
  dtype: Any

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[B, L, W] -> [B, L, W]."""
    b, length, width = x.shape
    qkv = Dense(3 * width, dtype=self.dtype, name="qkv")(x)
    qkv = qkv.reshape(b, length, 3, self.heads, width // self.heads)
    x = attend(qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2])
    x = x.reshape(b, length, width)  # of [B, L, heads, W/heads]
    return Dense(width, dtype=self.dtype, name="out")(x)


class Block(nn.Module):
  """Pre-norm Transformer block.

  Attributes:
    heads: number of attention heads.
    mlp_width: width of the MLP's hidden layer.
    dtype: compute type.
    dropout: rate on the output of the attention and of the MLP.
    drop_path: rate at which a row skips the attention, and the MLP.
    fused: run as `fused.block`; without dropout and stochastic depth.
  """

  heads: int
  mlp_width: int
  dtype: Any
  dropout: float = 0.0
  drop_path: float = 0.0
  fused: bool = False

  @nn.compact
  def __call__(
      self, x: jax.Array, train: bool = False,
      row_keys: jax.Array | None = None,
  ) -> jax.Array:
    """[B, L, W] -> [B, L, W].

    Args:
      x: tokens.
      train: apply dropout and stochastic depth.
      row_keys: [B] jax keys, one a row; needed in training with a rate above
        0.
    """
    if self.fused and not self.is_initializing():
      from accfm.models import fused  # here: Pallas is slow to import

      plain: Any = Block(self.heads, self.mlp_width, self.dtype, parent=None)
      return fused.block(
          lambda x, params: plain.apply({"params": params}, x),
          self.heads, self.dtype, x, self.variables["params"],
      )

    def branch(y, name):
      drop = regularise.Dropout(self.dropout, name=f"drop_{name}")
      skip = regularise.DropPath(self.drop_path, name=f"skip_{name}")
      return skip(drop(y, train, row_keys), train, row_keys)

    width = x.shape[-1]
    y = nn.LayerNorm(dtype=self.dtype, name="norm1")(x)
    y = Attention(self.heads, self.dtype, name="attention")(y)
    x = x + branch(y, "attention")
    y = nn.LayerNorm(dtype=self.dtype, name="norm2")(x)
    y = Dense(self.mlp_width, dtype=self.dtype, name="mlp_in")(y)
    y = Dense(width, dtype=self.dtype, name="mlp_out")(nn.gelu(y))
    return x + branch(y, "mlp")
