"""A model folder as the evaluation sees checkpoints.

Its encoder is scored alone, without the training objective's heads. Whom it
and its teacher have seen comes from the ledger.
"""

import os
import pathlib

from accfm.base.errors import InputError
from accfm.steps import record as recordlib
from accfm.train import checkpoints
from accfm.train.checkpoints.reader import Loaded
from accfm.use import folder

KIND = "mae"  # of the kinds of training, one with a single encoder and no head


def load(path: str | os.PathLike, step: int | str | None = None) -> Loaded:
  """The checkpoint of a run, or a model folder as one.

  Args:
    path: a run's workdir, one step's folder, or a model folder.
    step: of a run; a model folder has none.

  Raises:
    InputError: as `folder.load` or the reader of checkpoints, or a model
      folder has no ledger: then nobody can say whom it has seen.
  """
  if not folder.is_folder(path):
    return checkpoints.load(path, step)
  encoder = folder.load(path)
  plain = folder.ledger(path)
  if plain is None:
    raise InputError(
        f"{path}: has no {folder.LEDGER}, so the leak guard cannot tell whom "
        "it has seen; export it again"
    )
  said = recordlib.from_plain(plain, os.fspath(pathlib.Path(
      path, folder.LEDGER)))
  made = recordlib.Record(
      KIND, {**said.config, "encoder": dict(encoder.config),
             "signal": encoder.signal},
      (encoder.signal,), encoder.contract, said.cohorts, said.parent,
      code_version=said.code_version, step=said.step)
  variables = encoder.tower.variables
  carried = {}
  if "batch_stats" in variables:
    carried = {"batch_stats": {"encoder": variables["batch_stats"]}}
  return Loaded(
      said.step or 0, {"encoder": variables["params"]}, carried, {},
      recordlib.to_plain(made), pathlib.Path(path))


def named(
    checkpoint: str, encoder: str, watch: bool = False
) -> tuple[str, str]:
  """(--checkpoint, --encoder), where a model folder may stand in the latter.

  Raises:
    InputError: a model folder stands beside other encoders, or is to be
      watched.
  """
  if encoder and folder.is_folder(encoder):
    if checkpoint:
      raise InputError(
          f"--encoder: {encoder} is a model folder, which is evaluated by "
          "itself; leave --checkpoint out, and compare the results of both")
    checkpoint, encoder = encoder, ""
  if folder.is_folder(checkpoint):
    if watch:
      raise InputError(
          f"--watch: {checkpoint} is a model folder, which no training "
          "changes; leave --watch out")
    return checkpoint, encoder
  for path in checkpoint.split(","):
    if path and folder.is_folder(path):
      raise InputError(
          f"--checkpoint: {path} is a model folder, which is evaluated by "
          "itself; give each run's own workdir to compare them")
  return checkpoint, encoder
