"""The input contract of a prepare config, whose plain fields are checked."""

import re

from ml_collections import ConfigDict

from accfm.base.errors import InputError
from accfm.data import twins
from accfm.signals.contract import Contract, SignalSpec


def make_contract(config: ConfigDict, source_dir: str) -> Contract:
  """The contract of a prepare config, after checking its plain fields."""
  if not re.fullmatch(r"\w[\w.-]*", config.name):
    raise InputError(
        f"name: got {config.name!r}, want letters, digits, '_', '-', '.'"
    )
  twins.check_how(config.same_recording)
  if not source_dir and config.source != "simulated":
    raise InputError(
        f"--source_dir is missing, want the folder of the {config.source} "
        "recordings"
    )
  for field in ("rate_hz", "window_sec", "hop_sec"):
    if not config[field] > 0:
      raise InputError(f"{field}: got {config[field]}, want more than 0")
  signals = {}
  for name, spec in config.signals.items():
    spec = spec.to_dict()
    spec["band_hz"] = tuple(spec["band_hz"]) if spec["band_hz"] else None
    signals[name] = SignalSpec(**spec)
  return Contract(
      signals, config.rate_hz, config.window_sec, config.labels.to_dict()
  )
