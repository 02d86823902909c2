"""EfficientNet-1D: mobile inverted bottlenecks over one biosignal segment.

`x [B, T, C] -> feature map [B, T/stride, W] -> embedding [B, D]`, any T and
C. The order of layers is that of Tan & Le 2019 (arXiv 1905.11946), with time
as the one axis in place of the two of an image. A depthwise convolution is
written as a sum of shifted copies, which XLA fuses into one pass. XLA's own
grouped convolutions take tens of times as long in the forward pass on a CPU.

The marks [L] and [o] say where a choice comes from (docs/method.md).
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from accfm.base import values
from accfm.base.errors import InputError
from accfm.models import regularise

STAGE_FIELDS = ("repeats", "widths", "kernels", "strides", "expansions")
RULES = {
    **dict.fromkeys(STAGE_FIELDS, values.each(values.SOME)),
    **dict.fromkeys(
        ("stem_width", "stem_kernel", "stem_stride", "last_width",
         "embed_dim"), values.SOME,
    ),
    "se_ratio": values.above_to(0, 1),
    "bn_momentum": values.from_below(0, 1),
    "bn_epsilon": values.above(0),
    **regularise.RULES,
}


def taps(x: jax.Array, kernel: int, stride: int) -> list[jax.Array]:
  """The input of each of `kernel` taps: a list of [B, ceil(T/stride), C].

  x [B, T, C] is padded with zeros on both sides, with one more at the end if
  their number is odd ("same" padding).
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
    width: W, output channels.
    kernel: taps, in samples.
    stride: in samples.
    dtype: compute type.
  """

  width: int
  kernel: int
  stride: int
  dtype: jnp.dtype

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[B, T, C] -> [B, ceil(T/stride), W]."""
    x = jnp.concatenate(taps(x, self.kernel, self.stride), -1)
    return nn.Dense(
        self.width, use_bias=False, dtype=self.dtype, name="dense"
    )(x)


class Depthwise(nn.Module):
  """A convolution over time of each channel by itself, without bias.

  Attributes:
    kernel: taps, in samples.
    stride: in samples.
    dtype: compute type.
  """

  kernel: int
  stride: int
  dtype: jnp.dtype

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[B, T, C] -> [B, ceil(T/stride), C]."""
    # The fan-in is the kernel's length: a channel sees itself alone.
    kernel = self.param(
        "kernel", nn.initializers.lecun_normal(), (self.kernel, x.shape[-1])
    ).astype(self.dtype)
    seen = taps(x, self.kernel, self.stride)
    out: Any = sum(
        part * weight[None, None]
        for part, weight in zip(seen, kernel, strict=True)
    )
    return out


class SqueezeExcite(nn.Module):
  """Scales each channel by a function of all channels' means over time.

  Hu et al. 2018 (arXiv 1709.01507): x * sigmoid(W2 swish(W1 mean(x))).

  Attributes:
    width: of the bottleneck between the two layers.
    dtype: compute type; the mean is float32.
  """

  width: int
  dtype: jnp.dtype

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[B, T, C] -> [B, T, C]."""
    y = x.mean(1, dtype=jnp.float32).astype(self.dtype)
    y = nn.Dense(self.width, dtype=self.dtype, name="squeeze")(y)
    y = nn.Dense(x.shape[-1], dtype=self.dtype, name="excite")(nn.swish(y))
    return x * nn.sigmoid(y)[:, None]


class MBConv(nn.Module):
  """Mobile inverted bottleneck: widen, filter each channel, weigh, narrow.

  Sandler et al. 2018 (arXiv 1801.04381) with squeeze-and-excite. Where input
  and output have one shape the input is added, and stochastic depth may drop
  the branch.

  Attributes:
    width: W, output channels.
    kernel: taps of the depthwise convolution.
    stride: of the depthwise convolution.
    expansion: inner channels over input channels; 1 leaves out the widening.
    se_ratio: width of the squeeze over input channels.
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
  def __call__(
      self, x: jax.Array, train: bool = False,
      row_keys: jax.Array | None = None,
  ) -> jax.Array:
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
  an embedding of 256 values and 3.3 M parameters are reported [L] (arXiv
  2312.05409). Everything else is our choice [o], by the fields below.

  Its collections are "params" and "batch_stats", the running means and
  variances. Training normalises each batch by its own statistics and moves
  the running ones towards them; otherwise the running ones are used.

  Attributes:
    stem_width: channels of the first convolution [o].
    stem_kernel: taps of the first convolution [o].
    stem_stride: stride of the first convolution, in samples [o].
    repeats: blocks in each stage; the presets' sum of 16 is [L], their
      stages are Tan & Le's [o].
    widths: output channels of each stage [o].
    kernels: taps of each stage [o]. Time is one axis, so longer kernels than
      those for images are cheap.
    strides: of each stage's first block [o].
    expansions: of each stage's blocks [o].
    se_ratio: squeeze width over a block's input channels [o].
    last_width: W, channels of the last 1x1 convolution [o].
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
      None for the statistics of each device alone.
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

  def check(self) -> None:
    """Raises InputError unless the fields fit together."""
    values.check({name: getattr(self, name) for name in RULES}, RULES)
    sizes = {name: len(getattr(self, name)) for name in STAGE_FIELDS}
    if len(set(sizes.values())) > 1 or not self.repeats:
      raise InputError(
          f"stages: got {sizes} values, want one per stage in each field"
      )

  @nn.compact
  def __call__(
      self, x: jax.Array, train: bool = False, return_tokens: bool = False,
      row_keys: jax.Array | None = None,
  ) -> Any:
    """Embeds segments.

    Args:
      x: [B, T, C], normalised.
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
    """The first fields of each MBConv, up to `drop_path`, in order."""
    rates = iter(regularise.path_rates(self.drop_path, sum(self.repeats)))
    stages = zip(*(getattr(self, name) for name in STAGE_FIELDS), strict=True)
    return [
        (width, kernel, stride if i == 0 else 1, expansion, self.se_ratio,
         next(rates))
        for repeats, width, kernel, stride, expansion in stages
        for i in range(repeats)
    ]


ENCODER = EfficientNet1D

# The stages of EfficientNet-B0: 1 + 2 + 2 + 3 + 3 + 4 + 1 blocks, the last
# map at 2 Hz of 64. Kernels span 0.2 s at first and 2.5 s at the end.
_B0 = dict(
    stem_kernel=7, stem_stride=2, repeats=(1, 2, 2, 3, 3, 4, 1),
    strides=(1, 2, 2, 2, 1, 2, 1), kernels=(7, 7, 7, 5, 5, 5, 5),
)

PRESETS = {
    # 3.3 M, the published size: B0's widths but for stage 6 and the last.
    "efficientnet_s": dict(
        _B0, stem_width=32, widths=(16, 24, 40, 80, 112, 176, 320),
        expansions=(1, 6, 6, 6, 6, 6, 6), last_width=384, embed_dim=256,
    ),
    # 0.6 M: five times smaller.
    "efficientnet_xs": dict(
        _B0, stem_width=16, widths=(16, 16, 24, 40, 56, 96, 96),
        expansions=(1, 4, 4, 4, 4, 4, 4), last_width=192, embed_dim=256,
    ),
    "efficientnet_tiny": dict(
        stem_kernel=7, stem_stride=4, stem_width=8, repeats=(1, 2),
        widths=(8, 12), kernels=(3, 5), strides=(1, 4), expansions=(1, 2),
        last_width=24, embed_dim=16,
    ),
}
