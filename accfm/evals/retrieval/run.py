"""Retrieval: find the same minute of the other signal, with exact ranks.

Each figure is the mean over all pools of its size (`pools`); its interval is
over people. What the wrong answers are drawn from, by variant:

  (none)         everybody's windows
  still          the stiller half of the windows, which are the queries too
  within_person  the person's own windows
  not_adjacent   all but those of the recording that start less than
                 `adjacent_sec` from the query: what lasts for minutes, as
                 posture does, no longer helps to find the minute
  other_people   the windows of other people
"""

import numpy as np

from accfm.evals.retrieval import pools, ranks
from accfm.evals.retrieval import windows as candidates
from accfm.evals.stats import bootstrap as stats

TOP = (1, 3, 5, 10)


def score(metrics, prefix, pool, counts, people):
  """Adds recall@k, mean and median rank of one set of queries at one pool.

  Returns:
    recall@r for r = 1..R, the curve the report draws.
  """
  sums = pools.rank_sums(counts, pool, people)  # [P, R + 1]
  for k in TOP:
    column = min(k, sums.shape[1] - 1) - 1
    metrics.add(
        f"{prefix}/recall@{k}_pool{pool}",
        people.estimate(sums[:, [column, -1]], stats.ratio),
    )
  metrics.add(
      f"{prefix}/mean_rank_pool{pool}",
      people.estimate(pools.total_rank(sums), stats.ratio),
  )
  metrics.add(
      f"{prefix}/median_rank_pool{pool}", pools.median_rank(people, sums)
  )
  total = sums.sum(axis=0)
  return total[:-1] / max(total[-1], 1e-12)


def run(data, cfg, metrics):
  """Adds retrieval both ways for every row of `data`, in every variant.

  Args:
    data: `inputs.Inputs`; uses `table`, `pairs` (row name -> signal ->
      vectors [N, P]), `student`, `teacher`, `window_sec`.
    cfg: `pools` (sizes beside "all"), `within_pool`, `adjacent_sec`,
      `bootstrap_draws`, `seed`.
    metrics: `stats.Metrics` to add to. Of a pool that is not evaluable it
      gets recall@1 alone, as null with the reason.

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
  rows = candidates.thin(
      table["participant"], table["session"], table["start_s"],
      data.window_sec,
  )
  windows = candidates.Windows(table, rows)
  motion = np.asarray(table["motion_g"], float)[windows.rows]
  still = motion <= np.nanmedian(motion) if np.isfinite(motion).any() else (
      np.zeros(len(rows), bool)
  )
  metrics.add(f"{split}/retrieval/windows", len(rows))
  metrics.add(f"{split}/retrieval/overlapping_windows_left_out",
              len(table["start_s"]) - len(rows))
  if still.any():
    metrics.add(f"{split}/still/motion_g_limit", motion[still].max())
  curves = {}
  _among(data, cfg, metrics, windows, {
      "": windows.everybody(),
      "within_person": windows.within_person(),
      "not_adjacent": windows.but(windows.adjacent(cfg.adjacent_sec)),
      "other_people": windows.but(windows.person),
  }, curves)
  if still.any():
    quiet = candidates.Windows(table, windows.rows[still])
    _among(data, cfg, metrics, quiet, {"still": quiet.everybody()}, curves)
  else:
    metrics.skip(f"{split}/still/windows", "no windows")
  if "" not in data.pairs:
    metrics.skip(
        f"{split}/{data.student}2{data.teacher}/recall@1_pool{cfg.pools[0]}",
        "the checkpoint has no pair of encoders with heads",
    )
  return curves


def _among(data, cfg, metrics, windows, masks, curves):
  """One set of windows: all rows, both directions, its variants, all pools.

  Args:
    windows: `candidates.Windows`, queries and answers at once.
    masks: variant -> `nearest.Mask`.
    curves: filled as `run` returns them.
  """
  settings = {
      variant: _settings(data, cfg, metrics, variant, windows, mask)
      for variant, mask in masks.items()
  }
  control = data.pairs.get("envelope")
  for row, vectors in data.pairs.items():
    for a, b in ((data.student, data.teacher), (data.teacher, data.student)):
      query, key = vectors[a][windows.rows], vectors[b][windows.rows]
      beside = control if row != "envelope" else None
      every = ranks.count(
          query, key, list(masks.values()),
          beside and (beside[a][windows.rows], beside[b][windows.rows]),
      )
      for variant, counts in zip(masks, every, strict=True):
        name, way = _join(data.split, row, variant), f"{a}2{b}"
        for i, (pool, enough, people) in enumerate(settings[variant]):
          if people is None:
            metrics.skip(f"{name}/{way}/recall@1_pool{pool}", (
                f"a pool of {pool} is larger than the "
                f"{counts.candidates.max()} windows that any query can have"
            ))
            continue
          some = counts.take(enough)
          curve = score(
              metrics, f"{name}/{way}", pool,
              ranks.Counts(some.candidates, some.beaten_by), people,
          )
          if not i:
            curves.setdefault(row, {})[f"{variant}/{way}"] = curve
          if beside:
            _control_fails(
                metrics, f"{name}/control_fails/{way}", pool, some, people
            )


def _settings(data, cfg, metrics, variant, windows, mask):
  """The pools of a variant, after adding what they consist of.

  Returns:
    [(pool, [M] which queries have enough windows, their `stats.People` or
    None for none)].
  """
  own = np.arange(len(windows))
  sizes = mask.sizes() + 1 - mask.allows(own, own)
  within = variant == "within_person"
  prefix = _join(data.split, variant)
  if variant:
    metrics.add(f"{prefix}/windows", len(windows))
  metrics.add(f"{_join(data.split, variant or 'retrieval')}/people",
              len(np.unique(windows.participant)))
  out = []
  for pool in [*([cfg.within_pool] if within else cfg.pools), "all"]:
    enough = sizes >= (2 if pool == "all" else pool)
    people = None
    if enough.any():
      people = stats.People(
          windows.participant[enough], cfg.bootstrap_draws, cfg.seed
      )
      size = sizes[enough] if pool == "all" else np.full(enough.sum(), pool)
      for k in TOP:
        metrics.add(f"{prefix}/chance/recall@{k}_pool{pool}",
                    float(np.mean(np.minimum(k / size, 1))))
      metrics.add(f"{prefix}/chance/mean_rank_pool{pool}",
                  float(np.mean((size + 1) / 2)))
      if variant not in ("", "still"):  # pools may leave queries out
        metrics.add(f"{prefix}/people_pool{pool}", len(people))
        metrics.add(f"{prefix}/windows_pool{pool}", int(enough.sum()))
        metrics.add(f"{prefix}/mean_pool_size_pool{pool}",
                    float(np.mean(size)))
    out.append((pool, enough, people))
  return out


def _control_fails(metrics, name, pool, counts, people):
  """Adds the scores over pools in which the control's rank is above 1."""
  mass = pools.control_fails(counts, pool)
  metrics.add(f"{name}/share_pool{pool}", float(mass.mean()))
  if mass.sum() < 1:
    metrics.skip(f"{name}/recall@1_pool{pool}", "the control never fails")
  else:
    score(metrics, name, pool, counts, people)


def _join(*parts):
  return "/".join(filter(None, parts))
