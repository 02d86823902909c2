"""Re-identification: is a segment's nearest neighbour the same person's?

Embeddings made to tell physiology also tell people, which is a property to
know before embeddings are shared. A segment is sought among the segments of
everybody else and those of its own person that were recorded at another
time. Two rules say what that is, and each is also reported by itself:
segments of other sessions, or, for a person with one session only, segments
at least `adjacent_sec` from it in that session, where the sensor still sits
as it did.

Similarity is the cosine of embeddings standardised by the mean and SD of
this split's segments. A tie counts as a miss.
"""

import functools

import numpy as np
from ml_collections import ConfigDict

from accfm.evals.inputs import Inputs
from accfm.evals.results import words
from accfm.evals.results.figures import CHANCE, TESTED, Figure, Figures
from accfm.evals.results.outcome import Outcome
from accfm.evals.results.section import (
  Cell,
  Heading,
  Line,
  Section,
  Table,
  number_cell,
)
from accfm.evals.retrieval import nearest, pools, ranks
from accfm.evals.retrieval import segments as candidates
from accfm.evals.retrieval.masks import Mask
from accfm.evals.stats import intervals, scaling
from accfm.evals.stats import people as stats

ENCODERS = (TESTED, "untrained")  # and hand-made features
TOP = (1, 5)
RULES = {
    "": "All who can be found",
    "other_sessions": "In another session",
    "same_session": "At another time of the same session",
}


def score_reidentification(
    data: Inputs, cfg: ConfigDict, figures: Figures
) -> Outcome:
  """Adds recall@k of the person, by rule, for each encoder of `data`.

  `recall@1` and `recall@5` are over all segments that have another one of
  their person, and by rule over the segments of its people. For all encoders
  alike come what a random order scores (CHANCE), and how many `windows` and
  `people` that is.

  Args:
    data: what is measured; uses `table`, `encoders` (those of ENCODERS),
      `features`, `window_sec`.
    cfg: `adjacent_sec`, `bootstrap_draws`, `seed`.
    figures: to add to.
  """
  table, about = data.table, Figure(data.split, "reidentify")
  outcome = Outcome(functools.partial(
      describe_reidentification, data, figures))
  segments = candidates.Segments(table, candidates.thin(
      table["participant"], table["session"], table["start_s"],
      data.window_sec,
  ))
  people = len(np.unique(segments.participant))
  alone = np.all(segments.person == segments.recording, axis=1)
  same = Mask(segments.person, np.where(
      alone[:, None], segments.adjacent(cfg.adjacent_sec), segments.recording
  ))
  found = same.sizes() > 0
  reason = ""
  if people < 2:
    reason = f"{people} person, want at least 2"
  elif not found.any():
    reason = (
        "nobody has a second session, or windows that start at least "
        f"{cfg.adjacent_sec:g} s apart in the only one"
    )
  if reason:
    for k in TOP:
      figures.skip(about, reason, measure=f"recall@{k}")
    return outcome
  chosen_by = {"": found}
  for rule, members in (("other_sessions", ~alone), ("same_session", alone)):
    if (found & members).any():
      chosen_by[rule] = found & members
    else:
      figures.skip(
          about, _why_not(rule, cfg), measure="recall@1", variant=rule)
  others = segments.but(segments.person)
  for rule, chosen in chosen_by.items():
    crowd = segments.participant[chosen]
    figures.add(about, int(chosen.sum()), measure="windows", variant=rule)
    figures.add(about, len(np.unique(crowd)), measure="people", variant=rule)
    for k in TOP:
      by_chance = pools.chance_in(
          k, same.sizes()[chosen], others.sizes()[chosen])
      figures.add(about, float(by_chance.mean()), encoder=CHANCE,
                  measure=f"recall@{k}", variant=rule)
  figures.add(about, int((~found).sum()), measure="windows_left_out")
  vectors = {e: data.encoders[e][data.split]
             for e in (*ENCODERS, *data.outside) if e in data.encoders}
  if data.split in data.features:
    vectors["features"] = data.features[data.split]
  for encoder, x in vectors.items():
    beaten_by = count_nearer_others(x[segments.rows], same, others)
    for rule, chosen in chosen_by.items():
      crowd = stats.People(
          segments.participant[chosen], cfg.bootstrap_draws, cfg.seed
      )
      for k in TOP:
        hits = np.column_stack([beaten_by[chosen] < k, np.ones(chosen.sum())])
        figures.add(
            about, crowd.estimate(
                crowd.sums(hits), stats.ratio, intervals.SHARE),
            encoder=encoder, measure=f"recall@{k}", variant=rule,
        )
  return outcome


def _why_not(rule: str, cfg: ConfigDict) -> str:
  if rule == "other_sessions":
    return "nobody has a second session"
  return (
      "nobody with one session only has windows that start at least "
      f"{cfg.adjacent_sec:g} s apart"
  )


def count_nearer_others(
    x: np.ndarray, same: Mask, others: Mask
) -> np.ndarray:
  """How many segments of others come before the nearest of the same person.

  The nearest of the same person is found in float32; nothing but a tie
  between segments of that person can depend on it.

  Args:
    x: [N, D] embeddings, standardised here.
    same, others: the segments of the same person that count, and those of
      other people.

  Returns:
    [N]; without meaning where `same` is empty.
  """
  x = scaling.unit_rows(scaling.make_scaler(x, np.arange(len(x)))(x))
  _, answer = nearest.top_k(x, x, 1, same)
  return ranks.count(
      x, x, [others], answer=np.maximum(answer[:, 0], 0)
  )[0].beaten_by


def describe_reidentification(
    data: Inputs, figures: Figures
) -> list[Section]:
  """The section "Privacy": recall@k of people by their segments, by rule."""
  about, lines = Figure(data.split, "reidentify"), []
  segments = {
      rule: figures.value(about, measure="windows", variant=rule)
      for rule in RULES
  }
  measures = [f"recall@{k}" for k in TOP]
  for rule, title in RULES.items():
    if not rule and segments[""] in list(segments.values())[1:] and (
        segments[""] is not None):
      continue  # one rule holds for all, and is shown
    known = [f for f in figures.find(evaluator="reidentify", variant=rule)
             if f.measure in measures and f.value is not None]
    encoders = words.in_order(f.encoder for f in known if f.encoder != CHANCE)
    if not encoders:
      continue
    counts = (
        (figures.value(about, measure=what, variant=rule), what)
        for what in ("windows", "people"))
    lines.append(Heading(title, " of ".join(
        f"{n:,.0f} {what}" for n, what in counts if n is not None)))
    lines += [Line([
        Cell(words.encoder(e)),
        *(number_cell(
            figures.get(about, encoder=e, measure=m, variant=rule),
            own=e == TESTED) for m in measures),
    ]) for e in (*encoders, CHANCE)]
  if not lines:
    return []
  return [Section("Privacy", (
      "Whether a window's embedding finds its own person among all others: if "
      "it does, embeddings identify people as a fingerprint does, and need "
      "the same protection as the recordings. A window's own time is left out."
  ), [Table(["person found", *measures], lines)])]
