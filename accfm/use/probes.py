"""Probes: what a linear model says of an embedding, with an interval.

A ridge probe is fitted on the training people. Its interval is a split
conformal one, calibrated on the validation people: they are exchangeable with
a new person, their segments are not. So a segment weighs one over the person's
number of segments (hierarchical conformal prediction, Lee, Barber and Willett
2023, arXiv 2306.06342), and the interval covers a new person's segment with
the stated probability.
"""

import dataclasses
from typing import ClassVar, NamedTuple

import numpy as np

from accfm.base.errors import InputError

COVERAGE = 0.8  # of the intervals


class Predicted(NamedTuple):
  """What a probe says of n segments: value, low, high, each [n]."""

  value: np.ndarray
  low: np.ndarray
  high: np.ndarray


@dataclasses.dataclass(frozen=True)
class Probe:
  """A linear read-out of one number.

  Attributes:
    name: such as "hr"; columns of tables are "probe_<name>/...".
    unit: of the number, such as "bpm".
    mean, sd: [D] by which an embedding is standardised.
    weight: [D].
    bias: of the number.
    half_width: of the interval; infinite where too few people calibrated it.
    coverage: that the interval promises.
    people: that calibrated it.
    kind: of its files (`accfm.use.readouts`).
  """

  kind: ClassVar[str] = "ridge"
  name: str
  unit: str
  mean: np.ndarray
  sd: np.ndarray
  weight: np.ndarray
  bias: float
  half_width: float
  coverage: float = COVERAGE
  people: int = 0

  def predict(self, embedding: np.ndarray) -> Predicted:
    """The number of each embedding [n, D]."""
    x = np.asarray(embedding, np.float64)
    if x.ndim != 2 or x.shape[1] != len(self.mean):
      raise InputError(
          f"probe {self.name}: got embeddings {list(x.shape)}, want "
          f"[n, {len(self.mean)}]"
      )
    value = self.bias + ((x - self.mean) / self.sd) @ self.weight
    return Predicted(value, value - self.half_width, value + self.half_width)


def half_width(
    errors: np.ndarray, people: np.ndarray, coverage: float = COVERAGE
) -> float:
  """Half the width of a conformal interval.

  The smallest q such that sum over people i of (share of person i's absolute
  errors <= q) / (P + 1) is at least `coverage`. The one more stands for the
  new person, whose errors may be infinite.

  Args:
    errors: [N] of segments; NaN for one without a label.
    people: [N] ids.
    coverage: between 0 and 1.

  Returns:
    q; infinite where P / (P + 1) is below `coverage`.
  """
  known = np.isfinite(errors)
  size, who = np.abs(errors[known]), np.asarray(people)[known]
  names, index, count = np.unique(
      who, return_inverse=True, return_counts=True)
  order = np.argsort(size, kind="stable")
  weight = 1 / (count[index] * (len(names) + 1.0))
  covered = np.cumsum(weight[order])
  place = int(np.searchsorted(covered, coverage - 1e-12))
  return float(size[order][place]) if place < len(order) else float("inf")


def fit(
    name: str, unit: str, train: np.ndarray, labels: np.ndarray,
    alpha: float, calibration: np.ndarray, truth: np.ndarray,
    people: np.ndarray, coverage: float = COVERAGE,
) -> Probe:
  """A ridge probe and its interval.

  It minimises |y - mean(y) - z w|^2 + alpha |w|^2, where z is the embedding
  standardised on the fitted segments (constant columns are 0).

  Args:
    name, unit: of the number.
    train: [N, D] embeddings to fit, all with a label.
    labels: [N].
    alpha: the penalty.
    calibration: [M, D] embeddings of other people.
    truth: [M] their labels, NaN where unknown.
    people: [M] their ids.
    coverage: of the interval.
  """
  x = np.asarray(train, np.float64)
  mean, sd = x.mean(0), x.std(0)
  varies = sd > 1e-12 * np.maximum(1.0, np.abs(mean))
  z = np.where(varies, (x - mean) / np.where(varies, sd, 1.0), 0.0)
  bias = float(np.mean(labels))
  weight = np.linalg.solve(
      z.T @ z + alpha * np.eye(z.shape[1]), z.T @ (labels - bias))
  weight = np.where(varies, weight, 0.0)
  made = Probe(name, unit, mean, np.where(varies, sd, 1.0), weight, bias, 0.0)
  errors = made.predict(calibration).value - truth
  known = np.isfinite(truth)
  return dataclasses.replace(
      made, half_width=half_width(errors, people, coverage),
      coverage=coverage, people=len(np.unique(np.asarray(people)[known])))
