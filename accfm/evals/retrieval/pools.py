"""The rank of the right answer over all pools of one size, in closed form.

A pool holds the right answer and K - 1 others drawn without replacement from
the keys that a query may meet. Given that b of the other n - 1 are at least
as near as the right one (a tie counts against us), the number drawn of those
b is hypergeometric, so every figure is the mean over *all* pools and has no
sampling noise of its own.

The control's failures are handled the same way: with e keys beating the
control's right answer, o of them beating ours too, the chance that a pool
has none of e, and our rank within those pools, are again hypergeometric.
"""

import math

import numpy as np
from scipy.special import gammaln

TAIL = 1e-16  # probability that may be left out at either end
_CELLS = 2 ** 21  # probabilities computed at once


def rank_sums(counts, pool, people):
  """How ranks are distributed over pools, added up for each person.

  Args:
    counts: `ranks.Counts` of N queries.
    pool: size K of a pool, the right answer included, at most every n; "all"
      for everything a query may meet.
    people: `stats.People` of the queries.

  Returns:
    [P, R + 1]: column r - 1 is the sum over queries of the share of pools
    with rank <= r, the last column that without a bound. With control counts
    both are of pools in which also the control's rank is above 1.
  """
  depth = int(counts.candidates.max()) if pool == "all" else pool
  mass = control_fails(counts, pool)
  out = np.zeros((len(people), depth + 1))
  if pool == "all":  # one pool, one rank
    np.add.at(out, (people.index, counts.beaten_by), mass)
  else:
    others = counts.candidates - 1
    _add(out, people.index, others, counts.beaten_by, pool - 1,
         np.ones(len(others)))
    if counts.control_beaten_by is not None:
      _add(out, people.index, others - counts.control_beaten_by,
           counts.beaten_by - counts.both_beaten_by, pool - 1, mass - 1)
  np.cumsum(out, axis=1, out=out)
  np.maximum(out, 0, out=out)  # a difference of sums can round below
  out[:, -1] = people.sums(mass[:, None])[:, 0]
  return out


def control_fails(counts, pool):
  """[N] share of pools in which the control's rank is above 1, else 1."""
  if counts.control_beaten_by is None:
    return np.ones(len(counts.candidates))
  if pool == "all":
    return (counts.control_beaten_by > 0).astype(float)
  take, logs = pool - 1, _log_factorials(counts.candidates.max())
  others = counts.candidates - 1
  none = _log_choose(logs, others - counts.control_beaten_by, take)
  return np.maximum(1 - np.exp(none - _log_choose(logs, others, take)), 0)


def _add(out, index, others, beaters, take, weight):
  """Adds weight [N] times P(r of `beaters` are drawn) at out[index, r].

  `take` of `others` are drawn without replacement. What is further from the
  mean than Hoeffding's bound of TAIL (JASA 58, 1963, section 6) is left out.
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
  """log of n choose k, -inf where k is not within 0..n."""
  good = (k >= 0) & (k <= n)
  n, k = np.where(good, n, 0), np.where(good, k, 0)
  return np.where(good, logs[n] - logs[k] - logs[n - k], -np.inf)


def chance_in(k, right, wrong):
  """P(one of `right` is among the first k of right + wrong in random order).

  right, wrong: [N] counts; right at least 1.
  """
  logs = _log_factorials(np.max(right + wrong))
  k = np.minimum(k, right + wrong)
  return 1 - np.exp(
      _log_choose(logs, wrong, k) - _log_choose(logs, right + wrong, k)
  )


def total_rank(sums):
  """Sum of ranks, sum over r >= 0 of P(rank > r): [P, R + 1] -> [P, 2]."""
  mass, ranks = sums[:, -1], sums.shape[1] - 1
  total = mass * (1 + ranks) - sums[:, :-1].sum(axis=1)
  return np.stack([total, mass], axis=1)


def median_rank(people, sums):
  """Estimate of the smallest r with P(rank <= r) >= 1/2.

  By bisection in each draw: all draws of all ranks would not fit in memory.
  """
  def statistic(weights):  # [..., P]
    mass = weights @ sums[:, -1]
    low = np.zeros(mass.shape, int)
    high = np.full(mass.shape, sums.shape[1] - 2)
    while np.any(low < high):
      middle = (low + high) // 2
      reached = np.sum(weights * sums.T[middle], axis=-1) >= 0.5 * mass - 1e-9
      high = np.where(reached, middle, high)
      low = np.where(reached | (low >= high), low, middle + 1)
    return np.where(mass > 0, 1.0 + low, np.nan)

  # A person's "sum" is their weight, so draws are the weights themselves.
  return people.estimate(np.eye(len(people)), statistic)
