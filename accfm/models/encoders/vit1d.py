"""ViT-1D: a patch Transformer over one biosignal segment.

`x [B, T, C] -> tokens [B, L, W] -> embedding [B, D]`. The paper's encoder is
`stem="patch"`, `pool="mean"`. Two options of ours serve small data sets and
small machines: a filterbank stem, whose band-pass filters suit the 5-15 Hz
micro-movement of a still wrist, and grid pooling, which keeps *when*
something happens within the segment.

The marks [D], [L], [r] and [o] say where a choice comes from
(docs/method.md).
"""


from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from accfm.base import values
from accfm.base.errors import InputError
from accfm.models import fused, regularise
from accfm.models.transformer import Block, Dense, sinusoidal_positions

RULES = {
    **dict.fromkeys(
        ("patch", "width", "depth", "heads", "mlp_width", "embed_dim",
         "stem_filters", "stem_stride", "stem_taps", "pool_bins",
         "pool_width"), values.SOME,
    ),
    "stem_level": values.COUNT,
    "stem": values.one_of("patch", "filterbank"),
    "pool": values.one_of("mean", "grid"),
    "block": values.one_of("plain", "fused"),
    **regularise.RULES,
}


def filterbank_init(lowest: float, highest: float) -> Any:
  """Initialiser [taps, C, 2F] of F windowed cosine/sine (quadrature) pairs.

  Columns f and F + f are a Hann-windowed cosine and sine of one frequency.
  Frequencies are geometric from `lowest` to `highest` cycles per sample. Each
  filter has mean 0 and norm 1 and looks at one random direction of the
  channels. Zeghidour et al. 2021 (LEAF, arXiv 2101.08596) initialise audio
  filters in a similar way.
  """

  def init(key, shape, dtype=jnp.float32):
    taps, channels, pairs = shape[0], shape[1], shape[2] // 2
    n = np.arange(taps)[:, None] - (taps - 1) / 2
    ratio = (highest / lowest) ** (1 / max(pairs - 1, 1))
    angle = 2 * np.pi * lowest * ratio ** np.arange(pairs) * n  # [taps, F]
    window = np.hanning(taps + 2)[1:-1, None]
    waves = np.stack([np.cos(angle), np.sin(angle)]) * window  # [2, taps, F]
    waves -= window * waves.sum(1, keepdims=True) / window.sum()
    waves /= np.linalg.norm(waves, axis=1, keepdims=True)
    axes = jax.random.normal(key, (channels, pairs))
    axes /= jnp.linalg.norm(axes, axis=0, keepdims=True)
    kernel = waves[:, :, None] * axes[None, None]  # [2, taps, C, F]
    return jnp.concatenate([kernel[0], kernel[1]], -1).astype(dtype)

  return init


def local_mean(x: jax.Array, span: int) -> jax.Array:
  """[B, T, F]: the mean of `span` steps around each step.

  At the ends it is the mean of the steps that exist.
  """
  return nn.avg_pool(x, (span,), (1,), "SAME", count_include_pad=False)


class FilterbankStem(nn.Module):
  """Learned band-pass filters and their log energy, then patches.

  The sign of a micro-movement depends on how the watch sits, and its size on
  the strap. The logarithm of its energy keeps the timing and drops both. The
  filtered waves are passed on beside it. A token sees three patches.

  `level` adds a gain control. It splits a band's energy into its mean over
  `level` strides and the rest, which is scaled by its own recent size.
  Movement and stillness differ by far more than a beat and the pause after
  it, and would hide the beats otherwise.

  Attributes:
    patch: samples per token.
    width: W, size of a token.
    filters: F, pairs of filters.
    stride: of the filters, in samples; it divides `patch`.
    taps: length of a filter in samples.
    level: strides of the gain control; 0 for none.
    dtype: compute type.
  """

  patch: int
  width: int
  filters: int
  stride: int
  taps: int
  level: int
  dtype: jnp.dtype

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[B, T, C] -> [B, L, W]."""
    wave = nn.Conv(
        2 * self.filters, (self.taps,), (self.stride,), dtype=self.dtype,
        kernel_init=filterbank_init(1 / 96, 1 / 4), name="filters",
    )(x)  # [B, T/stride, 2F]
    power = jnp.square(wave[..., :self.filters].astype(jnp.float32))
    power += jnp.square(wave[..., self.filters:].astype(jnp.float32))
    energy = 0.25 * jnp.log(1e-5 + power)
    # Each band about its own level: the strap's gain drops out.
    energy -= energy.mean(1, keepdims=True)
    if self.level:
      level = local_mean(energy, self.level)
      beats = energy - level
      power = local_mean(jnp.square(beats), 2 * self.level)
      beats = jnp.clip(beats * jax.lax.rsqrt(power + 1e-4), -3.0, 3.0)
      energy = jnp.concatenate([level, beats], -1)
    wave = jnp.clip(wave, -2.0, 2.0)
    x = jnp.concatenate([wave, energy.astype(self.dtype)], -1)
    group = self.patch // self.stride
    return nn.Conv(
        self.width, (3 * group,), (group,), dtype=self.dtype, name="patch"
    )(x)


class ViT1D(nn.Module):
  """The encoder.

  A 1-D ViT over patches is reported [D] (arXiv 2412.11276). Its sizes are
  recalled by readers of the paper [r]; everything else is our choice [o].

  Attributes:
    patch: samples per token; 20 of 64 Hz [r].
    width: W, of the Transformer; 256 [r].
    depth: number of blocks; 8 [r].
    heads: attention heads of a block; 4 [o].
    mlp_width: hidden width of a block's MLP; 1,024 [r].
    embed_dim: D, 256 [r].
    stem: "patch" (one linear map of each patch) [r] or "filterbank" [o].
    stem_filters: of the filterbank stem, pairs of filters [o].
    stem_stride: of the filterbank stem, in samples [o].
    stem_taps: of the filterbank stem, length of a filter in samples [o].
    stem_level: of the filterbank stem, strides that its gain control looks
      at; 0 for none [o].
    pool: "mean" over tokens [r], or "grid" [o]: `pool_bins` local means of
      `pool_width` channels each, side by side, so that time is kept. With
      D = pool_bins * pool_width they are the embedding; any other D is a
      linear map of them and the mean.
    pool_bins: see `pool`.
    pool_width: see `pool`.
    dropout: rate on the output of each attention and MLP [o].
    drop_path: rate of stochastic depth of the last block, linear from the
      first [o].
    dtype: compute type; parameters are float32.
    remat: recompute blocks in the backward pass to save memory.
    block: "plain", or "fused": on TPUs each block is one kernel, see
      `models.fused`.
  """

  patch: int
  width: int
  depth: int
  heads: int
  mlp_width: int
  embed_dim: int
  stem: str = "patch"
  stem_filters: int = 24
  stem_stride: int = 8
  stem_taps: int = 32
  stem_level: int = 0
  pool: str = "mean"
  pool_bins: int = 30
  pool_width: int = 16
  dropout: float = 0.0
  drop_path: float = 0.0
  dtype: jnp.dtype = jnp.float32
  remat: bool = False
  block: str = "plain"

  def check(self) -> None:
    """Raises InputError unless the fields fit together."""
    values.check({name: getattr(self, name) for name in RULES}, RULES)
    if self.block == "fused":
      fused.check(self)
    if self.width % (2 * self.heads):
      raise InputError(
          f"width: got {self.width} for {self.heads} heads, want a multiple "
          "of twice the heads"
      )
    if self.stem == "filterbank" and self.patch % self.stem_stride:
      raise InputError(
          f"patch: got {self.patch}, want a multiple of stem_stride="
          f"{self.stem_stride}"
      )

  def check_maskable(self, samples: int) -> None:
    """Raises InputError if it cannot be trained by masking patches.

    Args:
      samples: of a segment.
    """
    if samples % self.patch:
      raise InputError(
          f"patch: got {self.patch} for segments of {samples} samples, want a "
          "divisor"
      )
    if self.stem != "patch" or self.pool != "mean":
      raise InputError(
          f"masked autoencoding: got stem={self.stem!r}, pool={self.pool!r}, "
          "want stem='patch' (overlapping filters would see hidden patches) "
          "and pool='mean' (another pool would stay untrained)"
      )
    if self.embed_dim != self.width:
      raise InputError(
          f"masked autoencoding: got embed_dim={self.embed_dim}, want the "
          f"width {self.width}: a further layer would stay untrained"
      )

  def setup(self):
    if self.stem == "filterbank":
      self.embed_patches = FilterbankStem(
          self.patch, self.width, self.stem_filters, self.stem_stride,
          self.stem_taps, self.stem_level, self.dtype,
      )
    else:
      self.embed_patches = Dense(self.width, dtype=self.dtype)
    # `train` is Python's, not traced; argument 0 is the module.
    block = nn.remat(Block, static_argnums=(2,)) if self.remat else Block
    self.blocks = [
        block(self.heads, self.mlp_width, self.dtype, self.dropout, rate,
              self.block == "fused")
        for rate in regularise.path_rates(self.drop_path, self.depth)
    ]
    self.norm = nn.LayerNorm(dtype=self.dtype)
    if self.pool == "grid":
      self.local = nn.Dense(self.pool_width, dtype=self.dtype)
      self.mixes = self.embed_dim != self.pool_bins * self.pool_width
    else:
      self.mixes = self.embed_dim != self.width
    if self.mixes:
      self.embed = nn.Dense(self.embed_dim, dtype=self.dtype)

  def patch_tokens(self, x: jax.Array) -> jax.Array:
    """[B, T, C] -> [B, L, W] tokens with positions, before any block."""
    b, t, c = x.shape
    if t % self.patch:
      raise InputError(
          f"segment: got {t} samples, want a multiple of patch={self.patch}"
      )
    x = x.astype(self.dtype)
    if self.stem != "filterbank":
      x = x.reshape(b, t // self.patch, self.patch * c)
    x = self.embed_patches(x)
    positions = sinusoidal_positions(t // self.patch, self.width)
    return x + jnp.asarray(positions, self.dtype)[None]

  def encode_tokens(
      self, tokens: jax.Array, train: bool = False,
      row_keys: jax.Array | None = None,
  ) -> jax.Array:
    """[B, L, W] -> [B, L, W] through the blocks and the last norm."""
    for block in self.blocks:
      tokens = block(tokens, train, row_keys)
    return self.norm(tokens)

  def encode_visible(
      self, x: jax.Array, keep: jax.Array, train: bool = False,
      row_keys: jax.Array | None = None,
  ) -> jax.Array:
    """Encodes the patches `keep` [B, V] alone: [B, T, C] -> [B, V, W]."""
    tokens = self.patch_tokens(x)
    tokens = jnp.take_along_axis(tokens, keep[..., None], axis=1)
    return self.encode_tokens(tokens, train, row_keys)

  def pool_tokens(self, tokens: jax.Array) -> jax.Array:
    """[B, L, W] -> [B, D] float32."""
    if self.pool == "grid":
      b, length, width = tokens.shape
      if length % self.pool_bins:
        raise InputError(
            f"pool_bins: got {self.pool_bins} for {length} tokens, want a "
            "divisor"
        )
      bins = tokens.reshape(b, self.pool_bins, -1, width).mean(2)
      pooled = self.local(bins).reshape(b, self.pool_bins * self.pool_width)
      if self.mixes:
        pooled = jnp.concatenate([tokens.mean(1), pooled], -1)
    else:
      pooled = tokens.mean(1)
    if self.mixes:
      pooled = self.embed(pooled)
    return pooled.astype(jnp.float32)

  def __call__(
      self, x: jax.Array, train: bool = False, return_tokens: bool = False,
      row_keys: jax.Array | None = None,
  ) -> Any:
    """Embeds segments.

    Args:
      x: [B, T, C], normalised.
      train: apply dropout and stochastic depth.
      return_tokens: also return the tokens [B, L, W].
      row_keys: [B] jax keys, one per global row; needed in training with a
        dropout or drop_path rate above 0.

    Returns:
      The embedding [B, D] in float32, or (embedding, tokens).

    Raises:
      InputError: T is not a multiple of `patch`, or the number of patches
        not one of `pool_bins`; or training at a rate above 0 without keys.
    """
    tokens = self.encode_tokens(self.patch_tokens(x), train, row_keys)
    embedding = self.pool_tokens(tokens)
    return (embedding, tokens) if return_tokens else embedding


ENCODER = ViT1D

_SMALL = dict(width=64, depth=2, heads=2, mlp_width=256)

# vit_s is the paper's encoder [r]: 8 layers of 256, MLP 1,024, 6.3 M
# parameters; the others are ours [o]. Parameters are counted for the paper's
# PPG of 4 channels, and for 3 channels where only acceleration is meant.
PRESETS = {
    "vit_s": dict(
        patch=20, width=256, depth=8, heads=4, mlp_width=1024, embed_dim=256
    ),
    # 1.2 M: five times smaller than vit_s, the paper's compression claim.
    "vit_xs": dict(
        patch=20, width=128, depth=6, heads=4, mlp_width=512, embed_dim=128
    ),
    # 0.46 M: fourteen times smaller.
    "vit_xxs": dict(
        patch=20, width=96, depth=4, heads=2, mlp_width=384, embed_dim=96
    ),
    # 0.23 M for acceleration: a token is half a second (32 samples of 3 axes
    # are the 96 values of its width), so that a minute costs some 36 M
    # multiplications and, in 8 bits, a quarter of a megabyte.
    "vit_watch": dict(
        patch=32, width=96, depth=3, heads=2, mlp_width=192, embed_dim=96
    ),
    "vit_laptop": dict(
        _SMALL, patch=64, stem="filterbank", stem_level=16, pool="grid",
        embed_dim=256,
    ),
    # Keeps time second by second: for recordings whose shared content is
    # movement rather than beats.
    "vit_local": dict(
        _SMALL, patch=64, stem="filterbank", pool="grid", pool_bins=60,
        pool_width=8, embed_dim=480,
    ),
    "vit_laptop_mae": dict(_SMALL, patch=32, embed_dim=64),
    "vit_tiny": dict(
        patch=32, width=16, depth=1, heads=2, mlp_width=32, embed_dim=16
    ),
}
