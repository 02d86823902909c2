"""Retrieval: find the same minute of the other signal, with exact ranks.

A pool holds the right answer and K - 1 others drawn without replacement from
the split's windows. Given that b of the other n - 1 windows are at least as
near as the right one (a tie counts against us), the number drawn of those b
is hypergeometric, so every figure here is the mean over *all* pools in
closed form: it has no sampling noise of its own. The interval is over people.

The control's failures are handled the same way: with e windows beating the
control's right answer, o of them beating ours too, the chance that a pool
has none of e, and our rank within those pools, are again hypergeometric.
"""

import dataclasses

import numpy as np
from scipy.special import gammaln

from accfm.base import shapes
from accfm.evals import stats

TOP = (1, 5)


@dataclasses.dataclass(frozen=True)
class Counts:
  """For each query, over the other windows of its pool's source.

  Attributes:
    n: [N] windows in the source, the right answer included.
    b: [N] others at least as near as the right answer.
    e: [N] the same for the control, or None.
    o: [N] others in both, or None.
  """

  n: np.ndarray
  b: np.ndarray
  e: np.ndarray | None = None
  o: np.ndarray | None = None

  def take(self, rows):
    """The counts of some queries."""
    return Counts(*(
        x if x is None else x[rows] for x in (self.n, self.b, self.e, self.o)
    ))


def thin(participant, session, start_s, window_sec):
  """Rows [M] that do not overlap within a recording: greedy, in time order.

  Args:
    participant, session: [N] text.
    start_s: [N] seconds.
    window_sec: length of a window.

  Returns:
    Sorted row numbers. All rows where the hop is at least the window.
  """
  kept, free = [], {}
  for i in np.argsort(start_s, kind="stable"):
    name = (participant[i], session[i])
    if start_s[i] >= free.get(name, -np.inf) - 1e-6:
      free[name] = start_s[i] + window_sec
      kept.append(i)
  return np.sort(np.asarray(kept, int))


def unit_rows(x):
  """x [N, D] with rows of length 1; a zero row stays zero."""
  x = np.asarray(x, np.float64)
  size = np.linalg.norm(x, axis=1, keepdims=True)
  return x / np.where(size > 0, size, 1)


def count(query, key, groups=None, control=None, block=1024):
  """Counts the windows that beat or tie with the right answer.

  Similarities are inner products of unit rows, multiplied in float64 and
  rounded to float32, so that equal embeddings tie exactly.

  Args:
    query, key: [N, D]; row i of `key` is the answer to row i of `query`.
    groups: [N] or None; others are sought within the query's group.
    control: None, or (query, key) of the control, [N, S] each.
    block: queries per matrix product.

  Returns:
    Counts.
  """
  shapes.check_all([(query, "query", "N D"), (key, "key", "N D")])
  pairs = [(unit_rows(query), unit_rows(key))]
  if control is not None:
    pairs.append(tuple(unit_rows(x) for x in control))
  rows = len(query)
  groups = np.zeros(rows, int) if groups is None else np.asarray(groups)
  out = np.zeros((4, rows), int)
  for group in np.unique(groups):
    members = np.flatnonzero(groups == group)
    for at in range(0, len(members), block):
      part = members[at:at + block]
      own = np.arange(at, at + len(part))
      wins = []
      for q, k in pairs:
        near = (q[part] @ k[members].T).astype(np.float32)  # [block, n]
        right = near[np.arange(len(part)), own]
        beats = near >= right[:, None]
        beats[np.arange(len(part)), own] = False
        wins.append(beats)
      out[0, part] = len(members)
      out[1, part] = wins[0].sum(axis=1)
      if control is not None:
        out[2, part] = wins[1].sum(axis=1)
        out[3, part] = (wins[0] & wins[1]).sum(axis=1)
  n, b, e, o = out
  return Counts(n, b) if control is None else Counts(n, b, e, o)


def _log_choose(n, k):
  """log of n choose k, -inf where k is not within 0..n."""
  good = (k >= 0) & (k <= n)
  n, k = np.where(good, n, 0), np.where(good, k, 0)
  logs = gammaln(np.arange(n.max() + 1) + 1)  # log m!, looked up
  return np.where(good, logs[n] - logs[k] - logs[n - k], -np.inf)


def _drawn(others, beaters, take, depth):
  """P(at most r of `beaters` are among `take` of `others`), r = 0..depth-1.

  Args:
    others, beaters: [N] counts, beaters <= others.
    take: [N] how many are drawn, without replacement.
    depth: number of columns.

  Returns:
    [N, depth]; zeros where fewer than `take` others exist.
  """
  r = np.arange(depth)
  others, beaters, take = others[:, None], beaters[:, None], take[:, None]
  if np.all(take >= others):  # everything is drawn, or more than there is
    return ((beaters <= r) & (take == others)).astype(float)
  total = _log_choose(others, take)
  some = np.isfinite(total)
  log_p = (
      _log_choose(beaters, r) + _log_choose(others - beaters, take - r)
      - np.where(some, total, 0)
  )
  p = np.where(some, np.exp(log_p), 0)
  return np.minimum(np.cumsum(p, axis=1), 1)


def rank_cdf(counts, pool, depth=None):
  """Distribution of each query's rank over all pools of one size.

  Args:
    counts: Counts of N queries.
    pool: size K of a pool, the right answer included; "all" for everything
      in the query's source.
    depth: number of columns, by default the largest pool.

  Returns:
    (cdf [N, depth], mass [N]): column r - 1 is the share of pools with
    rank <= r, and `mass` the share without a bound: 1. With control counts
    given, both are of pools in which also the control's rank is above 1.
  """
  size = counts.n if pool == "all" else np.full(len(counts.n), pool)
  depth = int(size.max()) if depth is None else depth
  n, b, take = counts.n - 1, counts.b, size - 1
  cdf = _drawn(n, b, take, depth)
  if counts.e is None:
    return cdf, np.ones(len(size))
  e, o = counts.e, counts.o
  # P(no control beater in the pool), and our rank within such pools.
  right = np.exp(_log_choose(n - e, take) - _log_choose(n, take))
  cdf = cdf - right[:, None] * _drawn(n - e, b - o, take, depth)
  return np.maximum(cdf, 0), np.maximum(1 - right, 0)


def rank_sums(counts, pool, people, block=1024):
  """Per-person sums [P, R + 1] of `rank_cdf`: R ranks, then the mass."""
  size = int(counts.n.max()) if pool == "all" else pool
  out = np.zeros((len(people), size + 1))
  if pool == "all":  # one pool, one rank: b + 1
    mass = np.ones(len(counts.n)) if counts.e is None else counts.e > 0
    np.add.at(out, (people.index, counts.b), mass)
    out = np.cumsum(out, axis=1)
    out[:, -1] = people.sums(mass[:, None].astype(float))[:, 0]
    return out
  for at in range(0, len(counts.n), block):
    rows = slice(at, at + block)
    part = counts.take(rows)
    out += people.sums(np.column_stack(rank_cdf(part, pool, size)), rows)
  return out


def _total_rank(sums):
  """Sum of ranks, sum over r >= 0 of P(rank > r): [P, R + 1] -> [P, 2]."""
  mass = sums[:, -1]
  above = mass[:, None] - sums[:, :-1]  # r = 1..R
  return np.stack([mass + np.maximum(above, 0).sum(axis=1), mass], axis=1)


def _median_rank(sums):
  """The smallest r with P(rank <= r) >= 1/2."""
  mass = sums[..., -1:]
  reached = sums[..., :-1] >= 0.5 * mass - 1e-9
  rank = 1.0 + np.argmax(reached, axis=-1)
  return np.where(mass[..., 0] > 0, rank, np.nan)


def score(metrics, prefix, pool, counts, people):
  """Adds recall@k, mean and median rank of one set of queries at one pool.

  Returns:
    recall@r for r = 1..R, the curve the report draws.
  """
  sums = rank_sums(counts, pool, people)  # [P, R + 1]
  for k in TOP:
    column = min(k, sums.shape[1] - 1) - 1
    metrics.add(
        f"{prefix}/recall@{k}_pool{pool}",
        people.estimate(sums[:, [column, -1]], stats.ratio),
    )
  metrics.add(
      f"{prefix}/mean_rank_pool{pool}",
      people.estimate(_total_rank(sums), stats.ratio),
  )
  metrics.add(
      f"{prefix}/median_rank_pool{pool}", people.estimate(sums, _median_rank)
  )
  total = sums.sum(axis=0)
  return total[:-1] / max(total[-1], 1e-12)


def run(data, cfg, metrics):
  """Adds retrieval both ways for every row of `data`.

  Args:
    data: `inputs.Inputs`; uses `table`, `pairs` (row name -> signal ->
      vectors [N, P]), `student`, `teacher`, `window_sec`.
    cfg: `pools` (sizes beside "all"), `within_pool`, `bootstrap_draws`,
      `seed`.
    metrics: `stats.Metrics` to add to.

  Returns:
    {row name: {variant/direction: recall@r, r = 1..R}} at the first pool
    size, for the report.
  """
  table, split = data.table, data.split
  if not data.pairs:
    metrics.skip(
        f"{split}/retrieval", "needs two signals in the shards"
    )
    return {}
  rows = thin(
      table["participant"], table["session"], table["start_s"],
      data.window_sec,
  )
  motion = np.asarray(table["motion_g"], float)[rows]
  still = motion <= np.nanmedian(motion) if np.isfinite(motion).any() else (
      np.zeros(len(rows), bool)
  )
  metrics.add(f"{split}/retrieval/windows", len(rows))
  metrics.add(f"{split}/retrieval/overlapping_windows_left_out",
              len(table["start_s"]) - len(rows))
  if still.any():
    metrics.add(f"{split}/still/motion_g_limit", motion[still].max())
  curves = {}
  for variant, chosen in (("", rows), ("still", rows[still])):
    ids = table["participant"][chosen]
    _variant(data, cfg, metrics, variant, chosen, ids, None, curves)
  ids = table["participant"][rows]
  _variant(data, cfg, metrics, "within_person", rows, ids, ids, curves)
  if "" not in data.pairs:
    metrics.skip(
        f"{split}/{data.student}2{data.teacher}/recall@1_pool{cfg.pools[0]}",
        "the checkpoint has no pair of encoders with heads",
    )
  return curves


def _variant(data, cfg, metrics, variant, rows, ids, within, curves):
  """One set of queries, all rows, both directions, all pools.

  Args:
    rows: [M] row numbers that are queries and pool at once.
    ids: [M] the person of each.
    within: None, or [M] groups that pools stay within.
  """
  if not len(rows):
    metrics.skip(_join(data.split, variant, "windows"), "no windows")
    return
  groups, sizes = _groups(within, len(rows))
  pools = list(cfg.pools) if within is None else [cfg.within_pool]
  settings = []
  for pool in [*pools, "all"]:
    enough = sizes >= (2 if pool == "all" else pool)
    people = None
    if enough.any():
      people = stats.People(ids[enough], cfg.bootstrap_draws, cfg.seed)
    settings.append((pool, enough, people))
  prefix = _join(data.split, variant)
  if variant:
    metrics.add(f"{prefix}/windows", len(rows))
  metrics.add(f"{_join(data.split, variant or 'retrieval')}/people",
              len(np.unique(ids)))
  for pool, enough, people in settings:
    if people is not None:
      _chance(metrics, prefix, pool, sizes[enough], people, within)
  control = data.pairs.get("envelope")
  for row, vectors in data.pairs.items():
    for a, b in ((data.student, data.teacher), (data.teacher, data.student)):
      counts = count(
          vectors[a][rows], vectors[b][rows], groups,
          control and (control[a][rows], control[b][rows]),
      )
      for pool, enough, people in settings:
        name, way = _join(data.split, row, variant), f"{a}2{b}"
        if people is None:
          whose = "the" if within is None else "any person's"
          _skip_all(metrics, f"{name}/{way}", pool, (
              f"a pool of {pool} is larger than {whose} "
              f"{sizes.max()} windows"
          ))
          continue
        some = counts.take(enough)
        curve = score(
            metrics, f"{name}/{way}", pool, Counts(some.n, some.b), people
        )
        if pool == pools[0]:
          curves.setdefault(row, {})[f"{variant}/{way}"] = curve
        if control and row != "envelope" and within is None:
          _control_fails(
              metrics, f"{name}/control_fails/{way}", pool, some, people
          )


def _chance(metrics, prefix, pool, sizes, people, within):
  """Adds what a random order scores, and for persons' pools their sizes."""
  size = sizes if pool == "all" else np.full(len(sizes), pool)
  for k in TOP:
    metrics.add(f"{prefix}/chance/recall@{k}_pool{pool}",
                float(np.mean(np.minimum(k / size, 1))))
  metrics.add(f"{prefix}/chance/mean_rank_pool{pool}",
              float(np.mean((size + 1) / 2)))
  if within is not None:
    metrics.add(f"{prefix}/people_pool{pool}", len(people))
    metrics.add(f"{prefix}/windows_pool{pool}", len(sizes))
    metrics.add(f"{prefix}/mean_pool_size_pool{pool}", float(np.mean(size)))


def _control_fails(metrics, name, pool, counts, people):
  """Adds the scores over pools in which the control's rank is above 1."""
  mass = rank_cdf(counts, pool, depth=1)[1]
  metrics.add(f"{name}/share_pool{pool}", float(mass.mean()))
  if mass.sum() < 1:
    _skip_all(metrics, name, pool, "the control never fails")
  else:
    score(metrics, name, pool, counts, people)


def _skip_all(metrics, name, pool, reason):
  for measure in (*(f"recall@{k}" for k in TOP), "mean_rank", "median_rank"):
    metrics.skip(f"{name}/{measure}_pool{pool}", reason)


def _join(*parts):
  return "/".join(filter(None, parts))


def _groups(within, rows):
  """Group number [M] and group size [M] of each row."""
  if within is None:
    return np.zeros(rows, int), np.full(rows, rows)
  _, groups, sizes = np.unique(
      within, return_inverse=True, return_counts=True
  )
  return groups, sizes[groups]
