"""What a run that is started again finds in its own workdir, and may not
change.
"""

import pathlib

from accfm.base import configlib, plain
from accfm.base.errors import InputError
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

  Batch k would be another one, and people may have changed sides.
  """
  newest = reader.newest_whole(workdir)
  if newest is None:
    return
  before = reader.read_record(newest)
  lines = configlib.differences(
      {"contract": _contract(before)}, {"contract": _contract(record)}
  )
  lines += configlib.differences(_cohorts(before), _cohorts(record))
  if lines:
    raise InputError(
        f"workdir {workdir}: its run is on other data, differing in "
        f"{'; '.join(lines)}; restore that data set or choose another "
        "--workdir"
    )


def _contract(record: Record) -> dict:
  """The contract without the version of the code, which may differ."""
  out = plain.to_plain(record.contract)
  del out["code_version"]
  return out


def _cohorts(record: Record) -> dict:
  """{data set: what it is}, a hash in place of the participants' ids."""
  out = {c.dataset: plain.to_plain(c) for c in record.cohorts or ()}
  for cohort in out.values():
    del cohort["splits"]
  return out
