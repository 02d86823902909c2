"""Empatica E4 session folders: ACC, BVP, IBI, HR and tags as CSV.

`source_dir` is one session folder, or holds session folders (one for each
participant, named by the participant) or `participant/session/` folders.
ACC.csv and BVP.csv must exist. A missing or empty IBI.csv, HR.csv or tags file
means no beats, no track, no spans. `participants.csv` in `source_dir` may add
attributes: columns participant, age_years, sex (0 female, 1 male), bmi,
target_*; a missing value is unknown (`textfile.MISSING`).

Properties of the device: ACC is int8 in 1/64 g, so the limits are -2 and
127/64 g. BVP begins with zeros that are no samples; they become a gap. The
times in IBI are of the beat that ends the interval. Tags are button presses,
whose meaning only the study knows (`tag_spans`).
"""

import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from absl import logging
from ml_collections import ConfigDict

from accfm.base import settings, textfile
from accfm.base.errors import InputError
from accfm.data.sources import e4_csv, numbers
from accfm.signals import plausible
from accfm.signals.recording import Beats, Recording, Signal, Span, Track

DEFAULTS = dict(
    acc_rate_hz=32.0,  # rate that the header of ACC.csv must give
    bvp_rate_hz=64.0,  # rate that the header of BVP.csv must give
    # Conditions: (name, tag on, tag off, shortest s, longest s), tags counted
    # from 1. The lengths reveal sessions that are marked in another way.
    tag_spans=(),
)

WANT_PEOPLE = (
    "a CSV file with a header: participant, then age_years, sex, bmi or "
    "target_*"
)
_FILES = ("ACC.csv", "BVP.csv", "IBI.csv", "HR.csv")


def prepare_config(c: Any, arg: Any) -> None:
  """Empatica E4: one PPG channel, acceleration in steps of 15.6 mg."""
  c.source_cfg = ConfigDict(dict(
      acc_rate_hz=32.0,  # rate that the header of ACC.csv must give
      bvp_rate_hz=64.0,  # rate that the header of BVP.csv must give
      # Conditions by button presses: (name, tag that starts it, tag that ends
      # it, shortest and longest in s).
      tag_spans=(),
  ))
  if arg.name.startswith("stress_predict"):
    c.source_cfg.tag_spans = (
        ("stroop", 1, 2, 210, 500),
        ("interview", 3, 4, 400, 780),
        ("hyperventilation", 5, 6, 60, 240),
    )
    arg.split = arg.split or "20/5/10"
  # The device stamps BVP 1.25 s late, as movement shows that disturbs both
  # sensors. The inter-beat intervals come from BVP and are shifted with it.
  c.signals.ppg.delay_s = 1.25
  c.labels.beat_grid_s = 1 / 64  # of the times in IBI.csv


def list_recordings(
    source_dir: str | os.PathLike, cfg: settings.Given = None
) -> list[str]:
  """Names of the sessions under a folder, sorted.

  Args:
    source_dir: see the module.
    cfg: fields of `DEFAULTS`.

  Returns:
    ["S02", ...] or ["P1/first", "P1/second", ...].

  Raises:
    InputError: the folder is missing or holds no session.
  """
  settings.merge(cfg, DEFAULTS, "source_cfg of e4")
  root = pathlib.Path(source_dir)
  if not root.is_dir():
    raise InputError(
        f"{root}: no such folder, want a folder of E4 sessions (--source_dir)"
    )
  if _is_session(root):
    return [root.resolve().name]
  names, empty = [], []
  for folder in _folders(root):
    nested = [f for f in _folders(folder) if _is_session(f)]
    if _is_session(folder):
      names.append(folder.name)
    elif nested:
      names += [f"{folder.name}/{f.name}" for f in nested]
    else:
      empty.append(folder.name)
  if not names:
    raise InputError(
        f"{root}: no E4 session found, want folders holding ACC.csv and "
        "BVP.csv, at most two levels down"
    )
  if empty:
    logging.warning(
        "%s: left out, no E4 file in: %s", root, ", ".join(empty)
    )
  return sorted(names)


def read_recording(
    source_dir: str | os.PathLike, name: str, cfg: settings.Given = None
) -> Recording:
  """Reads one session.

  Args:
    source_dir: see the module.
    name: one of `list_recordings`; the part before "/" is the participant,
      and a plain name is both participant and session.
    cfg: fields of `DEFAULTS`.

  Returns:
    A recording with signals "acc" [N, 3] in g and "ppg" [N, 1] in device
    units, beats of "ppg" (IBI), track "device_hr_bpm" of "ppg" (the E4's own
    heart rate, which is poor), spans and attributes.

  Raises:
    InputError: names the file, and the line that is wrong.
  """
  fields = settings.merge(cfg, DEFAULTS, "source_cfg of e4")
  root = pathlib.Path(source_dir)
  folder = root if _is_session(root) else root / name
  if not folder.is_dir():
    raise InputError(f"{folder}: no such session folder")
  for file in ("ACC.csv", "BVP.csv"):
    if not (folder / file).is_file():
      raise InputError(
          f"{folder}: {file} is missing, want an E4 session with ACC.csv and "
          "BVP.csv; add the file or move the folder away"
      )
  acc = _acc(folder / "ACC.csv", fields)
  bvp = _bvp(folder / "BVP.csv", fields)
  participant, _, session = name.partition("/")
  return Recording(
      participant=participant,
      session=session or name,
      signals={"acc": acc, "ppg": bvp},
      beats=_beats(folder / "IBI.csv"),
      tracks=_device_hr(folder / "HR.csv"),
      spans=_spans(folder, acc, fields.tag_spans),
      attributes=_attributes(root / "participants.csv").get(participant, {}),
  )


def recording_files(
    source_dir: str | os.PathLike, name: str, cfg: settings.Given = None
) -> list[pathlib.Path]:
  """The files that a session is read from."""
  del cfg
  root = pathlib.Path(source_dir)
  folder = root if _is_session(root) else root / name
  return [
      *(folder / file for file in _FILES), *folder.glob("tags*.csv"),
      root / "participants.csv",
  ]


def spans_from_tags(
    tags: Sequence[float] | np.ndarray, start_s: float, end_s: float,
    mapping: Iterable[Sequence[Any]],
) -> tuple[list[Span], list[str]]:
  """Spans from button presses, each checked against the recording.

  A pair with a press outside the recording is dropped. If a pair inside it
  has an implausible length, a press is missing or one too many, and all later
  ones are shifted. Then none of the session's spans is used.

  Args:
    tags: [M] times of the presses, in the order of the file.
    start_s: start of the recording.
    end_s: end of the recording.
    mapping: rows of `tag_spans`.

  Returns:
    (spans, reasons): the spans, and one line for each dropped one.
  """
  spans, reasons, odd = [], [], []
  for row in mapping:
    if len(row) != 5 or min(row[1:3]) < 1:
      raise InputError(
          f"source_cfg.tag_spans: got {tuple(row)}, want (name, tag on, tag "
          "off, shortest s, longest s) with tags counted from 1"
      )
    name, on, off, shortest, longest = row
    if max(on, off) > len(tags):
      reasons.append(f"{name}: tag {max(on, off)} of {len(tags)} is missing")
      continue
    begin, end = tags[on - 1], tags[off - 1]
    outside = [
        f"tag {i} lies {t - start_s:+.0f} s from the start, outside the "
        "recording"
        for i, t in ((on, begin), (off, end)) if not start_s <= t <= end_s
    ]
    if outside:
      reasons.append(f"{name}: {outside[0]}")
      continue
    spans.append(Span(float(begin), float(end), name))
    if not shortest <= end - begin <= longest:
      odd.append(
          f"{name} would last {end - begin:.0f} s, want {shortest} to "
          f"{longest} s: the tags follow another scheme, none is used"
      )
  return ([], reasons + odd) if odd else (spans, reasons)


def _is_session(folder):
  return any((folder / file).is_file() for file in _FILES)


def _folders(folder):
  """Folders within a folder, but hidden ones, sorted."""
  try:
    found = sorted(
        f for f in folder.iterdir()
        if f.is_dir() and not f.name.startswith((".", "__"))
    )
  except OSError as error:
    raise InputError(
        f"{folder}: cannot be read ({error.strerror}), want a folder of "
        "sessions; change its permissions or move it away"
    ) from error
  for inner in found:
    numbers.check_name(inner)
  return found


def _acc(path, fields):
  """ACC.csv as a Signal in g."""
  start, rate, values = e4_csv.read_samples(path, columns=3)
  _check_rate(path, rate, fields.acc_rate_hz, "acc_rate_hz")
  odd = np.flatnonzero((values != np.rint(values)).any(axis=1))
  if len(odd):
    raise InputError(
        f"{path} line {odd[0] + 3}: got {values[odd[0]].tolist()}, want whole "
        "numbers in 1/64 g as the E4 writes them"
    )
  return Signal(
      (values / 64).astype(np.float32), rate, "g", start, (-2.0, 127 / 64)
  )


def _bvp(path, fields):
  """BVP.csv as a Signal; the zeros at its start become a gap."""
  start, rate, values = e4_csv.read_samples(path, columns=1)
  _check_rate(path, rate, fields.bvp_rate_hz, "bvp_rate_hz")
  filled = np.logical_and.accumulate(values[:, 0] == 0)
  values[filled] = np.nan
  return Signal(values.astype(np.float32), rate, "au", start)


def _check_rate(path, rate, want, field):
  if rate != want:
    raise InputError(
        f"{path} line 2: got {rate:g} Hz, want {want:g} Hz as the E4 records; "
        f"if the file is right, set --config.source_cfg.{field}={rate:g}"
    )


def _beats(path):
  """IBI.csv as Beats that move with "ppg", or None."""
  start, rows = e4_csv.read_intervals(path)
  if not len(rows):
    return None
  return Beats(start + rows[:, 0], rows[:, 1].copy(), signal="ppg")


def _device_hr(path):
  """HR.csv as the track "device_hr_bpm", or none."""
  if e4_csv.is_empty(path):
    return {}
  start, rate, values = e4_csv.read_samples(path, columns=1, allow_none=True)
  times = start + np.arange(len(values)) / rate
  track = Track(times, 1 / rate, values[:, 0], "bpm", signal="ppg")
  return {"device_hr_bpm": track}


def _spans(folder, acc, mapping):
  """Spans of a session; the log says why a span was dropped."""
  files = sorted(folder.glob("tags*.csv"))
  if not mapping or not files:
    return ()
  if len(files) > 1:
    raise InputError(
        f"{folder}: got {[f.name for f in files]}, want one tags file"
    )
  spans, reasons = spans_from_tags(
      e4_csv.read_tags(files[0]), acc.start_s, acc.end_s, mapping
  )
  for reason in reasons:
    logging.warning("%s: no span %s", files[0], reason)
  return tuple(spans)


def _attributes(path):
  """participants.csv as {participant: {attribute: number}}."""
  if not path.is_file():
    return {}
  rows = textfile.read_table(path, WANT_PEOPLE)
  header = rows[0][1] if rows else []
  known = {"participant", "age_years", "sex", "bmi"}
  for cell in header:
    if cell not in known and not cell.startswith("target_"):
      raise InputError(
          f"{path} line 1: column {cell!r} is unknown, want participant, "
          "age_years, sex, bmi or target_*"
      )
  if "participant" not in header or len(set(header)) < len(header):
    raise InputError(
        f"{path} line 1: got {header}, want one column participant and no "
        "column twice"
    )
  table = {}
  for line, row in rows[1:]:
    if len(row) != len(header):
      raise InputError(
          f"{path} line {line}: got {len(row)} cells, want {len(header)}"
      )
    cells = dict(zip(header, row, strict=True))
    person = cells.pop("participant")
    if not person or person in table:
      raise InputError(
          f"{path} line {line}: participant {person!r} is empty or named twice"
      )
    table[person] = {
        key: e4_csv.number(text, path, line, key)
        for key, text in cells.items() if not textfile.is_missing(text)
    }
    plausible.check_attributes(table[person], f"{path} line {line}")
  return table
