"""ViT-1D: a patch Transformer over one biosignal segment.

`x [B, T, C] -> tokens [B, L, W] -> embedding [B, D]`. The paper's encoder is
`stem="patch"`, `pool="mean"`. Two options of ours serve small data sets and
small machines: a filterbank stem, whose band-pass filters suit the 5-15 Hz
micro-movement of a still wrist, and grid pooling, which keeps *when*
something happens within the segment.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from accfm.base import mesh as meshlib
from accfm.base.errors import InputError
from accfm.models import fused, regularise


def check(encoder):
  """Raises InputError unless the fields of a ViT1D fit."""
  regularise.check_rates(encoder)
  if encoder.block not in ("plain", "fused"):
    raise InputError(
        f"block: got {encoder.block!r}, want 'plain' or 'fused'"
    )
  if encoder.block == "fused":
    fused.check(encoder)
  if encoder.stem not in ("patch", "filterbank"):
    raise InputError(
        f"stem: got {encoder.stem!r}, want 'patch' or 'filterbank'"
    )
  if encoder.pool not in ("mean", "grid"):
    raise InputError(f"pool: got {encoder.pool!r}, want 'mean' or 'grid'")
  if encoder.width % (2 * encoder.heads):
    raise InputError(
        f"width: got {encoder.width} for {encoder.heads} heads, want a "
        "multiple of twice the heads"
    )
  if encoder.stem == "filterbank" and encoder.patch % encoder.stem_stride:
    raise InputError(
        f"patch: got {encoder.patch}, want a multiple of stem_stride="
        f"{encoder.stem_stride}"
    )


def sinusoidal_positions(length, width):
  """Fixed positions [L, W]: sines, then cosines, of geometric frequencies.

  Vaswani et al. 2017 (arXiv 1706.03762), section 3.5.
  """
  rate = np.exp(-np.log(10_000.0) * np.arange(width // 2) / (width // 2))
  angle = np.arange(length)[:, None] * rate
  return np.concatenate([np.sin(angle), np.cos(angle)], 1).astype(np.float32)


def by_rows(x, kernel, dimension_numbers, **options):
  """`jax.lax.dot_general` of x [..., W] and a kernel [W, F], for `Dense`.

  On a CPU all rows of x are one axis: with two of them (batch, token) the
  gradient of the kernel is summed over two, for which XLA transposes its
  factors. A TPU is left the axes that it knows how to lay out.
  """
  if not _on_cpu():
    return jax.lax.dot_general(x, kernel, dimension_numbers, **options)
  rows = x.reshape(-1, x.shape[-1])
  y = jax.lax.dot_general(rows, kernel, (((1,), (0,)), ((), ())), **options)
  return y.reshape(*x.shape[:-1], -1)


Dense = functools.partial(nn.Dense, dot_general=by_rows)


def attend(q, k, v):
  """Softmax attention of [B, L, H, D] (Vaswani et al. 2017, eq. 1).

  `jax.nn.dot_product_attention`; on a CPU the same values with heads put
  first: it multiplies matrices that lie together 1.5 times as fast.
  """
  if not _on_cpu():
    return jax.nn.dot_product_attention(q, k, v)
  q, k, v = (x.transpose(0, 2, 1, 3) for x in (q, k, v))  # [B, H, L, D]
  scores = jnp.einsum(
      "bhqd,bhkd->bhqk", q, k, preferred_element_type=jnp.float32
  ) * np.float32(q.shape[-1] ** -0.5)
  weights = jax.nn.softmax(scores).astype(v.dtype)
  return jnp.einsum("bhqk,bhkd->bhqd", weights, v).transpose(0, 2, 1, 3)


def _on_cpu():
  """Whether a program for a mesh of CPUs is being traced."""
  device = meshlib.traced_device()
  return device is not None and device.platform == "cpu"


class Attention(nn.Module):
  """Multi-head self-attention with one fused projection to q, k and v."""

  heads: int
  dtype: jnp.dtype

  @nn.compact
  def __call__(self, x):
    b, length, width = x.shape
    qkv = Dense(3 * width, dtype=self.dtype, name="qkv")(x)
    qkv = qkv.reshape(b, length, 3, self.heads, width // self.heads)
    x = attend(qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2])
    x = x.reshape(b, length, width)  # of [B, L, heads, W/heads]
    return Dense(width, dtype=self.dtype, name="out")(x)


class Block(nn.Module):
  """Pre-norm Transformer block.

  Attributes:
    heads, mlp_width: of attention and MLP.
    dtype: compute type.
    dropout: rate on the output of the attention and of the MLP.
    drop_path: rate at which a row skips the attention, and the MLP.
    fused: run as `fused.block`; without dropout and stochastic depth.
  """

  heads: int
  mlp_width: int
  dtype: jnp.dtype
  dropout: float = 0.0
  drop_path: float = 0.0
  fused: bool = False

  @nn.compact
  def __call__(self, x, train=False, row_keys=None):
    """[B, L, W] -> [B, L, W]; `train`, `row_keys` as in ViT1D."""
    if self.fused and not self.is_initializing():
      plain = Block(self.heads, self.mlp_width, self.dtype, parent=None)
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


def local_mean(x, span):
  """Mean of the `span` steps about each step that there are: [B, T, F]."""
  return nn.avg_pool(x, (span,), (1,), "SAME", count_include_pad=False)


class FilterbankStem(nn.Module):
  """Learned band-pass filters and their log energy, then patches.

  A micro-movement's sign depends on how the watch sits and its size on the
  strap; the logarithm of its energy keeps its timing and drops both. The
  filtered waves go on beside it. A token sees three patches.

  With `level`, a gain control: a band's energy is parted into its mean over
  `level` strides and what is left, in units of its own recent size. Bouts of
  movement differ from stillness by far more than a beat from its pause, and
  would hide the beats else.
  """

  patch: int
  width: int
  filters: int
  stride: int
  taps: int
  level: int
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

  A 1-D ViT over patches is reported [D] (arXiv 2412.11276); its sizes are
  recalled by readers of the paper [r], all else is our choice [o].

  Attributes:
    patch: samples per token; 20 of 64 Hz [r].
    width, depth, heads, mlp_width: of the Transformer; width 256, depth 8,
      MLP 1,024 [r], heads 4 [o].
    embed_dim: D, 256 [r].
    stem: "patch" (one linear map of each patch) [r] or "filterbank" [o].
    stem_filters, stem_stride, stem_taps: of the filterbank stem [o].
    stem_level: strides of its gain control, 0 for none [o].
    pool: "mean" over tokens [r], or "grid" [o]: `pool_bins` local means of
      `pool_width` channels each, side by side, so that time is kept. With
      D = pool_bins * pool_width they are the embedding; any other D mixes
      them and the mean by one linear map.
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

  def encode_tokens(self, tokens, train=False, row_keys=None):
    """[B, L, W] -> [B, L, W] through the blocks and the last norm."""
    for block in self.blocks:
      tokens = block(tokens, train, row_keys)
    return self.norm(tokens)

  def encode_visible(self, x, keep, train=False, row_keys=None):
    """Encodes some patches only: [B, T, C], keep [B, V] -> [B, V, W]."""
    tokens = self.patch_tokens(x)
    tokens = jnp.take_along_axis(tokens, keep[..., None], axis=1)
    return self.encode_tokens(tokens, train, row_keys)

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

  def __call__(self, x, train=False, return_tokens=False, row_keys=None):
    """Embeds segments.

    Args:
      x: [B, T, C], already normalised.
      train: apply dropout and stochastic depth.
      return_tokens: also return the tokens [B, L, W].
      row_keys: [B] jax keys, one per global row; needed in training with a
        dropout or drop_path rate above 0.

    Returns:
      The embedding [B, D] in float32, or (embedding, tokens).

    Raises:
      InputError: T is not whole patches, or pool_bins does not divide them;
        a rate above 0 in training without a key per row.
    """
    tokens = self.encode_tokens(self.patch_tokens(x), train, row_keys)
    embedding = self.pool_tokens(tokens)
    return (embedding, tokens) if return_tokens else embedding
