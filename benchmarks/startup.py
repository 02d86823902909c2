"""Start-up: what a main's imports and its first step take, in fresh processes.

  JAX_PLATFORMS=cpu XLA_FLAGS=--xla_force_host_platform_device_count=2 \\
    python -m benchmarks.startup --out=results/benchmark_startup

The imports of each main are timed and, to compare, those of jax alone. The
first step is that of `accfm.distill` with a frozen teacher, at the scales tiny
and laptop, from the start of the process until it prints its loss: imports,
data, teacher, compilation, one update. Each scale runs in three ways: without
anything from earlier processes; with jax's compilation cache as
JAX_COMPILATION_CACHE_DIR switches it on, which keeps what took more than a
second to compile; and with a cache that keeps everything. One process fills
the caches before anything is timed.

Before that, data are simulated and prepared (40 people, 6 minutes each), and
the teachers are trained for one step. Where libtpu is installed,
JAX_PLATFORMS=cpu saves seconds of every process.

Expected: 12 minutes on 2 idle cores.
"""

import os
import re
import resource
import subprocess
import sys
import tempfile
import time

from accfm import prepare
from accfm.configs import prepare as prepare_config
from benchmarks import interleave

MAINS = ("prepare", "pretrain", "distill", "supervise", "evaluate", "study",
         "plan")
SCALES = ("tiny", "laptop")
# How a process caches -> its environment variables; FOLDER is the cache.
CACHES = {
    "no cache": {},
    "cache": {"JAX_COMPILATION_CACHE_DIR": "FOLDER"},
    "cache of all": {
        "JAX_COMPILATION_CACHE_DIR": "FOLDER",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    },
}
DATA = "simulated,participants=40,minutes=6"
FIRST = re.compile(r"step +1/1 ")


def main_command(main, config, scale, folder, workdir):
  """Arguments of one step of a main, with neither validation nor warm-up."""
  return [
      sys.executable, "-m", f"accfm.{main}",
      f"--config={config}:{scale}", f"--config.data_dir={folder}",
      f"--config.dataset={prepare_config.get_config(DATA).name}",
      "--config.total_steps=1", "--config.warmup_steps=0",
      "--config.validate_every=0", f"--workdir={workdir}",
  ]


def environment(cache, folder):
  """This process's environment, with one way of caching and no other."""
  kept = {
      name: value for name, value in os.environ.items()
      if "COMPILATION_CACHE" not in name and "PERSISTENT_CACHE" not in name
  }
  place = os.path.join(folder, cache.replace(" ", "_"))
  return {**kept, **{
      name: value.replace("FOLDER", place)
      for name, value in CACHES[cache].items()
  }}


def first_step(scale, cache, folder):
  """Seconds from the start of a process until its first loss is printed."""
  with tempfile.TemporaryDirectory() as workdir:
    command = main_command("distill", "acc_distill", scale, folder, workdir)
    command.append(f"--config.teacher={folder}/teacher_{scale}")
    seconds, lines = None, []
    start = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=environment(cache, folder),
    ) as process:
      for line in process.stdout or ():
        if seconds is None and FIRST.search(line):
          seconds = time.perf_counter() - start
        lines.append(line)
  if process.returncode or seconds is None:
    raise RuntimeError(
        f"{' '.join(command)} ended with code {process.returncode}:\n"
        f"{''.join(lines)[-2000:]}"
    )
  return seconds


def importing(module):
  """Seconds of a process that imports a module and ends."""
  start = time.perf_counter()
  subprocess.run(
      [sys.executable, "-c", f"import {module}"], check=True,
      env=environment("no cache", ""),
  )
  return time.perf_counter() - start


def one(module, scale, cache, folder):
  """One process; what it times is another process."""
  if module:
    seconds = importing(module)
  else:
    seconds = first_step(scale, cache, folder)
  peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
  peak /= 2 ** 20 if sys.platform == "darwin" else 2 ** 10  # bytes, KiB
  interleave.emit(seconds, peak_mib=round(peak))


def make(folder):
  """Makes the data and a teacher for each scale, and fills the caches."""
  prepare.run(prepare_config.get_config(DATA), "", folder)
  for scale in SCALES:
    subprocess.run(
        main_command("pretrain", "ppg_contrastive", scale, folder,
                     f"{folder}/teacher_{scale}"),
        check=True, capture_output=True, env=environment("no cache", folder),
    )
    for cache in CACHES:
      first_step(scale, cache, folder)


def programs(folder):
  """Name of what is timed -> arguments of its process."""
  base = [sys.executable, "-m", "benchmarks.startup"]
  steps = {
      f"{scale}, first step, {cache}": [
          *base, f"--scale={scale}", f"--cache={cache}", f"--folder={folder}",
      ] for scale in SCALES[::-1] for cache in CACHES
  }
  return {**steps, **{
      f"import {module}": [*base, f"--module={module}"]
      for module in ("jax", *(f"accfm.{main}" for main in MAINS))
  }}


def saved(result):
  """How much sooner the first step comes with each cache, by medians."""
  seconds = {n: s["median"] for n, s in result["seconds"].items()}
  out = {}
  for scale in SCALES[::-1]:
    cold = seconds[f"{scale}, first step, no cache"]
    for cache in list(CACHES)[1:]:
      warm = seconds[f"{scale}, first step, {cache}"]
      out[f"{scale}: the first step comes sooner with {cache}"] = (
          f"by {cold - warm:.1f} of {cold:.1f} s")
  return out


def main():
  parser = interleave.make_parser(__doc__)
  parser.add_argument("--module", help="one process: what it imports")
  parser.add_argument("--scale", help="one process: of its first step")
  parser.add_argument("--cache", help="of that process")
  parser.add_argument("--folder", help="of that process: data, teachers")
  args = parser.parse_args()
  if args.module or args.scale:
    one(args.module, args.scale, args.cache, args.folder)
    return
  if not args.out:
    parser.error("want --out=PATH")
  with tempfile.TemporaryDirectory() as folder:
    make(folder)
    result = interleave.run(
        programs(folder), args.rounds, args.out,
        "Start-up: imports, and time to the first step",
        interleave.command(
            parser, args, "startup",
            environment=("JAX_PLATFORMS", "XLA_FLAGS"),
        ),
    )
  result["checks"] = saved(result)
  interleave.write(result, args.out)


if __name__ == "__main__":
  main()
