"""A trained encoder goes on with labels: predictor first, then both.

Command: accfm supervise --config=finetune \
             --config.init=DIR --workdir=W
Hardware: as `acc_supervised`.
Expected: what it gains over `acc_supervised` was not measured.
"""

from accfm.configs import acc_supervised, common


def get_config(arg=None):
  """Arguments: a scale of `common`; init (a workdir of accfm.pretrain or
  accfm.distill); fraction (of labelled people); linear (the encoder rests).
  """
  arg = common.parse(arg, init="", fraction=1.0, linear=False)
  c = acc_supervised.training(arg.scale, arg.fraction)
  c.init = arg.init  # its encoder's config is the checkpoint's
  c.init_step = "latest"  # of its checkpoints: a number, "latest", "best"
  c.freeze_encoder = arg.linear  # train the predictor alone
  if not arg.linear:
    # A predictor of random weights would spoil the encoder [o].
    c.hold_encoder_steps = c.total_steps // 5
    c.lr = 0.1 * c.lr
  return c.lock()
