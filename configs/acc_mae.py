"""Baseline Accel-MAE: masked autoencoding of acceleration alone.

Command: accfm pretrain --config=acc_mae --workdir=W
Hardware: `laptop` on 2 CPU cores, 140 to 180 segments/s, so 13 minutes. The
`paper` scale was not run; compiled for v5e:16x16 at batch 32,768 its roofline
is 0.23 hours for all steps (results/plan.md), if hosts can feed it.
Expected: the acceleration of a still wrist is mostly noise, which other patches
cannot predict, so the loss stays near 1 (results/simulated.md).
"""

from accfm.configs import ppg_mae


def get_config(arg=None):
  """Arguments as `ppg_mae`."""
  return ppg_mae.get_config(arg, signal="acc")
