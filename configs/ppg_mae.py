"""The paper's teacher: masked autoencoding of PPG.

Command: accfm pretrain --config=ppg_mae --workdir=W
Hardware: as `acc_mae`; compiled for v5e:16x16 at batch 32,768 its roofline is
0.23 hours for all steps (results/plan.md), if hosts can feed it.
Expected: its final loss at these scales was not measured.
"""

from ml_collections import ConfigDict

from accfm.configs import common
from accfm.signals import augment

ENCODERS = {
    "paper": "vit_s", "laptop": "vit_laptop_mae",
    "quickstart": "vit_laptop_mae", "tiny": "vit_tiny",
}


def get_config(arg=None, signal="ppg"):
  """Arguments: a scale of `common`; encoder (a preset). Variants of this
  config give another `signal`.
  """
  arg = common.parse(arg, encoder="")
  c = common.training(arg.scale)
  c.objective = "mae"  # the kind of training
  c.signal = signal  # that the encoder reads
  c.encoder = common.encoder(
      arg.scale, arg.encoder or ENCODERS[arg.scale]
  )
  width = 16 if arg.scale == "tiny" else 128
  c.decoder = ConfigDict(dict(  # a light one [o]
      width=width, depth=1 if arg.scale == "tiny" else 2, heads=2,
      mlp_width=4 * width, dtype="float32",
  ))
  c.mask_ratio = 0.8  # share of the patches that are hidden [r]
  # Whether each patch to predict is normalised by itself [o]; the paper's
  # choice is not known.
  c.normalize_target = False
  c.augment = augment.off()
  return c.lock()
