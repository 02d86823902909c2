"""Probes on a share of the labelled participants, drawn several times.

With few labelled participants the result depends on who they are, so each
fraction is drawn several times. Draw d has the seed `label_seed` + d, and
takes the same participants as a supervised run with that seed.

A share is of the labelled people that probes may be fitted on: those of the
train split. Below 100 % no other label is read: penalty and threshold are
chosen among the same people. At 100 % the people of the val split choose
them.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from ml_collections import ConfigDict

from accfm.data.labelled import some_people
from accfm.evals.probes.roles import FIT, SELECT


@dataclasses.dataclass(frozen=True)
class Share:
  """Who may be fitted on at one fraction.

  Attributes:
    fraction: of the labelled people; 1.0 for all.
    draws: a list of roles [N], one a fold, for each draw of people.
    people: labelled people that a probe is fitted on (the fewest of all
      folds), None where nobody has a label of windows.
  """

  fraction: float
  draws: tuple
  people: int | None


def plan(
    roles: Sequence[np.ndarray], people: np.ndarray, labelled: np.ndarray,
    cfg: ConfigDict,
) -> list[Share]:
  """The Shares that a config asks for.

  Args:
    roles: [N] each, one a fold.
    people: [N] ids.
    labelled: [N] whether a row has any label; fractions are of their people.
    cfg: `label_fractions`, `label_seed`, `label_draws`.

  Returns:
    One Share for each fraction; the share of all labels has one draw.
  """
  out = []
  for fraction in cfg.label_fractions:
    draws = range(1 if fraction == 1.0 else cfg.label_draws)
    dealt = tuple(
        [restrict(role, people, labelled, fraction, cfg.label_seed + draw)
         for role in roles]
        for draw in draws
    )
    out.append(Share(
        fraction, dealt,
        min(len(np.unique(people[(role == FIT) & labelled]))
            for folds in dealt for role in folds),
    ))
  return out


def restrict(
    role: np.ndarray, people: np.ndarray, known: np.ndarray, fraction: float,
    seed: int,
) -> np.ndarray:
  """Roles [N] that fit on a fraction of the labelled people only.

  Without folds these are the people that a supervised run of this fraction
  and seed learns from, if it learns all labels. Nobody else selects.

  Args:
    role: [N] of one fold.
    people: [N] ids.
    known: [N] whether a row has any label.
    fraction: above 0 and up to 1.
    seed: seed of the draw.
  """
  if fraction == 1.0:
    return role
  fit = (role == FIT) & known
  chosen = some_people(people[fit], fraction, seed) if fit.any() else []
  role = role.copy()
  role[(role == FIT) & ~np.isin(people, chosen)] = -1
  role[role == SELECT] = -1
  return role
