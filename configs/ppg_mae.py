"""The paper's teacher: masked autoencoding of PPG.

Command: python -m accfm.pretrain --config=configs/ppg_mae.py --workdir=W
"""

from ml_collections import ConfigDict

from accfm.base import configlib
from accfm.models import build
from accfm.signals import augment
from configs import common


def get_config(arg=None, signal="ppg"):
  """Arguments: encoder (a preset), tiny; `signal` is for variants."""
  arg = configlib.parse(arg, encoder="", tiny=False)
  c = common.training(arg.tiny)
  c.objective = "mae"
  c.signal = signal
  c.encoder = build.encoder_config(
      arg.encoder or ("vit_tiny" if arg.tiny else "vit_s")
  )
  width = 16 if arg.tiny else 128
  c.decoder = ConfigDict(dict(  # light; its size is ours
      width=width, depth=1 if arg.tiny else 2, heads=2, mlp_width=4 * width,
      dtype="float32",
  ))
  c.mask_ratio = 0.8  # [r]
  c.normalize_target = False  # [o]; the paper's choice is not known
  c.augment = ConfigDict(augment.off())
  return c.lock()
