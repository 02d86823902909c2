"""Agreement of predictions with the truth: bias and limits (Bland-Altman).

The limits of agreement are bias +- 1.96 SD of the differences (Bland and
Altman, Lancet 1986). Segments of one participant are alike, so the intervals
of all three come from draws of participants.
"""

import dataclasses

import numpy as np

from accfm.base import shapes
from accfm.evals.stats import bootstrap as stats


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

  def at(sds):
    def statistic(s):
      mean = s[..., 1] / s[..., 0]
      variance = s[..., 2] / s[..., 0] - mean ** 2
      return mean + sds * np.sqrt(np.maximum(variance, 0))
    return people.estimate(sums, statistic)

  return Agreement(at(0), at(-1.96), at(1.96))
