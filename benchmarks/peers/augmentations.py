"""Augmentations of braindecode (batched torch) or tsaug (NumPy).

  python -m benchmarks.peers.augmentations --package=tsaug --sizes=JSON

Runs each of accfm's operations for which a package has a counterpart, on every
segment (probability 1). Counterparts are not copies: braindecode masks a span
of fixed length with smooth edges; tsaug's drift is a spline for each channel,
and its dropout masks a random number of spans, one on average.
"""

import argparse
import json

from benchmarks import interleave


def braindecode(sizes):
  """({operation: work()}, facts) on a tensor [B, C, T]."""
  import torch
  from braindecode import augmentation as peers
  torch.set_num_threads(sizes["threads"])
  x = torch.randn(sizes["batch"], sizes["channels"], sizes["samples"])
  span = int(sizes["samples"] * sizes["cutout_share"] / 2)
  transforms = {
      "noise": peers.GaussianNoise(1.0, std=0.1),
      "cutout": peers.SmoothTimeMask(1.0, mask_len_samples=span),
      "permute_channels": peers.ChannelsShuffle(1.0, p_shuffle=1.0),
      "scale": peers.AmplitudeScale(1.0),
  }
  work = {name: lambda t=t: t(x) for name, t in transforms.items()}
  return work, {"torch": torch.__version__}


def tsaug(sizes):
  """The same on an array [B, T, C]."""
  import numpy as np
  import tsaug as peers
  shape = (sizes["batch"], sizes["samples"], sizes["channels"])
  x = np.random.default_rng(0).standard_normal(shape)
  span = int(sizes["samples"] * sizes["cutout_share"] / 2)
  augmenters = {
      "noise": peers.AddNoise(scale=0.1),
      "cutout": peers.Dropout(p=1 / sizes["samples"], size=span, fill=0.0),
      "magnitude_warp": peers.Drift(
          max_drift=0.3, n_drift_points=sizes["knots"], kind="multiplicative"
      ),
      "time_warp": peers.TimeWarp(
          n_speed_change=sizes["knots"], max_speed_ratio=1.5
      ),
  }
  work = {name: lambda a=a: a.augment(x) for name, a in augmenters.items()}
  return work, {"tsaug": peers.__version__}


PACKAGES = {"braindecode": braindecode, "tsaug": tsaug}


def main():
  parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
  parser.add_argument("--package", choices=PACKAGES, required=True)
  parser.add_argument("--sizes", required=True, type=json.loads)
  parser.add_argument("--repeats", type=int, default=5)
  args = parser.parse_args()
  work, facts = PACKAGES[args.package](args.sizes)
  interleave.emit_each(work, args.sizes["batch"], args.repeats, **facts)


if __name__ == "__main__":
  main()
