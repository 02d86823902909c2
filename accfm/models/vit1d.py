"""ViT-1D: a patch Transformer over one biosignal segment.

`x [B, T, C] -> tokens [B, L, W] -> embedding [B, D]`. The paper's encoder is
`stem="patch"`, `pool="mean"`. Two options of ours serve small data sets and
small machines: a filterbank stem, whose band-pass filters suit the 5-15 Hz
micro-movement of a still wrist, and grid pooling, which keeps *when*
something happens within the segment.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from accfm.base.errors import InputError


def sinusoidal_positions(length, width):
  """Fixed positions [L, W]: sines, then cosines, of geometric frequencies.

  Vaswani et al. 2017 (arXiv 1706.03762), section 3.5.
  """
  rate = np.exp(-np.log(10_000.0) * np.arange(width // 2) / (width // 2))
  angle = np.arange(length)[:, None] * rate
  return np.concatenate([np.sin(angle), np.cos(angle)], 1).astype(np.float32)


class Attention(nn.Module):
  """Multi-head self-attention with one fused projection to q, k and v."""

  heads: int
  dtype: jnp.dtype

  @nn.compact
  def __call__(self, x):
    b, length, width = x.shape
    qkv = nn.Dense(3 * width, dtype=self.dtype, name="qkv")(x)
    qkv = qkv.reshape(b, length, 3, self.heads, width // self.heads)
    q, k, v = qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2]
    x = jax.nn.dot_product_attention(q, k, v)  # [B, L, heads, W/heads]
    x = x.reshape(b, length, width)
    return nn.Dense(width, dtype=self.dtype, name="out")(x)


class Block(nn.Module):
  """Pre-norm Transformer block."""

  heads: int
  mlp_width: int
  dtype: jnp.dtype

  @nn.compact
  def __call__(self, x):
    width = x.shape[-1]
    y = nn.LayerNorm(dtype=self.dtype, name="norm1")(x)
    x = x + Attention(self.heads, self.dtype, name="attention")(y)
    y = nn.LayerNorm(dtype=self.dtype, name="norm2")(x)
    y = nn.Dense(self.mlp_width, dtype=self.dtype, name="mlp_in")(y)
    y = nn.Dense(width, dtype=self.dtype, name="mlp_out")(nn.gelu(y))
    return x + y


def filterbank_init(lowest, highest):
  """Initialiser [taps, C, 2F] of F windowed cosine/sine (quadrature) pairs.

  Columns f and F + f are a Hann-windowed cosine and sine of one frequency,
  geometric from `lowest` to `highest` cycles per sample, without mean, of
  unit norm, applied to one random direction over the channels. Zeghidour et
  al. 2021 (LEAF, arXiv 2101.08596) start audio filters in this spirit.
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


class FilterbankStem(nn.Module):
  """Learned band-pass filters and their log energy, then patches.

  A micro-movement's sign depends on how the watch sits and its size on the
  strap; the logarithm of its energy keeps its timing and drops both. The
  filtered waves go on beside it. A token sees three patches.
  """

  patch: int
  width: int
  filters: int
  stride: int
  taps: int
  dtype: jnp.dtype

  @nn.compact
  def __call__(self, x):
    wave = nn.Conv(
        2 * self.filters, (self.taps,), (self.stride,), dtype=self.dtype,
        kernel_init=filterbank_init(1 / 96, 1 / 4), name="filters",
    )(x)  # [B, T/stride, 2F]
    power = jnp.square(wave[..., :self.filters].astype(jnp.float32))
    power += jnp.square(wave[..., self.filters:].astype(jnp.float32))
    energy = 0.25 * jnp.log(1e-5 + power)
    # Each band about its own level: the strap's gain drops out.
    energy -= energy.mean(1, keepdims=True)
    wave = jnp.clip(wave, -2.0, 2.0)
    x = jnp.concatenate([wave, energy.astype(self.dtype)], -1)
    group = self.patch // self.stride
    return nn.Conv(
        self.width, (3 * group,), (group,), dtype=self.dtype, name="patch"
    )(x)


class ViT1D(nn.Module):
  """The encoder.

  Attributes:
    patch: samples per token.
    width, depth, heads, mlp_width: of the Transformer.
    embed_dim: D.
    stem: "patch" (one linear map of each patch) or "filterbank".
    stem_filters, stem_stride, stem_taps: of the filterbank stem.
    pool: "mean" over tokens, or "grid": `pool_bins` local means of
      `pool_width` channels each, side by side, so that time is kept. With
      D = pool_bins * pool_width they are the embedding; any other D mixes
      them and the mean by one linear map.
    dtype: compute type; parameters are float32.
    remat: recompute blocks in the backward pass to save memory.
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
  pool: str = "mean"
  pool_bins: int = 30
  pool_width: int = 16
  dtype: jnp.dtype = jnp.float32
  remat: bool = False

  def setup(self):
    if self.stem == "filterbank":
      self.embed_patches = FilterbankStem(
          self.patch, self.width, self.stem_filters, self.stem_stride,
          self.stem_taps, self.dtype,
      )
    else:
      self.embed_patches = nn.Dense(self.width, dtype=self.dtype)
    block = nn.remat(Block) if self.remat else Block
    self.blocks = [
        block(self.heads, self.mlp_width, self.dtype)
        for _ in range(self.depth)
    ]
    self.norm = nn.LayerNorm(dtype=self.dtype)
    if self.pool == "grid":
      self.local = nn.Dense(self.pool_width, dtype=self.dtype)
      self.mixes = self.embed_dim != self.pool_bins * self.pool_width
    else:
      self.mixes = self.embed_dim != self.width
    if self.mixes:
      self.embed = nn.Dense(self.embed_dim, dtype=self.dtype)

  def patch_tokens(self, x):
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

  def encode_tokens(self, tokens):
    """[B, L, W] -> [B, L, W] through the blocks and the last norm."""
    for block in self.blocks:
      tokens = block(tokens)
    return self.norm(tokens)

  def encode_visible(self, x, keep):
    """Encodes some patches only: [B, T, C], keep [B, V] -> [B, V, W]."""
    tokens = self.patch_tokens(x)
    return self.encode_tokens(
        jnp.take_along_axis(tokens, keep[..., None], axis=1)
    )

  def pool_tokens(self, tokens):
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

  def __call__(self, x, train=False, return_tokens=False):
    """Embeds segments.

    Args:
      x: [B, T, C], already normalised.
      train: no effect here; families with dropout or batch norm use it.
      return_tokens: also return the tokens [B, L, W].

    Returns:
      The embedding [B, D] in float32, or (embedding, tokens).
    """
    tokens = self.encode_tokens(self.patch_tokens(x))
    embedding = self.pool_tokens(tokens)
    return (embedding, tokens) if return_tokens else embedding
