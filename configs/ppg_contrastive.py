"""A teacher by segment-level contrast: two augmented views of one segment.

Command: python -m accfm.pretrain --config=configs/ppg_contrastive.py \
             --workdir=W
"""

from ml_collections import ConfigDict

from accfm.models import build
from accfm.signals import augment
from configs import common

ENCODERS = {
    "paper": "vit_s", "laptop": "vit_laptop",
    "quickstart": "vit_laptop", "tiny": "vit_tiny",
}


def get_config(arg=None, signal="ppg"):
  """Arguments: a scale of `common`; encoder; `signal` is for variants."""
  arg = common.parse(arg, encoder="")
  c = common.training(arg.scale)
  if arg.scale == "quickstart":
    c.total_steps = 100  # telling two views of a minute apart is soon learnt
  c.objective = "contrastive"
  c.signal = signal
  preset = arg.encoder or ENCODERS[arg.scale]
  c.encoder = build.encoder_config(preset)
  c.head = common.head(arg.scale, c.encoder)
  c.temperature = 0.04  # [L]
  # Two views that start at the same sample are told apart by the phase of
  # their beats alone. Jitter beyond a beat makes the encoder look at rate,
  # amplitude and disturbance over time instead [o].
  c.augment = ConfigDict(augment.preset(
      signal, time_shift=dict(prob=1.0), time_jitter=dict(prob=1.0)
  ))
  return c.lock()
