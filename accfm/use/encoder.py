"""A trained encoder: samples in, embeddings out.

What an encoder is fed is fixed by its contract: rate, unit, filter, length of
a segment, normalisation. Here samples go the way that preparation takes them
(the same resampling, filter and rounding), so that an embedding is the one
that an evaluation of the same minute has. With a band filter that holds away
from the ends of what is given (`Encoder.embed`).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from accfm.base import shapes
from accfm.base.errors import InputError
from accfm.data import quantise
from accfm.signals import impossible, windows
from accfm.signals.contract import Contract
from accfm.signals.recording import Recording, Signal
from accfm.steps.tower import Tower
from accfm.use.probes import Probe

# Acceleration in other units, as multiples of g (CGPM 1901).
GRAVITIES = {"g": 1.0, "mg": 1e-3, "m/s2": 1 / 9.80665}
PLAUSIBLE_G = (0.5, 2.0)  # median length of acceleration with gravity in it
BATCH = 64  # segments that the device embeds at once
# Whoever gives x answers for its range.
ANY_RANGE = {"acc_range_g": None, "max_crest": None}


@dataclasses.dataclass(frozen=True)
class Encoder:
  """A trained encoder of one signal.

  Attributes:
    tower: weights and modules (`accfm.steps.tower.Tower`).
    contract: what it is fed: `contract.window_sec`, and
      `contract.signals[signal]` with unit, channels and filter.
    signal: name of its signal, such as "acc".
    config: of the encoder, plain values.
    probes: what linear models read from an embedding.
  """

  tower: Tower = dataclasses.field(repr=False)  # it would print all weights
  contract: Contract
  signal: str
  config: Mapping[str, Any] = dataclasses.field(
      default_factory=dict, repr=False)
  probes: tuple[Probe, ...] = dataclasses.field(default=(), repr=False)

  @property
  def rate_hz(self) -> float:
    """Samples per second that it was trained on."""
    return self.contract.rate(self.signal)

  @property
  def unit(self) -> str:
    """Unit of the samples that it was trained on."""
    return self.contract.signals[self.signal].unit

  def embed(
      self, x: ArrayLike, *, rate_hz: float, unit: str,
      resample: bool = False, cut: bool = False,
  ) -> np.ndarray:
    """Embeddings of a recording's segments, or of segments cut already.

    Nothing is changed unless asked for: another rate is refused without
    `resample`, samples that fill no whole segment without `cut`.

    Args:
      x: one recording [N, C], cut into segments one after another, or
        segments [B, T, C]; finite. A band filter of the contract runs over
        the whole recording, or over each segment by itself. It distorts some
        seconds at the ends of what it runs over (`filters.settle_s`), which
        preparation leaves out and this keeps.
      rate_hz: its samples per second.
      unit: its unit; acceleration in "g", "mg" or "m/s2".
      resample: brings another rate to the contract's by a windowed sinc. A
        lower rate gains nothing by it: what it lacks stays absent.
      cut: leaves out samples at the end that fill no segment.

    Returns:
      [n, D] float32, one row a segment, in order.

    Raises:
      InputError: another shape, unit or rate than the contract's, a sample
        that is not finite, a recording shorter than a segment, samples left
        over, or acceleration whose length is nowhere near 1 g.
    """
    segments = self.segments(
        x, rate_hz=rate_hz, unit=unit, resample=resample, cut=cut
    )
    stored, scale = (np.stack(part) for part in zip(
        *(quantise.quantise(one, self.signal) for one in segments), strict=True
    ))
    return self.embed_stored(stored, scale)

  def embed_stored(self, stored: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Embeddings [n, D] of segments as shards hold them.

    Args:
      stored: [n, T, C] int16.
      scale: [n, C] float32.
    """
    out = []
    for at in range(0, len(stored), BATCH):
      rows, scales = stored[at:at + BATCH], scale[at:at + BATCH]
      short = _size(len(rows)) - len(rows)  # few shapes, few compilations
      padded = np.pad(rows, ((0, short), (0, 0), (0, 0)))
      scales = np.pad(scales, ((0, short), (0, 0)), constant_values=1)
      found = _forward(self.tower, jnp.asarray(padded), jnp.asarray(scales))
      out.append(np.asarray(found, np.float32)[:len(rows)])
    return np.concatenate(out)

  def segments(
      self, x: ArrayLike, *, rate_hz: float, unit: str,
      resample: bool = False, cut: bool = False,
  ) -> np.ndarray:
    """The segments [n, T, C] that `embed` embeds, in the contract's unit.

    Arguments and errors as for `embed`.
    """
    x = self._checked(np.asarray(x, np.float64), rate_hz, unit, resample)
    wanted = self.contract.window_sec * rate_hz
    if x.ndim == 3:
      if abs(x.shape[1] - wanted) > 0.5:
        raise InputError(
            f"x: got segments of {x.shape[1]} samples at {rate_hz:g} Hz, want "
            f"{round(wanted)}: a segment lasts {self.contract.window_sec:g} s"
        )
      return np.concatenate([self._cut(one, rate_hz) for one in x])
    if len(x) < wanted - 0.5:
      raise InputError(
          f"x: got {len(x) / rate_hz:g} s, want at least one segment of "
          f"{self.contract.window_sec:g} s"
      )
    over = (len(x) + 0.5) % wanted - 0.5
    if over > 0.5 and not cut:
      raise InputError(
          f"x: got {len(x) / rate_hz:g} s, which leaves {over / rate_hz:g} s "
          f"after the last segment of {self.contract.window_sec:g} s; pass "
          "cut=True to leave them out, or give whole segments"
      )
    return self._cut(x, rate_hz)

  def _checked(self, x, rate_hz, unit, resample):
    """x in the contract's unit, after all that can be checked before."""
    spec = self.contract.signals[self.signal]
    letters = "B T" if x.ndim == 3 else "N"
    shapes.check(
        x, "x", f"{letters} {spec.channels}",
        "a recording [N, C] or segments [B, T, C], channels last",
    )
    if not x.size:
      raise InputError("x: got no samples, want at least one segment")
    if not rate_hz > 0:
      raise InputError(f"rate_hz: got {rate_hz}, want more than 0")
    if rate_hz != self.rate_hz and not resample:
      raise InputError(
          f"rate_hz: got {rate_hz:g}, want {self.rate_hz:g}; pass "
          "resample=True to bring it there"
      )
    bad = np.count_nonzero(~np.isfinite(x))
    if bad:
      raise InputError(
          f"x: got {bad:,} values that are NaN or infinite, want finite ones; "
          "embed the runs between the gaps"
      )
    x = x * self._factor(unit, spec)
    if spec.kind == "acc" and spec.gravity_kept:
      length = float(np.median(np.linalg.norm(x, axis=-1)))
      if not PLAUSIBLE_G[0] <= length <= PLAUSIBLE_G[1]:
        raise InputError(
            f"x: got acceleration of {length:.3g} g in the median, want about "
            f"1 g: gravity belongs to it; is {unit!r} its unit?"
        )
    return x

  def _factor(self, unit, spec):
    """What a unit is multiplied by to be the contract's."""
    if unit == spec.unit:
      return 1.0
    if spec.kind == "acc" and {unit, spec.unit} <= set(GRAVITIES):
      return GRAVITIES[unit] / GRAVITIES[spec.unit]
    known = sorted(GRAVITIES) if spec.kind == "acc" else [spec.unit]
    raise InputError(
        f"unit: got {unit!r}, want {spec.unit!r}"
        + (f" (or one of {known})" if len(known) > 1 else "")
    )

  def _cut(self, x, rate_hz):
    """[n, T, C] of one run of samples [N, C], by preparation's own code."""
    spec = dataclasses.replace(
        self.contract.signals[self.signal], delay_s=0.0
    )
    contract = dataclasses.replace(self.contract, signals={self.signal: spec})
    aligned = windows.align(
        Recording("x", "x", {self.signal: Signal(x, rate_hz, spec.unit, 0.0)}),
        contract, ANY_RANGE, settled=False,
    )
    cuts = list(windows.cut(aligned, contract, contract.window_sec))
    if any(window.impossible for window in cuts):
      raise InputError(
          f"x: got values beyond {impossible.LARGEST:g}, want measurements; "
          "embed the runs between them"
      )
    return np.stack([window.signals[self.signal] for window in cuts])


def _size(rows: int) -> int:
  """The power of two from `rows` on, at most BATCH."""
  return min(BATCH, 1 << (rows - 1).bit_length())


@jax.jit
def _forward(tower, x, scale):
  return tower.embed(x, scale)
