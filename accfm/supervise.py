"""Main: labelled shards -> an encoder and a linear predictor of labels.

  accfm supervise --config=acc_supervised --workdir=W
  accfm supervise --config=finetune \\
      --config.init=DIR --workdir=W

From scratch, or from the encoder of a checkpoint, held still or trained.
Running the same command again resumes, also when that checkpoint is gone.
"""

from typing import Any

import numpy as np
from ml_collections import ConfigDict

from accfm.base import mains, plugins
from accfm.base.errors import InputError
from accfm.data import labelled, samplers
from accfm.evals import validate
from accfm.signals import targets as targetlib
from accfm.steps import kinds
from accfm.steps import record as recordlib
from accfm.steps.given import Given, Start
from accfm.train import allowed, fit, opening, starts


def run(config: ConfigDict, workdir: str) -> Any:
  """Trains to the end of the config; returns the last TrainState."""
  plugins.allow_fields(config)
  name, kind = kinds.of_config(config, "supervise")
  allowed.check(config)
  start = load_start(config, workdir)
  config = kind.adopt_encoder(config, start)
  data = opening.open_data(config, kind.signals(config, start))
  starts.check_contract(start, data)
  config = kind.resolve_augment(config, data.contract, data.signals)
  rows, held, targets = choose(config, data)
  sampler = samplers.Chosen(rows, config.batch_size, config.seed)
  record = recordlib.make(
      name, config, data, start and start.record, targets
  )
  objective = kind.make_objective(
      config, Given(data.contract, start, targets)
  )

  def labels_of(split):
    known = np.stack([t.encode(split.table[t.column]) for t in targets], 1)
    return lambda rows: {"labels": known[rows]}

  held_out = len(held) > 0
  check = validate.make_validate(
      record, data, objective.loss, config.validate_rows, config.seed,
      extra=labels_of(data.train if held_out else data.val),
      among=held if held_out else None,
  )
  return fit.fit(fit.Training(
      config, workdir, data, objective, record, sampler, check,
      labels_of(data.train), held_out or config.label_fraction == 1,
  ))


def choose(
    config: ConfigDict, data: opening.TrainingData
) -> tuple[np.ndarray, np.ndarray, tuple[targetlib.Target, ...]]:
  """The rows of the labelled participants' share, and what is learned.

  Returns:
    (rows [M] to train on, rows [H] of the people who choose the best step
    instead, targets). All of them, and nobody else's labels, set the scale of
    the targets.
  """
  columns = {c: "number" for c in config.numbers}
  columns |= {c: "class" for c in config.classes}
  rows, people = labelled.choose(
      data.train.table, columns, config.label_fraction, config.label_seed
  )
  targets = targetlib.from_labels(columns, data.train.table, rows)
  names, held = data.train.table["participant"][rows], []
  if config.label_fraction < 1:
    held = labelled.hold_out(names, config.hold_out_share, config.label_seed)
  chooses = np.isin(names, held)
  says = "the people of the val split choose"
  if config.label_fraction < 1:
    says = f"{len(held)} of them choose" if held else "none choose"
  print(
      f"labels: {len(rows):,} windows of {people} people, "
      f"{100 * config.label_fraction:g} % of those labelled; {says} the best "
      "step", flush=True,
  )
  return rows[~chooses], rows[chooses], targets


def load_start(config: ConfigDict, workdir: str) -> Start | None:
  """The encoder to start from: of the run itself or of another checkpoint.

  None for a run from scratch that has not begun.
  """
  own = starts.load_own(config, workdir)
  if own is not None:
    return own
  if not config.init:
    if config.freeze_encoder:
      raise InputError(
          "init: got none with freeze_encoder, want a checkpoint whose "
          "encoder is worth keeping; set --config.init=DIR"
      )
    return None
  start = starts.load_parent(config)
  if start.signal != config.signal:
    raise InputError(
        f"init {config.init}: got an encoder of {start.signal!r}, want one of "
        f"{config.signal!r}"
    )
  return start


MAIN = mains.Main(
    __doc__, run, (mains.Flag("workdir", "folder of the run"),),
    usual=("acc_supervised", "finetune"),
    several=True,
)

if __name__ == "__main__":
  MAIN.start()
