"""t intervals on a scale on which a statistic has no ends.

A statistic and its standard error give value +- t * error. Near the end of a
range (a recall of 0.98) that would leave the range, and the errors there are
skewed. So the interval is made on a scale without ends, by the delta method,
and its ends are brought back: the logit between two ends, the logarithm of
the distance from one.
"""

import dataclasses
import math

import numpy as np
from scipy import special

LEVEL = 0.95
FEWEST = 5  # people that an interval needs
FEW = (  # said once where figures are shown
    f"Fewer than {FEWEST} people have no interval: they do not show how people "
    "differ."
)
Range = tuple[float, float]
ANY: Range = (-math.inf, math.inf)
POSITIVE: Range = (0.0, math.inf)
SHARE: Range = (0.0, 1.0)  # recall, accuracy, AUC
CORRELATION: Range = (-1.0, 1.0)
BELOW_ONE: Range = (-math.inf, 1.0)  # r2, 1 - ratio of errors
FROM_ONE: Range = (1.0, math.inf)  # ranks
DIFFERENCE: Range = (-1.0, 1.0)  # of two shares


@dataclasses.dataclass(frozen=True)
class Variance:
  """A variance of an estimate and the degrees of freedom behind it."""

  value: float
  df: float

  def __add__(self, other: "Variance") -> "Variance":
    """Their sum; its degrees of freedom by Satterthwaite (1946)."""
    both = self.value + other.value
    parts = sum(v.value ** 2 / v.df for v in (self, other))
    return Variance(both, both ** 2 / parts if parts > 0 else self.df)


def jackknife(left_out: np.ndarray) -> Variance:
  """The variance of a statistic from its values with one part left out.

  Args:
    left_out: [G] the statistic without the g-th of G equal parts.
  """
  g = len(left_out)
  return Variance(
      (g - 1) / g * float(np.sum((left_out - left_out.mean()) ** 2)), g - 1)


def t_quantile(df: float) -> float:
  """The t that LEVEL of the mass lies within, on both sides of 0."""
  return float(special.stdtrit(df, (1 + LEVEL) / 2))


def interval(
    value: float, variance: Variance, within: Range, people: int
) -> tuple[float, float] | tuple[None, None]:
  """Ends of the 95 % interval, (None, None) where there is none.

  Args:
    value: the estimate.
    variance: of it.
    within: the range that the statistic cannot leave.
    people: how many are behind it. A share of 0 or 1 has no variance; then
      the other end is where so many people would all be alike once in 40
      times (Clopper and Pearson 1934).
  """
  if not np.isfinite([value, variance.value, variance.df]).all():
    return None, None
  low, high = within
  reach = t_quantile(variance.df) * math.sqrt(variance.value)
  bounded = math.isfinite(low) and math.isfinite(high)
  room = 1e-9 * (high - low if bounded else 1)
  if value <= low + room or value >= high - room:
    if not bounded:
      return None, None
    inside = ((1 - LEVEL) / 2) ** (1 / people) * (high - low)
    if value <= low + room:
      return min(low, value), high - inside
    return low + inside, max(high, value)
  left, right = _on_scale(value, reach, low, high)
  return min(left, value), max(right, value)  # rounding aside


def _on_scale(
    value: float, reach: float, low: float, high: float
) -> tuple[float, float]:
  """Ends of value +- reach, within low to high."""
  if math.isfinite(low) and math.isfinite(high):
    p = (value - low) / (high - low)
    step = reach / (high - low) / (p * (1 - p))
    at = special.logit(p)
    left, right = special.expit([at - step, at + step])
    return (float(low + (high - low) * left),
            float(low + (high - low) * right))
  if math.isfinite(low):
    factor = _exp(reach / (value - low))
    return low + (value - low) / factor, low + (value - low) * factor
  if math.isfinite(high):
    factor = _exp(reach / (high - value))
    return high - (high - value) * factor, high - (high - value) / factor
  return value - reach, value + reach


def _exp(x: float) -> float:
  return math.exp(min(x, 700.0))
