"""A teacher by segment-level contrast: two augmented views of one segment.

Command: python -m accfm.pretrain --config=configs/ppg_contrastive.py \
             --workdir=W
"""

from ml_collections import ConfigDict

from accfm.models import build
from accfm.signals import augment
from configs import common

ENCODERS = {
    "paper": "vit_s", "laptop": "vit_laptop", "tiny": "vit_tiny",
}


def get_config(arg=None, signal="ppg"):
  """Arguments: paper, laptop or tiny; encoder; `signal` is for variants."""
  arg = common.parse(arg, encoder="")
  c = common.training(arg.scale)
  c.objective = "contrastive"
  c.signal = signal
  preset = arg.encoder or ENCODERS[arg.scale]
  c.encoder = build.encoder_config(preset)
  c.head = common.head(arg.scale)
  c.temperature = 0.04  # [L]
  c.augment = ConfigDict(augment.preset(signal))
  return c.lock()
