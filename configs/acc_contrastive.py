"""Baseline Accel-CL: contrast on acceleration alone, as `ppg_contrastive`.

Command: accfm pretrain --config=acc_contrastive --workdir=W
Hardware: `laptop` on 2 CPU cores, 240 segments/s, so 9 minutes. The `paper`
scale was not run; compiled for v5e:16x16 at batch 32,768 its roofline is 0.47
hours for all steps (results/plan.md), if hosts can feed it.
Expected: it finds the other view of a segment within 100 steps, and learns no
heart rate (results/simulated.md).
"""

from accfm.configs import ppg_contrastive


def get_config(arg=None):
  """Arguments as `ppg_contrastive`."""
  return ppg_contrastive.get_config(arg, signal="acc")
