"""Membership inference: can embeddings tell who was trained on?

If they can, an embedding that is handed out says that its person took part in
a study. Simple attacks give each person a score from embeddings alone, and
the AUC over people says how well it parts those whom the encoder was trained
on from those it never saw; 0.5 is none, and anything away from 0.5 counts,
since an attacker may turn a score round. The attacks:

  norm       how long the person's embeddings are
  neighbour  how near the nearest segment of anybody else is
  spread     how alike consecutive segments of the person are, which training
             by pairs of a person's segments makes larger
  pair       how alike the projections of both signals of a segment are: the
             similarity that training by pairs of signals makes larger

An untrained encoder and hand-made features cannot know who was trained on, so
theirs is what chance does with so few people. An attack on the weights or
with shadow models may find more than these do.
"""

import functools
from collections.abc import Mapping

import numpy as np
from ml_collections import ConfigDict

from accfm.evals.embedding import health
from accfm.evals.inputs import Inputs
from accfm.evals.results import words
from accfm.evals.results.figures import TESTED, Figure, Figures
from accfm.evals.results.outcome import Outcome
from accfm.evals.results.section import Cell, Line, Section, Table, number_cell
from accfm.evals.retrieval import nearest
from accfm.evals.retrieval import segments as candidates
from accfm.evals.stats import people as stats
from accfm.evals.stats import scaling, scores

ENCODERS = (TESTED, "untrained")  # and hand-made features
ATTACKS = {
    "norm": "length of the embedding",
    "neighbour": "nearest of other people",
    "spread": "consecutive windows alike",
    "pair": "both signals alike",
}
MOST_PEOPLE, MOST_SEGMENTS = 500, 24  # on either side, and of each person
LEAST = 5  # people on either side


def score_membership(
    data: Inputs, cfg: ConfigDict, figures: Figures
) -> Outcome:
  """Adds the AUC of each attack over people, for each encoder.

  Args:
    data: what is measured; uses the train split and the one under evaluation
      of `tables`, `encoders` (those of ENCODERS), `features`; `members`, the
      people whom the encoder was trained on; `likeness`.
    cfg: `bootstrap_draws`, `seed`.
    figures: to add to.
  """
  about = Figure(data.split, "membership")
  if data.members is None:
    figures.skip(
        about, "whom this encoder was trained on is not known", measure="auc")
    return Outcome()
  fit = data.fitted_on[0]
  if data.split == fit or fit not in data.tables:
    figures.skip(about, "needs the train split and another one", measure="auc")
    return Outcome()
  inside = _choose(data, fit, cfg.seed, True)
  outside = _choose(data, data.split, cfg.seed, False)
  who = np.concatenate([
      np.char.add(side, data.tables[name]["participant"][rows].astype(str))
      for side, name, rows in (
          ("1:", fit, inside), ("0:", data.split, outside))
  ])
  people = np.unique(who)
  member = np.char.startswith(people, "1:")
  counts = int(member.sum()), int((~member).sum())
  figures.add(about, counts[0], measure="members")
  figures.add(about, counts[1], measure="others")
  if min(counts) < LEAST:
    figures.skip(about, (
        f"{counts[0]} people who were trained on and {counts[1]} who were not, "
        f"want at least {LEAST} each"), measure="auc")
    return Outcome()
  table = {
      c: np.concatenate([data.tables[fit][c][inside],
                         data.tables[data.split][c][outside]])
      for c in ("participant", "session", "start_s")
  }
  table["participant"] = who

  def stack(parts: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([parts[fit][inside], parts[data.split][outside]])

  given = {e: data.encoders[e] for e in ENCODERS if e in data.encoders}
  if {fit, data.split} <= set(data.features):
    given["features"] = data.features
  crowd = stats.People(people, cfg.bootstrap_draws, cfg.seed)
  for encoder, parts in given.items():
    found = attack(table, stack(parts))
    if {fit, data.split} <= set(data.likeness.get(encoder, ())):
      found["pair"] = stack(data.likeness[encoder])
    for name, x in found.items():
      score = _per_person(who, people, x)
      usable = np.isfinite(score)
      mine, y = crowd, member
      if not usable.all():  # nobody follows in a recording of one segment
        mine = stats.People(people[usable], cfg.bootstrap_draws, cfg.seed)
        y, score = member[usable], score[usable]
      if min(y.sum(), (~y).sum()) < LEAST:
        continue
      figures.add(about, scores.auc(mine, y.astype(float), score),
                  encoder=encoder, subject=name, measure="auc")
  return Outcome(functools.partial(describe_membership, data, figures))


def _choose(data, split, seed, members):
  """Rows of up to 500 people of a split who are members, or who are not.

  Of each it takes the first 24 segments: they follow one another.
  """
  table = data.tables[split]
  rows = candidates.thin(
      table["participant"], table["session"], table["start_s"],
      data.window_sec)
  known = np.isin(table["participant"][rows], list(data.members or ()))
  rows = rows[known == members]
  names, index = np.unique(table["participant"][rows], return_inverse=True)
  some = np.random.default_rng(seed).permutation(len(names))[:MOST_PEOPLE]
  out = [np.zeros(0, int)]
  for person in np.sort(some):
    mine = rows[index == person]
    mine = mine[np.argsort(table["start_s"][mine], kind="stable")]
    out.append(mine[:MOST_SEGMENTS])
  return np.concatenate(out)


def attack(
    table: Mapping[str, np.ndarray], x: np.ndarray
) -> dict[str, np.ndarray]:
  """The score of each segment by the attacks that need one signal.

  Args:
    table: `participant`, `session` and `start_s`, [N] each.
    x: [N, D] embeddings.

  Returns:
    attack -> [N], NaN where a segment has none.
  """
  norm = np.linalg.norm(np.asarray(x, np.float64), axis=1)
  unit = scaling.unit_rows(scaling.make_scaler(x, np.arange(len(x)))(x))
  segments = candidates.Segments(table, np.arange(len(x)))
  ordered = unit[segments.rows]
  near = nearest.top_k(ordered, ordered, 1, segments.but(segments.person))[0]
  neighbour, spread = np.empty(len(x)), np.full(len(x), np.nan)
  neighbour[segments.rows] = near[:, 0]
  one, two = health.consecutive(table)
  spread[one] = np.einsum("nd,nd->n", unit[one], unit[two])
  return {"norm": norm, "neighbour": neighbour, "spread": spread}


def _per_person(who, people, x):
  """[P] the mean of x [N] over a person's segments that have one."""
  known = np.isfinite(x)
  index = np.searchsorted(people, who[known])
  count = np.bincount(index, minlength=len(people))
  total = np.bincount(index, x[known], minlength=len(people))
  return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def describe_membership(data: Inputs, figures: Figures) -> list[Section]:
  """The section "Membership", [] where no attack was scored."""
  about = Figure(data.split, "membership")
  found = [f for f in figures.find(evaluator="membership", measure="auc")
           if f.value is not None]
  attacks = [a for a in ATTACKS if any(f.subject == a for f in found)]
  if not attacks:
    return []
  lines = [Line([
      Cell(words.encoder(e)),
      *(number_cell(figures.get(about, encoder=e, subject=a, measure="auc"),
                    own=e == TESTED) for a in attacks),
  ]) for e in words.in_order(f.encoder for f in found)]
  members, others = (
      figures.value(about, measure=m) or 0 for m in ("members", "others"))
  return [Section("Membership", (
      "Whether embeddings tell who was trained on: AUC over "
      f"{members:,.0f} people who were and {others:,.0f} who were not, by "
      "simple attacks. 0.5 tells nothing, and anything away from it counts; "
      "what was not trained cannot tell, so its rows show what chance does."
  ), [Table(["AUC", *(ATTACKS[a] for a in attacks)], lines)])]
