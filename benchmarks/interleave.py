"""Times programs beside each other: A B, B A, A B, each in a process.

A machine's speed drifts while others use it. Programs that take turns meet
the same drift, so the ratio within one round is steadier than either time.
Each program is a process of its own, so that it shares neither threads nor
memory with the others. It warms up and prints its time itself.
"""

import argparse
import json
import os
import pathlib
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from accfm.base import files
from accfm.base.errors import InputError

# Goes before a command: the settings that launch/*.sh give to a main.
LAUNCH = ("bash", "-c", '. launch/cores.sh && exec "$@"', "bash")


def make_parser(doc: str | None, rounds: int = 5) -> argparse.ArgumentParser:
  """The arguments that benchmarks share: --out and --rounds.

  Args:
    doc: the benchmark's docstring; `--help` shows its first line.
    rounds: how often each program runs by default.
  """
  parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
  parser.add_argument("--out", help="path of the results without suffix")
  parser.add_argument("--rounds", type=int, default=rounds)
  return parser


def command(
    parser: argparse.ArgumentParser, args: argparse.Namespace, module: str,
    names: Iterable[str] = ("out", "rounds"), environment: Iterable[str] = (),
) -> str:
  """How a reader runs a benchmark again.

  Args:
    parser, args: its parser, and what that read.
    module: name of the benchmark.
    names: arguments to name where they are not the default.
    environment: variables to name where they are set.
  """
  words = [f"{n}={os.environ[n]}" for n in environment if n in os.environ]
  words += ["python", "-m", f"benchmarks.{module}"]
  for name in names:
    value = getattr(args, name)
    if value != parser.get_default(name):
      words.append(f"--{name}" if value is True else f"--{name}={value}")
  return " ".join(words)


def measure(work: Callable[[], Any], repeats: int = 1) -> float:
  """Median seconds of `work()` over `repeats`, after one untimed call."""
  work()
  seconds = []
  for _ in range(repeats):
    start = time.perf_counter()
    work()
    seconds.append(time.perf_counter() - start)
  return statistics.median(seconds)


def emit(seconds: float, **facts: Any) -> None:
  """Prints what `run` reads: one line of JSON, the last on standard output.

  Args:
    seconds: the measured time.
    **facts: anything else to keep: versions, scores, sizes. `peak_mib`, the
      peak memory of the process so far, is added.
  """
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  peak /= 2 ** 20 if sys.platform == "darwin" else 2 ** 10  # bytes, KiB
  print(json.dumps(
      {"seconds": seconds, "peak_mib": round(peak), **facts}
  ), flush=True)


def emit_each(
    works: Mapping[str, Callable[[], Any]], count: int, repeats: int,
    **facts: Any,
) -> None:
  """Measures several works and prints the time of each per segment.

  Args:
    works: name -> `work()`, which handles `count` segments at once.
    count: number of segments.
    repeats: as `measure`.
    **facts: as `emit`, which also gets `ms`, name -> milliseconds per
      segment.
  """
  seconds = {name: measure(work, repeats) for name, work in works.items()}
  emit(sum(seconds.values()), ms={
      name: round(1e3 * s / count, 5) for name, s in seconds.items()
  }, **facts)


def run(
    commands: Mapping[str, Sequence[str]], rounds: int, out: str, title: str,
    command: str, checks: Callable[[], dict[str, Any]] | None = None,
) -> dict[str, Any]:
  """Runs commands in turn and writes OUT.json and OUT.md.

  Args:
    commands: name -> arguments of a process. The last line that it prints
      is a JSON object with `seconds` and any facts (see `emit`). Ratios are
      relative to the first command.
    rounds: how often each command runs; every round reverses the order.
    out: path of the results without suffix.
    title: heading of the results.
    command: how a reader runs this benchmark, kept with the results.
    checks: None, or a function that is called after all rounds and returns
      {what was checked: result}, plain data.

  Returns:
    What OUT.json holds: `title`, `command`, `machine`, `rounds`, `seconds`
    (name -> median, low, high), `times_as_long` (name -> the same of the
    program's time divided by the first's in the same round), `checks`,
    `commands`, and `runs`: all that each process printed, with its round and
    the load average just before it. low and high are the extremes.

  Raises:
    InputError: no commands, or no rounds.
    RuntimeError: a process failed, or did not print its time.
  """
  if not commands or rounds < 1:
    raise InputError(
        f"benchmark: got {len(commands)} commands and {rounds} rounds, want "
        "at least 1 of each"
    )
  order, runs = list(commands), []
  for number in range(rounds):
    for name in order[:: -1 if number % 2 else 1]:
      load = os.getloadavg()[0]
      runs.append({
          "round": number, "name": name, "load_average": round(load, 2),
          **_run_one(name, commands[name]),
      })
      print(f"round {number + 1} of {rounds}: {name} "
            f"{runs[-1]['seconds']:.3f} s", flush=True)
  times = {
      name: [r["seconds"] for r in runs if r["name"] == name]
      for name in order  # each in the order of rounds
  }
  first = times[order[0]]
  result = {
      "title": title, "command": command, "machine": machine(),
      "rounds": rounds,
      "seconds": {name: _spread(t) for name, t in times.items()},
      "times_as_long": {
          name: _spread([b / a for a, b in zip(first, times[name],
                                               strict=True)])
          for name in order[1:]
      },
      "checks": checks() if checks else {},
      "commands": {
          name: [_portable(x) for x in arguments]
          for name, arguments in commands.items()
      },
      "runs": runs,
  }
  write(result, out)
  return result


def write(result: dict[str, Any], out: str, page: str = "") -> None:
  """Writes OUT.json and OUT.md.

  Args:
    result: what `run` returned, perhaps changed since.
    out: path of the results without suffix.
    page: the text of OUT.md; by default `markdown(result)`.
  """
  pathlib.Path(out).parent.mkdir(parents=True, exist_ok=True)
  files.write_atomic(f"{out}.json", json.dumps(result, indent=1) + "\n")
  files.write_atomic(f"{out}.md", page or markdown(result))


def _run_one(name, arguments):
  """The last line that a process printed, as a dict."""
  done = subprocess.run(
      arguments, capture_output=True, text=True, check=False
  )
  if done.returncode:
    raise RuntimeError(
        f"{name} ended with code {done.returncode}:\n{done.stderr[-2000:]}"
    )
  line = (done.stdout.strip().splitlines() or [""])[-1]
  try:
    return {**(found := json.loads(line)), "seconds": float(found["seconds"])}
  except (ValueError, TypeError, KeyError) as error:
    raise RuntimeError(
        f"{name}: the last line printed is {line[:200]!r}, want a JSON "
        "object with `seconds`"
    ) from error


def _portable(argument):
  """An argument without the parts that differ from machine to machine."""
  if argument == sys.executable:
    return "python"
  temporary = re.escape(tempfile.gettempdir())
  return re.sub(rf"{temporary}/[^/]*", "FOLDER", argument)


def _spread(values):
  return {
      "median": statistics.median(values),
      "low": min(values), "high": max(values),
  }


def machine() -> dict[str, Any]:
  """What times depend on: processor, cores, system, Python."""
  model = platform.processor()
  try:
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
      if line.startswith("model name"):
        model = line.split(":", 1)[1].strip()
        break
  except OSError:
    pass  # no such file outside Linux
  cores = os.cpu_count()
  if hasattr(os, "sched_getaffinity"):
    cores = len(os.sched_getaffinity(0))
  return {
      "cpu": model, "cores": cores,
      "system": f"{platform.system()} {platform.machine()}",
      "python": platform.python_version(),
  }


def spread(values: Sequence[float], digits: int = 2) -> str:
  """The text of a median with its extremes."""
  return _text(_spread(values), digits)


def _text(found, digits):
  return (f"{found['median']:.{digits}f} [{found['low']:.{digits}f}, "
          f"{found['high']:.{digits}f}]")


def notes(result: Mapping[str, Any], *more: str) -> list[str]:
  """The lines below a table: how times were taken, checks, machine, command.

  Args:
    result: what `run` returned.
    *more: further lines, between the checks and the machine.
  """
  facts, loads = result["machine"], [r["load_average"] for r in result["runs"]]
  return [
      "", f"Median and [lowest, highest] of {result['rounds']} rounds in which "
      "the programs take turns, each in a process of its own after its own "
      "warm-up; ratios are taken within a round.", "",
      *(f"- {what}: {value}" for what, value in result["checks"].items()),
      *more,
      f"- Machine: {facts['cpu']}, {facts['cores']} cores, "
      f"{facts['system']}, Python {facts['python']}; load average "
      f"{min(loads):.1f} to {max(loads):.1f}",
      f"- Command: `{result['command']}`",
  ]


def markdown(result: Mapping[str, Any]) -> str:
  """A result as a table with its notes."""
  peaks = {r["name"]: r.get("peak_mib") for r in result["runs"]}
  first = next(iter(result["seconds"]))
  lines = [
      f"# {result['title']}", "",
      f"| program | seconds | times as long as {first} | peak MiB |",
      "|---|---|---|---|",
  ]
  for name, spread in result["seconds"].items():
    ratio = result["times_as_long"].get(name)
    peak = "\u2013" if peaks[name] is None else f"{peaks[name]}"
    lines.append(
        f"| {name} | {_text(spread, 3)} | "
        f"{_text(ratio, 2) if ratio else '1'} | {peak} |"
    )
  return "\n".join([*lines, *notes(result)]) + "\n"
