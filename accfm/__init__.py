"""accfm: train and judge accelerometer foundation models for health.

The package is layered (a module imports lower layers only):

  mains    prepare, pretrain, distill, evaluate
  layer 3  train, evals
  layer 2  data, steps
  layer 1  signals, models, losses
  layer 0  base
"""

from accfm.version import __version__

__all__ = ["__version__"]
