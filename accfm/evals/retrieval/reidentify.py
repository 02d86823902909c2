"""Re-identification: is a window's nearest neighbour the same person's?

Embeddings made to tell physiology also tell people, which is a property to
know before embeddings are shared. A window is sought among the windows of
everybody else and those of its own person that were recorded at another
time: in other sessions or, for a person with one session only, at least
`adjacent_sec` from it in that session, where the sensor still sits as it
did. Each rule is also reported by itself.

Similarity is the cosine of embeddings standardised by the mean and SD of
this split's windows. A tie counts as a miss.
"""

import numpy as np

from accfm.evals.retrieval import nearest, pools, ranks
from accfm.evals.retrieval import windows as candidates
from accfm.evals.stats import bootstrap as stats
from accfm.evals.stats import scaling

ROWS = ("", "untrained")
TOP = (1, 5)
RULES = ("other_sessions", "same_session")


def run(data, cfg, metrics):
  """Adds recall@k of the person, by rule, for every row of `data`.

  `{split}/[row/]reidentify/recall@1`, `recall@5` over all windows that have
  another of their person; the same with `_other_sessions` and
  `_same_session` for the people of each rule; for all rows alike `chance`
  (`chance@5`), what a random order scores, and how many `windows` and
  `people` that is.

  Args:
    data: `inputs.Inputs`; uses `table`, `encoders` (rows "" and
      "untrained"), `features`, `window_sec`.
    cfg: `adjacent_sec`, `bootstrap_draws`, `seed`.
    metrics: `stats.Metrics` to add to.
  """
  table, name = data.table, f"{data.split}/reidentify"
  windows = candidates.Windows(table, candidates.thin(
      table["participant"], table["session"], table["start_s"],
      data.window_sec,
  ))
  people = len(np.unique(windows.participant))
  alone = np.all(windows.person == windows.recording, axis=1)
  same = nearest.Mask(windows.person, np.where(
      alone[:, None], windows.adjacent(cfg.adjacent_sec), windows.recording
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
      metrics.skip(f"{name}/recall@{k}", reason)
    return
  rules = {"": found}
  for rule, members in zip(RULES, (~alone, alone), strict=True):
    if (found & members).any():
      rules[f"_{rule}"] = found & members
    else:
      metrics.skip(f"{name}/recall@1_{rule}", _why_not(rule, cfg))
  others = windows.but(windows.person)
  for tail, chosen in rules.items():
    crowd = windows.participant[chosen]
    metrics.add(f"{name}/windows{tail}", int(chosen.sum()))
    metrics.add(f"{name}/people{tail}", len(np.unique(crowd)))
    for k in TOP:
      by_chance = pools.chance_in(
          k, same.sizes()[chosen], others.sizes()[chosen])
      metrics.add(f"{name}/chance{'' if k == 1 else f'@{k}'}{tail}",
                  float(by_chance.mean()))
  metrics.add(f"{name}/windows_left_out", int((~found).sum()))
  vectors = {row: data.encoders[row][data.split]
             for row in ROWS if row in data.encoders}
  if data.split in data.features:
    vectors["features"] = data.features[data.split]
  for row, x in vectors.items():
    wrong = beaten(x[windows.rows], same, others)
    prefix = "/".join(filter(None, (data.split, row, "reidentify")))
    for tail, chosen in rules.items():
      crowd = stats.People(
          windows.participant[chosen], cfg.bootstrap_draws, cfg.seed
      )
      for k in TOP:
        hits = np.column_stack([wrong[chosen] < k, np.ones(chosen.sum())])
        metrics.add(
            f"{prefix}/recall@{k}{tail}",
            crowd.estimate(crowd.sums(hits), stats.ratio),
        )


def _why_not(rule, cfg):
  if rule == "other_sessions":
    return "nobody has a second session"
  return (
      "nobody with one session only has windows that start at least "
      f"{cfg.adjacent_sec:g} s apart"
  )


def beaten(x, same, others):
  """How many windows of others come before the nearest of the same person.

  The nearest of the same person is found in float32; nothing but a tie
  between windows of that person can depend on it.

  Args:
    x: [N, D] embeddings, standardised here.
    same, others: `nearest.Mask`: the windows of the same person that count,
      and those of other people.

  Returns:
    [N]; without meaning where `same` is empty.
  """
  x = scaling.unit_rows(scaling.make_scaler(x, np.arange(len(x)))(x))
  _, answer = nearest.top_k(x, x, 1, same)
  return ranks.count(
      x, x, [others], answer=np.maximum(answer[:, 0], 0)
  )[0].beaten_by
