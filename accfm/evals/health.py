"""Health of an embedding: how many dimensions it uses.

A collapsed encoder gives numbers that look like a weak result; these two
tell them apart.
"""

import numpy as np

from accfm.base import shapes


def effective_rank(x):
  """Smooth effective rank of embeddings.

  exp of the entropy of the singular values normalised to sum 1 (Roy and
  Vetterli, "The effective rank", EUSIPCO 2007; used for embeddings, without
  centring, as RankMe: Garrido et al., ICML 2023).

  Args:
    x: [N, D].

  Returns:
    Between 1 (all rows on one line) and min(N, D); 0 where x is all zero.
  """
  shapes.check(x, "embeddings", "N D")
  sizes = spectrum(x)
  total = sizes.sum()
  if total == 0:
    return 0.0
  p = sizes / total
  p = p[p > 0]
  return float(np.exp(-np.sum(p * np.log(p))))


def spectrum(x):
  """Singular values of x [N, D], largest first: [min(N, D)]."""
  return np.linalg.svd(np.asarray(x, np.float64), compute_uv=False)


def constant_share(x, tolerance=1e-4):
  """Share of dimensions whose SD is below `tolerance` of the largest SD.

  Args:
    x: [N, D].
    tolerance: relative to the dimension that varies most.

  Returns:
    1.0 for embeddings that do not vary at all (up to float32 rounding of
    their mean).
  """
  shapes.check(x, "embeddings", "N D")
  x = np.asarray(x, np.float64)
  spread = x.std(axis=0)
  floor = max(tolerance * spread.max(), 1e-6 * np.abs(x).max())
  return float(np.mean(spread <= floor))


def run(data, cfg, metrics):
  """Adds both for every encoder row of `data` (see `inputs.Inputs`)."""
  del cfg
  for row, matrices in data.encoders.items():
    x = matrices[data.split]
    prefix = "/".join(filter(None, (data.split, row, "health")))
    metrics.add(f"{prefix}/effective_rank", effective_rank(x))
    metrics.add(f"{prefix}/dimensions", x.shape[1])
    metrics.add(f"{prefix}/constant_dims_share", constant_share(x))
