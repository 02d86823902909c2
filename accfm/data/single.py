"""One recording as segments in memory, with the interface of a split.

It serves to look at a single recording, without shards or splits. The
recording is aligned, cut, checked and quantised as in preparation.
"""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from accfm.base import settings
from accfm.base.errors import InputError
from accfm.data import staging
from accfm.signals.contract import Contract
from accfm.signals.recording import Recording


class Recorded:
  """The segments of one recording, as `accfm.data.pipeline.Split` gives them.

  Attributes:
    contract: that they follow, with the recording's signals only.
    name: "participant/session".
    table: column -> [N], as a split's.
    summary: how many were kept or rejected and why, plain data.
  """

  def __init__(
      self, recording: Recording, contract: Contract,
      hop_sec: float | None = None, labels: settings.Given = None,
      quality: settings.Given = None,
  ):
    """Cuts `recording` under `contract`.

    Args:
      recording: signals that it lacks are left out of the contract.
      contract: such as the one in a checkpoint's record.
      hop_sec: seconds between the starts of segments; None for a segment's
        length.
      labels: config of `labels.window_labels`; None for its defaults.
      quality: config of `quality.check`; None for its defaults.

    Raises:
      InputError: the recording has none of the contract's signals, cannot be
        aligned, or gives no window that passes the quality check.
    """
    specs = {
        name: spec for name, spec in contract.signals.items()
        if name in recording.signals
    }
    self.name = f"{recording.participant}/{recording.session}"
    if not specs:
      raise InputError(
          f"{self.name}: got signals {sorted(recording.signals)}, want some "
          f"of {sorted(contract.signals)}"
      )
    self.contract = dataclasses.replace(contract, signals=specs)
    rules = staging.Rules(
        contract=self.contract, hop_sec=hop_sec or contract.window_sec,
        labels=labels or {}, quality=quality or {},
    )
    self._arrays, self.summary = staging.cut_recording(recording, rules)
    if not self._arrays:
      why = self.summary["unusable"] or self.summary["rejected"]
      raise InputError(
          f"{self.name}: no window is left ({why or 'it is too short'}), want "
          f"at least {contract.window_sec:g} s of sound signals"
      )
    n = self.summary["windows"]
    self.table = {
        "participant": np.full(n, recording.participant),
        "session": np.full(n, recording.session),
        **{k: self._arrays[k] for k in ("condition", "start_s", "motion_g")},
        **{
            k.replace("label.", "labels/", 1): v
            for k, v in self._arrays.items() if k.startswith("label.")
        },
        **{
            f"attributes/{k}": np.full(n, v, np.float32)
            for k, v in recording.attributes.items()
        },
    }

  def __len__(self) -> int:
    return self.summary["windows"]

  def read(
      self, indices: Sequence[int] | np.ndarray, signals: Iterable[str]
  ) -> dict[str, np.ndarray]:
    """As `pipeline.Split.read`."""
    out = {}
    for name in signals:
      out[name] = self._arrays[f"{name}.values"][np.asarray(indices)]
      out[f"{name}_scale"] = self._arrays[f"{name}.scale"][
          np.asarray(indices)]
    return out
