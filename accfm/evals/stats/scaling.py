"""Vectors brought to one scale: standardised columns, rows of length 1."""

from collections.abc import Callable

import numpy as np


def make_scaler(
    x: np.ndarray, rows: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
  """Standardisation by mean and SD of x[rows]; constant columns become 0.

  Returns:
    A function of [M, D] -> [M, D] float64.
  """
  known = np.asarray(x[rows], np.float64)
  mean = known.mean(axis=0)
  scale = inverse_sd(mean, known.std(axis=0))
  return lambda part: (part - mean) * scale


def inverse_sd(mean: np.ndarray, sd: np.ndarray) -> np.ndarray:
  """1 / SD [D], 0 for constant columns."""
  flat = sd <= 1e-8 * (1 + np.abs(mean))
  return np.where(flat, 0, 1 / np.where(flat, 1, sd))


def unit_rows(x: np.ndarray) -> np.ndarray:
  """x [N, D] in float64 with rows of length 1; a zero row stays zero."""
  x = np.asarray(x, np.float64)
  size = np.linalg.norm(x, axis=1, keepdims=True)
  return x / np.where(size > 0, size, 1)
