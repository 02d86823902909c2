"""The light decoder of masked autoencoding."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from accfm.models import transformer


class MAEDecoder(nn.Module):
  """Predicts patches of samples from visible tokens and a learned mask token.

  Attributes:
    width: of its Transformer.
    depth: number of blocks.
    heads: attention heads of a block.
    mlp_width: hidden width of a block's MLP.
    patch_values: P, samples x channels of one patch.
    dtype: compute type.
  """

  width: int
  depth: int
  heads: int
  mlp_width: int
  patch_values: int
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, visible: jax.Array, restore: jax.Array) -> jax.Array:
    """Predicts every patch.

    Args:
      visible: [B, V, W] encoded visible tokens.
      restore: [B, L] int, for each patch its place in the row of visible
        tokens followed by the hidden ones.

    Returns:
      [B, L, P] float32.
    """
    b, length = restore.shape
    x = nn.Dense(self.width, dtype=self.dtype, name="in")(visible)
    mask = self.param("mask_token", nn.initializers.normal(0.02),
                      (self.width,))
    hidden = jnp.broadcast_to(
        mask.astype(self.dtype)[None, None],
        (b, length - x.shape[1], self.width),
    )
    x = jnp.concatenate([x, hidden], 1)
    x = jnp.take_along_axis(x, restore[..., None], 1)
    positions = transformer.sinusoidal_positions(length, self.width)
    x = x + jnp.asarray(positions, self.dtype)[None]
    for i in range(self.depth):
      x = transformer.Block(self.heads, self.mlp_width, self.dtype,
                      name=f"block{i}")(x)
    x = nn.LayerNorm(dtype=self.dtype, name="norm")(x)
    return nn.Dense(self.patch_values, dtype=self.dtype, name="out")(
        x
    ).astype(jnp.float32)
