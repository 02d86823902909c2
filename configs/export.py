"""What goes into a model folder beside the weights.

Command: accfm export --checkpoint=RUN --output=DIR [--config.data_dir=DATA]
"""

from ml_collections import ConfigDict

from accfm.configs import common


def get_config(arg=None):
  """No arguments; `tiny` is taken, as everywhere."""
  common.parse(arg)
  c = ConfigDict()
  c.step = "latest"  # of the checkpoint: a number, "latest" or "best"
  c.signal = ""  # whose encoder; "": the one that the run trained
  # Root of the prepared data sets, to fit probes; "": a folder without probes.
  c.data_dir = ""
  c.dataset = ""  # whose people fit the probes; "": the run's first
  # Labels of segments that probes read, as columns of the data set.
  c.probes = ("labels/hr_bpm", "labels/sdnn_ms", "labels/rmssd_ms")
  c.coverage = 0.8  # that the intervals of the probes promise
  # Folder of an evaluation of this checkpoint, whose figures go on the card.
  c.evaluation = ""
  c.license = "other"  # of the model, as the card's head names it
  # Of the ids in the ledger. It is written beside them: an id that can be
  # guessed, such as S01, can be tested. "": drawn anew.
  c.salt = ""
  return c.lock()
