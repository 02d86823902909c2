"""Every device file that is at hand: what was read, checked against what.

  python -m benchmarks.readers --data=DIR --out=results/readers

DIR holds `device_files`, `embraceplus` and other folders of real recordings.
Each file is also read cut in half, with one byte flipped in its middle, and
empty: it has to give a recording with a note, or one line of refusal.

Expected: a minute.
"""

import argparse
import json
import pathlib
import tempfile
from typing import Any

import numpy as np

from accfm.base import files
from accfm.base.errors import InputError
from accfm.data import sources
from accfm.data.sources import detect
from accfm.signals import wear

VALUES = "_values.npz"  # beside a file: what another reader found in it
HURT = ("cut in half", "a byte flipped", "empty")


def look(found: detect.Found) -> dict[str, Any]:
  """What is read of a recording."""
  source = sources.SOURCES[found.source]
  cfg, _ = sources.defaults(found.source)
  try:
    raw = source.read_recording(found.source_dir, found.name, cfg)
    signal = raw.signals["acc"]
    seen = wear.look(signal)
  except InputError as error:
    return {"refused": " ".join(str(error).split()).replace(
        f"{found.source_dir}/{found.name}: ", "")[:120]}
  out = {
      "samples": len(signal.values), "hz": signal.rate_hz,
      "true_hz": round(float(np.median(
          signal.clock.rate_hz if signal.clock else signal.rate_hz)), 3),
      "minutes": round(seen.recorded_s / 60, 1), "rest_g": round(
          seen.length_g, 3), "zone": raw.zone, "notes": dict(raw.notes),
      "signals": sorted(raw.signals),
  }
  path = pathlib.Path(found.source_dir, found.name)
  values = path.with_name(path.stem + VALUES)
  if values.exists():
    with np.load(values) as want:
      x = signal.values[0:len(signal.values)]
      out["against"] = "another reader's values: largest difference " + (
          f"{np.abs(x - want['accel']).max():.1g} g")
  return out


def hurt(path: pathlib.Path, how: str, folder: pathlib.Path) -> pathlib.Path:
  """A damaged copy of a file."""
  data = bytearray(path.read_bytes())
  if how == "cut in half":
    data = data[:len(data) // 2]
  elif how == "empty":
    data = bytearray()
  else:
    data[len(data) // 2] ^= 0x10
  out = folder / f"{how.replace(' ', '_')}{path.suffix}"
  out.write_bytes(data)
  return out


def main() -> None:
  """Reads all and writes the table."""
  parser = argparse.ArgumentParser()
  parser.add_argument("--data", required=True)
  parser.add_argument("--out", required=True)
  args = parser.parse_args()
  data = pathlib.Path(args.data)
  rows = []
  for root in (data / "device_files", data / "embraceplus"):
    for found in detect.detect(root)[0]:
      path = pathlib.Path(found.source_dir, found.name)
      row = {"file": path.relative_to(data).as_posix(),
             "source": found.source, **look(found)}
      if path.is_file():
        with tempfile.TemporaryDirectory() as scratch:
          row["hurt"] = {}
          for how in HURT:
            copy = hurt(path, how, pathlib.Path(scratch))
            one = look(detect.Found(found.source, scratch, copy.name))
            row["hurt"][how] = one.get("refused") or (
                f"{one['samples']} samples, notes {one['notes']}")
      rows.append(row)
      print(row, flush=True)
  out = pathlib.Path(args.out)
  command = f"python -m benchmarks.readers --data=DIR --out={args.out}"
  files.write_atomic(out.with_suffix(".json"), json.dumps(
      {"command": command, "rows": rows}, indent=1))
  files.write_atomic(out.with_suffix(".md"), text(command, rows))


def text(command: str, rows: list[dict[str, Any]]) -> str:
  """The tables."""
  lines = [
      "# Readers of device files", "", f"`{command}`. Rest is the median "
      "length of acceleration in the stillest 10 s of 15 minutes: 1 g.",
      "", "| file | source | read | rate, and as stamped | rest | zone | "
      "noticed | checked against |", "|---|---|---|---|---|---|---|---|",
  ]
  for r in rows:
    if "refused" in r:
      lines.append(f"| {r['file']} | {r['source']} | refused: {r['refused']} "
                   "| | | | | |")
      continue
    notes = ", ".join(f"{n} {k}" for k, n in r["notes"].items())
    lines.append(
        f"| {r['file']} | {r['source']} | {r['samples']:,} samples, "
        f"{r['minutes']} min | {r['hz']:g}, {r['true_hz']:g} Hz | "
        f"{r['rest_g']} g | {r['zone'] or 'none'} | {notes or 'nothing'} | "
        f"{r.get('against', 'gravity at rest')} |")
  lines += ["", "## The same files, damaged", "",
            "| file | " + " | ".join(HURT) + " |", "|---|---|---|---|"]
  for r in rows:
    if "hurt" in r:
      lines.append(f"| {r['file']} | " + " | ".join(
          r["hurt"][how] for how in HURT) + " |")
  return "\n".join([*lines, ""])


if __name__ == "__main__":
  main()
