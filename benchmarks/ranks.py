"""Exact ranks: this tree beside an earlier commit's, same data and counts.

  JAX_PLATFORMS=cpu python -m benchmarks.ranks \\
    --out=results/benchmark_ranks --before=6f6e5e7

`accfm.evals.retrieval.ranks.count` multiplies blocks of float64 rows with
NumPy. Up to the commit 6f6e5e7 it ran float32 kernels of JAX and settled the
pairs within rounding error in float64 afterwards. `--before` takes a commit's
`accfm` out of the repository's history and runs it by turns with this one.

Vectors have 256 numbers, and queries are noisy: of 100,000 keys some 500 beat
the right one. "plain" is one search without a control; "full" is what an
evaluation asks for: four masks and a control of 60 numbers. "poor"
embeddings are almost one point, as those of an encoder without training are:
float32 leaves many of their pairs open. Of 100,000 windows 8,000 are queries,
which meet all 100,000 keys; a search of all takes 12.5 times as long.

Expected: 15 minutes on 2 idle cores; 2 GiB.
"""

import dataclasses
import hashlib
import inspect
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time

import numpy as np

from accfm.base.errors import InputError
from benchmarks import interleave

SIZES = {2_400: 2_400, 10_200: 10_200, 100_000: 8_000}  # keys: queries
WARM = 2_000  # queries of the call before the timed one
DIMENSIONS, SECONDS, PER_PERSON = 256, 60, 60
NOISE = 6.0  # SD of a query's difference from its key, whose SD is 1
KINDS = ("plain", "full", "plain, poor", "full, poor")


def draw(kind, keys, queries, seed=0):
  """Arguments of `ranks.count`, but for the masks: the same each time.

  Returns:
    (query [Q, 256], key [K, 256], control or None), float32; control is
    (query [Q, 60], key [K, 60]).
  """
  rng = np.random.default_rng(seed)

  def pair(width):
    key = rng.standard_normal((keys, width), np.float32)
    noise = rng.standard_normal((queries, width), np.float32)
    return key[:queries] + np.float32(NOISE) * noise, key

  query, key = pair(DIMENSIONS)
  if kind.endswith("poor"):
    middle = rng.standard_normal(DIMENSIONS, np.float32)
    query, key = (middle + np.float32(1e-3) * x for x in (query, key))
  return query, key, pair(SECONDS) if kind.startswith("full") else None


def ranges(keys, queries):
  """(keep, drop) [Q, 2] of four masks, as `retrieval.run` asks for them."""
  own = np.arange(queries)
  first = own // PER_PERSON * PER_PERSON
  person = np.stack([first, np.minimum(first + PER_PERSON, keys)], axis=1)
  near = np.stack([own - 5, own + 6], axis=1)
  near = near.clip(person[:, :1], person[:, 1:])
  whole = np.tile([0, keys], (queries, 1))
  return [(whole, 0 * whole), (person, 0 * person), (whole, near),
          (whole, person)]


def make_work(kind, keys, queries):
  """`work() -> list of Counts` of whichever accfm is imported."""
  from accfm.evals.retrieval import nearest, ranks
  query, key, control = draw(kind, keys, queries)
  masks = None
  if kind.startswith("full"):  # `nearest` has a Mask at every commit
    masks = [nearest.Mask(*ends) for ends in ranges(keys, queries)]
  return lambda: ranks.count(query, key, masks, control)


def digest(counts):
  """A text that two lists of Counts share where all counts are equal."""
  found = hashlib.sha256()
  for one in counts:
    for x in dataclasses.astuple(one):
      if x is not None:
        found.update(np.asarray(x, "<i8").tobytes())
  return found.hexdigest()[:16]


def one(sizes):
  """One process: times every kind at every size, keys: queries."""
  from accfm.evals.retrieval import ranks
  seconds, cpu, digests = {}, {}, {}
  for keys, queries in sizes.items():
    for kind in KINDS:
      make_work(kind, keys, min(queries, WARM))()
      work = make_work(kind, keys, queries)
      start, used = time.perf_counter(), time.process_time()
      counts = work()
      name = f"{keys:,} windows, {queries:,} queries: {kind}"
      seconds[name] = time.perf_counter() - start
      cpu[name] = time.process_time() - used
      digests[name] = digest(counts)
  interleave.emit(
      sum(seconds.values()), each=seconds, cpu=cpu, digests=digests,
      lines=len(inspect.getsource(ranks).splitlines()),
  )


def take_out(commit, folder):
  """Puts a commit's accfm beside these benchmarks into a folder."""
  packed = pathlib.Path(folder, "accfm.tar")
  done = subprocess.run(
      ["git", "archive", f"--output={packed}", commit, "accfm"],
      capture_output=True, text=True, check=False,
  )
  if done.returncode:
    raise InputError(
        f"--before: got {commit!r}, which git cannot read here "
        f"({done.stderr.strip()}), want a commit of this repository; run this "
        "in a clone with its history"
    )
  with tarfile.open(packed) as archive:
    archive.extractall(folder, filter="data")
  shutil.copytree(pathlib.Path(__file__).parent, f"{folder}/benchmarks")


def compare(runs):
  """{task: {column of the table: what each round gives}}."""
  runs = sorted(runs, key=lambda r: r["round"])
  names = list(dict.fromkeys(run["name"] for run in runs))
  out = {}
  for task in runs[0]["each"]:
    line = out[task] = {}
    for what, unit in (("each", "s"), ("cpu", "CPU s")):
      columns = [[run[what][task] for run in runs if run["name"] == name]
                 for name in names]
      line |= {f"{n}, {unit}": c for n, c in zip(names, columns, strict=True)}
      if len(columns) > 1:
        line[f"accfm / before, {unit}"] = [
            a / b for a, b in zip(*columns, strict=True)
        ]
  return out


def markdown(result):
  """The comparison as a table with its notes."""
  columns = next(iter(result["compared"].values()))
  lines = [
      f"# {result['title']}", "", f"| what | {' | '.join(columns)} |",
      "|---" * (1 + len(columns)) + "|",
  ]
  for task, line in result["compared"].items():
    cells = [interleave.spread(t) for t in line.values()]
    lines.append(f"| {' | '.join([task, *cells])} |")
  return "\n".join([*lines, *interleave.notes(
      result, "- CPU seconds are those of all threads, which other programs on "
      "the machine change less. `benchmarks/ranks.py` says what is searched.",
  )]) + "\n"


def check(runs):
  """{what: text}: whether all counts are equal, and the modules' lines."""
  found = [run["digests"] for run in runs]
  lines = {run["name"]: run["lines"] for run in runs}
  peaks = {run["name"]: run["peak_mib"] for run in runs}
  return {
      "counts": "equal in all runs" if all(f == found[0] for f in found)
      else "NOT equal in all runs",
      "lines of ranks.py": ", ".join(f"{n} {k}" for n, k in lines.items()),
      "peak MiB": ", ".join(f"{n} {k:,}" for n, k in peaks.items()),
  }


def main():
  parser = interleave.make_parser(__doc__)
  parser.add_argument("--before", help="commit to compare with")
  parser.add_argument("--small", action="store_true", help="2,400 windows only")
  parser.add_argument("--one", action="store_true", help="one process")
  args = parser.parse_args()
  if args.one:
    one({2_400: 2_400} if args.small else SIZES)
    return
  if not args.out:
    parser.error("want --out=PATH")
  own = [sys.executable, "-m", "benchmarks.ranks", "--one",
         *(["--small"] if args.small else [])]
  commands = {"accfm": [*interleave.LAUNCH, *own]}
  with tempfile.TemporaryDirectory() as folder:
    if args.before:
      take_out(args.before, folder)
      commands["before"] = [*interleave.LAUNCH, "env", "-C", folder, *own]
    result = interleave.run(
        commands, args.rounds, args.out,
        "Exact ranks beside those of an earlier commit",
        interleave.command(
            parser, args, "ranks", ("out", "before", "rounds", "small"),
            ("JAX_PLATFORMS",),
        ),
    )
  result["checks"] = check(result["runs"])
  result["compared"] = compare(result["runs"])
  interleave.write(result, args.out, markdown(result))


if __name__ == "__main__":
  main()
