"""Agreement of predictions with the truth: bias and limits (Bland-Altman).

The limits of agreement are bias +- 1.96 SD of the differences (Bland and
Altman, Lancet 1986), with the sample SD (n - 1). Segments of one participant
are alike, so the intervals of all three are over participants.
"""

import dataclasses

import numpy as np

from accfm.base import shapes
from accfm.evals.stats import intervals
from accfm.evals.stats import people as stats


@dataclasses.dataclass(frozen=True)
class Agreement:
  """Estimates of the bias and of the limits of agreement."""

  bias: stats.Estimate
  lower: stats.Estimate
  upper: stats.Estimate


def limits(
    people: stats.People, true: np.ndarray, predicted: np.ndarray
) -> Agreement:
  """Bias and limits of agreement of predicted - true.

  Args:
    people: the participants behind the N rows.
    true, predicted: [N].
  """
  shapes.check_all([(true, "true", "N"), (predicted, "predicted", "N")])
  error = np.asarray(predicted, float) - true
  sums = people.sums(np.stack([np.ones(len(error)), error, error ** 2], 1))

  bias = float(error.mean())

  def at(sds, within):
    def statistic(s):
      n, mean = s[..., 0], s[..., 1] / s[..., 0]
      squares = np.maximum(s[..., 2] - n * mean ** 2, 0)
      return mean + sds * np.sqrt(squares / np.maximum(n - 1, 1))
    return people.estimate(sums, statistic, within)

  # A limit lies beyond the bias, and is skewed away from it as an SD is.
  return Agreement(
      at(0, intervals.ANY), at(-1.96, (-np.inf, bias)),
      at(1.96, (bias, np.inf)))
