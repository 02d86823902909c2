"""Main: labelled shards -> an encoder and a linear predictor of labels.

  python -m accfm.supervise --config=configs/acc_supervised.py --workdir=W
  python -m accfm.supervise --config=configs/finetune.py \\
      --config.init=DIR --workdir=W

From scratch, or from the encoder of a checkpoint, held still or trained.
Running the same command again resumes, also when that checkpoint is gone.
"""

import os

import ml_collections
import numpy as np

from accfm.base import mains
from accfm.base.errors import InputError
from accfm.data import labelled, samplers
from accfm.evals import validate
from accfm.signals import contract, targets
from accfm.steps import objectives, towers
from accfm.train import checkpoints
from accfm.train import session as sessions


def run(config, workdir):
  """Trains to the end of the config; returns the last TrainState."""
  start, cfg, parent = load_start(config, workdir)
  if cfg is not None:
    config = ml_collections.ConfigDict({**config.to_dict(), "encoder": cfg})
  session = sessions.open_session(config, (config.signal,))
  if parent and "contract" in parent:
    contract.check_match(
        session.contract, contract.from_dict(parent["contract"]),
        [config.signal], session.train.parts[0].dataset_dir,
    )
  columns = {c: "number" for c in config.numbers}
  columns |= {c: "class" for c in config.classes}
  rows, people = labelled.choose(
      session.train.table, columns, config.label_fraction, config.label_seed
  )
  wanted = targets.from_labels(columns, session.train.table, rows)
  print(
      f"labels: {len(rows):,} windows of {people} people, "
      f"{100 * config.label_fraction:g} % of those labelled", flush=True,
  )
  sampler = samplers.Chosen(rows, config.batch_size, config.seed)
  meta = sessions.make_meta(
      "supervised", config, session, parent,
      targets=targets.to_plain(wanted),
  )
  objective = objectives.make_supervised(
      config, session.contract, wanted, start
  )

  def labels_of(split):
    known = np.stack(
        [t.encode(split.table[t.column]) for t in wanted], 1
    )
    return lambda rows: {"labels": known[rows]}

  check = validate.make_validate(
      meta, session, objective.loss, config.validate_rows, config.seed,
      extra=labels_of(session.val),
  )
  return sessions.fit(
      config, workdir, session, objective, meta, check, ("val/loss", "min"),
      sampler, labels_of(session.train),
  )


def load_start(config, workdir):
  """(encoder variables, encoder config, meta of the checkpoint they are of).

  All None for a start from scratch.
  """
  mine = sessions.resumed(workdir, "supervised", "supervise")
  if mine is not None:
    variables = towers.encoder_variables(
        mine.params, mine.carried, mine.frozen, "encoder"
    )
    return variables, mine.meta["config"]["encoder"], mine.meta["teacher"]
  if not config.init:
    if config.freeze_encoder:
      raise InputError(
          "init: got none with freeze_encoder, want a checkpoint whose "
          "encoder is worth keeping; set --config.init=DIR"
      )
    return None, None, None
  loaded = checkpoints.load(os.fspath(config.init), config.init_step)
  signal, kind = loaded.meta["signals"][0], loaded.meta["kind"]
  if signal != config.signal:
    raise InputError(
        f"init {config.init}: got an encoder of {signal!r}, want one of "
        f"{config.signal!r}"
    )
  name = "student" if kind == "distill" else "encoder"
  variables = towers.encoder_variables(
      loaded.params, loaded.carried, loaded.frozen, name
  )
  return variables, loaded.meta["config"]["encoder"], loaded.meta


MAIN = mains.Main(
    __doc__, run, (mains.Flag("workdir", "folder of the run"),),
    usual=("acc_supervised", "finetune"),
    several=True,
)

if __name__ == "__main__":
  MAIN.start()
