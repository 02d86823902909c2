"""Recordings to windows: one file for each recording, on all cores, resumable.

A recording is the unit of work and of resuming. Each becomes one `.npz` file
in `<data_dir>/staging/<name>-<hash>/`. It is written under another name and
then renamed, so a file is whole or absent whenever the process dies. The hash
covers everything that shapes a window. How people are split or renamed is
decided later and may change without losing work.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from accfm.base import (
    configlib,
    errors,
    expansion,
    faults,
    files,
    interrupts,
    locks,
)
from accfm.base.errors import InputError
from accfm.data import pool, quantise, twins
from accfm.data.progress import Progress
from accfm.signals import contract as contract_lib
from accfm.signals import labels, quality, windows
from accfm.signals.recording import Recording

NOT_SHAPING = (
    "salt", "cohort", "split", "workers", "skip_bad_recordings",
    "same_recording",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rules:
  """How a recording becomes windows.

  Attributes:
    contract: that the windows follow.
    hop_sec: seconds between the starts of windows.
    labels: config of `labels.window_labels`.
    quality: config of `quality.check`.
  """

  contract: contract_lib.Contract
  hop_sec: float
  labels: Mapping[str, Any]
  quality: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job(Rules):
  """All that a worker process needs; it is pickled.

  Attributes:
    read: a source's `read_recording(source_dir, name, cfg) -> Recording`,
      which a new process must be able to import.
    source_dir: folder of the recordings; "" if the source needs none.
    source_cfg: the source's config.
    folder: where the files go.
    skip_bad: whether to count a recording that cannot be read, instead of
      ending the run.
  """

  read: Callable[..., Recording]
  source_dir: str
  source_cfg: Mapping[str, Any]
  folder: str
  skip_bad: bool = False


# --- the folder --------------------------------------------------------------


def folder(
    data_dir: str, config: Mapping[str, Any], source_dir: str, code: str = ""
) -> str:
  """The staging folder of a data set.

  Args:
    data_dir: root of the prepared data sets.
    config: the prepare config as a plain dict.
    source_dir: folder of the recordings, or "".
    code: a hash of the source's code.
  """
  shaping = {k: v for k, v in config.items() if k not in NOT_SHAPING}
  where = os.path.abspath(source_dir) if source_dir else ""
  parts = [shaping, where, contract_lib.__version__]
  digest = configlib.digest(parts + ([code] if code else []))
  return os.path.join(data_dir, "staging", f"{config['name']}-{digest}")


def remove_all(data_dir: str, name: str) -> None:
  """Removes every staging folder of data set `name`."""
  base = os.path.join(data_dir, "staging")
  for entry in os.listdir(base) if os.path.isdir(base) else ():
    if re.fullmatch(re.escape(name) + "-[0-9a-f]{16}", entry):
      shutil.rmtree(os.path.join(base, entry))
  with contextlib.suppress(OSError):
    os.rmdir(base)  # unless another data set is being prepared


@contextlib.contextmanager
def held(data_dir: str, name: str) -> Iterator[None]:
  """Holds data set `name` of `data_dir` for this process, while it lives.

  All configs of one name share the lock, because the one that is done first
  removes what the others staged.
  """
  base = os.path.join(data_dir, "staging")
  use = locks.Use(
      name, f"prepares data set {name!r}; wait for it or choose another "
      "--config.name", "--data_dir",
  )
  try:
    with locks.held(base, "accfm prepare", use):
      yield
  finally:
    with contextlib.suppress(OSError):
      os.rmdir(base)  # unless something is staged there


# --- one recording -----------------------------------------------------------


def cut_recording(
    recording: Recording, rules: Rules
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
  """Cuts, checks, labels and quantises one recording.

  Returns:
    (arrays, summary). The arrays are `<signal>.values` int16 [n, T, C],
    `<signal>.scale` float32 [n, C], `start_s` float64 [n], `motion_g` float32
    [n], `condition` text [n] and `label.<name>` float32 [n]. The summary is
    plain JSON data: how many windows were kept or rejected and why, how many
    labels are known, the error of quantisation, and hashes of the samples. A
    recording that cannot be aligned (too short, signals without overlap) has
    no windows, and its message is in `unusable`.
  """
  contract = rules.contract
  summary: dict[str, Any] = {
      "participant": recording.participant,
      "session": recording.session,
      "attributes": {k: float(v) for k, v in recording.attributes.items()},
      "windows": 0, "rejected": {}, "unusable": "", "labels": {},
      "quantisation": {}, "samples": twins.sample_hashes(recording),
      "start_s": min(s.start_s for s in recording.signals.values()),
      "end_s": max(s.end_s for s in recording.signals.values()),
  }
  wanted = quality.read_rules(rules.quality, contract.signals)
  try:
    placed = windows.on_clock(recording, contract, rules.quality)
  except InputError as error:
    summary["unusable"] = str(error)
    return {}, summary
  rejected = summary["rejected"]
  rows, sums = _rows(recording, placed, rules, wanted, rejected)
  if not rows:
    return {}, summary
  arrays = {k: np.stack([row[k] for row in rows]) for k in rows[0]}
  summary["windows"] = len(rows)
  summary["labels"] = {
      key.removeprefix("label."): int(np.isfinite(column).sum())
      for key, column in arrays.items() if key.startswith("label.")
  }
  summary["quantisation"] = {
      name: quantise.add_sums(s[name] for s in sums)
      for name in contract.signals
  }
  return arrays, summary


def _rows(recording, placed, rules, wanted, rejected):
  """Rows of the windows that pass, and the quantisation error of each."""
  contract = rules.contract
  acc = [n for n, spec in contract.signals.items() if spec.kind == "acc"]
  beats = labels.select_beats(placed, contract, rules.labels)
  rows, sums = [], []
  for window in placed.windows(rules.hop_sec):
    motion = (
        quality.motion_g(window.signals[acc[0]], contract.rate(acc[0]))
        if acc else None
    )
    reason = quality.check(
        window.signals, contract.signals, wanted, window.clipped,
        window.impossible, motion,
    )
    if not reason and not all(
        np.isfinite(x).all() for x in window.signals.values()
    ):
      reason = "not_finite"
    if reason:
      rejected[reason] = rejected.get(reason, 0) + 1
      continue
    row: dict[str, Any] = {}
    cost = {}
    for name, values in window.signals.items():
      where = f"{recording.participant}/{recording.session} {name}"
      stored, scale = quantise.quantise(values, where)
      row[f"{name}.values"], row[f"{name}.scale"] = stored, scale
      cost[name] = quantise.error_sums(values, stored, scale)
    known = dict(labels.window_labels(
        window.start_s, contract.window_sec, beats, placed.tracks,
        placed.spans, rules.labels,
    ))
    row["condition"] = np.str_(known.pop("condition"))
    row["start_s"] = np.float64(window.start_s)
    row["motion_g"] = np.float32(np.nan if motion is None else motion)
    for name, value in known.items():
      row[f"label.{name}"] = np.float32(value)
    rows.append(row)
    sums.append(cost)
  return rows, sums


def stage(name: str, job: Job, content: str = "") -> dict[str, Any]:
  """Reads, cuts and stores recording `name`; returns its summary.

  Args:
    name: of the recording.
    job: what to do.
    content: hash of the recording's files; "" if it has none. What is stored
      already of the same content is not read again; without files, only what
      gave windows is stored.

  Raises:
    InputError: the recording cannot be read (unless `job.skip_bad`), or the
      disk is full.
  """
  done = finished(name, job, content)
  if done is not None:
    return done
  path = _path(job.folder, name)
  try:
    recording = job.read(job.source_dir, name, job.source_cfg)
  except InputError as error:
    if job.skip_bad:
      return {"recording": name, "unreadable": str(error), "windows": 0}
    raise
  arrays, summary = cut_recording(recording, job)
  summary |= {"recording": name, "unreadable": "", "content": content}
  if arrays or content:
    with errors.of_system(job.folder), files.atomic(
        path, tidy=False  # `remove_all` does
    ) as partial:
      with open(partial, "wb") as f:
        stored: dict[str, Any] = {
            "summary": np.str_(json.dumps(summary)), **arrays
        }
        np.savez(f, **stored)
      faults.point("in_recording", name)
    summary["file"] = path
  return summary


def load(path: str) -> dict[str, np.ndarray]:
  """The arrays of one staged file."""
  with np.load(path, allow_pickle=False) as stored:
    return {key: stored[key] for key in stored.files if key != "summary"}


def _path(folder_, name):
  digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
  return os.path.join(folder_, f"{digest}.npz")


def finished(
    name: str, job: Job, content: str = ""
) -> dict[str, Any] | None:
  """The stored summary of recording `name`; None if it has to be made."""
  path = _path(job.folder, name)
  try:
    expansion.check_zip(path)
    with open(path, "rb") as f, np.load(f, allow_pickle=False) as stored:
      summary = json.loads(str(stored["summary"]))
  except (*expansion.UNREADABLE, zipfile.BadZipFile):
    return None
  same = summary.get("recording") == name and "samples" in summary
  if not same or summary.get("content") != content:
    return None
  return {**summary, "file": path}


# --- all of them -------------------------------------------------------------


def stage_all(
    names: Sequence[str], job: Job, workers: int = 0,
    out: Callable[[str], Any] = print,
    contents: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
  """Stages every recording; returns their summaries in the order of `names`.

  Args:
    names: of the recordings.
    job: what to do with each.
    workers: number of processes; 0 for one on each core, 1 for this one.
    out: called with each line of progress.
    contents: name -> hash of the recording's files; None if they have none.

  Raises:
    InputError: as `stage`, for the first recording that fails. Recordings
      that are done by then are kept and not done again.
  """
  os.makedirs(job.folder, exist_ok=True)
  work = {name: (contents or {}).get(name, "") for name in names}
  found = {
      n: s for n in names if (s := finished(n, job, work[n])) is not None
  }
  if found:
    out(f"prepare: {len(found):,} recordings were done before")
  todo = {n: content for n, content in work.items() if n not in found}
  progress = Progress("prepare", len(todo), "recordings", out)
  workers = min(workers or len(os.sched_getaffinity(0)), len(todo))
  for name, summary in _results(todo, job, workers):
    found[name] = summary
    progress.step(summary["windows"])
    faults.point("after_recording", len(found))
  return [found[name] for name in names]


def _results(todo, job, workers):
  """Yields (name, summary) as recordings are done."""
  if workers <= 1:
    for name, content in todo.items():
      interrupts.check()
      yield name, stage(name, job, content)
    return
  yield from pool.run(stage, todo, job, workers)
