"""A recording to rows: embeddings of all segments, and why some have none.

Segments are cut, checked and rounded by the code that prepares shards, so an
embedding is that of the same minute in a data set. Memory does not grow with
the recording's length.
"""

import dataclasses
import types
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from accfm.base.errors import InputError
from accfm.data import quantise
from accfm.signals import quality, wear, windows
from accfm.signals.recording import Recording
from accfm.use.encoder import Encoder

ROWS = 256  # segments that are handed on together


class Rows(NamedTuple):
  """Some segments, in order.

  Attributes:
    start_s: [n] as the recording counts time.
    qc: [n] why a segment has no embedding; "" for a good one.
    motion_g: [n] level of motion, NaN where there is none.
    embedding: [n, D] float32, NaN where `qc` is not "".
  """

  start_s: np.ndarray
  qc: list[str]
  motion_g: np.ndarray
  embedding: np.ndarray


@dataclasses.dataclass(frozen=True)
class How:
  """How recordings are embedded.

  Attributes:
    hop_sec: from the start of a segment to the next.
    quality: fields of `quality.DEFAULTS`.
    wear: whether time in which the watch was not worn has no embedding.
    allow_upsampling: whether a rate below the model's is allowed.
    delay_s: seconds by which the device stamps the signal too late.
  """

  hop_sec: float
  quality: Mapping[str, Any]
  wear: bool = True
  allow_upsampling: bool = False
  delay_s: float = 0.0


def check(recording: Recording, encoder: Encoder, how: How) -> None:
  """Raises InputError for a recording that the encoder cannot read."""
  name = encoder.signal
  if name not in recording.signals:
    raise InputError(
        f"no signal {name!r}, which the model reads; have "
        f"{sorted(recording.signals)}")
  rate = recording.signals[name].rate_hz
  if rate < 0.98 * encoder.rate_hz and not how.allow_upsampling:
    raise InputError(
        f"{rate:g} Hz, the model was trained at {encoder.rate_hz:g} Hz; "
        "--config.allow_upsampling=true embeds it all the same"
    )


def survey(recording: Recording, encoder: Encoder) -> wear.Survey | None:
  """The first look at an accelerometer's recording; None for other kinds."""
  spec = encoder.contract.signals[encoder.signal]
  if spec.kind != "acc" or not spec.gravity_kept:
    return None
  return wear.look(recording.signals[encoder.signal])


def embed(
    recording: Recording, encoder: Encoder, how: How,
    seen: wear.Survey | None = None,
) -> Iterator[Rows]:
  """Embeds a recording; Rows after Rows.

  Args:
    recording: with the encoder's signal.
    encoder: a trained one.
    how: see there.
    seen: its survey, for the time in which it was not worn.

  Raises:
    InputError: as `check`, or `windows.on_clock`.
  """
  check(recording, encoder, how)
  spec = dataclasses.replace(
      encoder.contract.signals[encoder.signal], delay_s=how.delay_s)
  contract = dataclasses.replace(
      encoder.contract, signals={encoder.signal: spec}, labels={})
  placed = windows.on_clock(recording, contract, how.quality)
  rules = quality.read_rules(how.quality, contract.signals)
  held: list[tuple] = []
  for window in placed.windows(how.hop_sec):
    held.append(_judged(window, contract, rules, encoder, how, seen))
    if len(held) == ROWS:
      yield _rows(held, encoder)
      held = []
  if held:
    yield _rows(held, encoder)


def _judged(window, contract, rules: types.SimpleNamespace, encoder, how, seen):
  """(start, reason, motion, int16 [T, C], scale [C]) of a window."""
  name = encoder.signal
  x = window.signals[name]
  acc = contract.signals[name].kind == "acc"
  motion = np.nan
  if acc and np.isfinite(x).all():
    motion = quality.motion_g(x, contract.rate(name))
  reason = quality.check(
      window.signals, contract.signals, rules, window.clipped,
      window.impossible, motion if acc else None)
  stop = window.start_s + contract.window_sec
  if not reason and how.wear and seen and seen.covers(window.start_s, stop):
    reason = "non_wear"
  if reason:
    return window.start_s, reason, motion, None, None
  return (window.start_s, "", motion, *quantise.quantise(x, name))


def _rows(held, encoder):
  """Rows of judged windows, embedded together."""
  good = [k for k, row in enumerate(held) if not row[1]]
  dim = encoder.tower.encoder.embed_dim
  out = np.full((len(held), dim), np.nan, np.float32)
  if good:
    out[good] = encoder.embed_stored(
        np.stack([held[k][3] for k in good]),
        np.stack([held[k][4] for k in good]))
  return Rows(np.array([row[0] for row in held]), [row[1] for row in held],
              np.array([row[2] for row in held], np.float32), out)
