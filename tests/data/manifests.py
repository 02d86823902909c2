"""A manifest that agrees with itself, for tests that write one by hand."""

import copy
import pathlib

from accfm.configs import prepare as prepare_config
from accfm.data import manifest

SPLITS = {"train": ["x/1", "x/2"], "val": ["x/3"], "test": ["x/4"]}


def make(identity=None, name="tiny", **fields):
  """Plain data of a manifest of format 1: two rows for each person.

  Args:
    identity: as `manifest.identity`; by default of a tiny simulated cohort.
    name: of the data set.
    **fields: set in the manifest, whether they agree with it or not.
  """
  if identity is None:
    config = prepare_config.get_config(f"simulated,tiny,name={name}")
    identity = manifest.identity(config, ["r1", "r2"])
  rows = {split: [[p, 2] for p in people] for split, people in SPLITS.items()}
  windows = {split: 2 * len(people) for split, people in SPLITS.items()}
  signals = identity["prepare_config"]["signals"]
  return {
      **identity,
      "splits": SPLITS,
      "split_hash": manifest.split_hash(SPLITS),
      "people": {split: len(people) for split, people in SPLITS.items()},
      "windows": windows,
      "rows": rows,
      "hours": {split: n / 60 for split, n in windows.items()},
      "labels": ["hr_bpm"],
      "label_windows": {split: {"hr_bpm": 1} for split in SPLITS},
      "attributes": ["age_years"],
      "qc": {"kept": 8, "rejected": {"gap": 1},
             "recordings": {"used": 2, "without_windows": 0, "unreadable": 0}},
      "quantisation": {n: {"rms_relative": 0.0, "max_abs": 0} for n in signals},
      "contract": {
          "signals": copy.deepcopy(signals), "labels": {},
          "code_version": "0.1.0",
          **{k: identity["prepare_config"][k] for k in (
              "rate_hz", "window_sec",
          )},
      },
      "code_version": "0.1.0",
      "hop_sec": identity["prepare_config"]["hop_sec"],
      **fields,
  }


def write(root, name, version):
  """Writes a manifest, and nothing else, where a data set would have it."""
  folder = pathlib.Path(root, "biosignal_pairs", name, version)
  folder.mkdir(parents=True)
  manifest.save(folder, make(name=name))
  return str(folder)
