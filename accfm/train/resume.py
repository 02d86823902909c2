"""What a run that is started again finds in its own workdir, and may not
change.
"""

import pathlib

from accfm.base import configlib, plain
from accfm.base.errors import InputError, warn
from accfm.steps.record import Record
from accfm.train.checkpoints import reader


def load_own(
    workdir: str | pathlib.Path, kind: str, main: str
) -> reader.Loaded | None:
  """The newest whole checkpoint of a run's own workdir, loaded, or None.

  Args:
    workdir: folder of the run.
    kind: name of the run's kind of training.
    main: the command that trains this kind, for the message.

  Raises:
    InputError: a run of another kind wrote the workdir.
  """
  newest = reader.newest_whole(workdir)
  if newest is None:
    return None
  mine = reader.load(newest)
  if mine.record.kind != kind:
    raise InputError(
        f"workdir {workdir}: got a {mine.record.kind!r} run, want one of "
        f"accfm.{main}; choose another --workdir"
    )
  return mine


def check_same_data(workdir: str | pathlib.Path, record: Record) -> None:
  """Raises InputError if a run would resume on other data than it began on.

  Batch k would be another one, and people may have changed sides. A name says
  nothing about this, so the hashes of the data sets are compared; one line
  warns where a checkpoint of an older version does not have them.
  """
  newest = reader.newest_whole(workdir)
  if newest is None:
    return
  before = reader.read_record(newest)
  old, new = _cohorts(before), _cohorts(record)
  unknown = [name for name in old if not old[name]["digest"] and name in new]
  for name in unknown:
    del old[name]["digest"], new[name]["digest"]
  for name in old:
    if old[name]["known_salt"] is None and name in new:
      for field in ("known_salt", "source"):
        del old[name][field], new[name][field]
  one, two = _contract(before), _contract(record)
  # What an older version did not write of labels says nothing.
  two["labels"] = {k: v for k, v in two["labels"].items() if k in one["labels"]}
  lines = configlib.differences(
      {"contract": one}, {"contract": two}
  ) + configlib.differences(old, new)
  if lines:
    raise InputError(
        f"workdir {workdir}: its run is on other data{_same_name(old, new)}, "
        f"differing in {'; '.join(lines)}; restore that data set or choose "
        "another --workdir"
    )
  if unknown:
    warn(
        f"{newest}: an older accfm or data set gave it no hash of its data; "
        f"whether {', '.join(unknown)} still holds the rows that it was "
        "trained on cannot be verified"
    )


def _same_name(old: dict, new: dict) -> str:
  """The end of a phrase that names data sets which only share a name."""
  others = [
      name for name in old
      if name in new and old[name].get("digest") != new[name].get("digest")
  ]
  return f" of the same name ({', '.join(others)})" if others else ""


def _contract(record: Record) -> dict:
  """The contract without the version of the code, which may differ."""
  out = plain.to_plain(record.contract)
  del out["code_version"]
  return out


def _cohorts(record: Record) -> dict:
  """{data set: what it is}, a hash in place of the participants."""
  out = {c.dataset: plain.to_plain(c) for c in record.cohorts or ()}
  for cohort in out.values():
    del cohort["splits"], cohort["fingerprints"]
  return out
