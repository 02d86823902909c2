"""What comes first where retrieval misses: the same person, time, movement?

A miss shows what an encoder goes by. For queries that are missed among all
segments, this looks at the wrong segment that comes first, and asks what it
shares with the query. Beside each share stands that of wrong segments drawn
at random for the same queries: only what is above it says something. Which
queries are missed is told by how much the wrist moved.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
from ml_collections import ConfigDict

from accfm.evals.inputs import Inputs
from accfm.evals.results import words
from accfm.evals.results.figures import CHANCE, TESTED, Figure, Figures
from accfm.evals.results.section import (
  Cell,
  Line,
  Section,
  Table,
  number_cell,
)
from accfm.evals.retrieval import nearest
from accfm.evals.retrieval.masks import Mask
from accfm.evals.retrieval.ranks import Counts
from accfm.evals.retrieval.segments import Segments
from accfm.evals.stats import intervals, scaling
from accfm.evals.stats import people as stats

VARIANT = "misses"
MOST = 2000  # misses that are looked at, evenly spaced by person and time
LEAST = 10
# What the first segment may share with the query: measure -> words.
SHARED = {
    "same_person": "is of the same person",
    "same_recording": "is of the same recording",
    "adjacent": "starts less than {:g} s from the query in that recording",
    "same_motion": "is of the same quarter of movement",
    "same_hour": "is of the same hour of the day (UTC)",
}
QUARTERS = ("stillest", "second", "third", "most_moving")


def score_misses(
    data: Inputs, cfg: ConfigDict, figures: Figures, about: Figure,
    segments: Segments, everybody: Mapping[str, Counts],
) -> None:
  """Adds what comes first where the encoder under test misses.

  For each direction it adds the share of queries that are missed, also by
  quarter of movement. For each of SHARED it adds the share of the misses and
  the share of wrong segments at random (`..._by_chance`).

  Args:
    data: with `pairs` of the encoder under test.
    cfg: `adjacent_sec`, `bootstrap_draws`, `seed`.
    figures: to add to.
    about: of the evaluator.
    segments: that were searched.
    everybody: direction -> counts of the encoder under test.
  """
  quarter = _quarters(np.asarray(data.table["motion_g"])[segments.rows])
  for a, b in data.ways:
    way = f"{a}2{b}"
    mine = dataclasses.replace(about, subject=way, variant=VARIANT)
    missed = everybody[way].beaten_by > 0

    def add_share(measure, hits, rows, mine=mine, **fields):
      people = stats.People(
          segments.participant[rows], cfg.bootstrap_draws, cfg.seed)
      sums = people.sums(np.column_stack([hits, np.ones(len(hits))]))
      figures.add(
          mine, people.estimate(sums, stats.ratio, intervals.SHARE),
          measure=measure, **fields,
      )

    add_share("missed_share", missed, slice(None))
    for place, name in enumerate(QUARTERS):
      some = np.flatnonzero(quarter == place)
      if len(some):
        add_share("missed_share", missed[some], some, attribute="motion",
                  group=name)
    rows = np.flatnonzero(missed)
    if len(rows) < LEAST:
      continue  # few misses say nothing of what an encoder goes by
    rows = rows[np.unique(np.linspace(
        0, len(rows) - 1, min(len(rows), MOST)).round().astype(int))]
    figures.add(mine, len(rows), measure="looked_at")
    first = _first_wrong(data, segments, rows, a, b)
    for name, (is_shared, chance) in _shared(
        segments, rows, first, quarter, cfg.adjacent_sec).items():
      add_share(name, is_shared, rows)
      figures.add(mine, float(chance.mean()), measure=f"{name}_by_chance")


def _first_wrong(data, segments, rows, a, b):
  """[M] the wrong segment that is nearest to each query of `rows`."""
  pair = data.pairs[TESTED]
  key = scaling.unit_rows(pair[b][segments.rows])
  query = scaling.unit_rows(pair[a][segments.rows[rows]])
  keep = Mask.everything(len(rows), len(key)).keep
  mask = Mask(keep, np.stack([rows, rows + 1], axis=1))
  return nearest.top_k(query, key, 1, mask)[1][:, 0]


def _quarters(motion):
  """[N] the quarter of movement of each segment, -1 where unknown."""
  motion = np.asarray(motion, float)
  known, out = np.isfinite(motion), np.full(len(motion), -1)
  if known.any():
    ends = np.quantile(motion[known], [0.25, 0.5, 0.75])
    out[known] = np.searchsorted(ends, motion[known])
  return out


def _shared(segments, rows, first, quarter, adjacent_sec):
  """measure -> (whether a query shares it with its first [M], chance [M])."""
  others, out = len(segments) - 1, {}
  for name, ranges in (
      ("same_person", segments.person), ("same_recording", segments.recording),
      ("adjacent", segments.adjacent(adjacent_sec)),
  ):
    low, high = ranges[rows].T
    out[name] = (first >= low) & (first < high), (high - low - 1) / others
  hour = np.floor_divide(segments.start_s, 3600).astype(int) % 24
  for name, label in (("same_motion", quarter), ("same_hour", hour)):
    if len(np.unique(label)) > 1:  # else all share it
      sizes = np.bincount(label + 1)[label[rows] + 1]
      out[name] = label[first] == label[rows], (sizes - 1) / others
  return out


def describe_misses(
    data: Inputs, cfg: ConfigDict, figures: Figures
) -> list[Section]:
  """The section "Misses", [] where nothing was looked at."""
  about = Figure(data.split, "retrieval", variant=VARIANT)
  ways = [("2".join(pair), words.arrow(pair)) for pair in data.ways]
  looked = {
      way: figures.value(about, subject=way, measure="looked_at")
      for way, _ in ways
  }
  ways = [(way, title) for way, title in ways if looked[way] is not None]
  if not ways:
    return []
  shares, moving = [], []
  for name, title in SHARED.items():
    cells = [figures.get(about, subject=way, measure=measure)
             for way, _ in ways for measure in (name, f"{name}_by_chance")]
    if any(cells):
      shares.append(Line([Cell(title.format(cfg.adjacent_sec)), *(
          number_cell(x, own=place % 2 == 0)
          for place, x in enumerate(cells))]))
  for name in QUARTERS:
    cells = [figures.get(about, subject=way, attribute="motion", group=name,
                         measure="missed_share") for way, _ in ways]
    if any(cells):
      moving.append(Line([
          Cell(f"{name.replace('_', ' ')} quarter"), *map(number_cell, cells)]))
  moving.append(Line([Cell("all windows"), *(number_cell(figures.get(
      about, subject=way, measure="missed_share")) for way, _ in ways)]))
  counts = " and ".join(f"{looked[way]:,.0f} ({title})" for way, title in ways)
  return [Section("Misses", (
      "Windows that are not found first among all, and the wrong window that "
      f"comes first: what it shares with the query, over {counts} misses, and "
      "what wrong windows at random share with it."
  ), [
      Table(["the first window", *(
          head for _, title in ways
          for head in (f"misses, {title}", f"{CHANCE}, {title}"))], shares),
      Table(["share missed", *(title for _, title in ways)], moving,
            title="By movement"),
  ])]
