"""The encoder that a run starts from, out of its own or another checkpoint."""

import os
import pathlib

from ml_collections import ConfigDict

from accfm.base.errors import InputError
from accfm.signals import contract as contract_lib
from accfm.steps import kinds, towers
from accfm.steps.given import Start
from accfm.train import resume
from accfm.train.checkpoints import reader
from accfm.train.opening import TrainingData


def load_own(
    config: ConfigDict, workdir: str | pathlib.Path
) -> Start | None:
  """What the run in a workdir started from, None where none has begun.

  Each of its checkpoints holds that encoder, so a run resumes without the
  folder that it was first read from.
  """
  name, kind = kinds.of_config(config)
  mine = resume.load_own(workdir, name, kind.main)
  if mine is None:
    return None
  # The last one is the teacher, or else the only one.
  encoder, signal = kind.encoders[-1], mine.record.signals[-1]
  return Start(
      signal, kinds.encoder_configs(mine.record)[encoder],
      _variables(mine, encoder), mine.record.parent,
  )


def load_parent(config: ConfigDict, trained_by: str = "") -> Start:
  """The encoder of the checkpoint that a config names.

  Args:
    config: with the field `Kind.parent`, which names a checkpoint.
    trained_by: the command that must have trained it; "" for any.

  Raises:
    InputError: no such checkpoint, or one of another command.
  """
  _, kind = kinds.of_config(config)
  field = kind.parent
  path, step = os.fspath(config[field]), config[f"{field}_step"]
  loaded = reader.load(path, step)
  record = loaded.record
  parent = kinds.of_record(record)
  if trained_by and parent.main != trained_by:
    raise InputError(
        f"{field} {path}: got a {record.kind!r} checkpoint, want one of "
        f"accfm.{trained_by}"
    )
  encoder, signal = parent.encoders[0], record.signals[0]
  return Start(
      signal, kinds.encoder_configs(record)[encoder],
      _variables(loaded, encoder), record,
  )


def check_contract(start: Start | None, data: TrainingData) -> None:
  """Raises InputError unless the data can feed the encoder of a checkpoint."""
  if start is not None and start.record is not None:
    contract_lib.check_match(
        data.contract, start.record.contract, [start.signal],
        data.train.parts[0].dataset_dir,
    )


def _variables(loaded, encoder):
  return towers.encoder_variables(
      loaded.params, loaded.carried, loaded.frozen, encoder
  )
