"""Floating-point operations of a traced program: those of its products.

Matrix products and convolutions are counted from the jaxpr, those in a loop
as often as it runs. XLA's own count (`compiled.cost_analysis()`) has a loop's
body once and a custom kernel not at all. Where a program has neither, the two
agree, except for the elementwise work that only XLA counts
(tests/plans/test_flops.py).
"""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

# A TPU's matrix unit multiplies bfloat16. Float32 factors are rounded to it
# once at the default precision, and split into two or three such parts at the
# higher ones: 3 or 6 of the partial products are kept.
PASSES = {jax.lax.Precision.HIGH: 3, jax.lax.Precision.HIGHEST: 6}


@dataclasses.dataclass(frozen=True)
class Work:
  """What a program computes.

  Attributes:
    flops: of products; a multiplication and its addition are two.
    bf16_flops: the same as a TPU does them, in bfloat16 passes.
    unknown_loops: loops whose length is known only when they run; their
      bodies are counted once.
  """

  flops: float = 0.0
  bf16_flops: float = 0.0
  unknown_loops: int = 0

  def __add__(self, other: "Work") -> "Work":
    return Work(
        self.flops + other.flops, self.bf16_flops + other.bf16_flops,
        self.unknown_loops + other.unknown_loops,
    )

  def __rmul__(self, times: float) -> "Work":
    return Work(
        times * self.flops, times * self.bf16_flops, self.unknown_loops
    )


def count(jaxpr: Any, platform: str = "tpu") -> Work:
  """The Work of a jaxpr.

  Inside `shard_map` shapes are those of one device, so a step that is all
  inside counts one device's work. Where branches depend on the platform, that
  of `platform` counts. Of other branches the mean counts, which is right for
  a loop that takes each in turn, as augmentations in a drawn order do.

  Args:
    jaxpr: of `jax.jit(f).trace(...)`, closed or open.
    platform: for which the program is lowered.
  """
  total = Work()
  for eqn in getattr(jaxpr, "jaxpr", jaxpr).eqns:
    total += _equation(eqn, platform)
  return total


def _equation(eqn: Any, platform: str) -> Work:
  name, params = eqn.primitive.name, eqn.params
  if name in PRODUCTS:
    flops = PRODUCTS[name](eqn)
    return Work(flops, flops * _passes(eqn))
  inner = [count(j, platform) for j in _jaxprs(params)]
  if name == "scan":
    return params["length"] * sum(inner, Work())
  if name == "while":
    return sum(inner, Work(unknown_loops=1))
  if name == "pallas_call":
    return math.prod(params["grid_mapping"].grid) * sum(inner, Work())
  if name == "cond":
    of_platform = params.get("branches_platforms")
    if of_platform:
      return inner[next(
          place for place, names in enumerate(of_platform)
          if names is None or platform in names
      )]
    return (1 / len(inner)) * sum(inner, Work())
  return sum(inner, Work())


def _jaxprs(params: dict) -> Iterator[Any]:
  """The jaxprs among an equation's parameters."""
  for value in params.values():
    for item in value if isinstance(value, (tuple, list)) else (value,):
      if hasattr(item, "eqns") or hasattr(item, "jaxpr"):
        yield item


def _dot(eqn: Any) -> float:
  """2 x output elements x terms of the sum behind each."""
  (summed, _), _ = eqn.params["dimension_numbers"]
  left, out = eqn.invars[0].aval, eqn.outvars[0].aval
  return 2.0 * out.size * math.prod(left.shape[axis] for axis in summed)


def _convolution(eqn: Any) -> float:
  """2 x batch x outputs x inputs of a group x pairs (place, tap).

  Pairs that meet padding or the zeros of a dilation do not count.
  """
  p = eqn.params
  numbers = p["dimension_numbers"]
  left, right, out = (
      v.aval.shape for v in (*eqn.invars[:2], *eqn.outvars)
  )
  pairs = math.prod(
      _pairs(
          left[numbers.lhs_spec[i + 2]], right[numbers.rhs_spec[i + 2]],
          out[numbers.out_spec[i + 2]], p["window_strides"][i],
          p["padding"][i][0], p["lhs_dilation"][i], p["rhs_dilation"][i],
      ) for i in range(len(p["window_strides"]))
  )
  batch, features = (out[numbers.out_spec[i]] for i in (0, 1))
  of_group = right[numbers.rhs_spec[1]]
  return 2.0 * batch * features * of_group * pairs


def _pairs(
    length: int, taps: int, places: int, stride: int, before: int,
    spread: int, tap_spread: int,
) -> int:
  """How many (place, tap) of one axis read a real input."""
  at = np.arange(places)[:, None] * stride - before
  at = at + np.arange(taps)[None] * tap_spread
  inside = (at >= 0) & (at <= (length - 1) * spread)
  return int((inside & (at % spread == 0)).sum())


def _passes(eqn: Any) -> int:
  """How many bfloat16 products stand for one of these."""
  factors = [v.aval.dtype.itemsize for v in eqn.invars[:2]]
  if max(factors) < 4:
    return 1
  precision = eqn.params["precision"]
  if isinstance(precision, tuple):
    return max(PASSES.get(p, 1) for p in precision)
  return PASSES.get(precision, 1)


PRODUCTS = {"dot_general": _dot, "conv_general_dilated": _convolution}
