"""Evaluators that run as a training goes, on its validation people.

A training config names them (`train_evals`). Every so many steps the whole
validation split is embedded with the towers of that moment, and the figures
go to `metrics.jsonl` beside the validation loss, under the keys of
`metrics.json`. Probes are not among them: they are fitted on the train split,
which is not embedded here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
from ml_collections import ConfigDict

from accfm.base import configlib
from accfm.base.errors import InputError
from accfm.evals import inputs
from accfm.evals.embedding import forward
from accfm.evals.evaluators import EVALS
from accfm.evals.results.figures import Figures
from accfm.signals.targets import Target

SPLIT = "val"
# What evaluators are told here, where `configs/evaluate.py` is not at hand.
# They give values alone: 0 draws stand for no intervals.
SETTINGS = dict(
    bootstrap_draws=0, pools=(256,), within_pool=16, adjacent_sec=300.0,
    min_people=2, min_class=3,
)


def check(
    config: Mapping[str, Any], signals: Sequence[str],
    targets: Sequence[Target],
) -> None:
  """Raises InputError for evaluators that cannot run in a training.

  Args:
    config: of the training: `train_evals`, `evals_every`, `validate_every`.
    signals: that the run feeds.
    targets: of its predictor, () without one.
  """
  names = config.get("train_evals", ())
  if not names:
    return
  why_not = {
      "probe": "probes are fitted on the train split, which is not embedded "
               "while training",
      "membership": "it needs the train split, which is not embedded while "
                    "training",
  }
  if len(signals) < 2:
    why_not["retrieval"] = "it needs a run of two signals"
  if not targets:
    why_not["direct"] = "it needs a run that learns labels"
  known = sorted(set(EVALS) - set(why_not))
  for name in names:
    if name not in known:
      reason = f" ({why_not[name]})" if name in why_not else ""
      raise InputError(
          f"train_evals: got {name!r}{reason}, want some of {known}"
          f"{configlib.nearest(name, known)}; set --config.train_evals, or "
          "run accfm.evaluate --watch beside the training"
      )
  every, validate = config["evals_every"], config["validate_every"]
  if not validate or every < 0 or every % validate:
    raise InputError(
        f"evals_every: got {every} with validate_every {validate}, want 0 or "
        "a multiple of validate_every, which is above 0"
    )


def is_due(config: Mapping[str, Any], step: int) -> bool:
  """Whether evaluators run with the validation of a step."""
  every = config["evals_every"]
  return not every or step % every == 0 or step == config["total_steps"]


def run_evaluators(
    names: Sequence[str], split: Any, towers: Mapping[str, Any],
    signals: Sequence[str], mesh: jax.sharding.Mesh, batch_size: int,
    seed: int = 0, targets: tuple[Target, ...] = (),
) -> dict[str, float]:
  """Measures towers on a split.

  Args:
    names: of the evaluators.
    split: the open validation split.
    towers: signal -> Tower.
    signals: of the run, that of the encoder under test first.
    mesh: the data mesh.
    batch_size: rows that are embedded at once.
    seed: of the evaluators.
    targets: of the predictor.

  Returns:
    {key: number} as in `metrics.json`, without what is not evaluable.
  """
  embedded = forward.embed_split(towers, split, batch_size, mesh)
  student, teacher = (*signals, "")[:2]
  data = inputs.gather(
      SPLIT, {SPLIT: embedded}, {}, {}, student, teacher,
      split.contract.window_sec, targets,
  )
  figures, config = Figures(), ConfigDict({**SETTINGS, "seed": seed})
  for name in names:
    EVALS[name](data, config, figures)
  return {k: v for k, v in figures.flat().items() if v is not None}
