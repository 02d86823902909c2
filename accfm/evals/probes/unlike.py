"""Labels that splits of two data sets do not share.

Probes may be fitted on one data set and tested on another. A label that only
one of them has, or that is text in one and a number in the other, is not
evaluable, and the reason says which of the two it is.
"""

from collections.abc import Mapping

import numpy as np

from accfm.evals.probes import tasks
from accfm.evals.probes.roles import FIT

Tables = Mapping[str, Mapping[str, np.ndarray]]


def find_unlike(
    tables: Tables, tested: str, fitted_on: tuple[str, str]
) -> dict[str, str]:
  """Labels that splits do not share -> why.

  Args:
    tables: split -> columns [N].
    tested: the split under evaluation.
    fitted_on: the splits that probes are fitted and chosen on.
  """
  out = {}
  fits = [tables[name] for name in fitted_on if name in tables]
  for column in dict.fromkeys(c for t in tables.values() for c in t):
    if column != "condition" and not column.startswith(
        ("labels/", "attributes/")):
      continue
    if column not in tables[tested]:
      out[column] = "the data set under evaluation has no such label"
    elif not all(column in table for table in fits):
      out[column] = "the data set that probes are fitted on has no such label"
    elif len({t[column].dtype.kind in "UOS" for t in (
        *fits, tables[tested])}) > 1:
      out[column] = (
          "the label is text in one data set and a number in the other")
  return out


def task_of(column: str, tables: Tables) -> tasks.Task:
  """The Task of a column by the first split that has it."""
  values = next(t[column] for t in tables.values() if column in t)
  n = len(values)
  return tasks.make_task(
      column, values, np.arange(n).astype(str), [np.full(n, FIT)], 0, 0)
