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
  """Arguments: a scale of `common`; encoder (a preset); jitter (views start
  apart). `signal` is for variants of this config.
  """
  arg = common.parse(arg, encoder="", jitter=False)
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
  # their beats alone. Jitter (arg `jitter`) beyond a beat makes the encoder
  # look at rate, amplitude and disturbance over time instead [o].
  jitter = dict(prob=1.0 if arg.jitter else 0.0)
  c.augment = ConfigDict(augment.preset(
      signal, time_shift=jitter, time_jitter=jitter
  ))
  return c.lock()
