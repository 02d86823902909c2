"""Baseline Accel-MAE: masked autoencoding of acceleration alone.

Command: python -m accfm.pretrain --config=configs/acc_mae.py --workdir=W
"""

from configs import ppg_mae


def get_config(arg=None):
  """Arguments as `ppg_mae`."""
  return ppg_mae.get_config(arg, signal="acc")
