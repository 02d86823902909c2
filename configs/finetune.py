"""A trained encoder continues with labels: the predictor first, then both.

Command: accfm supervise --config=finetune --config.init=DIR \
             --workdir=W
Hardware: as `acc_supervised`.
Expected: the gain over `acc_supervised` was not measured.
"""

from accfm.configs import acc_supervised, common


def get_config(arg=None):
  """Arguments: a scale of `common`; init (a workdir of accfm pretrain or
  accfm distill); fraction (of labelled people); linear (the encoder stays as
  it is).
  """
  arg = common.parse(arg, init="", fraction=1.0, linear=False)
  c = acc_supervised.training(arg.scale, arg.fraction)
  # The workdir of the run whose encoder continues; its config is the
  # checkpoint's.
  c.init = arg.init
  c.init_step = "latest"  # of its steps: a number, "latest" or "best"
  c.freeze_encoder = arg.linear  # True: the predictor alone is trained
  if not arg.linear:
    # Gradients through a predictor of random weights would spoil the
    # encoder [o].
    c.hold_encoder_steps = c.total_steps // 5
    c.lr = 0.1 * c.lr
  return c.lock()
