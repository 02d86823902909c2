"""Opens a trained encoder: a model folder, or where a run left it."""

import os
from collections.abc import Iterable

from accfm.base import plugins as pluginlib
from accfm.base.errors import InputError
from accfm.steps.record import Record
from accfm.use import folder
from accfm.use.encoder import Encoder


def load(path: str | os.PathLike, step: int | str = "latest",
         signal: str | None = None, plugins: Iterable[str] = ()) -> Encoder:
  """A trained encoder.

  Args:
    path: a model folder (`accfm export`), a run's workdir, its `checkpoints`
      folder, or one step's folder.
    step: a number, "latest", or "best" by the metric that the run ranked by.
    signal: whose encoder; by default the one that the run trained (of a
      distilled run the student's, though its teacher is in it too).
    plugins: code outside accfm that the checkpoint needs and that you trust,
      such as "./nets.py:ConvNet" (`accfm.base.plugins`).

  Returns:
    An `Encoder`, whose weights lie on JAX's default device.

  Raises:
    InputError: there is no such checkpoint, it is damaged, it has no encoder
      of that signal, or it needs a plug-in that was not named.
  """
  if folder.is_folder(path):
    if step != "latest":
      raise InputError(f"step: got {step!r}, but a model folder has no steps")
    return folder.load(path, signal, plugins)
  return load_checkpoint(path, step, signal, plugins)[0]


def load_checkpoint(
    path: str | os.PathLike, step: int | str = "latest",
    signal: str | None = None, plugins: Iterable[str] = (),
) -> tuple[Encoder, Record]:
  """The encoder of a run, and the record of its checkpoint; as `load`."""
  # Orbax and what trains: a model folder does without.
  from accfm.steps import kinds, towers
  from accfm.train.checkpoints import reader

  pluginlib.allow(plugins)
  loaded = reader.load(path, step)
  found = towers.from_checkpoint(
      loaded.params, loaded.carried, loaded.frozen, loaded.record
  )
  signal = signal or next(iter(found))
  if signal not in found:
    raise InputError(
        f"signal: got {signal!r}, want one of {sorted(found)}: the checkpoint "
        f"{loaded.path} has no other encoder"
    )
  kind = kinds.of_record(loaded.record)
  configs = kinds.encoder_configs(loaded.record)
  name = dict(zip(loaded.record.signals, kind.encoders, strict=True))[signal]
  config = dict(configs[name])
  return (Encoder(found[signal], loaded.record.contract, signal, config),
          loaded.record)
