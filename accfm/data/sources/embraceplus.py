"""Empatica EmbracePlus: folders of .avro files (schema 6).

The files of a folder, half an hour each, are one session. Every signal of a
file has a start and a rate of its own. Samples are decoded file by file, when
they are needed.

The device dates its optical signal about 0.25 s late, by the movement that it
shares with the accelerometer. Its beat times come from the optical signal and
are shifted with it.
"""

import os
import pathlib
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from accfm.base import extras
from accfm.base.errors import InputError
from accfm.data.sources.numbers import check_name
from accfm.data.sources.sliced import Sliced
from accfm.signals import clocks
from accfm.signals.recording import Beats, Recording, Signal

SUFFIX = ".avro"
BEGIN = b"Obj\x01"
DELAY_S = 0.25
LONGEST_S = 3.0  # between two beats; more is a gap
# Folders of the cloud's export that name no participant.
NAMELESS = ("raw_data", "v6", "v5", "participant_data")


def recognise(path: str | os.PathLike) -> bool:
  """Whether a file is Avro, or a folder holds such files."""
  path = pathlib.Path(path)
  if path.is_dir():
    return any(f.suffix == SUFFIX for f in path.iterdir())
  with open(path, "rb") as f:
    return f.read(4) == BEGIN


def prepare_config(c: Any, arg: Any) -> None:
  """Acceleration and one optical channel, labels from the device's beats."""
  del arg
  c.source_cfg = ConfigDict()
  c.signals.ppg.delay_s = DELAY_S


def list_recordings(source_dir: Any, cfg: Any) -> list[str]:
  """The folders, relative to `source_dir`, that hold .avro files."""
  del cfg
  root = pathlib.Path(source_dir)
  if not root.is_dir():
    raise InputError(f"--source_dir: got {source_dir!r}, want a folder")
  found = []
  for folder, folders, names in os.walk(root):
    folders.sort()
    if any(name.endswith(SUFFIX) for name in names):
      check_name(pathlib.Path(folder))
      found.append(pathlib.Path(folder).relative_to(root).as_posix())
  if not found:
    raise InputError(f"{source_dir}: no folder with {SUFFIX} files in it")
  return sorted(found)


def recording_files(source_dir: Any, name: str, cfg: Any) -> list[str]:
  """The files of a session, in order of their names."""
  del cfg
  return [os.fspath(f) for f in sorted(
      pathlib.Path(source_dir, name).glob(f"*{SUFFIX}"))]


def read_recording(source_dir: Any, name: str, cfg: Any) -> Recording:
  """The session of a folder, with "acc" in g and "ppg" in au."""
  parts = [p for p in pathlib.PurePosixPath(name).parts if p not in NAMELESS]
  participant = (parts or [pathlib.Path(source_dir).resolve().name])[-1]
  session = "_".join(parts[:-1]) or "s1"
  return read(recording_files(source_dir, name, cfg), participant, session)


def read(
    paths: list[str], participant: str, session: str = "s1"
) -> Recording:
  """Some files as one recording.

  Its notes count files that cannot be read or hold no acceleration, and gaps.

  Raises:
    InputError: no file holds acceleration.
  """
  notes: dict[str, int] = {}
  pieces: dict[str, list[tuple]] = {"acc": [], "ppg": []}
  beats: list[np.ndarray] = []
  zones, limits = [], None
  for path in paths:
    try:
      records = _records(path)
    except InputError:
      if len(paths) == 1:
        raise
      notes["files that cannot be read"] = notes.get(
          "files that cannot be read", 0) + 1
      continue
    for place, record in enumerate(records):
      raw = record["rawData"]
      for name, said in (("acc", raw.get("accelerometer")),
                         ("ppg", raw.get("bvp"))):
        count = len(_columns(said, name)[0]) if said else 0
        if count and said["samplingFrequency"] > 0:
          pieces[name].append((
              said["timestampStart"] / 1e6, said["samplingFrequency"], count,
              path, place))
      if raw.get("accelerometer") and pieces["acc"]:
        p = raw["accelerometer"]["imuParams"]
        limits = limits or (float(p["physicalMin"]), float(p["physicalMax"]))
      peaks = (raw.get("systolicPeaks") or {}).get("peaksTimeNanos") or []
      beats.append(np.asarray(peaks, np.float64) / 1e9)
      zones.append(int(record.get("timezone") or 0))
  if not pieces["acc"]:
    raise InputError(
        f"{paths[0] if paths else 'the folder'}: no acceleration in "
        f"{len(paths)} file(s)")
  signals = {
      name: _signal(name, sorted(found), limits, notes)
      for name, found in pieces.items() if found
  }
  minutes = zones[0] // 60
  return Recording(
      participant, session, signals, _beats(beats),
      zone=f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:"
           f"{abs(minutes) % 60:02d}",
      notes=notes,
  )


def _records(path: str) -> Any:
  """The records of a file, as plain dicts."""
  with extras.explained("an EmbracePlus file"):
    import fastavro
  try:
    with open(path, "rb") as f:
      records: Any = list(fastavro.reader(f))
  except OSError as error:
    raise InputError(f"{path}: cannot be read ({error.strerror})") from error
  except Exception as error:  # whatever a damaged file makes of the parser
    raise InputError(
        f"{path}: no sound Avro file ({type(error).__name__}: "
        f"{' '.join(str(error).split())[:120]})") from error
  for record in records:
    if not isinstance(record, dict) or not isinstance(
        record.get("rawData"), dict):
      raise InputError(f"{path}: no EmbracePlus record in it (no rawData)")
  return records


def _columns(said, name):
  return [said[k] for k in "xyz"] if name == "acc" else [said["values"]]


def _signal(name, pieces, limits, notes):
  """A Signal of pieces (start, rate, count, path, place), in order of time."""
  counts = np.array([p[2] for p in pieces])

  def decode(a, b):
    out = []
    for *_, path, place in pieces[a:b]:
      said = _records(path)[place]["rawData"][
          "accelerometer" if name == "acc" else "bvp"]
      x = np.stack(
          [np.asarray(c, np.float64) for c in _columns(said, name)], 1)
      if name == "acc":
        p = said["imuParams"]
        x = p["physicalMin"] + (x - p["digitalMin"]) * (
            (p["physicalMax"] - p["physicalMin"])
            / (p["digitalMax"] - p["digitalMin"]))
      out.append(x.astype(np.float32))
    return np.concatenate(out)

  clock = clocks.Clock(
      np.cumsum(counts) - counts, np.array([p[0] for p in pieces]),
      np.array([float(p[1]) for p in pieces]))
  gaps = len(clock.stretches(int(counts.sum()))) - 1
  if gaps:
    notes[f"gaps in {name}"] = gaps
  return Signal(
      Sliced(counts, 3 if name == "acc" else 1, decode),
      float(round(pieces[0][1])), "g" if name == "acc" else "au", pieces[0][0],
      limits if name == "acc" else None, clock)


def _beats(parts):
  """Intervals between neighbouring peaks; None without two."""
  time = np.unique(np.concatenate(parts)) if parts else np.zeros(0)
  interval = np.diff(time)
  near = (interval > 0) & (interval < LONGEST_S)
  if not near.any():
    return None
  return Beats(time[1:][near], interval[near], "ppg")
