"""Chaos: kills, damages and crowds real commands, and says what was lost.

  python -m benchmarks.chaos --minutes=30 --seed=0 --out=results/chaos

Each scenario disturbs commands on tiny data: it kills them at random moments,
damages or edits their files, starts two at once, takes away the disk, changes
recordings, processes or devices. Then it compares what they leave with what
undisturbed commands gave: the same parameters bit for bit, rows of metrics,
shards and figures; or one clear line that refuses, exit code 2, and nothing
lost. A traceback is always a fault.

`--seed` decides which scenarios come, in which order and what they draw: all
kinds once, then by weight until the minutes are over. `--rounds=1` ends after
all kinds instead. `--numbers=7,12` carries out single ones, and `--kinds=TEXT`
those whose name contains a text. `--tree=PATH` tries another checkout.

`--planted` puts known faults into accfm, one at a time, and proves that the
scenarios find them.

Exit code: 1 if anything was found, or a planted fault was missed; else 0.
Read-only and full disks need root, or mount namespaces for users.
"""

import argparse
import concurrent.futures
import itertools
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import threading
import time

import jax

from accfm.version import __version__
from benchmarks.chaos import (
  cohorts,
  damaged_data,
  damaged_runs,
  kills,
  places,
  planted,
  scenarios,
  table,
  twins,
  world,
)
from benchmarks.chaos.commands import Commands

ROOT = pathlib.Path(__file__).parents[2]
SCENARIOS = (
    *kills.SCENARIOS, *twins.SCENARIOS, *damaged_data.SCENARIOS,
    *damaged_runs.SCENARIOS, *cohorts.SCENARIOS, *places.SCENARIOS,
)


def make_parser() -> argparse.ArgumentParser:
  """The arguments of the command."""
  parser = argparse.ArgumentParser(
      prog="python -m benchmarks.chaos", description=__doc__,
      formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  add = parser.add_argument
  add("--minutes", type=float, default=30.0, help="for how long")
  add("--rounds", type=int, default=0, help="of all kinds, whatever it takes")
  add("--seed", type=int, default=0, help="of all that is drawn")
  add("--numbers", default="", help="only these of the seed, with commas")
  add("--kinds", default="", help="only kinds whose name has this text")
  add("--tree", type=pathlib.Path, default=ROOT, help="the checkout to try")
  add("--jobs", type=int, default=os.cpu_count(), help="scenarios at once")
  add("--planted", action="store_true", help="put known faults into accfm")
  add("--out", type=pathlib.Path, help="write OUT.json and OUT.md")
  add("--scratch", type=pathlib.Path, help="where to work, and to leave it")
  return parser


def choose(args: argparse.Namespace) -> list:
  """The (number, scenario) to carry out; endless where time decides."""
  kinds = [s for s in SCENARIOS if args.kinds in s.name]
  drawn = scenarios.order(kinds, args.seed)
  if args.numbers:
    wanted = {int(n) for n in args.numbers.split(",")}
    return [
        (n, s) for n, s in itertools.islice(drawn, max(wanted) + 1)
        if n in wanted
    ]
  if args.rounds:
    return list(itertools.islice(drawn, args.rounds * len(kinds)))
  return drawn


def carry_out_all(args, place: world.World, folder: pathlib.Path, say) -> list:
  """The results of all scenarios, several at a time, in their order."""
  until = time.monotonic() + 60 * args.minutes
  limited = not args.rounds and not args.numbers
  drawn, lock, results = iter(choose(args)), threading.Lock(), []

  def work():
    while not place.commands.over and (
        not limited or time.monotonic() < until
    ):
      with lock:
        number, scenario = next(drawn, (None, None))
      if scenario is None:
        return
      result = scenarios.carry_out(
          scenario, number, args.seed, place, folder / str(number))
      with lock:
        results.append(result)
        say(describe(result))

  with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
    try:
      for task in [pool.submit(work) for _ in range(args.jobs)]:
        task.result()
    except BaseException:  # Ctrl-C: the pool waits for its threads
      place.commands.kill_all()
      raise
  return sorted(results, key=lambda r: r.number)


def describe(result: scenarios.Result) -> str:
  """A scenario's line."""
  seen = "; ".join(what for _, what in result.found)
  verdict = "FOUND: " + seen if seen else (
      f"not possible: {result.impossible}" if result.impossible else "held"
  )
  return (
      f"{result.number:4d} {result.scenario} ({', '.join(result.notes)}), "
      f"{result.seconds:.0f} s: {verdict}"
  )


def main() -> int:
  """Runs it; returns the exit code."""
  args = make_parser().parse_args()
  jax.config.update("jax_platforms", "cpu")
  # A shell's background job ignores Ctrl-C, and so would all it starts.
  signal.signal(signal.SIGINT, signal.default_int_handler)
  signal.signal(signal.SIGTERM, lambda *unused: sys.exit(143))
  scratch = (args.scratch or pathlib.Path(tempfile.mkdtemp(prefix="chaos-")))
  scratch = scratch.resolve()
  start = time.monotonic()

  def say(text):
    print(f"[{(time.monotonic() - start) / 60:5.1f} min] {text}", flush=True)

  commands = Commands(args.tree.resolve(), scratch)
  try:
    for name in ("world", "cases"):
      shutil.rmtree(scratch / name, ignore_errors=True)
    place = world.make(commands, scratch / "world", args.jobs)
    say("the undisturbed commands are done")
    results, proofs = [], []
    if args.planted:
      proofs = planted.run_all(
          place, SCENARIOS, args.seed, scratch / "cases" / "planted", say)
    else:
      results = carry_out_all(args, place, scratch / "cases", say)
  finally:
    commands.kill_all()  # where this is interrupted, some are running
    if not args.scratch:
      shutil.rmtree(scratch, ignore_errors=True)
  about = {
      "command": " ".join(("python -m benchmarks.chaos", *sys.argv[1:])),
      "seed": args.seed, "version": __version__,
      "minutes": (time.monotonic() - start) / 60,
  }
  summary = table.summarise(
      results, SCENARIOS, scenarios.FAULTS) if results else {}
  found = table.to_json(about, summary, results, proofs)
  if args.out:
    args.out.parent.mkdir(parents=True, exist_ok=True)
    table.write(found, args.out)
  print(table.to_markdown(found))
  return int(table.failed(found))


if __name__ == "__main__":
  sys.exit(main())
