"""Input: from shards to batches on the device, beside the bare reading.

  JAX_PLATFORMS=cpu python -m benchmarks.input --out=results/benchmark_input

Every program reads the same rows of a train split, both signals, in several
passes. The first pass is not timed, so files lie in the page cache.

- "frombuffer" reads records in order with array_record, 256 at a time, parses
  each with protobuf and makes arrays of its values and scales, but no batch.
- "files" reads the shard files from end to end.
- "accfm" draws shuffled batches of 128, reads, parses, fills and puts them on
  the device, with 1, 2 and 4 threads that read ahead, or with 1 and 2
  workers, which are processes that read.

The results give records and bytes per second, and accfm's records per second
as a share of frombuffer's: at least 0.70 is wanted. The same share by seconds
of CPU depends less on other programs of the machine.

After that `accfm.distill` trains for a short while at the scale `laptop` on
the same data; its metrics say what share of the time it waited for data.

Data are simulated and prepared first (60 people, 24 minutes each).

Expected: 4 minutes on 2 idle cores.
"""

import glob
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

from benchmarks import interleave

DATA = "simulated,participants=60,minutes=24"
SIGNALS = ("acc", "ppg")
BATCH, CHUNK, PASSES = 128, 256, 9
THREADS, WORKERS = (1, 2, 4), (1, 2)
STEPS = 60  # of the training


def find(data_dir):
  """The folder of the prepared data set."""
  from accfm.configs import prepare as prepare_config
  from accfm.data import manifest
  return manifest.find(data_dir, prepare_config.get_config(DATA).name)


def make_files(folder, unused):
  """`read() -> bytes`: all shard files of the split, end to end."""
  del unused
  paths = sorted(glob.glob(f"{folder}/*-train.array_record*"))

  def read():
    size = 0
    for path in paths:
      with open(path, "rb") as file:
        while piece := file.read(2**20):
          size += len(piece)
    return size

  return read


def make_frombuffer(folder, rows):
  """`read() -> bytes` of values: records in order, each parsed, no batch."""
  import tensorflow_datasets as tfds
  from tensorflow_datasets.proto import tf_example_pb2
  source = tfds.builder_from_directory(folder).as_data_source(
      "train", deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES
  )

  def read():
    size = 0
    for first in range(0, rows, CHUNK):
      part = list(range(first, min(first + CHUNK, rows)))
      for record in source.__getitems__(part):
        feature = tf_example_pb2.Example.FromString(record).features.feature
        for name in SIGNALS:
          values = feature[f"{name}/values"].bytes_list.value[0]
          scale = feature[f"{name}/scale"].bytes_list.value[0]
          size += np.frombuffer(values, np.int16).nbytes
          size += np.frombuffer(scale, np.float32).nbytes
    return size

  return read


def make_accfm(folder, rows, threads, workers):
  """`read() -> bytes` of values: shuffled batches, put on the device."""
  import jax

  from accfm.base import mesh as meshlib
  from accfm.data import batches, joined, samplers
  split = joined.open_joined([folder], "train")
  mesh = meshlib.make_mesh()
  # One iterator for all passes: what it has read ahead is not lost.
  ahead = batches.train_batches(
      split, SIGNALS, samplers.Rows(0, len(split), BATCH, 0), 0,
      prefetch=threads, workers=workers,
  )

  def read():
    size = 0
    for _ in range(rows // BATCH):
      batch = meshlib.put_rows(next(ahead), mesh)
      jax.block_until_ready(batch)
      size += sum(batch[n].nbytes for s in SIGNALS for n in (s, f"{s}_scale"))
    return size

  return read


PROGRAMS = {
    "frombuffer": make_frombuffer, "files": make_files,
    **{
        f"accfm, {n} thread{'s' * (n > 1)}":
            lambda folder, rows, n=n: make_accfm(folder, rows, n, 0)
        for n in THREADS
    },
    **{
        f"accfm, {n} worker{'s' * (n > 1)}":
            lambda folder, rows, n=n: make_accfm(folder, rows, 2, n)
        for n in WORKERS
    },
}


def one(name, data_dir):
  """One process: a pass unmeasured, then the median of `PASSES`."""
  from accfm.data import pipeline
  folder = find(data_dir)
  rows = len(pipeline.open_split(folder, "train")) // BATCH * BATCH
  read = PROGRAMS[name](folder, rows)
  size, seconds, cpu = read(), [], []
  for _ in range(PASSES):
    start, used = time.perf_counter(), time.process_time()
    read()
    seconds.append(time.perf_counter() - start)
    cpu.append(time.process_time() - used)
  second = statistics.median(seconds)
  interleave.emit(
      second, rows=rows, bytes=size, cpu_s=round(statistics.median(cpu), 4),
      records_per_s=round(rows / second), mb_per_s=round(size / second / 1e6),
  )


def compare(runs):
  """{what: text}: throughputs, and ours as a share of frombuffer's."""
  out = {}

  def of(name, what):
    return [r[what] for r in sorted(runs, key=lambda r: r["round"])
            if r["name"] == name]

  for name in PROGRAMS:
    out[f"{name}, records/s"] = interleave.spread(of(name, "records_per_s"), 0)
    out[f"{name}, MB/s"] = interleave.spread(of(name, "mb_per_s"), 0)
  for name in PROGRAMS:
    if not name.startswith("accfm"):
      continue
    kinds = [("seconds", "time")]
    if "worker" not in name:  # whose time is another process's
      kinds.append(("cpu_s", "CPU time"))
    for what, word in kinds:
      shares = [a / b for a, b in zip(of("frombuffer", what), of(name, what),
                                      strict=True)]
      out[f"{name}: share of frombuffer's speed by {word}"] = (
          f"{interleave.spread(shares)} (wanted: 0.70)")
  for kind, few, many in (("thread", *THREADS[:2]), ("worker", *WORKERS)):
    before, after = (
        of(f"accfm, {n} {kind}{'s' * (n > 1)}", "records_per_s")
        for n in (few, many)
    )
    out[f"records/s of {many} {kind}s by those of {few}"] = interleave.spread(
        [b / a for a, b in zip(before, after, strict=True)])
  return out


def make_data(data_dir):
  """Prepares the simulated recordings."""
  from accfm import prepare
  from accfm.configs import prepare as prepare_config
  prepare.run(prepare_config.get_config(DATA), "", data_dir)


def train(main, config, data_dir, workdir, steps, *more):
  """One short training in a process of its own."""
  from accfm.configs import prepare as prepare_config
  subprocess.run([
      sys.executable, "-m", f"accfm.{main}",
      f"--config={config}:laptop", f"--config.data_dir={data_dir}",
      f"--config.dataset={prepare_config.get_config(DATA).name}",
      f"--config.total_steps={steps}", "--config.warmup_steps=0",
      "--config.validate_every=0", "--config.log_every=10",
      f"--workdir={workdir}", *more,
  ], check=True, stdout=subprocess.DEVNULL, env=dict(
      os.environ,
      XLA_FLAGS=f"--xla_force_host_platform_device_count={os.cpu_count()}",
  ))


def waited(data_dir):
  """{what: text} of a short distillation at the laptop scale."""
  teacher, student = f"{data_dir}/teacher", f"{data_dir}/student"
  train("pretrain", "ppg_contrastive", data_dir, teacher, 1)
  train("distill", "acc_distill", data_dir, student, STEPS,
        f"--config.teacher={teacher}")
  lines = pathlib.Path(student, "metrics.jsonl").read_text().splitlines()
  rows = [r for r in map(json.loads, lines) if "train/data_wait_share" in r]
  shares = [r["train/data_wait_share"] for r in rows]
  speed = statistics.median(r["train/segments_per_s"] for r in rows)
  return {
      "accfm.distill laptop, share of the time spent waiting for data": (
          f"{statistics.mean(shares):.4f} (highest of 10 steps "
          f"{max(shares):.4f}) at {speed:.0f} segments/s"),
  }


def main():
  parser = interleave.make_parser(__doc__)
  parser.add_argument("--one", choices=PROGRAMS, help="one process")
  parser.add_argument("--data_dir", help="prepared data; made if not given")
  args = parser.parse_args()
  if args.one:
    one(args.one, args.data_dir)
    return
  if not args.out:
    parser.error("want --out=PATH")
  with tempfile.TemporaryDirectory() as folder:
    data_dir = args.data_dir or folder
    if not args.data_dir:
      make_data(folder)
    result = interleave.run(
        {
            name: [sys.executable, "-m", "benchmarks.input", f"--one={name}",
                   f"--data_dir={data_dir}"] for name in PROGRAMS
        }, args.rounds, args.out,
        f"{BATCH}-row batches of acceleration and PPG from shards",
        interleave.command(
            parser, args, "input", environment=("JAX_PLATFORMS",)),
    )
    result["checks"] = {**compare(result["runs"]), **waited(data_dir)}
  interleave.write(result, args.out)


if __name__ == "__main__":
  main()
