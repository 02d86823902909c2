"""Retrieved pairs to look at: queries that were found, and that were missed."""

import numpy as np

from accfm.evals import encoder_plots, readings, retrieval


def draw(data, split, count, seed):
  """Draws queries that were found and missed.

  Args:
    data: `inputs.Inputs` with learned pairs.
    split: the open split, to read signals from.
    count: how many; the first half found at rank 1, the rest from the
      nearest miss to the farthest.
    seed: which of the found ones.

  Returns:
    List of (caption, svg).
  """
  if "" not in data.pairs or count < 1:
    return []
  table = data.table
  rows = retrieval.thin(
      table["participant"], table["session"], table["start_s"],
      data.window_sec,
  )
  a, b = data.student, data.teacher
  query = retrieval.unit_rows(data.pairs[""][a][rows])
  key = retrieval.unit_rows(data.pairs[""][b][rows])
  rng = np.random.default_rng(seed)
  some = rng.permutation(len(rows))[:500]
  near = query[some] @ key.T
  rank = 1 + (near > near[np.arange(len(some)), some][:, None]).sum(axis=1)
  found = np.flatnonzero(rank == 1)[:(count + 1) // 2]
  missed = np.flatnonzero(rank > 1)
  missed = missed[np.argsort(rank[missed], kind="stable")]
  spaced = np.linspace(0, len(missed) - 1, count - len(found)).round()
  missed = missed[np.unique(spaced.astype(int))] if len(missed) else []
  out = []
  for i in [*found, *missed]:
    own, top = rows[some[i]], rows[near[i].argmax()]
    batch = split.read(np.array([own, top]), [a, b])
    x = {s: batch[s] * batch[f"{s}_scale"][:, None] for s in (a, b)}
    who = "another person" if (
        table["participant"][own] != table["participant"][top]
    ) else "the same person"
    text = "Found first." if rank[i] == 1 else (
        f"Missed: a minute of {who} came first, the right one"
        f" was at rank {rank[i]}."
    )
    svg = encoder_plots.pair(
        x[a][0], x[b][1], x[b][0] if rank[i] > 1 else None,
        split.contract.rate_hz, (readings.signal(a), readings.signal(b)),
    )
    out.append((text, svg))
  return out
