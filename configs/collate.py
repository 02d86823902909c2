"""How tables of embeddings become one.

Command: accfm collate --input=DIR --output=FILE.parquet
"""

from ml_collections import ConfigDict

from accfm.configs import common


def get_config(arg=None):
  """No arguments; `tiny` is taken, as everywhere."""
  common.parse(arg)
  return ConfigDict().lock()
