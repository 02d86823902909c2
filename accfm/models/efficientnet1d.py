"""EfficientNet-1D: mobile inverted bottlenecks over one biosignal segment.

`x [B, T, C] -> feature map [B, T/stride, W] -> embedding [B, D]`, any T and
C. The order of layers is that of Tan & Le 2019 (arXiv 1905.11946) with one
axis of time in place of two of an image. A depthwise convolution is written
as a sum of shifted copies, which XLA fuses into one pass; its own grouped
convolutions take tens of times longer forward on a CPU.
"""

import functools
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from accfm.base.errors import InputError
from accfm.models import regularise

STAGE_FIELDS = ("repeats", "widths", "kernels", "strides", "expansions")


def check(encoder):
  """Raises InputError unless the fields of an EfficientNet1D fit."""
  regularise.check_rates(encoder)
  sizes = {name: len(getattr(encoder, name)) for name in STAGE_FIELDS}
  if len(set(sizes.values())) > 1 or not encoder.repeats:
    raise InputError(
        f"stages: got {sizes} values, want one per stage in each field"
    )
  for name in (*STAGE_FIELDS, "stem_width", "stem_kernel", "stem_stride"):
    value = getattr(encoder, name)
    if min(value if name in STAGE_FIELDS else (value,)) < 1:
      raise InputError(f"{name}: got {value}, want at least 1")


def taps(x, kernel, stride):
  """What each of `kernel` taps sees: a list of [B, ceil(T/stride), C].

  Zeros are added on both sides, the odd one at the end ("same" padding).
  """
  t = x.shape[1]
  out = -(-t // stride)
  extra = max((out - 1) * stride + kernel - t, 0)
  x = jnp.pad(x, ((0, 0), (extra // 2, extra - extra // 2), (0, 0)))
  return [
      x[:, j:j + (out - 1) * stride + 1:stride] for j in range(kernel)
  ]


class Conv(nn.Module):
  """A convolution over time and channels, without bias.

  Attributes:
    width: W, channels out.
    kernel, stride: in samples.
    dtype: compute type.
  """

  width: int
  kernel: int
  stride: int
  dtype: jnp.dtype

  @nn.compact
  def __call__(self, x):
    """[B, T, C] -> [B, ceil(T/stride), W]."""
    x = jnp.concatenate(taps(x, self.kernel, self.stride), -1)
    return nn.Dense(
        self.width, use_bias=False, dtype=self.dtype, name="dense"
    )(x)


class Depthwise(nn.Module):
  """A convolution over time of each channel by itself, without bias.

  Attributes:
    kernel, stride: in samples.
    dtype: compute type.
  """

  kernel: int
  stride: int
  dtype: jnp.dtype

  @nn.compact
  def __call__(self, x):
    """[B, T, C] -> [B, ceil(T/stride), C]."""
    # Fan-in is the kernel length: each channel sees itself alone.
    kernel = self.param(
        "kernel", nn.initializers.lecun_normal(), (self.kernel, x.shape[-1])
    ).astype(self.dtype)
    seen = taps(x, self.kernel, self.stride)
    return sum(
        part * weight[None, None]
        for part, weight in zip(seen, kernel, strict=True)
    )


class SqueezeExcite(nn.Module):
  """Scales channels by what they are on average over time.

  Hu et al. 2018 (arXiv 1709.01507): x * sigmoid(W2 swish(W1 mean(x))).

  Attributes:
    width: of the bottleneck between the two layers.
    dtype: compute type; the mean is float32.
  """

  width: int
  dtype: jnp.dtype

  @nn.compact
  def __call__(self, x):
    """[B, T, C] -> [B, T, C]."""
    y = x.mean(1, dtype=jnp.float32).astype(self.dtype)
    y = nn.Dense(self.width, dtype=self.dtype, name="squeeze")(y)
    y = nn.Dense(x.shape[-1], dtype=self.dtype, name="excite")(nn.swish(y))
    return x * nn.sigmoid(y)[:, None]


class MBConv(nn.Module):
  """Mobile inverted bottleneck: widen, filter each channel, weigh, narrow.

  Sandler et al. 2018 (arXiv 1801.04381) with squeeze-and-excite. Where the
  shapes agree the input is added, and stochastic depth may drop the rest.

  Attributes:
    width: W, channels out.
    kernel, stride: of the depthwise convolution.
    expansion: channels inside over channels in; 1 leaves out the widening.
    se_ratio: width of the squeeze over channels in.
    drop_path: rate of stochastic depth.
    norm: makes a batch norm of `use_running_average` and `name`.
    dtype: compute type.
  """

  width: int
  kernel: int
  stride: int
  expansion: int
  se_ratio: float
  drop_path: float
  norm: Any
  dtype: jnp.dtype

  @nn.compact
  def __call__(self, x, train=False, row_keys=None):
    """[B, T, C] -> [B, ceil(T/stride), W]."""
    channels = x.shape[-1]
    norm = functools.partial(self.norm, use_running_average=not train)
    dense = functools.partial(nn.Dense, use_bias=False, dtype=self.dtype)
    y = x
    if self.expansion > 1:
      y = dense(self.expansion * channels, name="expand")(y)
      y = nn.swish(norm(name="expand_norm")(y))
    y = Depthwise(self.kernel, self.stride, self.dtype, name="depthwise")(y)
    y = nn.swish(norm(name="depthwise_norm")(y))
    y = SqueezeExcite(
        max(1, int(self.se_ratio * channels)), self.dtype, name="weigh"
    )(y)
    y = norm(name="project_norm")(dense(self.width, name="project")(y))
    if y.shape != x.shape:
      return y
    skip = regularise.DropPath(self.drop_path, name="drop_path")
    return x + skip(y, train, row_keys)


class EfficientNet1D(nn.Module):
  """The encoder.

  Sixteen blocks with squeeze-and-excite, batch norm, swish, average pooling,
  256 values and 3.3 M parameters are reported for it [L]; everything else is
  our choice [o], by the fields below. [L] is arXiv 2312.05409.

  Collections: "params" and "batch_stats" (the running means and variances).
  In training each batch is normalised by its own statistics and the running
  ones move towards them; otherwise the running ones are used.

  Attributes:
    stem_width, stem_kernel, stem_stride: of the first convolution [o].
    repeats: blocks in each stage; the presets' sum of 16 is [L], their
      stages are Tan & Le's [o].
    widths: channels out of each stage [o].
    kernels: taps of each stage [o]: time has one axis, so that longer ones
      than an image's are cheap.
    strides: of each stage's first block [o].
    expansions: of each stage's blocks [o].
    se_ratio: squeeze width over a block's channels in [o].
    last_width: W, of the last 1x1 convolution [o].
    embed_dim: D, 256 [L]. A linear map of the pooled W values [o]; with
      D = W there is none.
    bn_momentum: share of the old running statistics that an update keeps
      [o].
    bn_epsilon: added to the variance [o].
    dropout: rate on the pooled values [o].
    drop_path: rate of stochastic depth of the last block, linear from the
      first [o].
    remat: recompute blocks in the backward pass to save memory.
    dtype: compute type; parameters, statistics and embedding are float32.
    axis_name: the mesh axis over which training statistics are averaged, or
      None for one device's.
  """

  stem_width: int
  stem_kernel: int
  stem_stride: int
  repeats: tuple[int, ...]
  widths: tuple[int, ...]
  kernels: tuple[int, ...]
  strides: tuple[int, ...]
  expansions: tuple[int, ...]
  last_width: int
  embed_dim: int
  se_ratio: float = 0.25
  bn_momentum: float = 0.9
  bn_epsilon: float = 1e-3
  dropout: float = 0.0
  drop_path: float = 0.0
  remat: bool = False
  dtype: jnp.dtype = jnp.float32
  axis_name: str | None = None

  @nn.compact
  def __call__(self, x, train=False, return_tokens=False, row_keys=None):
    """Embeds segments.

    Args:
      x: [B, T, C], already normalised.
      train: use the batch's statistics (averaged over `axis_name`) and
        update the running ones: `mutable=["batch_stats"]` returns them.
      return_tokens: also return the last feature map [B, L, W], L = T over
        the product of the strides, rounded up at each.
      row_keys: [B] jax keys, one per global row; needed in training with a
        dropout or drop_path rate above 0.

    Returns:
      The embedding [B, D] in float32, or (embedding, feature map).

    Raises:
      InputError: a rate above 0 in training without a key per row.
    """
    # Its statistics are float32 whatever the compute type, and its variance
    # is E[x^2] - E[x]^2: one pass over x and one all-reduce.
    norm = functools.partial(
        nn.BatchNorm, momentum=self.bn_momentum, epsilon=self.bn_epsilon,
        dtype=self.dtype, axis_name=self.axis_name,
    )
    dense = functools.partial(nn.Dense, dtype=self.dtype)
    x = Conv(self.stem_width, self.stem_kernel, self.stem_stride, self.dtype,
             name="stem")(x.astype(self.dtype))
    x = nn.swish(norm(use_running_average=not train, name="stem_norm")(x))
    # `train` is Python's, not traced; argument 0 is the module.
    block = nn.remat(MBConv, static_argnums=(2,)) if self.remat else MBConv
    for i, fields in enumerate(self._blocks()):
      x = block(*fields, norm, self.dtype, name=f"block{i}")(
          x, train, row_keys
      )
    x = dense(self.last_width, use_bias=False, name="last")(x)
    tokens = nn.swish(norm(use_running_average=not train, name="last_norm")(x))
    pooled = tokens.mean(1, dtype=jnp.float32)
    pooled = regularise.Dropout(self.dropout, name="drop")(
        pooled, train, row_keys
    )
    if self.embed_dim != self.last_width:
      pooled = dense(self.embed_dim, name="embed")(pooled)
    embedding = pooled.astype(jnp.float32)
    return (embedding, tokens) if return_tokens else embedding

  def _blocks(self):
    """MBConv's fields up to `drop_path`, block by block."""
    rates = iter(regularise.path_rates(self.drop_path, sum(self.repeats)))
    stages = zip(*(getattr(self, name) for name in STAGE_FIELDS), strict=True)
    return [
        (width, kernel, stride if i == 0 else 1, expansion, self.se_ratio,
         next(rates))
        for repeats, width, kernel, stride, expansion in stages
        for i in range(repeats)
    ]
