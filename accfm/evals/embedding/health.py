"""Health of an embedding: how many dimensions it uses, how it spreads.

A collapsed encoder gives numbers that look like a weak result; these tell
the two apart.
"""

import sys

import numpy as np

from accfm.base import shapes
from accfm.evals.stats.scaling import unit_rows

MIN_RANK = 3.0
MAX_CONSTANT = 0.9
UNIFORMITY_ROWS = 4096


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


def collapsed(x):
  """Whether embeddings x [N, D] have collapsed.

  They have where their effective rank is below 3, or where more than 90 % of
  the dimensions are constant.
  """
  return effective_rank(x) < MIN_RANK or constant_share(x) > MAX_CONSTANT


def alignment(x, y):
  """How near the two of a positive pair are.

  mean of |x - y|^2 over pairs of unit vectors (Wang and Isola, "Understanding
  contrastive representation learning through alignment and uniformity on the
  hypersphere", ICML 2020, arXiv 2005.10242, with alpha = 2).

  Args:
    x, y: [N, D], brought to length 1 here; row i of both is a pair.

  Returns:
    Between 0 (equal) and 4 (opposite); of unrelated vectors about 2.
  """
  shapes.check_all([(x, "embeddings", "N D"), (y, "their partners", "N D")])
  return float(np.mean(np.sum((unit_rows(x) - unit_rows(y)) ** 2, axis=1)))


def uniformity(x, rows=UNIFORMITY_ROWS, block=1024):
  """How evenly embeddings cover the sphere.

  log of the mean of exp(-2 |a - b|^2) over all pairs of different rows, as
  unit vectors (Wang and Isola 2020, with t = 2).

  Args:
    x: [N, D], brought to length 1 here, at least two rows.
    rows: exact up to this many rows; of more, over as many evenly spaced
      ones, the same in every run.
    block: rows per matrix product.

  Returns:
    0 where all rows are equal, about -4 for unrelated directions.
  """
  shapes.check(x, "embeddings", "N D")
  if len(x) > rows:
    x = x[np.linspace(0, len(x) - 1, rows).round().astype(int)]
  x, total = unit_rows(x), 0.0
  sizes = np.sum(x * x, axis=1)
  for at in range(0, len(x), block):
    part = slice(at, at + block)
    apart = sizes[part, None] + sizes[None] - 2 * x[part] @ x.T
    apart[np.arange(len(apart)), np.arange(at, at + len(apart))] = np.inf
    total += np.sum(np.exp(-2 * apart))
  return float(np.log(total / (len(x) * (len(x) - 1))))


def consecutive(table):
  """Pairs of neighbouring windows: each and the next of its recording.

  Args:
    table: `participant`, `session` and `start_s`, [N] each.

  Returns:
    (rows [M], rows [M]) of the first and the second of each pair.
  """
  _, person = np.unique(table["participant"], return_inverse=True)
  _, session = np.unique(table["session"], return_inverse=True)
  order = np.lexsort([table["start_s"], session, person])
  one, two = order[:-1], order[1:]
  same = (person[one] == person[two]) & (session[one] == session[two])
  return one[same], two[same]


def run(data, cfg, metrics):
  """Adds the health of every encoder row of `data`, and warns of a collapse.

  Alignment and uniformity are of projections where the row's tower has a
  partner: alignment of both towers' projections of the same window (once,
  not again for the teacher), uniformity of its own. Without a partner they
  are of embeddings, and a positive pair is two consecutive windows of one
  recording.

  Args:
    data: `inputs.Inputs`.
    cfg: not used.
    metrics: `stats.Metrics` to add to.
  """
  del cfg
  for row, matrices in data.encoders.items():
    x = matrices[data.split]
    prefix = "/".join(filter(None, (data.split, row, "health")))
    rank, constant = effective_rank(x), constant_share(x)
    metrics.add(f"{prefix}/effective_rank", rank)
    metrics.add(f"{prefix}/dimensions", x.shape[1])
    metrics.add(f"{prefix}/constant_dims_share", constant)
    metrics.add(f"{prefix}/collapsed", float(collapsed(x)))
    if collapsed(x) and row != "untrained":
      print(
          f"WARNING: the {row or data.student} embedding has COLLAPSED: "
          f"effective rank {rank:.1f}, {100 * constant:.0f} % of {x.shape[1]} "
          "dimensions constant; its scores say nothing of the method",
          file=sys.stderr, flush=True,
      )
    _spread(data, row, x, prefix, metrics)


def _spread(data, row, x, prefix, metrics):
  """Adds alignment and uniformity of one row; see `run`."""
  untrained = row == "untrained"
  pair = data.pairs.get("untrained" if untrained else "")
  own = data.student if untrained or not row else row
  if pair is not None and own in pair:
    x = pair[own]
    if own == data.student:
      metrics.add(
          f"{prefix}/alignment", alignment(x, pair[data.teacher]))
  else:
    one, two = consecutive(data.table)
    if len(one):
      metrics.add(f"{prefix}/alignment", alignment(x[one], x[two]))
    else:
      metrics.skip(
          f"{prefix}/alignment", "no two windows of one recording")
  if len(x) < 2:
    metrics.skip(f"{prefix}/uniformity", "1 window, want at least two")
  else:
    metrics.add(f"{prefix}/uniformity", uniformity(x))
