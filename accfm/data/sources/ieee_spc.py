"""IEEE Signal Processing Cup 2015: wrist PPG and acceleration while running.

`source_dir` holds the cup's .mat files in any folders. `DATA_*` files are
[6, N]: ECG, two PPG channels, three axes. `TEST_*` files are the last five
rows. The heart rate (`BPM0`, from the ECG) is given for windows of 8 s that
start every 2 s, on the recording's own clock: the track "hr_bpm".

Participants are D01 to D12 (training) and S01 to S08 (test). The extra
training file DATA_S04_T01 is of test participant S04 and has that id. The
authors do not say whether more people are in both parts: where that matters,
train and test within one part. The files carry no date, so every recording
starts at second 0.

Data: Z. Zhang, Z. Pi, B. Liu, "TROIKA", IEEE Trans. Biomed. Eng. 62(2),
2015; free for academic research with citation, not to be redistributed.
"""

import os
import pathlib
import re
from typing import Any

import numpy as np
from absl import logging
from ml_collections import ConfigDict

from accfm.base import settings
from accfm.base.errors import InputError
from accfm.data.sources import matfile, numbers
from accfm.signals import beats as beats_lib
from accfm.signals.recording import Beats, Recording, Signal, Track

DEFAULTS = dict(
    rate_hz=125.0,  # of all signals
    # Also yield the ECG of the training files, as signal "ecg" and, by its R
    # peaks, as beats: `labels.beat_source` "beats" then labels heart-rate
    # variability too.
    ecg=False,
    # Range of the accelerometer, 10 bits of 0.0078 g; a sample at either end
    # counts as clipped.
    acc_limits_g=(-512 * 0.0078, 511 * 0.0078),
)

_NAME = re.compile(r"(DATA_(\d\d)_TYPE\d\d|(?:DATA|TEST)_(S\d\d)_T\d\d)")
_SPAN_S, _HOP_S = 8.0, 2.0  # of the reference


def prepare_config(c: Any, arg: Any) -> None:
  """Treadmill and arm exercise: two PPG channels, heart rate from ECG."""
  del arg
  c.source_cfg = ConfigDict(dict(
      rate_hz=125.0,  # of all rows of the files
      ecg=False,  # also read the ECG, where there is one, and its beats
      acc_limits_g=(-512 * 0.0078, 511 * 0.0078),  # the sensor's range
  ))
  c.signals.ppg.channels = 2
  # Recordings last about five minutes: overlapping windows give more.
  c.hop_sec = 20.0
  c.labels.beat_source = "track"


def list_recordings(
    source_dir: str | os.PathLike, cfg: settings.Given = None
) -> list[str]:
  """Names of the recordings' files below `source_dir`, without suffix, sorted.

  Raises:
    InputError: the folder is missing, or holds no recording, or one twice.
  """
  settings.merge(cfg, DEFAULTS, "source_cfg of ieee_spc")
  files = _files(source_dir)
  names = sorted(stem for stem in files if _NAME.fullmatch(stem))
  if not names:
    raise InputError(
        f"{source_dir}: no recording found, want DATA_*.mat or TEST_*.mat of "
        "the IEEE Signal Processing Cup 2015"
    )
  return names


def read_recording(
    source_dir: str | os.PathLike, name: str, cfg: settings.Given = None
) -> Recording:
  """Reads one recording.

  Args:
    source_dir: see the module.
    name: one of `list_recordings`.
    cfg: fields of `DEFAULTS`.

  Returns:
    A recording with signals "acc" [N, 3] in g, "ppg" [N, 2] in device units
    and, with `cfg.ecg`, "ecg" [N, 1] and beats of "ecg" where it was
    recorded; track "hr_bpm" where there is a reference (a missing one is
    logged).

  Raises:
    InputError: a file is missing, not readable, or of another shape.
  """
  fields = settings.merge(cfg, DEFAULTS, "source_cfg of ieee_spc")
  files = _files(source_dir)
  match = _NAME.fullmatch(name)
  if not match or name not in files:
    raise InputError(f"{source_dir}: no recording {name!r} there")
  rows = 5 if name.startswith("TEST") else 6
  sig = matfile.read_array(files[name], "sig")
  if sig.ndim != 2 or sig.shape[0] != rows:
    raise InputError(
        f"{files[name]}: got sig {list(sig.shape)}, want [{rows}, N], one "
        "signal per row"
    )

  def signal(first, last, unit, limits=None):
    values = numbers.as_float32(sig[first:last].T, f"{files[name]}: sig")
    return Signal(values, float(fields.rate_hz), unit, 0.0, limits)

  signals = {
      "acc": signal(rows - 3, rows, "g", tuple(fields.acc_limits_g)),
      "ppg": signal(rows - 5, rows - 3, "au"),
  }
  beats = None
  if fields.ecg and rows == 6:
    signals["ecg"] = signal(0, 1, "au")
    times = beats_lib.r_peaks(sig[0], float(fields.rate_hz))
    beats = Beats(times[1:], np.diff(times), signal="ecg")
  return Recording(
      participant=f"D{match[2]}" if match[2] else match[3],
      session=name,
      signals=signals,
      beats=beats,
      tracks=_reference(files, name, sig.shape[1] / fields.rate_hz),
  )


def recording_files(
    source_dir: str | os.PathLike, name: str, cfg: settings.Given = None
) -> list[pathlib.Path]:
  """The file of a recording and that of its heart rate."""
  del cfg
  files = _files(source_dir)
  return [files[s] for s in (name, reference_name(name)) if s in files]


def reference_name(name: str) -> str:
  """Name, without suffix, of the file with a recording's heart rate."""
  if name.startswith("TEST_"):
    return name.replace("TEST_", "True_")
  if name.startswith("DATA_S"):
    return name.replace("DATA_", "BPM_")
  return f"{name}_BPMtrace"


def _files(source_dir):
  """Every .mat file below a folder: {stem: path}."""
  root = pathlib.Path(source_dir)
  if not root.is_dir():
    raise InputError(
        f"{root}: no such folder, want the folder of the .mat files "
        "(--source_dir)"
    )
  files = {}
  for path in sorted(root.rglob("*.mat")):
    if path.name.startswith("."):
      continue
    numbers.check_name(path)
    if path.stem in files:
      raise InputError(
          f"{path}: also at {files[path.stem]}; keep one of the two"
      )
    files[path.stem] = path
  return files


def _reference(files, name, seconds):
  """The track "hr_bpm", or none."""
  stem = reference_name(name)
  if stem not in files:
    logging.warning("%s: no reference %s.mat, so no heart rate", name, stem)
    return {}
  bpm = matfile.read_array(files[stem], "BPM0").ravel()
  numbers.as_float32(bpm, f"{files[stem]}: BPM0")
  most = int((seconds - _SPAN_S) // _HOP_S) + 1
  if len(bpm) > most:
    raise InputError(
        f"{files[stem]}: got {len(bpm)} heart rates for {seconds:.1f} s, want "
        f"at most {most} (8 s each, every 2 s); it is of another recording"
    )
  return {"hr_bpm": Track(_HOP_S * np.arange(len(bpm)), _SPAN_S, bpm, "bpm")}
