"""A whole Transformer block as one TPU kernel, forward and backward.

A block of 192 tokens of width 256 computes much and moves little, as long as
its intermediate values stay on the chip. XLA writes scores, probabilities and
the hidden layer to memory. Here each program of the kernel reads a few
segments, computes the whole block and writes the output alone. The backward
pass keeps only the block's input: its kernel computes the block again,
differentiates it in place and sums the gradients of the weights in float32
over all programs.

The result is that of `transformer.Block` without dropout, up to rounding (see
`block_math`). On other devices than TPUs the plain block runs. The mesh of
the enclosing `shard_map` tells the device and its kind, so a program for TPUs
can be compiled on a machine without one.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from accfm.base import mesh as meshlib
from accfm.base.errors import InputError
from accfm.models import block_math

LANES = 128  # of a TPU's vector register
TILE = 16  # rows of a bfloat16 tile
SEGMENTS = 2  # that one program handles, where they fit
MIB = 2**20
# Bytes of a core's own memory that a kernel may use.
SMALL, LARGE = 16 * MIB, 56 * MIB
SMALL_CORES = ("TPU v4",)
LAYERS = ("qkv", "out", "mlp_in", "mlp_out")


def check(encoder: Any) -> None:
  """Raises InputError unless an encoder's blocks can be fused."""
  for name in ("width", "mlp_width"):
    value = getattr(encoder, name)
    if value % LANES:
      raise InputError(
          f"{name}: got {value} with block='fused', want a multiple of "
          f"{LANES}, or block='plain'"
      )
  for name in ("dropout", "drop_path", "remat"):
    value = getattr(encoder, name)
    if value:
      raise InputError(
          f"{name}: got {value} with block='fused', which has no dropout and "
          f"recomputes itself, want {type(value)(0)}, or block='plain'"
      )


def block(
    plain: Callable[[jax.Array, Any], jax.Array], heads: int, dtype: Any,
    x: jax.Array, params: Any,
) -> jax.Array:
  """A Transformer block; on TPUs one kernel forward and one backward.

  Without a mesh, JAX chooses the platform when it lowers the program. If it
  then takes the plain block, the backward pass computes that block again.

  Args:
    plain: `plain(x, params)`, the same function for other platforms.
    heads: number of attention heads.
    dtype: compute type.
    x: [B, L, W].
    params: of a `transformer.Block`.

  Returns:
    [B, L, W] of x's type.
  """
  device = meshlib.traced_device()
  if device is not None and device.platform != "tpu":
    return plain(x, params)

  @jax.custom_vjp
  def run(x, params):
    return jax.lax.platform_dependent(
        x, params, default=plain,
        tpu=functools.partial(forward, heads=heads, dtype=dtype),
    )

  def plain_backward(x, params, g):
    return jax.vjp(plain, x, params)[1](g)

  run.defvjp(
      lambda x, params: (run(x, params), (x, params)),
      lambda kept, g: jax.lax.platform_dependent(
          *kept, g, default=plain_backward,
          tpu=functools.partial(backward, heads=heads, dtype=dtype),
      ),
  )
  return run(x, params)


def forward(
    x: jax.Array, params: Any, *, heads: int, dtype: Any,
    interpret: bool = False,
) -> jax.Array:
  """The block as a kernel; see `block`. `interpret` runs it on any device."""
  call = _Call(x, params, heads, dtype, interpret)
  kernels, vectors = _operands(params, dtype)

  def kernel(x_ref, kernels, vectors, out_ref):
    kernels, vectors = _read((kernels, vectors))
    out_ref[...] = call.segments(call.block(
        call.matrix(x_ref), kernels, vectors, kernels
    ))

  out = call(kernel, (call.padded(x), kernels, vectors), call.like_x())
  return out[:, :call.tokens]


def backward(
    x: jax.Array, params: Any, g: jax.Array, *, heads: int, dtype: Any,
    interpret: bool = False,
) -> tuple[jax.Array, Any]:
  """The gradients of the block for x and params, of their types."""
  call = _Call(x, params, heads, dtype, interpret)
  kernels, vectors = _operands(params, dtype)

  def kernel(x_ref, g_ref, kernels, vectors, dx_ref, *sums):
    kernels, vectors = _read((kernels, vectors))
    slots = jax.tree.map(lambda k: jnp.zeros(k.shape, jnp.float32), kernels)
    pull = jax.vjp(
        lambda x, vectors, slots: call.block(x, kernels, vectors, slots),
        call.matrix(x_ref), vectors, slots,
    )[1]
    dx, *grads = pull(call.matrix(g_ref))
    dx_ref[...] = call.segments(dx)
    sums, grads = jax.tree.leaves(sums), jax.tree.leaves(grads)

    @pl.when(pl.program_id(1) == 0)
    def _():
      for ref in sums:
        ref[...] = jnp.zeros(ref.shape, ref.dtype)

    for ref, grad in zip(sums, grads, strict=True):
      ref[...] += grad

  dx, *sums = call(
      kernel, (call.padded(x), call.padded(g), kernels, vectors),
      (call.like_x(), *call.sums_like((vectors, kernels))),
  )
  dvectors, dkernels = jax.tree.map(lambda s: s.sum(0), sums)  # over cores
  return dx[:, :call.tokens], _as_params(dkernels, dvectors, params)


def _operands(params, dtype):
  """({layer: kernel [K, M] in dtype}, {name: vector [1, M] float32})."""
  kernels = {name: p["kernel"].astype(dtype) for name, p in _layers(params)}
  vectors = {name: p["bias"] for name, p in _layers(params)}
  for norm in ("norm1", "norm2"):
    vectors[f"{norm}_scale"] = params[norm]["scale"]
    vectors[f"{norm}_bias"] = params[norm]["bias"]
  return kernels, jax.tree.map(
      lambda v: v.astype(jnp.float32)[None], vectors
  )


def _layers(params):
  """(name, its parameters) of the four dense layers."""
  attention = params["attention"]
  return [
      (name, params[name] if name in params else attention[name])
      for name in LAYERS
  ]


def _as_params(kernels, vectors, params):
  """Gradients for `_operands`, arranged as the parameters are."""
  dense = {
      name: {"kernel": kernels[name], "bias": vectors[name][0]}
      for name in LAYERS
  }
  grads = {
      "attention": {name: dense[name] for name in ("qkv", "out")},
      **{name: dense[name] for name in ("mlp_in", "mlp_out")},
      **{
          norm: {
              "scale": vectors[f"{norm}_scale"][0],
              "bias": vectors[f"{norm}_bias"][0],
          } for norm in ("norm1", "norm2")
      },
  }
  return jax.tree.map(lambda g, p: g.astype(p.dtype), grads, dict(params))


def _read(refs):
  return jax.tree.map(lambda ref: ref[...], refs)


class _Call:
  """A kernel over the segments of x [B, L, W], a few to a program."""

  def __init__(self, x, params, heads, dtype, interpret):
    self._batch, self.tokens, self.width = x.shape
    self._rows = -(-self.tokens // TILE) * TILE  # of a segment, padded
    self._dtype, self._interpret = x.dtype, interpret
    self._heads = heads
    self._axes = jax.typeof(x).manual_axis_type  # of an enclosing shard_map
    cores, memory = _chip()
    needs = {
        n: memory_needed(params, heads, self._rows, n, dtype)
        for n in (1, math.gcd(self._batch, SEGMENTS))
    }
    if needs[1] > memory and not interpret:
      raise InputError(
          f"block: got 'fused' for {self.tokens} tokens of width {self.width},"
          f" about {needs[1] // MIB} MiB on the chip, want at most "
          f"{memory // MIB}; set --config.encoder.block=plain"
      )
    self._count = max(n for n in needs if n == 1 or needs[n] <= memory)
    self._memory = min(memory, 3 * needs[self._count] // 2)
    self._cores = math.gcd(self._batch // self._count, cores)

  def padded(self, x):
    """x with whole tiles of rows; no token attends to the added rows."""
    more = self._rows - self.tokens
    return jnp.pad(x, ((0, 0), (0, more), (0, 0))) if more else x

  def like_x(self):
    return self._shape((self._batch, self._rows, self.width), self._dtype)

  def sums_like(self, tree):
    """[cores, ...] float32 for each leaf, summed over a core's programs."""
    return jax.tree.map(
        lambda x: self._shape((self._cores, *x.shape), jnp.float32), tree
    )

  def _shape(self, shape, dtype):
    return jax.ShapeDtypeStruct(shape, dtype, manual_axis_type=self._axes)

  def matrix(self, ref):
    """A program's segments as float32 [n * rows, W]."""
    return ref[...].astype(jnp.float32).reshape(-1, self.width)

  def segments(self, x):
    """The inverse of `matrix`."""
    return x.astype(self._dtype).reshape(-1, self._rows, self.width)

  def block(self, x, kernels, vectors, slots):
    return block_math.block(
        x, kernels, vectors, slots, self._heads, self._rows, self.tokens
    )

  def __call__(self, kernel, operands, out):
    """Runs the kernel.

    Args:
      kernel: a function of references to operands and outputs.
      operands: segments, then {layer: kernel}, {name: vector}.
      out: the shape of `like_x`, or that and the shapes of `sums_like`.
    """
    steps = self._batch // (self._count * self._cores)
    of_rows = pl.BlockSpec(
        (self._count, self._rows, self.width),
        lambda core, step: (core * steps + step, 0, 0),
    )

    def whole(x):
      """An operand that all programs share: fetched once."""
      return pl.BlockSpec(
          x.shape, lambda core, step: (0, 0), pipeline_mode=pl.Buffered(1)
      )

    def summed(x):
      """An output that all programs of a core share: written once."""
      return pl.BlockSpec(
          (None, *x.shape[1:]), lambda core, step: (core, 0, 0),
          pipeline_mode=pl.Buffered(1),
      )

    def vary(x):
      """Marks as varying what all devices share: a frozen teacher's weights."""
      axes = self._axes.varying - jax.typeof(x).manual_axis_type.varying
      return jax.lax.pcast(x, tuple(axes), to="varying") if axes else x

    *rows, kernels, vectors = operands
    _, *sums = out if isinstance(out, tuple) else (out,)
    specs = (of_rows, *jax.tree.map(summed, sums))
    return pl.pallas_call(
        kernel, out, grid=(self._cores, steps),
        in_specs=(
            *[of_rows] * len(rows), *jax.tree.map(whole, (kernels, vectors))
        ),
        out_specs=specs if sums else of_rows,
        interpret=self._interpret,
        cost_estimate=self._cost(operands, out, bool(sums)),
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("parallel", "arbitrary"),
            vmem_limit_bytes=self._memory,
        ),
    )(*jax.tree.map(vary, operands))

  def _cost(self, operands, out, backward):
    """The estimate for XLA's scheduler; `plans.flops` counts by itself."""
    rows = self._batch * self._rows
    kernels = operands[-2]
    products = sum(k.size for k in kernels.values())
    products += 2 * self._rows * self.width  # scores, and their mixture
    if backward:  # the forward pass without its last product, and two of each
      products = 3 * products - kernels["mlp_out"].size
    hidden = kernels["mlp_in"].shape[1]
    return pl.CostEstimate(
        flops=2 * rows * products,
        transcendentals=rows * (self._heads * self._rows + hidden),
        bytes_accessed=sum(
            math.prod(x.shape) * x.dtype.itemsize
            for x in jax.tree.leaves((operands, out))
        ),
    )


def memory_needed(
    params: Any, heads: int, rows: int, segments: int, dtype: Any
) -> int:
  """Bytes on the chip that the backward kernel takes, to about a fifth.

  It counts the weights in the compute type, their gradients in float32, and
  for each segment the arrays of its hidden layer, its width and its scores
  that the compiler was found to hold at once.
  """
  weights = sum(p["kernel"].size for _, p in _layers(params))
  width, hidden = params["mlp_in"]["kernel"].shape
  held = 8 * hidden + 8 * width + 3 * heads * rows
  of_weight = 4 + jnp.dtype(dtype).itemsize
  return of_weight * weights + 4 * segments * rows * held


def _chip():
  """(cores that share a device's memory, bytes that each has for a kernel)."""
  device = meshlib.traced_device()
  if device is None:  # a size that fits every kind of TPU
    return 1, SMALL
  return (
      device.num_cores or 1,
      SMALL if device.device_kind in SMALL_CORES else LARGE,
  )
