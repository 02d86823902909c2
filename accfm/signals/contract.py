"""The input contract: all that fixes what numbers an encoder is fed.

It is stored beside the shards and copied into every checkpoint. Two
contracts match for a signal when an encoder trained under one may be fed
rows prepared under the other.
"""

import dataclasses
from collections.abc import Mapping

from accfm.base.errors import InputError
from accfm.version import __version__


@dataclasses.dataclass(frozen=True)
class SignalSpec:
  """One signal as it stands in the shards.

  Attributes:
    channels: number of channels.
    unit: unit of the stored values, e.g. "g".
    kind: "acc", "ppg" or "ecg"; chooses augmentation and quality rules.
    gravity_kept: whether the static component is in the stored values.
    band_hz: pass band [low, high] of a zero-phase Butterworth filter run
      over the whole recording before cutting; None for no filter.
    band_order: order of that filter (one direction).
    delay_s: how late the device stamps this signal; it is subtracted from
      the signal's times, its beats' and its tracks'. A correction of the
      device, so it need not match between contracts.
    normalize: "zscore" (per segment and channel, on the device, after
      augmentation) or "none".
  """

  channels: int
  unit: str
  kind: str
  gravity_kept: bool = False
  band_hz: tuple | None = None
  band_order: int = 2
  delay_s: float = 0.0
  normalize: str = "zscore"


@dataclasses.dataclass(frozen=True)
class Contract:
  """Signals at one rate and one window length.

  Attributes:
    signals: name -> SignalSpec.
    rate_hz: common rate of all signals.
    window_sec: length of a segment.
    labels: how labels were made (beat source, coverage threshold, ...), as
      plain values; informative, not compared.
    code_version: version of accfm that wrote the shards; informative.
  """

  signals: Mapping[str, SignalSpec]
  rate_hz: float
  window_sec: float
  labels: Mapping[str, object] = dataclasses.field(default_factory=dict)
  code_version: str = __version__

  @property
  def samples(self):
    """Samples per segment."""
    return round(self.rate_hz * self.window_sec)

  def to_dict(self):
    """Plain values, for JSON."""
    out = dataclasses.asdict(self)
    for spec in out["signals"].values():
      spec["band_hz"] = list(spec["band_hz"]) if spec["band_hz"] else None
    return out


def from_dict(plain):
  """The Contract that `to_dict` described."""
  plain = dict(plain)
  signals = {}
  for name, spec in plain.pop("signals").items():
    spec = dict(spec)
    spec["band_hz"] = tuple(spec["band_hz"]) if spec["band_hz"] else None
    signals[name] = SignalSpec(**spec)
  return Contract(signals=signals, **plain)


def check_match(have, want, signals, where, whose="the checkpoint's"):
  """Raises InputError where `have` cannot feed an encoder made for `want`.

  Args:
    have: Contract of the shards.
    want: Contract of the checkpoint.
    signals: names of the signals that will be fed.
    where: what `have` belongs to, for the message.
    whose: what `want` belongs to, likewise.
  """
  problems = []
  for field in ("rate_hz", "window_sec"):
    a, b = getattr(have, field), getattr(want, field)
    if a != b:
      problems.append(f"{field} is {a}, want {b}")
  for name in signals:
    if name not in have.signals:
      problems.append(
          f"signal {name!r} is absent, have {sorted(have.signals)}"
      )
      continue
    a = dataclasses.asdict(have.signals[name])
    b = dataclasses.asdict(want.signals[name])
    problems += [
        f"{name}.{field} is {a[field]!r}, want {b[field]!r}"
        for field in a if field != "delay_s" and a[field] != b[field]
    ]
  if problems:
    raise InputError(
        f"{where}: the input contract differs from {whose}: "
        + "; ".join(problems)
        + f"; prepare the recordings with {whose} settings"
    )
