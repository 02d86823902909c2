"""Which labelled people training may see: nested fractions by hash.

The people of a small fraction are among those of every larger one, and the
choice depends on ids and a seed alone. So a supervised encoder and a probe of
the same fraction learn from the same people.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping

import numpy as np

from accfm.base.errors import InputError
from accfm.signals import targets


def some_people(
    people: Iterable[str], fraction: float, seed: int
) -> list[str]:
  """A fraction of people, at least one.

  Args:
    people: ids; repeated ones count once.
    fraction: above 0, up to 1.
    seed: of the choice.

  Returns:
    Sorted ids, round(fraction * people) of them.
  """
  if not 0 < fraction <= 1:
    raise InputError(
        f"label_fraction: got {fraction}, want above 0 and up to 1"
    )
  ids = sorted(set(people))
  order = sorted(
      ids, key=lambda i: hashlib.sha256(f"{seed}:label:{i}".encode()).digest()
  )
  return sorted(order[:max(1, round(fraction * len(ids)))])


def hold_out(people: Iterable[str], share: float, seed: int) -> list[str]:
  """A share of labelled people who choose the best step instead of training.

  Args:
    people: ids; repeated ones count once.
    share: from 0 to below 1.
    seed: of the choice.

  Returns:
    Sorted ids, round(share * people) of them, which may be none.
  """
  ids = sorted(set(people))
  order = sorted(
      ids, key=lambda i: hashlib.sha256(f"{seed}:held:{i}".encode()).digest()
  )
  return sorted(order[:round(share * len(ids))])


def choose(
    table: Mapping[str, np.ndarray], columns: Collection[str],
    fraction: float, seed: int,
) -> tuple[np.ndarray, int]:
  """The rows with any label, of a fraction of the labelled people.

  Args:
    table: column -> [N].
    columns: names of the labels.
    fraction: as for `some_people`.
    seed: as for `some_people`.

  Returns:
    (row numbers [M], number of people).

  Raises:
    InputError: no row is labelled, or a column is unknown.
  """
  for column in columns:
    if column not in table:
      raise InputError(
          f"targets: got {column!r}, want some of "
          f"{sorted(n for n in table if '/' in n or n == 'condition')}"
      )
  if not columns:
    raise InputError("targets: got none, want at least one label to learn")
  known = np.logical_or.reduce(
      [targets.known_rows(table[c]) for c in columns]
  )
  if not known.any():
    raise InputError(
        f"targets: got no labelled row for {sorted(columns)}, want some; "
        "look at the label columns of the table that accfm.prepare prints"
    )
  chosen = some_people(table["participant"][known], fraction, seed)
  known &= np.isin(table["participant"], chosen)
  return np.flatnonzero(known), len(chosen)
