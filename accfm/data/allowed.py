"""Which values the fields of a prepare config may have.

One check before any recording is read, so that what is wrong for all of them
is said once.
"""

from ml_collections import ConfigDict

from accfm.base import values
from accfm.base.errors import InputError
from accfm.data import splits, twins
from accfm.signals import contract as contract_lib
from accfm.signals import labels, quality, windows
from accfm.signals.contract import Contract, SignalSpec

RULES: values.Rules = {
    "name": values.NAME,
    "cohort": values.empty_or(values.NAME),
    "hop_sec": values.above(0),
    "workers": values.COUNT,
    "same_recording": values.one_of(*twins.HOW),
    # What sources have in common; the rest is theirs.
    "source_cfg.*_hz": values.above(0),
    "source_cfg.seed": values.SEED,
    "source_cfg.participants": values.SOME,
    "source_cfg.minutes_per_participant": values.SOME,
}
TABLES = (
    RULES, contract_lib.RULES, labels.RULES, quality.RULES, splits.RULES,
)


def check(config: ConfigDict) -> Contract:
  """The contract of a prepare config.

  Raises:
    InputError: a field has a value that no preparation can have.
  """
  values.check(config, *TABLES)
  signals = {}
  for name, spec in config.signals.items():
    if not values.NAME.fits(name):
      raise values.wrong("signals", name, values.NAME)
    spec = spec.to_dict()
    spec["band_hz"] = tuple(spec["band_hz"]) if spec["band_hz"] else None
    signals[name] = SignalSpec(**spec)
  contract = Contract(
      signals, config.rate_hz, config.window_sec, config.labels.to_dict()
  )
  contract_lib.check(contract, "")
  windows.hop_samples(config.hop_sec, contract)
  labels.check(config.labels, contract)
  rules = quality.read_rules(config.quality, signals)
  _check_motion(contract, rules.max_motion_g)
  splits.check(config.split)
  return contract


def _check_motion(contract: Contract, wanted: float | None) -> None:
  """Raises InputError where the level of motion cannot be computed."""
  acc = [n for n, spec in contract.signals.items() if spec.kind == "acc"]
  if not acc:
    if wanted is not None:
      raise InputError(
          "quality.max_motion_g: set, but no signal is of kind 'acc'; want an "
          "acceleration signal in g, or none"
      )
    return
  quality.check_motion(
      (contract.length(acc[0]), contract.signals[acc[0]].channels),
      contract.rate(acc[0]),
  )
