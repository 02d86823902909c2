"""What the report says of retrieval: recall beside what needs no learning."""

from collections.abc import Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from accfm.evals.inputs import Inputs
from accfm.evals.results import verdict, words
from accfm.evals.results.figures import CHANCE, TESTED, Figure, Figures
from accfm.evals.results.outcome import Queries
from accfm.evals.results.section import (
  Card,
  Cell,
  Folded,
  Gallery,
  Heading,
  Line,
  Plot,
  Section,
  Table,
  number_cell,
  score_cells,
)
from accfm.evals.retrieval.identity import ENCODER as IDENTITY
from accfm.evals.retrieval.variants import (
  TOP,
  VARIANTS,
  pool_sizes,
  where_control_fails,
)
from accfm.evals.stats import scaling
from accfm.evals.stats.people import Estimate

# The columns, from the left.
ENCODERS = (TESTED, "aligned_ridge", "aligned_cca", "envelope", IDENTITY,
            "untrained")
SHORT = {TESTED: "this encoder", "aligned_ridge": "aligned by ridge",
         "aligned_cca": "aligned by CCA", "envelope": "motion envelope",
         IDENTITY: "identity alone", "untrained": "untrained"}
MEASURES = (*(f"recall@{k}" for k in TOP), "mean_rank", "median_rank")
SEARCHED = 500  # queries among which examples are looked for
# (variant, whose chance it has, title, whether it is in the main table).
SHOWN = (
    *((v, v, VARIANTS[v], True)
      for v in ("", "not_adjacent", "other_people", "still")),
    (where_control_fails(""), "",
     "pairs that the motion envelope does not find", True),
    (where_control_fails("still"), "still",
     "stiller half, envelope does not find", True),
    ("within_person", "within_person", VARIANTS["within_person"], True),
    *((where_control_fails(v), v, f"{VARIANTS[v]}, envelope does not find",
       False) for v in ("not_adjacent", "other_people", "within_person")),
)


def describe_retrieval(
    data: Inputs, cfg: ConfigDict, figures: Figures,
    curves: Mapping[str, Mapping[str, np.ndarray]],
    queries: Queries | None,
) -> list[Section]:
  """The sections "Retrieval" and "Retrieved pairs".

  Args:
    data, cfg: as `run.score_retrieval`.
    figures: with those of `run.score_retrieval`.
    curves: encoder -> direction -> recall@r [R].
    queries: ranks of the encoder under test, or None.
  """
  page = _Page(data, cfg, figures)
  main = page.table()
  if main is None:
    return []
  pool = page.shown_pool("", "") or "all"
  ways = [("2".join(pair), words.arrow(pair)) for pair in data.ways]
  parts: list = [main]
  drawn = {e: curves[e] for e in page.encoders if e in curves}
  if all(any(way in c for c in drawn.values()) for way, _ in ways):
    parts.append(Plot("recall_curves", {
        "curves": drawn, "ways": ways, "among": words.among(pool),
    }, (
        f"Recall@k {words.among(pool)}, the mean over all pools of "
        f"{page.count('windows')} windows of {page.count('people')} people."
    )))
  scores = page.scores_by_size()
  if len({s for by in scores.values() for x in by.values() for s, _ in x}) > 2:
    parts.append(Plot("pool_sizes", {"scores": scores, "ways": ways}, (
        "The larger the pool, the harder: recall@1 by the number of windows "
        "to choose from. Bands are 95 % intervals over people."
    )))
  out = [Section("Retrieval", (
      "From one signal of a minute, find the other signal of the same "
      "minute. Recall@1 is the share found first, the mean over all pools of "
      "non-overlapping windows; ties count as misses. An encoder has shown "
      "nothing until it beats the motion envelope, which learns nothing, and "
      "identity alone: what a matcher scores that knows whose minute it is "
      "and takes one of that person's at random. The best of a line is "
      "bold."
  ), [*parts, page.details()], cards=page.cards(pool))]
  count = 0 if cfg.redact else cfg.examples  # drawn from recordings
  pairs = _describe_examples(data, queries, count, cfg.seed)
  if pairs:
    out.append(Section("Retrieved pairs", (
        "Queries chosen by rank, the first 15 s of each window; every one is "
        f"sought among all {page.count('windows')} windows."
    ), [Gallery(pairs)]))
  return out


class _Page:
  """Looks up the figures of retrieval for tables, plots and cards."""

  def __init__(self, data: Inputs, cfg: ConfigDict, figures: Figures):
    self.cfg, self.figures, self.pairs = cfg, figures, data.ways
    self.about = Figure(data.split, "retrieval")
    self.encoders = (ENCODERS[0], *data.outside, *ENCODERS[1:])

  def find(
      self, encoder: str, variant: str, pair: tuple[str, str], measure: str,
      pool: int | str,
  ) -> Figure | None:
    """One figure of a direction; chance has none."""
    subject = "" if encoder == CHANCE else "2".join(pair)
    return self.figures.get(
        self.about, encoder=encoder, variant=variant, subject=subject,
        measure=measure, pool=pool,
    )

  def known(self, *args) -> bool:
    """Whether `find` finds a number."""
    found = self.find(*args)
    return found is not None and found.value is not None

  def count(self, measure: str) -> str:
    """How many segments or people are searched."""
    return f"{self.figures.value(self.about, measure=measure) or 0:,.0f}"

  def shown_pool(self, variant: str, base: str) -> int | str | None:
    """The first pool that was evaluable, None where none was."""
    for pool in pool_sizes(self.cfg, base):
      if any(self.known(e, variant, pair, "recall@1", pool)
             for pair in self.pairs for e in self.encoders):
        return pool
    return None

  def table(self) -> Table | None:
    """Recall@1 at the first pool: variants by directions and encoders."""
    there = {f.encoder for f in self.figures.find(
        evaluator="retrieval", measure="recall@1")}
    encoders = [e for e in self.encoders if e == TESTED or e in there]
    lines: list[Line | Heading] = []
    for pair in self.pairs:
      block = [line for shown in SHOWN
               if (line := self._line(pair, encoders, *shown)) is not None]
      if block:
        lines += [Heading(words.arrow(pair)), *block]
    if not lines:
      return None
    return Table(
        ["recall@1", *(SHORT.get(e, e) for e in encoders), "chance"], lines)

  def _line(
      self, pair: tuple[str, str], encoders: Sequence[str], variant: str,
      base: str, title: str, is_main: bool,
  ) -> Line | None:
    """A variant in one direction, None where it is not evaluable."""
    pool = self.shown_pool(variant, base) if is_main else None
    if pool is None:
      return None
    return Line([
        Cell(title, self._note(pair, variant, pool)),
        *score_cells({
            e: self.find(e, variant, pair, "recall@1", pool)
            for e in encoders
        }, 3, less=False),
        number_cell(self.find(CHANCE, base, pair, "recall@1", pool)),
    ])

  def _note(
      self, pair: tuple[str, str], variant: str, pool: int | str
  ) -> str:
    """What a line of the table is of."""
    notes = [words.among(pool)]
    segments = self.figures.value(
        self.about, variant=variant, measure="windows")
    if segments is not None:
      notes.append(f"{segments:,.0f} windows")
    share = self.find(TESTED, variant, pair, "share", pool)
    if share is not None and share.value is not None:
      notes.append(f"{100 * share.value:.0f} % of pairs")
    return ", ".join(notes)

  def details(self) -> Folded:
    """Every k, every pool: a table for each variant."""
    tables = []
    for variant, base, title, _ in SHOWN:
      sizes = pool_sizes(self.cfg, base)
      sizes = [*sorted(s for s in sizes if s != "all"), "all"]
      lines = []
      for pair in self.pairs:
        for e in self.encoders:
          found = [
              Line([Cell(words.among(size)), *(
                  number_cell(self.find(e, variant, pair, m, size),
                              1 if m.endswith("rank") else 3)
                  for m in MEASURES)])
              for size in sizes
              if any(self.known(e, variant, pair, m, size) for m in MEASURES)
          ]
          if found:
            head = Heading(f"{words.arrow(pair)}, {words.encoder(e)}")
            lines += [head, *found]
      if lines:
        heads = [m.replace("_", " ") for m in MEASURES]
        tables.append(Table(["", *heads], lines, title=title.capitalize()))
    return Folded("All recalls, ranks and pools", tables)

  def scores_by_size(
      self
  ) -> dict[str, dict[str, list[tuple[int, Estimate]]]]:
    """encoder -> direction -> [(size, recall@1)] among all segments."""
    out = {}
    segments = int(self.figures.value(self.about, measure="windows") or 0)
    for e in self.encoders:
      for pair in self.pairs:
        for pool in pool_sizes(self.cfg):
          found = self.find(e, "", pair, "recall@1", pool)
          if found is not None and found.value is not None:
            size = segments if pool == "all" else pool
            out.setdefault(e, {}).setdefault("2".join(pair), []).append(
                (size, Estimate(found.value, found.low, found.high)))
    return out

  def cards(self, pool: int | str) -> list[Card]:
    """Recall@1 of the encoder under test, each way."""
    cards = []
    for pair in self.pairs:
      found = self.find(TESTED, "", pair, "recall@1", pool)
      if found is None or found.value is None:
        continue
      said = verdict.of_score(self.figures, found)
      cards.append(Card(
          words.arrow(pair), words.number(found.value, 2), "", (
              words.interval(found.low, found.high, 2),
              f"recall@1 {words.among(pool)}",
              "" if said is None else verdict.short(said),
          )))
    return cards


def _describe_examples(
    data: Inputs, queries: Queries | None, count: int, seed: int
) -> list[Plot]:
  """Queries that were found and missed, by the ranks that recall counts.

  Args:
    data: with `recordings`, to read signals from.
    queries: ranks of the encoder under test.
    count: how many; the first half found at rank 1, the rest from the
      nearest miss to the farthest.
    seed: which of the found ones.
  """
  if queries is None or count < 1 or data.recordings is None:
    return []
  a, b = data.ways[0]
  people, rows = data.table["participant"], queries.rows
  rank = queries.ranks[f"{a}2{b}"][1]
  some = np.random.default_rng(seed).permutation(len(rows))[:SEARCHED]
  found = some[rank[some] == 1][:(count + 1) // 2]
  missed = some[rank[some] > 1]
  missed = missed[np.argsort(rank[missed], kind="stable")]
  spaced = np.linspace(0, len(missed) - 1, count - len(found)).round()
  missed = missed[np.unique(spaced.astype(int))] if len(missed) else missed
  query = scaling.unit_rows(data.pairs[TESTED][a][rows])
  keys = scaling.unit_rows(data.pairs[TESTED][b][rows])
  plots = []
  for i in [*found, *missed]:
    own = top = rows[i]
    text = "Found first."
    if rank[i] > 1:
      near = keys @ query[i]
      near[i] = -np.inf  # another one is at least as near
      top = rows[near.argmax()]
      who = "the same person" if people[own] == people[top] else (
          "another person")
      text = (f"Missed: a minute of {who} came first, the right one was at "
              f"rank {rank[i]}.")
    batch = data.recordings.read(np.array([own, top]), [a, b])
    x = {s: batch[s] * batch[f"{s}_scale"][:, None] for s in (a, b)}
    plots.append(Plot("pair", {
        "query": x[a][0], "found": x[b][1],
        "right": x[b][0] if rank[i] > 1 else None,
        "rates_hz": tuple(data.recordings.contract.rate(s) for s in (a, b)),
        "names": (words.signal(a), words.signal(b)),
    }, text))
  return plots
