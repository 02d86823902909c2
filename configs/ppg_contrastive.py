"""A contrastive teacher: two views of one person, or of one segment, agree.

The scales `paper` and `quickstart` follow the published recipe (arXiv
2312.05409): positives are two segments of one person, keys come from a
momentum target, and KoLeo spreads the embeddings. It needs as many people as a
batch has rows. `laptop` and `tiny` contrast two views of one segment instead,
which works with any cohort.

Command: accfm pretrain --config=ppg_contrastive --workdir=W
Hardware: `laptop` on 2 CPU cores, 250 to 320 segments/s, so 7 minutes. The
`paper` scale was not run; compiled for v5e:16x16 at batch 32,768 its roofline
is 0.48 hours for all steps (results/plan.md), if hosts can feed it.
Expected: recall@1 of the other view of a segment above 0.95 within 100 steps.
By person, a linear probe for heart rate errs by 2 bpm instead of 4 to 5, and
so does that of a student (results/study_easy.md).
"""


from accfm.configs import common
from accfm.signals import augment


def get_config(arg=None, signal="ppg"):
  """Arguments: a scale of `common`; encoder (a preset); positives (segment or
  participant); jitter (the views start at different times). Variants of this
  config give another `signal`.
  """
  arg = common.parse(arg, encoder="", jitter=False, positives="")
  c = common.training(arg.scale)
  if arg.scale == "quickstart":
    c.total_steps = 150  # enough to tell hearts apart
  c.objective = "contrastive"  # the kind of training
  c.signal = signal  # that the encoder reads
  preset = arg.encoder or common.ENCODERS[arg.scale]
  c.encoder = common.encoder(arg.scale, preset)
  c.head = common.head(arg.scale, c.encoder)
  c.temperature = 0.04  # of InfoNCE [L]
  # Rows that are compared with the whole batch at once; 0: all. It changes
  # the memory that a step needs, not its result.
  c.loss_block = 0
  # Parts of a batch that are embedded one after another; likewise.
  c.micro_batches = 1
  usual = "segment" if arg.scale in ("laptop", "tiny") else "participant"
  # What agrees: two views of one "segment", or two segments of one
  # "participant" [L].
  c.positives = arg.positives or usual
  by_person = c.positives == "participant"
  # Segments of each person in a batch, with positives="segment" [o]; 1: rows
  # of anybody.
  c.minutes_per_person = 1
  c.momentum = 0.99 if by_person else 0.0  # of the target [L2]; 0: no target
  c.koleo_weight = 0.1 if by_person else 0.0  # of the KoLeo term [L]
  # The phase of the beats alone identifies a view where both views start at
  # the same sample. Jitter by more than a beat makes the encoder look at rate,
  # amplitude and disturbance over time instead [o].
  jitter = dict(prob=1.0 if arg.jitter else 0.0)
  c.augment = augment.by_kind(time_shift=jitter, time_jitter=jitter)
  return c.lock()
