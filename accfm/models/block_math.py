"""A pre-norm Transformer block as a plain function, to run inside a kernel.

It computes what `transformer.Block` does without dropout. It uses matrices of
two axes only, and only operations that a TPU kernel supports, in the
derivative too: products in the compute type, summed in float32; norms,
softmax and GELU in float32. Where JAX's own derivative would pad, or round to
the compute type, the derivative is given here.
"""

import functools
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp


def _contract(a, b, axes):
  return jax.lax.dot_general(
      a, b, ((axes[:1], axes[1:]), ((), ())),
      preferred_element_type=jnp.float32,
  )


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def product(dtype: Any, a: jax.Array, b: jax.Array) -> jax.Array:
  """a [N, K] b [K, M] -> [N, M] float32, multiplied as `dtype`."""
  return _contract(a.astype(dtype), b.astype(dtype), (1, 0))


def _product_fwd(dtype, a, b):
  a, b = a.astype(dtype), b.astype(dtype)
  return _contract(a, b, (1, 0)), (a, b)


def _product_bwd(dtype, kept, g):
  a, b = kept
  g = g.astype(dtype)
  return _contract(g, b, (1, 1)), _contract(a, g, (0, 0))


product.defvjp(_product_fwd, _product_bwd)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def similarity(dtype: Any, a: jax.Array, b: jax.Array) -> jax.Array:
  """a [N, K] b [M, K] -> [N, M] float32, multiplied as `dtype`."""
  return _contract(a.astype(dtype), b.astype(dtype), (1, 1))


def _similarity_fwd(dtype, a, b):
  a, b = a.astype(dtype), b.astype(dtype)
  return _contract(a, b, (1, 1)), (a, b)


def _similarity_bwd(dtype, kept, g):
  a, b = kept
  g = g.astype(dtype)
  return _contract(g, b, (1, 0)), _contract(g, a, (0, 0))


similarity.defvjp(_similarity_fwd, _similarity_bwd)


@jax.custom_vjp
def dense(
    x: jax.Array, kernel: jax.Array, bias: jax.Array, slot: jax.Array
) -> jax.Array:
  """x [N, K] -> x kernel + bias, [N, M] float32.

  Args:
    x: float32.
    kernel: [K, M] of the compute type.
    bias: [1, M] float32.
    slot: [K, M] float32; its values are not used. It receives the kernel's
      gradient in float32, which would otherwise be rounded to the kernel's
      type.
  """
  return _dense_fwd(x, kernel, bias, slot)[0]


def _dense_fwd(x, kernel, bias, slot):
  x = x.astype(kernel.dtype)
  y = _contract(x, kernel, (1, 0))
  return y + jnp.broadcast_to(bias, y.shape), (x, kernel)


def _dense_bwd(kept, g):
  x, kernel = kept
  narrow = g.astype(kernel.dtype)
  return (
      _contract(narrow, kernel, (1, 1)), None,
      g.sum(0, keepdims=True), _contract(x, narrow, (0, 0)),
  )


dense.defvjp(_dense_fwd, _dense_bwd)


@jax.custom_vjp
def softmax(scores: jax.Array) -> jax.Array:
  """[L, L] float32 -> [L, L], each row of sum 1."""
  weights = jnp.exp(scores - scores.max(1, keepdims=True))
  return weights / weights.sum(1, keepdims=True)


def _softmax_fwd(scores):
  out = softmax(scores)
  return out, out


def _softmax_bwd(out, g):
  return (out * (g - (g * out).sum(1, keepdims=True)),)


softmax.defvjp(_softmax_fwd, _softmax_bwd)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def parts(x: jax.Array, count: int, axis: int) -> list[jax.Array]:
  """Equal parts of x [N, M] along an axis; the derivative joins them."""
  size = x.shape[axis] // count
  return [
      jax.lax.slice_in_dim(x, i * size, (i + 1) * size, axis=axis)
      for i in range(count)
  ]


parts.defvjp(
    lambda x, count, axis: (parts(x, count, axis), None),
    lambda count, axis, _, g: (jnp.concatenate(g, axis),),
)


def norm(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
  """flax's LayerNorm of [N, W] float32, with its epsilon and its variance."""
  mean = x.mean(1, keepdims=True)
  variance = jnp.maximum(
      jnp.square(x).mean(1, keepdims=True) - jnp.square(mean), 0.0
  )
  x = (x - mean) * jax.lax.rsqrt(variance + 1e-6)
  return x * jnp.broadcast_to(scale, x.shape) + jnp.broadcast_to(
      bias, x.shape
  )


def gelu(x: jax.Array) -> jax.Array:
  """GELU in its tanh form, as flax's."""
  inner = math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))
  return 0.5 * x * (1.0 + jnp.tanh(inner))


def block(
    x: jax.Array, kernels: Mapping[str, jax.Array],
    vectors: Mapping[str, jax.Array], slots: Mapping[str, jax.Array],
    heads: int, length: int, tokens: int,
) -> jax.Array:
  """The block on rows of whole segments: [n * length, W] -> the same shape.

  Args:
    x: float32.
    kernels: {"qkv", "out", "mlp_in", "mlp_out"} of the compute type.
    vectors: biases of those, scales and biases of the norms, [1, .] float32.
    slots: as kernels, float32; see `dense`.
    heads: number of attention heads.
    length: rows of a segment, padding included.
    tokens: rows of a segment without padding; attention sees these alone.
  """
  def layer(x, name):
    return dense(x, kernels[name], vectors[name], slots[name])

  cut: Any = parts  # custom_vjp hides what it returns
  compare: Any = similarity
  dtype = kernels["qkv"].dtype
  segments, width = x.shape[0] // length, x.shape[1]
  scale = 1 / math.sqrt(width // heads)
  y = norm(x, vectors["norm1_scale"], vectors["norm1_bias"])
  out = []
  for rows in cut(layer(y, "qkv"), segments, 0):
    qkv = cut(rows, 3 * heads, 1)
    mixed = []
    for h in range(heads):
      q, k, v = qkv[h::heads]
      scores = compare(dtype, q, k) * scale
      if tokens < length:
        place = jax.lax.broadcasted_iota(jnp.int32, scores.shape, 1)
        scores = jnp.where(place < tokens, scores, -1e30)
      mixed.append(product(dtype, softmax(scores), v))
    out.append(jnp.concatenate(mixed, 1))
  x = x + layer(jnp.concatenate(out, 0), "out")
  y = norm(x, vectors["norm2_scale"], vectors["norm2_bias"])
  return x + layer(gelu(layer(y, "mlp_in")), "mlp_out")
