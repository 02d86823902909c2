"""How device files become embeddings.

Command: accfm embed --model=MODEL --input=FILE_OR_DIR --output=DIR
"""

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from accfm.configs import common
from accfm.signals import quality


def get_config(arg=None):
  """No arguments; `tiny` is taken, as everywhere."""
  common.parse(arg)
  c = ConfigDict()
  c.hop_sec = 0.0  # from the start of a segment to the next; 0: one after one
  # Time zone of the wearers where a file names none: "Europe/Berlin" or
  # "+02:00"; "": their local time stands, and start_utc is empty.
  c.tz = ""
  # Whether to embed a recording whose rate is below that of the model. What it
  # lacks stays absent.
  c.allow_upsampling = False
  c.shard = "0/1"  # this job's part of the recordings, from 0: "i/n"
  c.wear = True  # whether to leave out time in which the watch was not worn
  c.quality = ConfigDict({
      name: placeholder(float) if value is None else value
      for name, value in quality.DEFAULTS.items()
  })
  return c.lock()
