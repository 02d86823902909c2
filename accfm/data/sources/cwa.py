"""Axivity AX3 and AX6: .cwa files.

A header of 1,024 bytes, then blocks of 512 with a time stamp each (Open
Movement, "CWA file format"). The headers of all blocks are checked at first;
samples are decoded by actfast when they are needed. A block whose checksum
fails is left out, alone, and counted.

The clock of the device shows the wearer's local time, and no file names its
zone.
"""

import calendar
import os
import pathlib
from typing import Any

import numpy as np

from accfm.base.errors import InputError
from accfm.data.sources import single_files, sliced
from accfm.data.sources.sliced import Sliced
from accfm.signals import clocks
from accfm.signals.recording import Recording, Signal

SUFFIXES = (".cwa",)
HEADER, BLOCK = 1024, 512
PACKET = 508  # bytes of a block that its header counts
RANGES_G = {0: 16.0, 1: 8.0, 2: 4.0, 3: 2.0}  # by the upper bits of a rate


def recognise(path: str | os.PathLike) -> bool:
  """Whether a file begins as a CWA file does."""
  with open(path, "rb") as f:
    head = f.read(4)
  return head[:2] == b"MD" and head[2:4] == b"\xfc\x03"


def prepare_config(c: Any, arg: Any) -> None:
  """Acceleration alone."""
  single_files.acceleration_alone(c, arg)


def list_recordings(source_dir: Any, cfg: Any) -> list[str]:
  """The files, relative to `source_dir`."""
  del cfg
  return single_files.listed(source_dir, SUFFIXES)


def recording_files(source_dir: Any, name: str, cfg: Any) -> list[str]:
  """The one file of a recording."""
  return single_files.files(source_dir, name, cfg)


def read_recording(source_dir: Any, name: str, cfg: Any) -> Recording:
  """The recording of a file; see `single_files`."""
  path = single_files.path(source_dir, name, cfg)
  return read(path, single_files.participant(name), single_files.session(name))


def read(
    path: str | os.PathLike, participant: str, session: str = "s1"
) -> Recording:
  """A CWA file as a recording with "acc" [N, 3] in g.

  Its notes count blocks that are damaged, of another session or rate, and
  what the stamps show (`clocks.from_anchors`).

  Raises:
    InputError: it is no CWA file, is cut short to its header, holds no sound
      block, or no acceleration.
  """
  where = os.fspath(path)
  if not recognise(path):
    raise InputError(
        f"{where}: no CWA file: it begins with {_begin(path)!r}, want b'MD'")
  size = pathlib.Path(path).stat().st_size
  whole, rest = divmod(max(0, size - HEADER), BLOCK)
  if not whole:
    raise InputError(
        f"{where}: got {size:,} bytes, a header without samples; the "
        "recording was never started, or the file is cut short"
    )
  data = np.memmap(path, np.uint8, "r", HEADER, (whole, BLOCK))
  good, notes = _sound(data)
  if rest:
    notes["bytes after the last block"] = rest
  if not len(good):
    raise InputError(f"{where}: none of {whole:,} blocks is sound")
  head = _Heads(data, good)
  same = head.rate_code == np.bincount(head.rate_code).argmax()
  same &= head.session == head.session[0]
  same &= (head.axes == head.axes[0]) & (head.count > 0)
  if not same.all():
    notes["blocks of another session, rate or kind"] = int((~same).sum())
    good = good[same]
    head = _Heads(data, good)
  if head.axes[0] not in (3, 6, 9):
    raise InputError(f"{where}: got {head.axes[0]} axes, want 3, 6 or 9")
  rate = 3200 / (1 << (15 - (int(head.rate_code[0]) & 15)))
  first = np.cumsum(head.count) - head.count
  clock, seen = clocks.from_anchors(
      first, head.time_s(rate), int(head.count.sum()), rate)
  with open(path, "rb") as f:
    front = f.read(HEADER)

  def decode(a, b):
    return sliced.by_native(
        front, [data[good[a:b]].tobytes()], ".cwa", "high_frequency",
        "acceleration", where)

  reach = RANGES_G[int(head.rate_code[0]) >> 6]
  return Recording(
      participant, session,
      {"acc": Signal(Sliced(head.count, 3, decode), rate, "g",
                     float(clock.start_s[0]), (-reach, reach), clock)},
      local=True, notes={**notes, **seen},
  )


def _begin(path):
  with open(path, "rb") as f:
    return f.read(4)


def _sound(data):
  """(places of the sound blocks [G], counts of the others)."""
  good = np.zeros(len(data), bool)
  for low in range(0, len(data), 1 << 14):
    some = np.asarray(data[low:low + (1 << 14)])
    words = some.view("<u2")
    good[low:low + len(some)] = (
        (some[:, 0] == ord("A")) & (some[:, 1] == ord("X"))
        & (words[:, 1] == PACKET)
        & (words.sum(axis=1, dtype=np.uint32) & 0xFFFF == 0)
    )
  bad = int((~good).sum())
  return np.flatnonzero(good), {"blocks damaged": bad} if bad else {}


class _Heads:
  """The headers of some blocks.

  Attributes:
    session, rate_code, axes, count: [K] int64.
  """

  def __init__(self, data, places):
    head = np.asarray(data[places, :30])
    self.session = head[:, 6:10].copy().view("<u4")[:, 0].astype(np.int64)
    self._stamp = head[:, 14:18].copy().view("<u4")[:, 0].astype(np.int64)
    self._part = head[:, 4:6].copy().view("<u2")[:, 0].astype(np.int64)
    self._offset = head[:, 26:28].copy().view("<i2")[:, 0].astype(np.int64)
    self.rate_code = head[:, 24].astype(np.int64)
    self.axes = (head[:, 25] >> 4).astype(np.int64)
    self.count = head[:, 28:30].copy().view("<u2")[:, 0].astype(np.int64)

  def time_s(self, rate):
    """[K] time of each block's first sample, Unix seconds.

    A stamp has whole seconds and, in newer firmware, 1/32768 parts. The
    sample that it belongs to is counted as if it had none, for older readers.
    """
    s = self._stamp
    days = _days(2000 + (s >> 26 & 63), s >> 22 & 15, s >> 17 & 31)
    whole = days * 86_400 + (s >> 12 & 31) * 3600 + (s >> 6 & 63) * 60 + (
        s & 63)
    fine = self._part & 0x8000 > 0
    part = np.where(fine, (self._part & 0x7FFF) << 1, 0)
    offset = self._offset + (part * int(rate) >> 16)
    return whole + part / 65_536 - offset / rate


def _days(year, month, day):
  """Days since 1970 of dates [K]."""
  found, back = np.unique(
      np.stack([year, month, day], 1), axis=0, return_inverse=True)
  days = [
      calendar.timegm((int(y), min(max(int(m), 1), 12), 1, 0, 0, 0)) // 86_400
      + int(d) - 1 for y, m, d in found
  ]
  return np.array(days, np.int64)[back.ravel()]
