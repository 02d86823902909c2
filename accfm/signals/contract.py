"""The input contract: everything that decides what numbers an encoder is fed.

It is stored beside the shards and copied into every checkpoint. Two contracts
match for a signal when an encoder trained under one can be fed rows that were
prepared under the other.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from accfm.base import plain as plainlib
from accfm.base import values
from accfm.base.errors import InputError
from accfm.version import __version__

# What a signal is a measurement of. Quality rules and augmentations know the
# first three; "other" stands for what is not named here.
KINDS = (
    "acc", "ppg", "ecg", "gyro", "eda", "temperature", "respiration", "other",
)
# More of either is a mistake, or a file that means to fill the memory.
MAX_CHANNELS, MAX_SAMPLES = 4096, 10_000_000
RULES = {
    "rate_hz": values.above(0),
    "window_sec": values.above(0),
    "signals.*.channels": values.between(1, MAX_CHANNELS),
    "signals.*.kind": values.one_of(*KINDS),
    "signals.*.band_hz": values.maybe(values.pair(0)),
    "signals.*.band_order": values.between(1, 10),  # above, it may be unstable
    "signals.*.delay_s": values.ANY,
    "signals.*.normalize": values.one_of("zscore", "none"),
    "signals.*.rate_hz": values.maybe(values.above(0)),
}


@dataclasses.dataclass(frozen=True)
class SignalSpec:
  """One signal as the shards hold it.

  Attributes:
    channels: number of channels.
    unit: unit of the stored values, such as "g".
    kind: one of `KINDS`; chooses augmentation and quality rules.
    gravity_kept: whether the stored values include gravity.
    band_hz: pass band [low, high] of a zero-phase Butterworth filter, which
      runs over each run between gaps before it is cut, without the ends,
      where it has not settled; None for no filter.
    band_order: order of that filter (one direction).
    delay_s: seconds by which the device stamps this signal too late. They
      are subtracted from the times of the signal, its beats and its tracks.
      This corrects a device, so two contracts match with different delays.
    normalize: "zscore" (each channel of a segment, on the device, after
      augmentation) or "none".
    rate_hz: rate of this signal; None for that of the contract.
  """

  channels: int
  unit: str
  kind: str
  gravity_kept: bool = False
  band_hz: tuple[float, float] | None = None
  band_order: int = 2
  delay_s: float = 0.0
  normalize: str = "zscore"
  rate_hz: float | None = None


@dataclasses.dataclass(frozen=True)
class Contract:
  """Signals, their rates, and the length of a segment.

  Attributes:
    signals: name -> SignalSpec.
    rate_hz: rate of each signal that names none of its own.
    window_sec: length of a segment in seconds.
    labels: how labels were made (beat source, coverage threshold, ...), as
      plain values; for information, not compared.
    code_version: version of accfm that wrote the shards; for information.
  """

  signals: Mapping[str, SignalSpec]
  rate_hz: float
  window_sec: float
  labels: Mapping[str, object] = dataclasses.field(default_factory=dict)
  code_version: str = __version__

  def rate(self, signal: str) -> float:
    """Samples per second of a signal."""
    own = self.signals[signal].rate_hz
    return self.rate_hz if own is None else own

  def length(self, signal: str) -> int:
    """Samples of a segment of a signal."""
    return round(self.rate(signal) * self.window_sec)

  def to_dict(self) -> dict[str, Any]:
    """Plain values, for JSON."""
    out = dataclasses.asdict(self)
    for spec in out["signals"].values():
      spec["band_hz"] = list(spec["band_hz"]) if spec["band_hz"] else None
    return out


# Fields that `accfm prepare` decides; the others are facts of the recordings.
SETTINGS = (
    "rate_hz", "window_sec", "gravity_kept", "band_hz", "band_order",
    "normalize",
)


@dataclasses.dataclass(frozen=True)
class Difference:
  """One field in which two contracts differ.

  Attributes:
    place: "rate_hz", "ppg.channels", or the name of an absent signal.
    have, want: its values; those of an absent signal are None and its name.
  """

  place: str
  have: Any
  want: Any

  def __str__(self):
    return f"{self.place} is {self.have!r}, want {self.want!r}"

  @property
  def absent(self) -> bool:
    """Whether it is a signal that is not there."""
    return self.have is None and self.want == self.place

  @property
  def setting(self) -> str:
    """The flag of `accfm prepare` that mends it, "" where none does."""
    signal, _, field = self.place.rpartition(".")
    if field not in SETTINGS:
      return ""
    want = self.want
    if isinstance(want, (tuple, list)):
      want = ",".join(map(str, want))
    text = "none" if want is None else str(want)
    return f"--config.{signal and f'signals.{signal}.'}{field}={text}"


def from_dict(plain: Any, where: str = "contract") -> Contract:
  """The Contract that `to_dict` wrote as plain values.

  Args:
    plain: what a file holds.
    where: of which file, for messages.

  Raises:
    InputError: a field is unknown, missing, of another type, or has a value
      that no contract can have.
  """
  made = plainlib.from_plain(Contract, plain, where)
  check(made, f"{where}.")
  return made


def check(contract: Contract, where: str = "contract.") -> None:
  """Raises InputError for a value that no contract can have.

  Args:
    contract: from a config, or from a file that anybody may have written.
    where: its place, with the dot behind it.
  """
  if not contract.signals:
    raise InputError(f"{where}signals: got none, want at least one")
  plain = contract.to_dict()
  del plain["labels"]  # for information
  values.check(plain, RULES, where=where)
  for name, spec in contract.signals.items():
    place = f"{where}signals.{name}"
    rate = contract.rate(name)
    if not 2 <= rate * contract.window_sec <= MAX_SAMPLES:
      raise InputError(
          f"{where}window_sec: got {contract.window_sec} s at {rate} Hz of "
          f"{name}, want at least two samples and at most {MAX_SAMPLES:,}"
      )
    if spec.band_hz and not spec.band_hz[1] < rate / 2:
      raise InputError(
          f"{place}.band_hz: got {list(spec.band_hz)}, want 0 <= low < high < "
          f"{rate / 2} (half the rate)"
      )
    removed = bool(spec.band_hz) and spec.band_hz[0] > 0
    if spec.kind == "acc" and removed == spec.gravity_kept:
      raise InputError(
          f"{place}: gravity_kept={spec.gravity_kept} contradicts band_hz="
          f"{spec.band_hz and list(spec.band_hz)}; gravity is kept unless a "
          "pass band starts above 0 Hz"
      )


def differences(
    have: Contract, want: Contract, signals: Iterable[str]
) -> list[Difference]:
  """Everything that keeps `have` from feeding signals to an encoder.

  Args:
    have: of the shards.
    want: of the checkpoint.
    signals: names of the signals that will be fed.
  """
  found = [Difference("window_sec", have.window_sec, want.window_sec)]
  for name in signals:
    if name not in have.signals:
      if want.signals[name].rate_hz is None:
        found.append(Difference("rate_hz", have.rate_hz, want.rate_hz))
      found.append(Difference(name, None, name))
      continue
    a = dataclasses.asdict(have.signals[name])
    b = dataclasses.asdict(want.signals[name])
    shared = a["rate_hz"] is None and b["rate_hz"] is None
    found.append(Difference(
        "rate_hz" if shared else f"{name}.rate_hz", have.rate(name),
        want.rate(name),
    ))
    found += [
        Difference(f"{name}.{field}", a[field], b[field])
        for field in a if field not in ("delay_s", "rate_hz")
    ]
  different = [one for one in found if one.have != one.want]
  return list({one.place: one for one in different}.values())


def mismatch(have: Contract, want: Contract, name: str) -> str:
  """Why `have` cannot feed one signal, in a few words; "" where it can."""
  return "; ".join(
      f"no {name}" if one.absent else str(one)
      for one in differences(have, want, [name])
  )


def check_match(
    have: Contract, want: Contract, signals: Iterable[str], where: str,
    whose: str = "the checkpoint's",
) -> None:
  """Raises InputError where `have` cannot feed an encoder made for `want`.

  The message names the settings of `accfm prepare` that would help. What no
  setting changes, such as the channels of a device, needs other recordings.

  Args:
    have: of the shards.
    want: of the checkpoint.
    signals: names of the signals that will be fed.
    where: what `have` belongs to, for the message.
    whose: what `want` belongs to, for the message.
  """
  found = differences(have, want, signals)
  if not found:
    return
  fixed = [one for one in found if not one.setting]
  if fixed:
    fix = "no setting of accfm prepare changes " + ", ".join(
        one.place for one in fixed) + ": choose another data set"
  else:
    fix = "prepare the recordings again with " + " ".join(
        one.setting for one in found)
  problems = "; ".join(
      f"signal {one.place!r} is absent, have {sorted(have.signals)}"
      if one.absent else str(one) for one in found
  )
  raise InputError(
      f"{where}: the input contract differs from {whose}: {problems}; {fix}")
