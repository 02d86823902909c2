"""accfm: train and judge accelerometer foundation models for health.

Use a trained encoder:

  encoder = accfm.load("runs/student")
  vectors = encoder.embed(x, rate_hz=64, unit="g")  # [N, 3] -> [n, D]

The package is layered (a module imports lower layers only):

  mains    prepare, pretrain, distill, supervise, evaluate, study, tabulate,
           plan: sub-commands of `accfm` (cli)
  layer 4  use, plans
  layer 3  train, evals
  layer 2  data, steps
  layer 1  signals, models, losses
  layer 0  base

`accfm.configs` holds the configs that commands take by name.
"""

import os
import sys
from collections.abc import Iterable
from typing import Any

from accfm.base import interrupts
from accfm.version import __version__

__all__ = ["__version__", "load"]

# `python -m accfm.NAME` comes here first, and `accfm NAME`. Their imports take
# seconds; Ctrl-C ends them with one line. Other programs keep their signals.
_module = sys.orig_argv[sys.orig_argv.index("-m") + 1:][:1] if (
    sys.argv[:1] == ["-m"] and "-m" in sys.orig_argv
) else [os.path.basename((sys.argv or [""])[0])]
if _module[:1] == ["accfm"] or "".join(_module).startswith("accfm."):
  interrupts.begin()


def load(
    path: str | os.PathLike, step: int | str = "latest",
    signal: str | None = None, plugins: Iterable[str] = (),
) -> Any:
  """The trained encoder of a run; see `accfm.use.load`.

  Args:
    path: a run's workdir, its `checkpoints` folder, or one step's folder.
    step: a number, "latest" or "best".
    signal: whose encoder; by default the one that the run trained.
    plugins: names of code outside accfm that the checkpoint needs and that
      you trust.

  Returns:
    An `accfm.use.Encoder`, with `.contract` and `.embed(x, rate_hz=, unit=)`.
  """
  from accfm.base import plugins as pluginlib  # importing accfm stays quick

  use = pluginlib.load_own("accfm.use")
  return use.load(path, step, signal, plugins)
