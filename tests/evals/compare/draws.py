"""People drawn by a loop: the oracle of every interval of a comparison."""

import numpy as np

from accfm.evals.stats import bootstrap


def drawn(people, draws, seed, measure):
  """`measure(rows)` of each draw of people, rows repeated."""
  crowd = bootstrap.People(people, draws, seed)
  out = []
  for counts in crowd.weights:
    rows = []
    for name, times in zip(crowd.names, counts, strict=True):
      rows += list(np.flatnonzero(people == name)) * times
    out.append(measure(rows))
  return out
