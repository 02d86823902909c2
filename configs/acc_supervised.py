"""Baseline: an encoder trained on labels from nothing.

Command: accfm supervise --config=acc_supervised \
             --workdir=W
Hardware: `laptop` on 2 CPU cores, minutes. The `paper` scale was not run;
compiled for v5e:16x16 at batch 32,768 its roofline is 0.18 hours for all steps
(results/plan.md), if hosts can feed it.
Expected: with few labelled people the training loss goes to 0 and the
validation loss rises.
"""


from accfm.configs import common
from accfm.signals import augment


def get_config(arg=None):
  """Arguments: a scale of `common`; encoder; fraction (of labelled people)."""
  arg = common.parse(arg, encoder="", fraction=1.0)
  c = training(arg.scale, arg.fraction)
  c.encoder = common.encoder(
      arg.scale, arg.encoder or common.ENCODERS[arg.scale]
  )
  c.init = ""  # workdir of a run whose encoder goes on training
  c.init_step = "latest"  # of its checkpoints: a number, "latest", "best"
  c.freeze_encoder = False  # train the predictor alone
  return c.lock()


def training(scale, fraction):
  """Fields of every supervised config."""
  c = common.training(scale)
  # Kind of training, one of accfm/steps/kinds.py.
  c.objective = "supervised"
  c.signal = "acc"  # whose encoder is trained
  # Columns of the shards, one multi-target run; rows without a label of a
  # target do not count for it.
  c.numbers = ("labels/hr_bpm", "labels/sdnn_ms", "labels/rmssd_ms")
  c.classes = ()  # e.g. ("attributes/sex", "condition")
  c.label_fraction = fraction  # of the labelled people
  c.label_seed = 0  # of which people those are
  c.hold_encoder_steps = 0  # the predictor learns alone so long
  c.augment = augment.by_kind()
  return c
