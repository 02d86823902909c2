"""The rank of the right answer over all pools of one size, in closed form.

A pool holds the right answer and K - 1 other keys, drawn without replacement
from those that a query may meet. Among the others, `beaten_by` are at least
as near as the right answer (a tie counts against the encoder). How many of
these a pool holds is hypergeometric. Every figure is therefore the mean over
*all* pools and has no sampling noise of its own.

The pools in which the control fails are handled in the same way: whether a
pool holds none of the keys that beat the control's right answer, and the
encoder's rank within such pools, are again hypergeometric.
"""

import math

import numpy as np
from scipy.special import gammaln

from accfm.base import interrupts
from accfm.evals.retrieval.ranks import Counts
from accfm.evals.stats import medians
from accfm.evals.stats import people as stats

TAIL = 1e-16  # probability that may be neglected at either end
_CELLS = 2 ** 21  # probabilities that are computed at once


def rank_sums(
    counts: Counts, pool: int | str, people: stats.People
) -> np.ndarray:
  """How ranks are distributed over pools, summed for each participant.

  Args:
    counts: of N queries.
    pool: size K of a pool, the right answer included: at most the candidates
      of any query; "all" for all keys that a query may meet.
    people: the participants of the queries.

  Returns:
    [P, R + 1]: column r - 1 is the sum over queries of the share of pools
    with a rank of at most r; the last column is the sum over all ranks. With
    control counts, only pools in which the control's rank is above 1 count.
  """
  depth = int(counts.candidates.max() if pool == "all" else pool)
  out = np.zeros((len(people), depth + 1))
  add_masses(out, counts, pool, people.index, np.ones(len(people.index)))
  np.cumsum(out, axis=1, out=out)
  np.maximum(out, 0, out=out)  # a difference of sums can round below
  out[:, -1] = people.sums(control_fails(counts, pool)[:, None])[:, 0]
  return out


def add_masses(
    out: np.ndarray, counts: Counts, pool: int | str, index: np.ndarray,
    times: np.ndarray,
) -> None:
  """Adds at out[index, r] the share of pools that hold r of the beaters.

  Args:
    out: [P, R] with R above the largest r; changed in place.
    counts, pool: as `rank_sums`.
    index: [N] the line of `out` of each query.
    times: [N] how often each query counts.
  """
  control, both = counts.control_beaten_by, counts.both_beaten_by
  if pool == "all":  # one pool, one rank
    np.add.at(
        out, (index, counts.beaten_by), times * control_fails(counts, pool))
    return
  others, take = counts.candidates - 1, int(pool) - 1
  _add(out, index, others, counts.beaten_by, take, times)
  if control is not None and both is not None:
    _add(out, index, others - control, counts.beaten_by - both, take,
         times * (control_fails(counts, pool) - 1))


def control_fails(counts: Counts, pool: int | str) -> np.ndarray:
  """[N] the share of pools in which the control's rank is above 1.

  Args:
    counts: of N queries; without control counts every share is 1.
    pool: as `rank_sums`.
  """
  if counts.control_beaten_by is None:
    return np.ones(len(counts.candidates))
  if pool == "all":
    return (counts.control_beaten_by > 0).astype(float)
  take, logs = int(pool) - 1, _log_factorials(counts.candidates.max())
  others = counts.candidates - 1
  none = _log_choose(logs, others - counts.control_beaten_by, take)
  return np.maximum(1 - np.exp(none - _log_choose(logs, others, take)), 0)


def _add(out, index, others, beaters, take, weight):
  """Adds weight [N] times P(r of `beaters` are drawn) at out[index, r].

  `take` of `others` are drawn without replacement. Terms that are further
  from the mean than Hoeffding's bound for TAIL (JASA 58, 1963, section 6) are
  neglected.
  """
  some = np.flatnonzero(weight)
  if not len(some):
    return
  logs = _log_factorials(others.max())
  far = math.sqrt(0.5 * take * math.log(1 / TAIL))
  mean = take * beaters / np.maximum(others, 1)
  low = np.maximum(np.ceil(mean - far), np.maximum(take - others + beaters, 0))
  high = np.minimum(np.floor(mean + far), np.minimum(beaters, take))
  low, high = low.astype(int), high.astype(int)
  width = int((high - low)[some].max()) + 1
  rows = max(1, _CELLS // width)
  for at in range(0, len(some), rows):
    interrupts.check()
    i = some[at:at + rows]
    n, b = others[i, None], beaters[i, None]
    whole = low[i, None] + np.arange(width)  # [n, width]
    r = np.minimum(whole, high[i, None])
    # (b choose r) (n - b choose take - r) / (n choose take)
    log_p = logs[b] + logs[n - b] - _log_choose(logs, n, take) - (
        logs[r] + logs[b - r] + logs[take - r] + logs[n - b - take + r]
    )
    p = np.where(r == whole, np.exp(log_p), 0) * weight[i, None]
    place = index[i, None] * out.shape[1] + r
    out += np.bincount(
        place.ravel(), p.ravel(), minlength=out.size
    ).reshape(out.shape)


def _log_factorials(most):
  """log m! for m = 0..most."""
  return gammaln(np.arange(most + 1) + 1.0)


def _log_choose(logs, n, k):
  """The logarithm of n choose k; -inf where k is not within 0..n."""
  good = (k >= 0) & (k <= n)
  n, k = np.where(good, n, 0), np.where(good, k, 0)
  return np.where(good, logs[n] - logs[k] - logs[n - k], -np.inf)


def chance_in(k: int, right: np.ndarray, wrong: np.ndarray) -> np.ndarray:
  """[N] the chance that a random order has a right key among its first k.

  Args:
    k: how many places count.
    right, wrong: [N] how many keys are right, at least 1, and wrong.
  """
  logs = _log_factorials(np.max(right + wrong))
  take = np.minimum(k, right + wrong)
  return 1 - np.exp(
      _log_choose(logs, wrong, take) - _log_choose(logs, right + wrong, take)
  )


def total_rank(sums: np.ndarray) -> np.ndarray:
  """The sum of ranks and the number of pools: [P, R + 1] -> [P, 2].

  A mean rank is the sum over r >= 0 of P(rank > r).
  """
  mass, ranks = sums[:, -1], sums.shape[1] - 1
  total = mass * (1 + ranks) - sums[:, :-1].sum(axis=1)
  return np.stack([total, mass], axis=1)


def median_rank(people: stats.People, sums: np.ndarray) -> stats.Estimate:
  """Estimate of the smallest r with P(rank <= r) >= 1/2.

  Args:
    people: behind the queries.
    sums: [P, R + 1] from `rank_sums`.
  """
  total = sums.sum(axis=0)
  if total[-1] <= 0:
    return stats.Estimate(np.nan)

  def rank_at(share):
    reached = total[:-1] >= share * total[-1] - 1e-9
    return float(1 + np.argmax(reached))

  middle = rank_at(0.5)
  return medians.by_shares(
      people, sums[:, [int(middle) - 1, -1]], middle, rank_at)
