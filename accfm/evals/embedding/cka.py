"""Centred kernel alignment: how alike two embeddings lay out the same segments.

Linear CKA (Kornblith et al., ICML 2019) is 1 for embeddings that differ by a
turn, a scale and a shift. Its plain form is above 0 for unrelated embeddings
of many dimensions, so the estimates of HSIC are the unbiased ones (Song et
al., JMLR 13, 2012; used for CKA by Nguyen, Raghu and Kornblith, ICLR 2021):
unrelated embeddings then give 0 on average, and a little less than 0 at times.
"""

import numpy as np

from accfm.base import interrupts, shapes

BLOCK = 4096  # rows that are multiplied at once
LEAST = 4  # rows that the unbiased estimate needs


def linear_cka(x: np.ndarray, y: np.ndarray) -> float:
  """Debiased linear CKA of two embeddings of the same N segments.

  Nothing that is held grows with N squared.

  Args:
    x: [N, D]; y: [N, E]; N at least 4.

  Returns:
    Up to 1; NaN where one of them does not vary.
  """
  shapes.check_all([(x, "embeddings", "N D"), (y, "others", "N E")])
  one, two = (np.sqrt(max(_hsic(z, z), 0)) for z in (x, y))
  if one == 0 or two == 0:
    return float("nan")
  return float(_hsic(x, y) / (one * two))


def _hsic(x, y):
  """The unbiased estimate of HSIC with linear kernels, times n (n - 3).

  With K = x x' and L = y y', both with a diagonal of zeros, it is
  tr(K L) + sum(K) sum(L) / ((n - 1) (n - 2)) - 2 sum(K L) / (n - 2).
  """
  n = len(x)
  x_mean, y_mean = (z.mean(axis=0, dtype=np.float64) for z in (x, y))
  cross, x_sum, y_sum = np.zeros((x.shape[1], y.shape[1])), 0.0, 0.0
  for a, b in _blocks(x, y, x_mean, y_mean):
    cross += a.T @ b
    x_sum, y_sum = x_sum + a.sum(axis=0), y_sum + b.sum(axis=0)
  trace = np.sum(cross * cross)
  total, all_k, all_l = 0.0, 0.0, 0.0
  for a, b in _blocks(x, y, x_mean, y_mean):
    k_own, l_own = np.sum(a * a, axis=1), np.sum(b * b, axis=1)
    # Sums of the rows of K and L.
    of_k, of_l = a @ x_sum - k_own, b @ y_sum - l_own
    trace -= k_own @ l_own
    total += of_k @ of_l
    all_k, all_l = all_k + of_k.sum(), all_l + of_l.sum()
  return float(
      trace + all_k * all_l / ((n - 1) * (n - 2)) - 2 * total / (n - 2))


def _blocks(x, y, x_mean, y_mean):
  for at in range(0, len(x), BLOCK):
    interrupts.check()
    part = slice(at, at + BLOCK)
    yield x[part] - x_mean, y[part] - y_mean
