"""Retrieval: find the same minute of the other signal, with exact ranks.

Each figure is the mean over all pools of its size (`pools`); its interval is
over people. The variants differ in what the wrong answers are drawn from:

  (none)         everybody's segments
  still          the stiller half of the segments, which are the queries too
  within_person  the person's own segments
  not_adjacent   all but those of the recording that start less than
                 `adjacent_sec` from the query: what lasts for minutes, as
                 posture does, no longer helps to find the minute
  other_people   the segments of other people

Each variant has a second one, `control_fails`: the same queries over the
pools in which the motion envelope does not rank the right answer first.

Beside each recall stands what `identity` alone scores: a matcher that knows
whose segment it is given and nothing else, over the very same pools.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from accfm.evals.inputs import Inputs
from accfm.evals.results import rivals
from accfm.evals.results.figures import CHANCE, TESTED, Figure, Figures
from accfm.evals.results.outcome import Outcome, Queries
from accfm.evals.retrieval import describe, identity, misses, pools, ranks
from accfm.evals.retrieval import segments as candidates
from accfm.evals.retrieval.masks import Mask
from accfm.evals.retrieval.variants import (
  TOP,
  first_pool,
  pool_sizes,
  where_control_fails,
)
from accfm.evals.stats import intervals
from accfm.evals.stats import people as stats

CONTROL = "envelope"
# (counts, pool, people) -> [P, R + 1], as `pools.rank_sums`.
SumRanks = Callable[[ranks.Counts, int | str, stats.People], np.ndarray]


def score_retrieval(
    data: Inputs, cfg: ConfigDict, figures: Figures
) -> Outcome:
  """Adds retrieval both ways for every pair of `data`, in every variant.

  Args:
    data: what is measured; uses `table`, `pairs` (encoder -> signal ->
      vectors [N, P]), `student`, `teacher`, `window_sec`.
    cfg: `pools` (sizes beside "all"), `within_pool`, `adjacent_sec`,
      `bootstrap_draws`, `seed`; for the report `examples`, `redact`.
    figures: to add to. Of a pool that is not evaluable it gets recall@1
      alone, with the reason.
  """
  about, table = Figure(data.split, "retrieval"), data.table
  if not data.pairs:
    _skip_all(data, cfg, figures, about)
    return Outcome()
  rows = candidates.thin(
      table["participant"], table["session"], table["start_s"],
      data.window_sec,
  )
  segments = candidates.Segments(table, rows)
  motion = np.asarray(table["motion_g"], float)[segments.rows]
  still = motion <= np.nanmedian(motion) if np.isfinite(motion).any() else (
      np.zeros(len(rows), bool)
  )
  figures.add(about, len(rows), measure="windows")
  figures.add(about, len(table["start_s"]) - len(rows),
              measure="overlapping_windows_left_out")
  if still.any():
    figures.add(about, motion[still].max(), variant="still",
                measure="motion_g_limit")
  scorer = _Scorer(data, cfg, figures, about)
  scorer.score(segments, {
      "": segments.everybody(),
      "within_person": segments.within_person(),
      "not_adjacent": segments.but(segments.adjacent(cfg.adjacent_sec)),
      "other_people": segments.but(segments.person),
  })
  if still.any():
    quiet = candidates.Segments(table, segments.rows[still])
    scorer.score(quiet, {"still": quiet.everybody()})
  else:
    figures.skip(about, "no windows", variant="still", measure="windows")
  _skip_unpaired(data, cfg, figures, about, data.teacher)
  queries = None
  if scorer.everybody:
    misses.score_misses(
        data, cfg, figures, about, segments, scorer.everybody)
    order = np.argsort(segments.rows)
    queries = Queries(segments.rows[order], {
        way: (counts.candidates[order], counts.beaten_by[order] + 1)
        for way, counts in scorer.everybody.items()
    })
  return Outcome(lambda: [
      *describe.describe_retrieval(data, cfg, figures, scorer.curves, queries),
      *misses.describe_misses(data, cfg, figures),
  ], queries=queries)


def _skip_all(
    data: Inputs, cfg: ConfigDict, figures: Figures, about: Figure
) -> None:
  """Adds why nothing has a pair of signals."""
  for signal, reason in data.absent.items():
    figures.skip(about, reason, subject=f"{data.student}2{signal}",
                 measure="recall@1", pool=first_pool(cfg), headline=True)
  if data.teacher and data.unpaired:
    _skip_unpaired(data, cfg, figures, about, data.teacher)
  elif not data.absent:
    figures.skip(about, "needs two signals in the shards")


def _skip_unpaired(
    data: Inputs, cfg: ConfigDict, figures: Figures, about: Figure, signal: str
) -> None:
  """Adds why the encoder under test, or somebody else's, has no pair."""
  for encoder in (TESTED, *data.outside):
    if encoder not in data.pairs:
      figures.skip(
          about, data.unpaired.get(
              encoder, "the checkpoint has no pair of encoders with heads"),
          encoder=encoder, subject=f"{data.student}2{signal}",
          measure="recall@1", pool=first_pool(cfg), headline=encoder == TESTED,
      )


def add_ranks(
    figures: Figures, about: Figure, pool: int | str, counts: ranks.Counts,
    people: stats.People, sum_ranks: SumRanks = pools.rank_sums,
) -> np.ndarray:
  """Adds recall@k, mean and median rank of one set of queries at one pool.

  Args:
    figures: to add to.
    about: whose ranks they are; `headline` is for recall@1 alone.
    pool: size of the pool, or "all".
    counts: of the queries.
    people: behind the queries.
    sum_ranks: distributes the ranks over pools.

  Returns:
    [P, R + 1], as `pools.rank_sums`.
  """
  plain = dataclasses.replace(about, headline=False, pool=pool)
  sums = sum_ranks(counts, pool, people)  # [P, R + 1]
  for k in TOP:
    column = min(k, sums.shape[1] - 1) - 1
    figures.add(
        plain, people.estimate(
            sums[:, [column, -1]], stats.ratio, intervals.SHARE),
        measure=f"recall@{k}", headline=about.headline and k == 1,
    )
  figures.add(
      plain, people.estimate(
          pools.total_rank(sums), stats.ratio, intervals.FROM_ONE),
      measure="mean_rank",
  )
  figures.add(plain, pools.median_rank(people, sums), measure="median_rank")
  return sums


@dataclasses.dataclass(frozen=True)
class _Pool:
  """One pool of a variant.

  Attributes:
    size: or "all".
    enough: [M] which queries have so many segments.
    people: of those queries, None where there are none.
  """

  size: int | str
  enough: np.ndarray
  people: stats.People | None


class _Scorer:
  """Scores sets of segments, and keeps what the report draws.

  Attributes:
    curves: encoder -> direction -> recall@r [R] among all segments, at the
      first pool.
    everybody: direction -> counts of the encoder under test among all
      segments.
    hits: direction -> encoder -> [P, 2] sums of hits and queries of each
      person, among all segments at the first pool.
  """

  def __init__(
      self, data: Inputs, cfg: ConfigDict, figures: Figures, about: Figure
  ):
    self.data, self.cfg, self.figures = data, cfg, figures
    self.about = about
    self.curves: dict[str, dict[str, np.ndarray]] = {}
    self.everybody: dict[str, ranks.Counts] = {}
    self.hits: dict[str, dict[str, np.ndarray]] = {}

  def score(
      self, segments: candidates.Segments, masks: Mapping[str, Mask]
  ) -> None:
    """One set of segments: all pairs, both directions, its variants and pools.

    Args:
      segments: queries and answers at once.
      masks: variant -> what a query may meet.
    """
    data, pairs = self.data, self.data.pairs
    pools_of = {
        variant: self._pools(variant, segments, mask)
        for variant, mask in masks.items()
    }
    asked = list(masks.values())
    kin = [mask.within(segments.person) for mask in asked]
    of_control: dict[str, list[ranks.Counts]] = {}
    for encoder, vectors in pairs.items():
      control = pairs.get(CONTROL) if encoder != CONTROL else None
      for a, b in data.ways:
        way = f"{a}2{b}"
        query, key = vectors[a][segments.rows], vectors[b][segments.rows]
        every = ranks.count(
            query, key, asked + kin if encoder == CONTROL else asked,
            None if control is None else
            (control[a][segments.rows], control[b][segments.rows]),
        )
        if encoder == CONTROL:
          of_control[way] = every
        if encoder == TESTED and "" in masks:
          self.everybody[way] = every[list(masks).index("")]
        self._add_all(encoder, way, pools_of, every[:len(asked)])
    for a, b in data.ways:
      every, way = of_control.get(f"{a}2{b}"), f"{a}2{b}"
      self._add_all(identity.ENCODER, way, pools_of, [
          identity.count(mask, segments.person) if every is None else
          identity.count(mask, segments.person, every[i].beaten_by,
                         every[i + len(asked)].beaten_by)
          for i, mask in enumerate(asked)
      ], identity.rank_sums)
    if "" in masks:
      self._add_rivals(pools_of[""][0])

  def _add_rivals(self, pool: _Pool) -> None:
    """Adds how far the encoder is from its best rivals, at the first pool."""
    about = dataclasses.replace(
        self.about, measure="recall@1", pool=pool.size)
    chance = self.figures.value(about, encoder=CHANCE)
    for way, hits in self.hits.items():
      if pool.people is not None:
        rivals.add_hits(
            self.figures, dataclasses.replace(about, subject=way), hits,
            pool.people, chance)

  def _add_all(
      self, encoder: str, way: str, pools_of: Mapping[str, list[_Pool]],
      every: Sequence[ranks.Counts], sum_ranks: SumRanks = pools.rank_sums,
  ) -> None:
    """Adds an encoder's figures of a direction: every variant and pool."""
    for (variant, several), counts in zip(
        pools_of.items(), every, strict=True):
      about = dataclasses.replace(
          self.about, encoder=encoder, subject=way, variant=variant)
      for place, pool in enumerate(several):
        self._add(about, pool, counts, place == 0, sum_ranks)

  def _add(
      self, about: Figure, pool: _Pool, counts: ranks.Counts, first: bool,
      sum_ranks: SumRanks,
  ) -> None:
    """Adds the figures of one pool, and those where the control fails."""
    about = dataclasses.replace(about, pool=pool.size, headline=(
        first and about.encoder == TESTED and not about.variant))
    if pool.people is None:
      self.figures.skip(about, (
          f"a pool of {pool.size} is larger than the "
          f"{counts.candidates.max()} windows that any query can have"
      ), measure="recall@1")
      return
    some = counts.take(pool.enough)
    sums = add_ranks(
        self.figures, about, pool.size,
        ranks.Counts(some.candidates, some.beaten_by), pool.people, sum_ranks,
    )
    if first and not about.variant:
      total = sums.sum(axis=0)
      self.curves.setdefault(about.encoder, {})[about.subject] = (
          total[:-1] / max(total[-1], 1e-12))
      self.hits.setdefault(about.subject, {})[about.encoder] = (
          sums[:, [0, -1]])
    if some.control_beaten_by is not None:
      self._add_control_fails(about, pool.people, some, sum_ranks)

  def _add_control_fails(
      self, about: Figure, people: stats.People, counts: ranks.Counts,
      sum_ranks: SumRanks,
  ) -> None:
    """Adds the scores over pools in which the control's rank is above 1."""
    about = dataclasses.replace(
        about, variant=where_control_fails(about.variant),
        headline=False,
    )
    pool = about.pool or "all"
    mass = pools.control_fails(counts, pool)
    self.figures.add(about, float(mass.mean()), measure="share")
    if mass.sum() < 1:
      self.figures.skip(
          about, "the control never fails", measure="recall@1")
    else:
      add_ranks(self.figures, about, pool, counts, people, sum_ranks)

  def _pools(
      self, variant: str, segments: candidates.Segments, mask: Mask
  ) -> list[_Pool]:
    """The pools of a variant, after adding what they consist of."""
    own, out = np.arange(len(segments)), []
    sizes = mask.sizes() + 1 - mask.allows(own, own)
    about = dataclasses.replace(self.about, variant=variant)
    add = self.figures.add
    if variant:
      add(about, len(segments), measure="windows")
    add(about, len(np.unique(segments.participant)), measure="people")
    for pool in pool_sizes(self.cfg, variant):
      enough = sizes >= (2 if pool == "all" else pool)
      people = None
      if enough.any():
        people = stats.People(
            segments.participant[enough], self.cfg.bootstrap_draws,
            self.cfg.seed,
        )
        size = sizes[enough] if pool == "all" else np.full(enough.sum(), pool)
        at = dataclasses.replace(about, pool=pool)
        by_chance = dataclasses.replace(at, encoder=CHANCE)
        for k in TOP:
          add(by_chance, float(np.mean(np.minimum(k / size, 1))),
              measure=f"recall@{k}")
        add(by_chance, float(np.mean((size + 1) / 2)), measure="mean_rank")
        if variant not in ("", "still"):  # pools may leave queries out
          add(at, len(people), measure="people")
          add(at, int(enough.sum()), measure="windows")
          add(at, float(np.mean(size)), measure="mean_pool_size")
      out.append(_Pool(pool, enough, people))
    return out
