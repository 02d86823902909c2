"""A teacher by segment-level contrast: two augmented views of one segment.

Command: python -m accfm.pretrain --config=configs/ppg_contrastive.py \
             --workdir=W
"""

from ml_collections import ConfigDict

from accfm.base import configlib
from accfm.models import build
from accfm.signals import augment
from configs import common


def get_config(arg=None, signal="ppg"):
  """Arguments: encoder (a preset), tiny; `signal` is for variants."""
  arg = configlib.parse(arg, encoder="", tiny=False)
  c = common.training(arg.tiny)
  c.objective = "contrastive"
  c.signal = signal
  preset = arg.encoder or ("vit_tiny" if arg.tiny else "vit_laptop")
  c.encoder = build.encoder_config(preset)
  c.head = common.head()
  c.temperature = 0.04  # [L]
  c.augment = ConfigDict(augment.preset(signal))
  return c.lock()
