"""Probes on a share of the labelled people, drawn several times.

With few labelled people the result depends on which they are, so each
fraction is drawn several times; draw d is of seed `label_seed` + d, and draw
0 is what a supervised run of that seed is given.
"""

import dataclasses

import numpy as np

from accfm.base.errors import InputError
from accfm.data.labelled import some_people
from accfm.evals.probes.roles import FIT


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


def check(cfg):
  """Raises InputError for `label_fractions` or `label_draws` out of range."""
  for fraction in cfg.label_fractions:
    if not 0 < fraction <= 1:
      raise InputError(
          f"label_fractions: got {fraction}, want each above 0 and up to 1"
      )
  if cfg.label_draws < 1:
    raise InputError(
        f"label_draws: got {cfg.label_draws}, want at least 1; draws of "
        "labelled people for each fraction"
    )


def plan(roles, people, labelled, cfg):
  """The Shares of a config.

  Args:
    roles: list of [N], one a fold.
    people: [N] ids.
    labelled: [N] rows with any label; fractions are of their people.
    cfg: `label_fractions`, `label_seed`, `label_draws`.

  Returns:
    List of Share; all the labels need no second draw.
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


def restrict(role, people, known, fraction, seed):
  """A role [N] that fits on a fraction of the labelled people alone.

  Without rotated folds they are the people that a supervised run of this
  fraction and seed is given, if it learns all labels; which penalty suits
  them is still chosen on all selecting people.
  """
  if fraction == 1.0:
    return role
  fit = (role == FIT) & known
  chosen = some_people(people[fit], fraction, seed) if fit.any() else []
  role = role.copy()
  role[(role == FIT) & ~np.isin(people, chosen)] = -1
  return role
