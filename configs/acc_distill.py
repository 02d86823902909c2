"""Distillation of a frozen PPG teacher into an accelerometer student.

Command: python -m accfm.distill --config=configs/acc_distill.py \
             --config.teacher=DIR --workdir=W
"""

from ml_collections import ConfigDict

from accfm.models import build
from accfm.signals import augment
from configs import common

ENCODERS = {
    "paper": "vit_s", "laptop": "vit_laptop",
    "quickstart": "vit_laptop", "tiny": "vit_tiny",
}


def get_config(arg=None):
  """Arguments: a scale of `common`; encoder (the student's preset)."""
  arg = common.parse(arg, encoder="")
  c = common.training(arg.scale)
  c.signal = "acc"  # the student's
  c.teacher = ""  # a workdir of accfm.pretrain; its signal is the teacher's
  c.teacher_step = "latest"
  preset = arg.encoder or ENCODERS[arg.scale]
  c.encoder = build.encoder_config(preset)
  c.head = common.head(arg.scale, c.encoder)
  c.temperature = 0.04  # [r]
  c.learn_temperature = False
  c.student_weight = 0.5  # lambda of acc -> PPG; 1.0 for one direction
  shift = dict(time_shift=dict(prob=1.0))  # both signals together
  c.augment = ConfigDict(dict(
      student=augment.preset("acc", **shift),
      teacher=augment.preset("ppg", **shift),
  ))
  return c.lock()
