"""Distillation of a PPG teacher into an accelerometer student.

Command: accfm distill --config=acc_distill --config.teacher=DIR \
             --workdir=W
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
  c.objective = "distill"  # the kind of training
  c.signal = "acc"  # that the student reads
  c.teacher = arg.teacher  # the workdir of a run of accfm pretrain
  c.teacher_step = "latest"  # of its steps: a number, "latest" or "best"
  # "frozen" [D]; "trained" continues to train it; "scratch" trains both
  # encoders from nothing, the teacher as teacher_encoder on teacher_signal:
  # the paper's joint training, which is said to fail [D2].
  c.teacher_mode = "frozen"
  c.teacher_signal = "ppg"  # that a teacher from nothing reads
  preset = arg.encoder or common.ENCODERS[arg.scale]
  c.encoder = common.encoder(arg.scale, preset)
  c.teacher_encoder = common.encoder(arg.scale, preset)
  c.head = common.head(arg.scale, c.encoder)
  # "mlp", a trained projection [r], or "identity", the embedding itself.
  c.teacher_head = "mlp"
  # "contrastive"; or "cosine" or "mse", with teacher_head="identity".
  c.loss = "contrastive"
  c.temperature = 0.04  # of InfoNCE [r]
  c.learn_temperature = False  # True: it is a parameter, and starts there
  # Rows that are compared with the whole batch at once; 0: all. It changes
  # the memory that a step needs, not its result.
  c.loss_block = 0
  # Parts of a batch that are embedded one after another; likewise.
  c.micro_batches = 1
  # Weight of acceleration -> PPG; the other direction has the rest.
  c.student_weight = arg["lambda"]
  # Share of the target that the frozen teacher spreads over the batch, by how
  # much alike it finds two segments [o]; 0: the own partner alone.
  c.soft_weight = 0.0
  # Of the softmax of those similarities, cosines of the teacher's embeddings
  # about their mean.
  c.soft_temperature = 0.1
  # Segments of each person in a batch, which do not overlap [o]; 1: rows of
  # anybody.
  c.minutes_per_person = 1
  # Both signals of a segment move together, or their beats would not match.
  # The shift is ours: neither paper names one [o].
  together = dict(
      time_shift=dict(prob=1.0), time_warp=dict(prob=0.15, together=True)
  )
  c.augment = ConfigDict(dict(
      student=augment.by_kind(**together), teacher=augment.by_kind(**together),
  ))
  return c.lock()
