"""Distillation of a PPG teacher into an accelerometer student.

Command: accfm distill --config=acc_distill \
             --config.teacher=DIR --workdir=W
Hardware: `laptop` on 2 CPU cores, 380 segments/s, so 6 minutes. The `paper`
scale was not run; compiled for v5e:16x16 at batch 32,768 its roofline is 0.24
hours for all steps (results/plan.md), if hosts can feed it.
Expected: recall@1 0.9 among 256 unseen minutes after 200 steps on the easy
simulated cohort (results/simulated.md).
"""

from ml_collections import ConfigDict

from accfm.configs import common
from accfm.signals import augment


def get_config(arg=None):
  """Arguments: a scale of `common`; encoder (the student's preset); teacher
  (a workdir); lambda (weight of acc -> PPG).
  """
  arg = common.parse(arg, encoder="", teacher="", **{"lambda": 0.5})
  c = common.training(arg.scale)
  # Kind of training, one of accfm/steps/kinds.py.
  c.objective = "distill"
  c.signal = "acc"  # the student's
  c.teacher = arg.teacher  # a workdir of accfm.pretrain
  c.teacher_step = "latest"  # of its checkpoints: a number, "latest", "best"
  # "frozen", the paper's; "trained" goes on training it; "scratch" trains
  # both from nothing, as teacher_encoder on teacher_signal: the paper's
  # joint training, which fails.
  c.teacher_mode = "frozen"
  c.teacher_signal = "ppg"  # of a teacher that is trained from nothing
  preset = arg.encoder or common.ENCODERS[arg.scale]
  c.encoder = common.encoder(arg.scale, preset)
  c.teacher_encoder = common.encoder(arg.scale, preset)
  c.head = common.head(arg.scale, c.encoder)
  c.teacher_head = "mlp"  # trained [r]; "identity": its embedding itself
  c.loss = "contrastive"  # or "cosine", "mse", with teacher_head="identity"
  c.temperature = 0.04  # that cosines are divided by [r]
  c.learn_temperature = False  # train it too, from there
  # Rows compared with the whole batch at once, 0 for all: saves memory and
  # changes no result.
  c.loss_block = 0
  c.micro_batches = 1  # parts of a batch embedded one after another, likewise
  c.student_weight = arg["lambda"]  # 1.0 for acc -> PPG alone
  # Both signals of a segment move together, or beats would part.
  together = dict(
      time_shift=dict(prob=1.0), time_warp=dict(prob=0.15, together=True)
  )
  c.augment = ConfigDict(dict(
      student=augment.by_kind(**together), teacher=augment.by_kind(**together),
  ))
  return c.lock()
