"""A folder of recordings through an encoder: resumable, whatever a file is.

OUTPUT/REL.parquet is the table of recording REL; recordings.parquet says what
became of each, days.parquet sums up its days.
"""

import dataclasses
import errno
import hashlib
import json
import os
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from accfm.base import files, jsonfile, locks
from accfm.base.errors import InputError
from accfm.data import sources
from accfm.data.sources import detect
from accfm.signals import wear
from accfm.signals.recording import Recording
from accfm.use import recordings, tables, weights
from accfm.use.encoder import Encoder
from accfm.version import __version__

SAMPLED = 1 << 20  # bytes of each end of a file that tell it from others
KINDS_OF_ERRORS = (InputError, OSError, ValueError, MemoryError)


@dataclasses.dataclass(frozen=True)
class Job:
  """How a folder is embedded.

  Attributes:
    encoder, how: see `recordings.embed`.
    tz: zone where a recording names none; "" for none.
    output: folder of the tables.
    model: hash of the encoder.
    shard: "i/n", this job's part.
  """

  encoder: Encoder
  how: recordings.How
  tz: str
  output: str
  model: str
  shard: str = "0/1"


def identity(model: str, encoder: Encoder) -> str:
  """A short hash of an encoder's weights and contract."""
  flat = weights.flatten(encoder.tower.variables)
  found = hashlib.sha256(json.dumps(
      [encoder.contract.to_dict(), encoder.signal], sort_keys=True,
      default=str).encode())
  for name in sorted(flat):
    found.update(name.encode() + np.ascontiguousarray(flat[name]).tobytes())
  return found.hexdigest()[:16]


def share(found: Sequence[Any], shard: str) -> list[Any]:
  """Every n-th recording, from the i-th, of "i/n"."""
  index, slash, count = shard.partition("/")
  if not slash or not index.isdigit() or not count.isdigit() or not (
      int(index) < int(count)):
    raise InputError(f"shard: got {shard!r}, want i/n with i from 0 to n - 1")
  return list(found)[int(index)::int(count)]


def embed_all(
    found: Sequence[detect.Found], job: Job, check: Callable[[], Any],
    out: Callable[[str], Any] = print,
) -> dict[str, str]:
  """Embeds recordings; returns {name: why} of those that failed.

  Args:
    found: the recordings.
    job: how.
    check: called between blocks; it raises to stop.
    out: called with each line of progress.
  """
  use = locks.Use(
      f"embed-{job.shard.replace('/', '-of-')}",
      "embeds into this folder; wait for it, or choose another", "--output")
  with locks.held(job.output, "accfm embed", use):
    return _embed_all(found, job, check, out)


def _embed_all(found, job, check, out):
  failed: dict[str, str] = {}
  summaries, days = [], tables.Days()
  began, hours = time.monotonic(), 0.0
  for place, one in enumerate(found):
    check()
    path = pathlib.Path(job.output, f"{_stem(one)}.parquet")
    try:
      about = _about(one, job)
      done = tables.about(path)
      if done is not None and done["model"] != job.model:
        raise InputError(
            f"{path} is of another model; choose another --output")
      if done == about:
        summary = _read_summary(path)
        if summary:
          summaries.append(summary["recording"])
          _add_days(days, summary["days"])
          continue
      summary, mine = _embed_one(one, path, about, job, check)
    except KINDS_OF_ERRORS as error:
      if _is_full(error):
        raise
      failed[_label(one)] = " ".join(str(error).split())[:400]
      summaries.append({"recording": _label(one), "source": one.source,
                        "failed": failed[_label(one)]})
      continue
    hours += summary["recorded_h"]
    summaries.append(summary)
    _add_days(days, mine.table())
    _write_summary(path, {"recording": summary, "days": mine.table()})
    spent = time.monotonic() - began
    left = spent / (place + 1) * (len(found) - place - 1)
    out(f"embed: {place + 1:,}/{len(found):,} {_label(one)}: "
        f"{summary['good']:,} of {summary['windows']:,} segments, "
        f"{hours / max(spent, 1e-9):.2f} h of recording a second, "
        f"{left / 60:.0f} min left")
  if summaries:
    suffix = "" if job.shard == "0/1" else "." + job.shard.replace("/", "-of-")
    tables.write_dicts(
        pathlib.Path(job.output, f"recordings{suffix}.parquet"), summaries)
    if days.rows:
      tables.write_dicts(
          pathlib.Path(job.output, f"days{suffix}.parquet"),
          list(days.rows.values()))
  good = len(summaries) - len(failed)
  out(f"{job.output}: {good:,} recordings, {len(failed):,} failed")
  return failed


def _embed_one(one, path, about, job, check):
  """(summary, Days) of a recording, whose table is written."""
  source = sources.SOURCES[one.source]
  recording, delay_s = _open(source, one, job)
  how = dataclasses.replace(job.how, delay_s=delay_s)
  recordings.check(recording, job.encoder, how)
  seen = recordings.survey(recording, job.encoder)
  notes = dict(recording.notes)
  if seen:
    said = wear.check_gravity(seen, _label(one))
    if said:
      notes[said] = 1
  mine, counts = tables.Days(), {}
  path.parent.mkdir(parents=True, exist_ok=True)
  with tables.writing(
      path, job.encoder, recording, job.tz, about, mine) as write:
    for rows in recordings.embed(recording, job.encoder, how, seen):
      check()
      write(rows)
      for reason in rows.qc:
        counts[reason] = counts.get(reason, 0) + 1
  total = sum(counts.values())
  summary = {
      "recording": _label(one), "source": one.source, "failed": "",
      "participant": recording.participant, "session": recording.session,
      "zone": recording.zone or job.tz, "windows": total,
      "good": counts.get("", 0),
      "rejected": json.dumps({k: n for k, n in counts.items() if k},
                             sort_keys=True),
      "notes": json.dumps(notes, sort_keys=True),
      **_of_survey(seen, recording, job.encoder.signal),
  }
  return summary, mine


def _open(source: Any, one: detect.Found, job: Job) -> tuple[Recording, float]:
  """(recording, delay of the encoder's signal on this device)."""
  cfg, delays = sources.defaults(one.source)
  return (source.read_recording(one.source_dir, one.name, cfg),
          delays.get(job.encoder.signal, 0.0))


def _of_survey(seen, recording, signal):
  raw = recording.signals[signal]
  out = {"start_s": raw.start_s, "end_s": raw.end_s, "rate_hz": raw.rate_hz,
         "recorded_h": (raw.end_s - raw.start_s) / 3600, "worn_h": None,
         "gaps": None, "rest_g": None, "rest_x": None, "rest_y": None,
         "rest_z": None}
  if seen:
    x, y, z = (float(v) for v in seen.rest_axis)
    out |= {"recorded_h": seen.recorded_s / 3600, "worn_h": seen.worn_s / 3600,
            "gaps": seen.gaps, "rest_g": seen.length_g, "rest_x": x,
            "rest_y": y, "rest_z": z}
  return out


def _label(one):
  return f"{one.name}" if one.name != "." else pathlib.Path(one.source_dir).name


def _stem(one):
  """Path of a recording's table, without its ending."""
  name = pathlib.PurePosixPath(_label(one))
  return name.with_suffix("").as_posix() if one.source in detect.SINGLE else (
      name.as_posix())


def _about(one, job):
  """What decides a table: other content, another table."""
  source: Any = sources.SOURCES[one.source]
  cfg, _ = sources.defaults(one.source)
  paths = source.recording_files(one.source_dir, one.name, cfg)
  found = hashlib.sha256()
  for path in paths:
    size = os.path.getsize(path)
    found.update(f"{os.path.basename(path)} {size} ".encode())
    with open(path, "rb") as f:
      found.update(f.read(SAMPLED))
      f.seek(max(0, size - SAMPLED))
      found.update(f.read(SAMPLED))
  how = dataclasses.asdict(job.how)
  return {"model": job.model, "content": found.hexdigest()[:16],
          "how": json.loads(json.dumps(how)), "tz": job.tz,
          "accfm": __version__, "source": one.source}


def _summary_path(path):
  return path.with_name(f".{path.name}.json")


def _write_summary(path: pathlib.Path, plain: Mapping[str, Any]) -> None:
  files.write_atomic(_summary_path(path), json.dumps(plain))


def _read_summary(path):
  place = _summary_path(path)
  if not place.exists():
    return None
  return jsonfile.read_object(place, "what accfm embed wrote", finite=False)


def _add_days(days, rows):
  for row in rows:
    days.rows[row["participant"], row["session"], row["day"]] = row


def _is_full(error):
  return isinstance(error, OSError) and error.errno in (
      errno.ENOSPC, errno.EROFS, errno.EDQUOT)
