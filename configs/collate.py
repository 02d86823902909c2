"""How tables of embeddings become one.

Command: accfm collate --input=DIR --output=FILE.parquet
"""

from ml_collections import ConfigDict

from accfm.configs import common


def get_config(arg=None):
  """No arguments; `tiny` is taken, as everywhere."""
  common.parse(arg)
  c = ConfigDict()
  c.good_only = False  # whether to leave out segments without an embedding
  return c.lock()
