"""Which windows to keep: one named reason for each rejected window.

The method needs still wrists, so a still accelerometer is no fault. A window
is flat only if every axis is constant, and counts as not worn only if the
pulse is gone as well.
"""

import functools
import types
from collections.abc import Iterable, Mapping

import numpy as np

from accfm.base import settings, values
from accfm.base.errors import InputError
from accfm.signals import impossible as impossible_lib
from accfm.signals.contract import SignalSpec

Limits = tuple[float, float] | None  # lowest and highest value of a device

REASONS = (
    "out_of_range", "spike", "gap", "clipped", "non_wear", "flat",
    "too_much_motion",
)

DEFAULTS = dict(
    # Signal name -> [lowest, highest] raw value that is possible, in its unit.
    range={},
    # How far a raw value may lie beyond its device's limits, as a share of
    # their distance: calibration and rounding.
    beyond_limits=0.01,
    # Largest possible acceleration, in g, where a source gives no limits: the
    # widest range that wrist devices have; None: any.
    acc_range_g=16.0,
    # Largest distance of a sample from its channel's median, in units of the
    # channel's spread (see `impossible`); None: any.
    max_crest=1000.0,
    max_clipped=0.01,  # largest share of samples at a device limit
    # A channel is constant if its range is at most this times max(1, |mean|).
    flat_range=1e-6,
    # A watch is not worn if its acceleration's SD is below this, in g, and the
    # SD of its PPG below `non_wear_ppg_sd`.
    non_wear_acc_sd_g=0.003,
    # SD of each PPG channel of a watch that is not worn; None: rule off.
    non_wear_ppg_sd=None,
    max_motion_g=None,  # largest `motion_g`; None: off
)

RULES = {
    "quality.range.*": values.pair(-values.HUGE),
    "quality.beyond_limits": values.COUNT,
    "quality.acc_range_g": values.maybe(values.above(0)),
    "quality.max_crest": values.maybe(values.above(1)),
    "quality.max_clipped": values.SHARE,
    "quality.flat_range": values.COUNT,
    "quality.non_wear_acc_sd_g": values.COUNT,
    "quality.non_wear_ppg_sd": values.maybe(values.COUNT),
    "quality.max_motion_g": values.maybe(values.COUNT),
}
MOTION_BAND_HZ = (0.5, 8.0)


def read_rules(
    cfg: settings.Given, specs: Mapping[str, SignalSpec]
) -> types.SimpleNamespace:
  """All fields of `DEFAULTS`, overridden by `cfg`.

  Raises:
    InputError: an unknown field, a value out of its range, or a range of an
      unknown signal.
  """
  rules = settings.merge(cfg, DEFAULTS, "quality")
  for name in rules.range:
    if name not in specs:
      raise InputError(
          f"quality.range: signal {name!r} is unknown, want one of "
          f"{sorted(specs)}"
      )
  values.check({"quality": vars(rules)}, RULES)
  return rules


def check(
    window_signals: Mapping[str, np.ndarray], specs: Mapping[str, SignalSpec],
    rules: types.SimpleNamespace, clipped: Mapping[str, float],
    impossible: Iterable[str] = (), motion: float | None = None,
) -> str:
  """The first reason in `REASONS` to reject a window, or "".

  - out_of_range, spike: a raw sample that is impossible lies in the window,
    or so near that a filter carries it there (`windows.align`). A window is a
    spike as well if a sample of it, as stored, is above `max_crest`.
  - gap: a sample is missing (NaN).
  - clipped: more than `max_clipped` of the samples at a device limit.
  - non_wear: the acceleration's SD (root of the summed variances of its
    axes) is below `non_wear_acc_sd_g` and the SD of every PPG channel below
    `non_wear_ppg_sd`. The latter is in the device's own unit, so the rule is
    off until the config sets it.
  - flat: all channels of a signal are constant.
  - too_much_motion: `motion_g` above `max_motion_g`.

  Args:
    window_signals: name -> [T, C].
    specs: name -> SignalSpec.
    rules: as from `read_rules`.
    clipped: name -> share of raw samples at a limit, as in `Window.clipped`.
    impossible: reasons that raw samples gave, as in `Window.impossible`.
    motion: the window's `motion_g`; needed if `max_motion_g` is set.

  Returns:
    One of `REASONS`, or "".
  """
  signals = {name: window_signals[name] for name in specs}
  finite = all(np.isfinite(x).all() for x in signals.values())
  reasons = set(impossible)
  if finite and rules.max_crest is not None and any(
      impossible_lib.crest(x, specs[name], rules) > rules.max_crest
      for name, x in signals.items()
  ):
    reasons.add("spike")
  if reasons:
    return min(reasons, key=REASONS.index)
  if not finite:
    return "gap"
  if any(clipped[name] > rules.max_clipped for name in signals):
    return "clipped"
  if _non_wear(signals, specs, rules):
    return "non_wear"
  if any(_flat(x, rules.flat_range) for x in signals.values()):
    return "flat"
  if rules.max_motion_g is not None:
    if motion is None:
      raise InputError(
          "quality.max_motion_g: set, but no motion level was given; want an "
          "acceleration signal in g"
      )
    if motion > rules.max_motion_g:
      return "too_much_motion"
  return ""


def motion_g(acc: np.ndarray, rate_hz: float) -> float:
  """Motion level: SD of the acceleration between 0.5 and 8 Hz.

  It is the root of the summed variances (ddof 0) of the three axes, after a
  zero-phase second-order Butterworth filter over the window. Gravity and slow
  changes of posture lie below the band, most sensor noise above it.

  Args:
    acc: [T, 3] in g.
    rate_hz: its rate, more than 16 Hz.

  Returns:
    The level in g; NaN if a sample is not finite.

  Raises:
    InputError: another shape, a rate too low, or fewer than 2 s.
  """
  acc = np.asarray(acc, np.float64)
  check_motion(acc.shape, rate_hz)
  if not np.isfinite(acc).all():
    return float("nan")
  from scipy import signal as sps  # here: it takes a second to import

  band = sps.sosfiltfilt(
      _motion_filter(float(rate_hz)), acc - acc.mean(axis=0), axis=0
  )
  return float(np.sqrt(band.var(axis=0).sum()))


def check_motion(shape: tuple[int, ...], rate_hz: float) -> None:
  """Raises InputError unless there is a motion level of such a signal."""
  high = MOTION_BAND_HZ[1]
  if len(shape) != 2 or shape[1] != 3:
    raise InputError(
        f"acc: got {list(shape)}, want [T, 3]; motion needs three axes in g"
    )
  if rate_hz <= 2 * high or shape[0] < 2 * rate_hz:
    raise InputError(
        f"motion level: got {shape[0]} samples at {rate_hz} Hz, want more "
        f"than {2 * high} Hz and at least 2 s"
    )


@functools.lru_cache
def _motion_filter(rate_hz):
  from scipy import signal as sps  # as in `motion_g`

  return sps.butter(2, MOTION_BAND_HZ, "bandpass", fs=rate_hz, output="sos")


def at_limit(x: np.ndarray, limits: Limits) -> np.ndarray:
  """[N] bool: which samples of x [N, C] have a channel at a limit or past it.
  """
  if limits is None:
    return np.zeros(len(x), bool)
  low, high = limits
  slack = 1e-4 * (high - low)
  return np.logical_or.reduce((x <= low + slack) | (x >= high - slack), axis=1)


def _non_wear(signals, specs, rules):
  """Whether the accelerometer lies still and the PPG shows no pulse."""
  if rules.non_wear_ppg_sd is None:
    return False
  acc = [x for name, x in signals.items() if specs[name].kind == "acc"]
  ppg = [x for name, x in signals.items() if specs[name].kind == "ppg"]
  if not acc or not ppg:
    return False
  rests = all(
      np.sqrt(x.astype(np.float64).var(axis=0).sum()) < rules.non_wear_acc_sd_g
      for x in acc
  )
  return rests and all(
      (x.std(axis=0, dtype=np.float64) < rules.non_wear_ppg_sd).all()
      for x in ppg
  )


def _flat(x, flat_range):
  """Whether every channel [T, C] is constant."""
  scale = np.maximum(1.0, np.abs(x.mean(axis=0)))
  return bool((np.ptp(x, axis=0) <= flat_range * scale).all())
