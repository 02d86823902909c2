"""Results as plain data, to compare with those of an undisturbed command.

Speeds differ from run to run; all else is compared to the last bit unless a
tolerance is given.
"""

import hashlib
import json
import pathlib
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from array_record.python import array_record_module

from accfm.base.errors import InputError
from accfm.data import manifest, pipeline
from accfm.train import checkpoints

# Rows of metrics.jsonl also hold speeds, which no two runs share.
SPEEDS = ("train/segments_per_s", "train/data_wait_share", "train/time_left_s")
EVALUATION = "metrics.json"
_READER = threading.Lock()  # Orbax reads in one thread at a time


def of_run(workdir: pathlib.Path) -> dict[str, Any]:
  """What a training left: {"rows": [...], "step 4": {leaf: digest}, ...}."""
  out: dict[str, Any] = {"rows": rows(workdir)}
  for step in steps(workdir):
    out[f"step {step}"] = {
        name: digest(value.tobytes()) for name, value in
        arrays(workdir, step).items()
    }
  return out


def steps(workdir: pathlib.Path) -> list[int]:
  """Steps of the checkpoints in a workdir."""
  folder = workdir / "checkpoints"
  if not folder.is_dir():
    return []
  return sorted(int(p.name) for p in folder.iterdir() if p.name.isdecimal())


def rows(workdir: pathlib.Path) -> Any:
  """The rows of metrics.jsonl without speeds; a text where it cannot be read.
  """
  try:
    found = [
        json.loads(line)
        for line in (workdir / "metrics.jsonl").read_text().splitlines()
    ]
    return [
        {k: v for k, v in row.items() if k not in SPEEDS} for row in found
    ]
  except (OSError, ValueError, AttributeError) as error:
    return f"cannot be read: {error}"


def arrays(workdir: pathlib.Path, step: int) -> dict[str, np.ndarray]:
  """All parameters of a step by name; {} where it is damaged."""
  with _READER:
    try:
      found = checkpoints.load(workdir, step)
    except InputError:
      return {}
  return {
      f"{part}.{name}": np.ascontiguousarray(value)
      for part in ("params", "carried", "frozen")
      for name, value in _leaves(getattr(found, part))
  }


def of_data(data_dir: pathlib.Path, name: str) -> dict[str, Any]:
  """What a preparation left: {"manifest": ..., shard: digest of records}."""
  try:
    folder = pathlib.Path(manifest.find(data_dir, name))
    facts = json.loads((folder / manifest.FILE).read_text())
  except (InputError, ValueError) as error:
    return {"manifest": f"cannot be read: {error}"}
  out = {"manifest": facts}
  for path in sorted(folder.glob("*.array_record*")):
    out[path.name] = digest(b"".join(records(path)))
  return out


def records(path: pathlib.Path) -> list[bytes]:
  """The records of a shard, in order; the columns of each sorted by name."""
  reader = array_record_module.ArrayRecordReader(str(path))
  try:
    return [
        pipeline.EXAMPLE.FromString(record).SerializeToString(
            deterministic=True)
        for record in reader.read_all()
    ]
  finally:
    reader.close()


def files_of_data(data_dir: pathlib.Path, name: str) -> dict[str, str]:
  """{file: digest} of a data set, byte by byte."""
  folder = pathlib.Path(manifest.find(data_dir, name))
  return {p.name: digest(p.read_bytes()) for p in sorted(folder.iterdir())}


def of_evaluation(workdir: pathlib.Path) -> dict[str, Any]:
  """What an evaluation left: its metrics, without paths and the config."""
  try:
    found = json.loads((workdir / EVALUATION).read_text())
  except (OSError, ValueError) as error:
    return {EVALUATION: f"cannot be read: {error}"}
  for name in ("checkpoint", "config"):
    found.get("_meta", {}).pop(name, None)
  return found


def difference(want: Any, got: Any, where: str = "") -> str:
  """The first difference of two plain values in one line, or ""."""
  if isinstance(want, Mapping) and isinstance(got, Mapping):
    for name in [*want, *(n for n in got if n not in want)]:
      if name not in got:
        return f"{_at(where, name)} is missing"
      if name not in want:
        return f"{_at(where, name)} is new"
      found = difference(want[name], got[name], _at(where, name))
      if found:
        return found
    return ""
  if isinstance(want, list) and isinstance(got, list):
    if len(want) != len(got):
      return f"{where}: {len(got)} in place of {len(want)}"
    for number, pair in enumerate(zip(want, got, strict=True)):
      found = difference(*pair, f"{where}[{number}]")
      if found:
        return found
    return ""
  return "" if want == got else f"{where} is {got!r}, undisturbed {want!r}"


def distance(
    want: Mapping[str, np.ndarray], got: Mapping[str, np.ndarray],
    tolerance: float,
) -> str:
  """The first array that differs by more than a tolerance, or "".

  The bias of attention's keys moves no loss, so its gradient is rounding
  alone, of which Adam makes steps as long as any: it is left out.
  """
  if want.keys() != got.keys():
    return f"{sorted(want.keys() ^ got.keys())[:3]} are missing or new"
  for name, value in want.items():
    other = got[name].copy()
    if name.endswith("qkv.bias"):
      third = slice(value.size // 3, 2 * value.size // 3)
      other[third] = value[third]
    if value.size and not np.allclose(value, other, rtol=0, atol=tolerance):
      worst = float(np.max(np.abs(value - other)))
      return f"{name} differs by {worst:.1e}, want {tolerance:.0e} at most"
  return ""


def digest(content: bytes) -> str:
  """A short hash."""
  return hashlib.sha256(content).hexdigest()[:16]


def _at(where, name):
  return f"{where}/{name}" if where else str(name)


def _leaves(tree: Mapping, prefix: str = "") -> Iterator[tuple[str, Any]]:
  for name, value in tree.items():
    if isinstance(value, Mapping):
      yield from _leaves(value, f"{prefix}{name}.")
    else:
      yield prefix + name, np.asarray(value)
