"""Tables of embeddings: Parquet, one file a recording, written as it comes."""

import contextlib
import dataclasses
import json
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from accfm.base import extras, files
from accfm.base.errors import InputError
from accfm.signals.recording import Recording
from accfm.use import zones
from accfm.use.encoder import Encoder
from accfm.use.probes import Probe
from accfm.use.recordings import Rows

ABOUT = b"accfm"  # key of what a file says of itself
DAY_S = 86_400.0


def arrow() -> Any:
  """(pyarrow, pyarrow.parquet), or one line that names the extra."""
  with extras.explained("a Parquet table"):
    import pyarrow
    import pyarrow.parquet
  return pyarrow, pyarrow.parquet


def schema(encoder: Encoder, about: Mapping[str, Any]) -> Any:
  """The columns of a recording's table."""
  pa, _ = arrow()
  dim = int(encoder.tower.encoder.embed_dim)
  fields = [
      ("participant", pa.string()), ("session", pa.string()),
      ("start_s", pa.float64()), ("start_utc", pa.timestamp("us", "UTC")),
      ("utc_offset_s", pa.int32()), ("qc", pa.string()),
      ("motion_g", pa.float32()),
      (f"{encoder.signal}/embedding", pa.list_(pa.float32(), dim)),
  ]
  for probe in encoder.probes:
    fields += [(name, pa.float32()) for name in _columns(probe)]
  return pa.schema(fields, {ABOUT: json.dumps(about, sort_keys=True)})


def _columns(probe: Probe) -> tuple[str, str, str]:
  value = f"probe_{probe.name}/{probe.unit or 'value'}"
  return value, f"{value}_low", f"{value}_high"


@dataclasses.dataclass
class Days:
  """What each day of a recording adds up to.

  Attributes:
    rows: (participant, session, day) -> sums.
  """

  rows: dict[tuple[str, str, str], dict[str, float]] = dataclasses.field(
      default_factory=dict)

  def add(self, recording: Recording, day: np.ndarray, qc: Sequence[str],
          motion: np.ndarray, values: Mapping[str, np.ndarray]) -> None:
    """Counts some segments; `day` [n] is text."""
    for k, one in enumerate(day):
      key = (recording.participant, recording.session, str(one))
      row = self.rows.setdefault(key, {
          "windows": 0, "good": 0, "non_wear": 0, "motion_sum": 0.0,
          **{f"{n}_sum": 0.0 for n in values}})
      row["windows"] += 1
      row["non_wear"] += qc[k] == "non_wear"
      if not qc[k]:
        row["good"] += 1
        row["motion_sum"] += float(np.nan_to_num(motion[k]))
        for name, v in values.items():
          row[f"{name}_sum"] += float(v[k])

  def table(self) -> list[dict[str, Any]]:
    """One dict a day: counts, and means over the good segments."""
    out = []
    for (participant, session, day), row in sorted(self.rows.items()):
      good = max(1, row["good"])
      means = {
          f"{k.removesuffix('_sum')}_mean": v / good if row["good"] else None
          for k, v in row.items() if k.endswith("_sum")
      }
      out.append({
          "participant": participant, "session": session, "day": day,
          "windows": int(row["windows"]), "good": int(row["good"]),
          "non_wear": int(row["non_wear"]), **means})
    return out


@contextlib.contextmanager
def writing(
    path: str | os.PathLike, encoder: Encoder, recording: Recording,
    tz: str, about: Mapping[str, Any], days: Days,
) -> Iterator[Any]:
  """`write(rows)` for a table that is whole or absent at the end.

  Args:
    path: of the table.
    encoder: whose rows they are.
    recording: whose they are.
    tz: zone where the recording names none; "" for none.
    about: what the file says of itself.
    days: to which the rows are added.
  """
  pa, parquet = arrow()
  want = schema(encoder, about)
  name = recording.zone or tz
  zone = zones.zone(name) if name else None
  with files.atomic(path) as partial:
    writer = parquet.ParquetWriter(partial, want, compression="zstd")
    try:
      def write(rows: Rows) -> None:
        table, day, values = _table(pa, want, rows, recording, encoder, zone)
        writer.write_table(table)
        days.add(recording, day, rows.qc, rows.motion_g, values)

      yield write
    finally:
      writer.close()


def _table(pa, want, rows, recording, encoder, zone):
  """(table, local day of each row, main value of each probe)."""
  n = len(rows.start_s)
  good = np.array([not reason for reason in rows.qc])
  offset = utc = None
  local = rows.start_s
  if zone is not None:
    offset = zones.offsets(rows.start_s, zone, recording.local)
    utc = rows.start_s - offset if recording.local else rows.start_s
    local = utc + offset
  elif not recording.local:
    utc = rows.start_s
  columns = {
      "participant": pa.array([recording.participant] * n, pa.string()),
      "session": pa.array([recording.session] * n, pa.string()),
      "start_s": pa.array(rows.start_s, pa.float64()),
      "start_utc": pa.nulls(n, pa.timestamp("us", "UTC")) if utc is None
                   else pa.array(np.rint(utc * 1e6).astype(np.int64),
                                 pa.timestamp("us", "UTC")),
      "utc_offset_s": pa.nulls(n, pa.int32()) if offset is None
                      else pa.array(offset.astype(np.int32), pa.int32()),
      "qc": pa.array(rows.qc, pa.string()),
      "motion_g": pa.array(rows.motion_g, pa.float32(), mask=np.isnan(
          rows.motion_g)),
  }
  dim = rows.embedding.shape[1]
  flat = pa.array(rows.embedding.ravel(), pa.float32())
  columns[f"{encoder.signal}/embedding"] = pa.FixedSizeListArray.from_arrays(
      flat, dim, mask=pa.array(~good))
  values = {}
  for probe in encoder.probes:
    said = probe.predict(np.nan_to_num(rows.embedding))
    for name, value in zip(_columns(probe), said, strict=True):
      lost = ~good | ~np.isfinite(value)
      columns[name] = pa.array(value.astype(np.float32), mask=lost)
    values[_columns(probe)[0]] = said.value
  day = np.datetime_as_string(
      np.floor(local).astype("datetime64[s]"), unit="D")
  return pa.table([columns[f.name] for f in want], schema=want), day, values


def about(path: str | os.PathLike) -> dict[str, Any] | None:
  """What a table says of itself; None for one that is not there or no table.

  Raises:
    InputError: it is not one of ours.
  """
  pa, parquet = arrow()
  if not pathlib.Path(path).exists():
    return None
  try:
    said = (parquet.read_schema(path).metadata or {}).get(ABOUT)
  except (pa.ArrowException, OSError, ValueError):
    return None  # damaged: it is made anew
  if said is None:
    raise InputError(f"{path}: is there and not from accfm embed; move it away")
  return json.loads(said)


def write_dicts(path: str | os.PathLike, rows: Sequence[Mapping[str, Any]]
                ) -> None:
  """A small table of dicts with the same keys."""
  pa, parquet = arrow()
  names = list(dict.fromkeys(k for row in rows for k in row))
  with files.atomic(path) as partial:
    parquet.write_table(
        pa.table({n: [row.get(n) for row in rows] for n in names}), partial)
