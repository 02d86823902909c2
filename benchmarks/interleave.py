"""Times programs beside each other: A B, B A, A B, each in a process.

A machine's speed drifts while others use it. Programs that take turns meet
the same drift, so the ratio within one round is steadier than either time.
Each program is a process of its own, so that neither threads nor memory of
one reach the other; it does its own warm-up, and prints its time itself.
"""

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

from accfm.base import files
from accfm.base.errors import InputError

# Before a command: the settings that launch/*.sh give a main.
LAUNCH = ("bash", "-c", '. launch/cores.sh && exec "$@"', "bash")


def measure(work, repeats=1):
  """Median seconds of `work()` over `repeats`, after one call unmeasured."""
  work()
  seconds = []
  for _ in range(repeats):
    start = time.perf_counter()
    work()
    seconds.append(time.perf_counter() - start)
  return statistics.median(seconds)


def emit(seconds, **facts):
  """Prints what `run` reads: one JSON line, last on standard output.

  Args:
    seconds: the time measured.
    **facts: anything else to keep: versions, scores, sizes. The process's
      peak memory so far is added, `peak_mib`.
  """
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  peak /= 2 ** 20 if sys.platform == "darwin" else 2 ** 10  # bytes, KiB
  print(json.dumps(
      {"seconds": seconds, "peak_mib": round(peak), **facts}
  ), flush=True)


def emit_each(works, count, repeats, **facts):
  """Measures several works and prints the time of each for one of `count`.

  Args:
    works: name -> `work()`, done for `count` segments at once.
    count: of segments.
    repeats: as `measure`.
    **facts: as `emit`, which also gets `ms`, name -> milliseconds a segment.
  """
  seconds = {name: measure(work, repeats) for name, work in works.items()}
  emit(sum(seconds.values()), ms={
      name: round(1e3 * s / count, 5) for name, s in seconds.items()
  }, **facts)


def run(commands, rounds, out, title, command, checks=None):
  """Runs commands in turn and writes OUT.json and OUT.md.

  Args:
    commands: name -> arguments of a process; its last line on standard
      output is a JSON object with `seconds` and any facts (see `emit`). The
      first is the one that ratios are of.
    rounds: how often each runs; the order turns round each time.
    out: path of the results without suffix.
    title: heading of the results.
    command: how a reader runs this benchmark, kept with the results.
    checks: None, or a function without arguments that is called after all
      rounds and returns {what was checked: result}, plain data.

  Returns:
    What OUT.json holds: `title`, `command`, `machine`, `rounds`, `seconds`
    (name -> median, low, high), `times_as_long` (name -> the same of that
    program's time over the first's within one round), `checks`, `commands`,
    and `runs`, all that each process printed with its round and the load
    average just before it. low and high are the extremes.

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
  pathlib.Path(out).parent.mkdir(parents=True, exist_ok=True)
  files.write_atomic(f"{out}.json", json.dumps(result, indent=1) + "\n")
  files.write_atomic(f"{out}.md", markdown(result))
  return result


def _run_one(name, arguments):
  """What a process printed last, as a dict."""
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
  """An argument without what differs from machine to machine."""
  if argument == sys.executable:
    return "python"
  temporary = re.escape(tempfile.gettempdir())
  return re.sub(rf"{temporary}/[^/]*", "FOLDER", argument)


def _spread(values):
  return {
      "median": statistics.median(values),
      "low": min(values), "high": max(values),
  }


def machine():
  """What the times depend on: processor, cores, system, Python."""
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


def spread(values, digits=2):
  """Text of a median with its extremes."""
  return _text(_spread(values), digits)


def _text(found, digits):
  return (f"{found['median']:.{digits}f} [{found['low']:.{digits}f}, "
          f"{found['high']:.{digits}f}]")


def markdown(result):
  """A result as a table with its machine and command."""
  facts, loads = result["machine"], [r["load_average"] for r in result["runs"]]
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
  lines += [
      "", f"Median and [lowest, highest] of {result['rounds']} rounds in which "
      "the programs take turns, each in a process of its own after its own "
      "warm-up; ratios are taken within a round.", "",
  ]
  lines += [f"- {what}: {value}" for what, value in result["checks"].items()]
  lines += [
      f"- Machine: {facts['cpu']}, {facts['cores']} cores, "
      f"{facts['system']}, Python {facts['python']}; load average "
      f"{min(loads):.1f} to {max(loads):.1f}",
      f"- Command: `{result['command']}`",
  ]
  return "\n".join(lines) + "\n"
