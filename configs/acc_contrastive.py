"""Baseline Accel-CL: segment-level contrast on acceleration alone.

Command: python -m accfm.pretrain --config=configs/acc_contrastive.py \
             --workdir=W
"""

from configs import ppg_contrastive


def get_config(arg=None):
  """Arguments as `ppg_contrastive`."""
  return ppg_contrastive.get_config(arg, signal="acc")
