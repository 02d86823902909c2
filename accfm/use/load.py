"""Opens a trained encoder from where a run left it."""

import os
from collections.abc import Iterable

from accfm.base import plugins as pluginlib
from accfm.base.errors import InputError
from accfm.steps import towers
from accfm.train.checkpoints import reader
from accfm.use.encoder import Encoder


def load(path: str | os.PathLike, step: int | str = "latest",
         signal: str | None = None, plugins: Iterable[str] = ()) -> Encoder:
  """The trained encoder of a run.

  Args:
    path: a run's workdir, its `checkpoints` folder, or one step's folder.
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
  return Encoder(found[signal], loaded.record.contract, signal)
