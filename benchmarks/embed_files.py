"""Embedding device files: time and memory by length, stage by stage.

  JAX_PLATFORMS=cpu python -m benchmarks.embed_files --out=results/embed

AX3 files of 1, 7 and 30 days at 100 Hz are written (with gaps, jumps of the
clock and damaged blocks), then embedded by `accfm embed` in a process of its
own. Weights are random, so only time and memory mean something. "read" decodes
all samples, "segments" also puts them on the clock, cuts and checks them,
"embed" is the whole command. Memory is the peak of the process, and beside it
that of the process that decodes.

Expected: 15 minutes on 2 cores for --days=1,7,30.
"""

import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile

from accfm.base import files

START = """
import json, resource, sys, time
start = time.perf_counter()
def emit(**more):
  own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
  print("RESULT " + json.dumps({"seconds": time.perf_counter() - start,
      "peak_mib": own // 1024, "child_mib": child // 1024, **more}))
path, model, out = sys.argv[1:4]
from accfm.data.sources import cwa, native
"""
READ = START + """
x = cwa.read(path, "p").signals["acc"].values
for i in range(0, len(x), 1 << 20):
  x[i:i + (1 << 20)]
native.READER.close()
emit(samples=len(x))
"""
CUT = START + """
import accfm
from accfm.signals import quality, windows
encoder = accfm.load(model)
rules = quality.read_rules(None, encoder.contract.signals)
n = good = 0
start = time.perf_counter()
for w in windows.stream(cwa.read(path, "p"), encoder.contract, 60.0):
  m = quality.motion_g(w.signals["acc"], 64.0)
  n += 1
  good += not quality.check(w.signals, encoder.contract.signals, rules,
                            w.clipped, w.impossible, m)
native.READER.close()
emit(segments=n, good=good)
"""
EMBED = START + """
from accfm import embed
from accfm.configs import embed as config
embed.run(config.get_config(), model, path, out)
native.READER.close()
emit()
"""
ALONE = START + """
import accfm, numpy as np
encoder = accfm.load(model)
n = encoder.contract.length("acc")
x = np.zeros((1024, n, 3), np.int16) + np.arange(3, dtype=np.int16)
s = np.ones((1024, 3), np.float32)
encoder.embed_stored(x[:64], s[:64])
start = time.perf_counter()
encoder.embed_stored(x, s)
emit(segments=1024)
"""


def make_model(path: str, encoder: str) -> None:
  """A model folder with random weights."""
  import jax

  from accfm.configs import prepare
  from accfm.data import allowed
  from accfm.models import build
  from accfm.steps import towers
  from accfm.steps.record import Record
  from accfm.use import folder
  from accfm.use.encoder import Encoder

  contract = allowed.check(prepare.get_config("cwa"))
  config = build.encoder_config(encoder).to_dict()
  tower = towers.untrained(
      Record("mae", {"encoder": config}, ("acc",), contract), 0)["acc"]
  jax.block_until_ready(tower.variables)
  folder.write(path, Encoder(tower, contract, "acc", config))


def timed(code: str, *arguments: str) -> dict:
  """What a program of its own prints at its end."""
  done = subprocess.run(
      [sys.executable, "-c", code, *arguments], capture_output=True, text=True,
      env={**os.environ, "OMP_NUM_THREADS": "1"})
  if done.returncode:
    raise SystemExit(done.stderr)
  line = next(
      one for one in reversed(done.stdout.splitlines())
      if one.startswith("RESULT "))
  return json.loads(line.removeprefix("RESULT "))


def main() -> None:
  """Measures and writes the table."""
  import argparse

  from tests.data import cwa_writer

  parser = argparse.ArgumentParser(description="Embedding device files")
  parser.add_argument("--out", required=True)
  parser.add_argument("--days", default="1,7,30")
  parser.add_argument("--encoder", default="vit_laptop")
  args = parser.parse_args()
  rows = []
  with tempfile.TemporaryDirectory() as scratch:
    model = os.path.join(scratch, "model")
    make_model(model, args.encoder)
    for day in map(int, args.days.split(",")):
      path = os.path.join(scratch, f"{day}.cwa")
      blocks = cwa_writer.write(
          path, 86_400 * day, gaps=[(5000, 3.0), (20_000, 600.0)],
          bad=[100, 30_000])
      row = {"days": day, "mb": os.path.getsize(path) / 1e6, "blocks": blocks}
      out = os.path.join(scratch, f"out{day}")
      for name, code in (("read", READ), ("segments", CUT), ("embed", EMBED)):
        row[name] = timed(code, path, model, out)
        print(day, name, row[name], flush=True)
      row["alone"] = timed(ALONE, path, model, out)
      rows.append(row)
      os.remove(path)
  command = (f"python -m benchmarks.embed_files --out={args.out} "
             f"--days={args.days} --encoder={args.encoder}")
  about = {"command": command, "machine": platform.machine(),
           "cores": os.cpu_count(), "encoder": args.encoder}
  out = pathlib.Path(args.out)
  files.write_atomic(out.with_suffix(".json"), json.dumps(
      {"about": about, "rows": rows}, indent=1))
  files.write_atomic(out.with_suffix(".md"), text(about, rows))
  print(text(about, rows))


def text(about: dict, rows: list[dict]) -> str:
  """The table."""
  lines = [
      "# Embedding device files", "",
      f"`{about['command']}`, {about['cores']} cores ({about['machine']}), "
      f"encoder {about['encoder']} with random weights, 100 Hz AX3 files.", "",
      "| days | file | read | read and cut | whole command | hours of "
      "recording a second | of the encoder's own rate | peak memory | of the "
      "decoding process |",
      "|---|---|---|---|---|---|---|---|---|",
  ]
  for r in rows:
    whole = r["embed"]["seconds"]
    own = r["segments"]["good"] * r["alone"]["seconds"] / 1024
    lines.append(
        f"| {r['days']} | {r['mb']:.0f} MB | {r['read']['seconds']:.1f} s | "
        f"{r['segments']['seconds']:.1f} s | {whole:.1f} s | "
        f"{24 * r['days'] / whole:.2f} | {100 * own / whole:.0f} % | "
        f"{r['embed']['peak_mib']} MiB | {r['embed']['child_mib']} MiB |")
  return "\n".join([
      *lines, "",
      "\"of the encoder's own rate\": the time that the encoder alone needs "
      "for the good segments, over the time of the whole command, start-up "
      "included.", ""])


if __name__ == "__main__":
  main()
