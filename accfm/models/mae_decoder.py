"""The light decoder of masked autoencoding."""

import flax.linen as nn
import jax.numpy as jnp

from accfm.models import vit1d


class MAEDecoder(nn.Module):
  """Visible tokens and a learned mask token in, patches of samples out.

  Attributes:
    width, depth, heads, mlp_width: of its Transformer.
    patch_values: samples x channels of one patch, P.
    dtype: compute type.
  """

  width: int
  depth: int
  heads: int
  mlp_width: int
  patch_values: int
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, visible, restore):
    """Predicts every patch.

    Args:
      visible: [B, V, W] encoded visible tokens.
      restore: [B, L] int, for each patch its place in (visible, hidden).

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
    positions = vit1d.sinusoidal_positions(length, self.width)
    x = x + jnp.asarray(positions, self.dtype)[None]
    for i in range(self.depth):
      x = vit1d.Block(self.heads, self.mlp_width, self.dtype,
                      name=f"block{i}")(x)
    x = nn.LayerNorm(dtype=self.dtype, name="norm")(x)
    return nn.Dense(self.patch_values, dtype=self.dtype, name="out")(
        x
    ).astype(jnp.float32)
