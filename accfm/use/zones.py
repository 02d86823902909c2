"""Local and universal time of a recording."""

import datetime
import re
import zoneinfo

import numpy as np

from accfm.base.errors import InputError

_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)")


def zone(name: str) -> datetime.tzinfo:
  """A time zone: "Europe/Berlin" or "+02:00"; InputError for another name."""
  offset = _OFFSET.fullmatch(name)
  if offset:
    size = datetime.timedelta(hours=int(offset[2]), minutes=int(offset[3]))
    if size < datetime.timedelta(hours=24):
      return datetime.timezone(-size if offset[1] == "-" else size)
  try:
    return zoneinfo.ZoneInfo(name)
  except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
    raise InputError(
        f"tz: got {name!r}, want a zone such as Europe/Berlin or +02:00"
    ) from error


def offsets(time_s: np.ndarray, tz: datetime.tzinfo, local: bool) -> np.ndarray:
  """[N] seconds by which local time is ahead of UTC.

  Args:
    time_s: [N] Unix seconds, or seconds since 1970 on the local clock.
    tz: of the wearer.
    local: which of the two. Where a clock shows an hour twice, the first.
  """
  hours = np.floor(np.asarray(time_s, np.float64) / 900)
  found = {}
  for one in np.unique(hours):
    seconds = float(one) * 900
    if local:
      when = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds)
      when = when.replace(tzinfo=tz)
    else:
      when = datetime.datetime.fromtimestamp(seconds, tz)
    offset = when.utcoffset()
    found[one] = 0.0 if offset is None else offset.total_seconds()
  return np.array([found[h] for h in hours])
