"""Baseline: an encoder trained on labels from nothing.

Command: accfm supervise --config=acc_supervised --workdir=W
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
  c.init = ""  # a run's workdir, to start from its encoder; "": from nothing
  c.init_step = "latest"  # of its steps: a number, "latest" or "best"
  c.freeze_encoder = False  # True: the predictor alone is trained
  return c.lock()


def training(scale, fraction):
  """Fields of every supervised config."""
  c = common.training(scale)
  c.objective = "supervised"  # the kind of training
  c.signal = "acc"  # that the encoder reads
  # Columns of the data set's table that hold numbers to predict, all by one
  # encoder. A row without a label does not count for that label.
  c.numbers = ("labels/hr_bpm", "labels/sdnn_ms", "labels/rmssd_ms")
  # Columns that hold classes, such as ("attributes/sex", "condition").
  c.classes = ()
  c.label_fraction = fraction  # share of the labelled people to train on
  c.label_seed = 0  # chooses these people
  # Below label_fraction 1: share of these people, rounded, who do not train
  # but choose the best step; no other label is read. Where that is nobody the
  # last step counts. At label_fraction 1 the people of the val split choose.
  c.hold_out_share = 0.2
  c.hold_encoder_steps = 0  # steps at first that train the predictor alone
  # A warp of time moves the beats: SDNN 46 ms becomes 78 ms, and the label
  # would stay.
  c.augment = augment.by_kind(time_warp=dict(prob=0.0))
  return c
