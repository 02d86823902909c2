"""GENEActiv: .bin files, text that holds hexadecimal samples.

A header, then pages of 300 samples with a time stamp each. The pages are found
at first; samples are decoded by actfast when they are needed. A page that is
damaged is left out, alone, and counted.
"""

import calendar
import mmap
import os
import re
import time
from typing import Any

import numpy as np

from accfm.base.errors import InputError
from accfm.data.sources import single_files, sliced
from accfm.data.sources.sliced import Sliced
from accfm.signals import clocks
from accfm.signals.recording import Recording, Signal

SUFFIXES = (".bin",)
BEGIN = b"Device Identity"
SAMPLES = 300  # of a page
HEADER_MOST = 1 << 16  # bytes of a header, at most
START = b"Recorded Data"
PAGE = re.compile(
    rb"Recorded Data\r?\n(?:[^\r\n]*\r?\n){2}"
    rb"Page Time:([0-9:\- ]{19}:\d{3})\r?\n"
    rb"(?:[^\r\n]*\r?\n){4}Measurement Frequency:([\d.,]{1,12})\r?\n"
    rb"[0-9A-Fa-f]{3600}\r?\n?"
)


def recognise(path: str | os.PathLike) -> bool:
  """Whether a file begins as a GENEActiv file does."""
  with open(path, "rb") as f:
    return f.read(len(BEGIN)) == BEGIN


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
  """A GENEActiv file as a recording with "acc" [N, 3] in g.

  Its notes count damaged pages and what the stamps show
  (`clocks.from_anchors`).

  Raises:
    InputError: it is no such file, is cut short to its header, or holds no
      sound page.
  """
  where = os.fspath(path)
  if not recognise(path):
    raise InputError(
        f"{where}: no GENEActiv file: it does not begin with {BEGIN.decode()!r}"
    )
  with open(path, "rb") as file:
    data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
  head = data.find(START)
  if head < 0 or head > HEADER_MOST:
    raise InputError(
        f"{where}: a header without samples; the recording was never started, "
        "or the file is cut short"
    )
  said = _fields(bytes(data[:head]))
  pages = [(m.start(), m.end(), m[1], m[2]) for m in PAGE.finditer(data)]
  starts = sum(1 for _ in re.finditer(START, data))
  if not pages:
    raise InputError(f"{where}: none of {starts:,} pages is sound")
  notes = {"pages damaged": starts - len(pages)} if starts > len(pages) else {}
  rates = [float(rate.replace(b",", b".")) for *_, rate in pages]
  rate = max(set(rates), key=rates.count)
  kept = [p for p, r in zip(pages, rates, strict=True) if r == rate]
  if len(kept) < len(pages):
    notes["pages of another rate"] = len(pages) - len(kept)
  zone, offset_s = _zone(said.get("Time Zone", ""))
  stamps = np.array([_seconds(p[2], where) for p in kept]) - offset_s
  count = np.full(len(kept), SAMPLES)
  clock, seen = clocks.from_anchors(
      np.arange(len(kept)) * SAMPLES, stamps, SAMPLES * len(kept), rate)
  front = bytes(data[:head])

  def decode(a, b):
    parts = [data[low:high].rstrip() + b"\n" for low, high, *_ in kept[a:b]]
    return sliced.by_native(
        front, parts, ".bin", "high_frequency", "acceleration", where)

  return Recording(
      participant, session,
      {"acc": Signal(Sliced(count, 3, decode), rate, "g",
                     float(clock.start_s[0]), _range(said), clock)},
      zone=zone, local=not zone, notes={**notes, **seen},
  )


def _fields(head):
  """The lines "name:value" of the header."""
  lines = head.decode("latin-1").splitlines()
  return {
      name.strip(): value.strip()
      for name, colon, value in (line.partition(":") for line in lines) if colon
  }


def _range(said):
  """The device's range in g, None where the header has none."""
  ends = re.fullmatch(
      r"(-?\d+(?:\.\d+)?) to (-?\d+(?:\.\d+)?)",
      said.get("Accelerometer Range", ""))
  if not ends or not float(ends[1]) < float(ends[2]):
    return None
  # Its calibration moves what the converter's last step stands for.
  return 1.05 * float(ends[1]), 1.05 * float(ends[2])


def _zone(text):
  """("+02:00", seconds) of "GMT +02:00"; ("", 0) of anything else."""
  found = re.fullmatch(r"GMT ([+-])(\d\d):(\d\d)", text.strip())
  if not found:
    return "", 0.0
  size = 3600 * int(found[2]) + 60 * int(found[3])
  return f"{found[1]}{found[2]}:{found[3]}", (
      -size if found[1] == "-" else size)


def _seconds(stamp, where):
  """Seconds since 1970 of "2019-05-21 16:16:43:500"."""
  text = stamp.decode()
  try:
    whole = calendar.timegm(time.strptime(text[:19], "%Y-%m-%d %H:%M:%S"))
  except ValueError as error:
    raise InputError(f"{where}: got the time {text!r} of a page") from error
  return whole + int(text[20:]) / 1000
