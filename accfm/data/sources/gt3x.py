"""ActiGraph: .gt3x files, a zip of one compressed log.

The log can only be read as a whole: about 45 bytes of memory a sample, 2.7 GB
for a week at 100 Hz. While the device slept ("idle sleep mode") there are no
samples; these times are gaps.
"""

import os
import re
import zipfile
from typing import Any

import numpy as np

from accfm.base import expansion
from accfm.base.errors import InputError
from accfm.data.sources import native, single_files
from accfm.signals import clocks
from accfm.signals.recording import Recording, Signal

SUFFIXES = (".gt3x",)
MEMBERS = {"log.bin", "info.txt"}
MEMORY = 12 << 30  # bytes that the reader of a whole log may take
TIMEOUT_S = 600.0


def recognise(path: str | os.PathLike) -> bool:
  """Whether a file is a zip with an ActiGraph's log in it."""
  if not zipfile.is_zipfile(path):
    return False
  try:
    with zipfile.ZipFile(path) as file:
      return set(file.namelist()) >= MEMBERS
  except zipfile.BadZipFile:
    return False


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
  """A GT3X file as a recording with "acc" [N, 3] in g.

  Raises:
    InputError: it is no such file, is damaged, or holds no acceleration.
  """
  where = os.fspath(path)
  if not recognise(path):
    raise InputError(
        f"{where}: no GT3X file: want a zip with {sorted(MEMBERS)}; an old "
        "GT3X (with activity.bin) is not read"
    )
  try:
    expansion.check_zip(where)
  except (*expansion.UNREADABLE, zipfile.BadZipFile) as error:
    raise InputError(f"{where}: {error}") from error
  reader = native.Reader(TIMEOUT_S, MEMORY)
  try:
    found, said = reader.read(
        path, "acceleration", ["datetime", "acceleration"], where)
  finally:
    reader.close()
  info = said.get("info", {})
  x, when = found.get("acceleration"), found.get("datetime")
  if x is None or when is None or not len(x):
    raise InputError(f"{where}: no acceleration in it")
  rate = float(info.get("Sample Rate", 0))
  if not 0 < rate < 10_000:
    raise InputError(f"{where}: got a sample rate of {rate:g} Hz")
  zone, offset_s = _zone(str(info.get("TimeZone", "")))
  index = np.arange(0, len(x), max(1, round(rate)))
  clock, notes = clocks.from_anchors(
      index, when[index] / 1e9 - offset_s, len(x), rate)
  try:
    ends = (float(info["Acceleration Min"]), float(info["Acceleration Max"]))
  except (KeyError, ValueError):
    ends = None
  return Recording(
      participant, session,
      {"acc": Signal(x, rate, "g", float(clock.start_s[0]), ends, clock)},
      zone=zone, local=not zone, notes=notes,
  )


def _zone(text):
  """("-05:00", seconds) of "-05:00:00"; ("", 0) of anything else."""
  found = re.fullmatch(r"([+-]?)(\d\d):(\d\d):\d\d", text.strip())
  if not found:
    return "", 0.0
  size = 3600 * int(found[2]) + 60 * int(found[3])
  sign = found[1] or "+"
  return f"{sign}{found[2]}:{found[3]}", -size if sign == "-" else size
