"""Exact nearest neighbours beside faiss: 10,000 queries, 50,000 keys.

  pip install '.[bench]'
  python -m benchmarks.retrieval --out=results/benchmark_retrieval

The task is the top 10 of inner products of 256 dimensions, by
`accfm.evals.retrieval.nearest.top_k` and by faiss-cpu's `IndexFlatIP.search`,
both with all cores and in float32. Vectors are unit rows; each query is a key
with noise, so that a few keys are near and most are not. Ours is timed from
NumPy to NumPy; the index of faiss is built before its time is taken.

Expected: a minute on 2 cores; 1 GiB.
"""

import pathlib
import sys
import tempfile

import numpy as np

from benchmarks import interleave

QUERIES, KEYS, DIMENSIONS, K = 10_000, 50_000, 256, 10


def draw(queries=QUERIES, keys=KEYS, dimensions=DIMENSIONS, seed=0):
  """Unit rows: queries [Q, D] and keys [K, D], float32."""
  rng = np.random.default_rng(seed)
  key = rng.standard_normal((keys, dimensions), np.float32)
  query = key[rng.integers(0, keys, queries)]
  query = query + rng.standard_normal(query.shape, np.float32)
  return tuple(
      x / np.linalg.norm(x, axis=1, keepdims=True) for x in (query, key)
  )


def accfm(query, key):
  """`search() -> (scores, indices)` and facts of ours."""
  import jax

  from accfm.evals.retrieval import nearest
  return lambda: nearest.top_k(query, key, K), {
      "jax": jax.__version__, "device": jax.devices()[0].device_kind,
  }


def faiss(query, key):
  """The same of faiss."""
  import faiss as peer
  index = peer.IndexFlatIP(key.shape[1])
  index.add(key)
  return lambda: index.search(query, K), {
      "faiss": peer.__version__, "threads": peer.omp_get_max_threads(),
  }


PROGRAMS = {"accfm": accfm, "faiss": faiss}


def one(program, found):
  """Times one program, prints the result, leaves its answer in a file."""
  search, facts = PROGRAMS[program](*draw())
  last = []
  seconds = interleave.measure(lambda: last.append(search()))
  scores, indices = last[-1]
  np.savez(found, scores=scores, indices=indices)
  interleave.emit(seconds, **facts)


def compare(ours, theirs, query, key):
  """How far two answers (scores [Q, K], indices [Q, K]) agree.

  Returns:
    {what: result}: the shares of equal indices and of equal sets of them,
    and the largest difference in true similarity (float64) between the two
    answers at the same place: what rounding can swap.
  """
  a, b = ours[1], theirs[1]
  line, place = np.nonzero(a != b)
  near = [
      np.einsum("md,md->m", query[line].astype(np.float64),
                key[x[line, place]].astype(np.float64))
      for x in (a, b)
  ]
  sets = np.sort(a, axis=1) == np.sort(b, axis=1)
  return {
      "share of equal indices": float(np.mean(a == b)),
      "share of queries with the same keys": float(sets.all(axis=1).mean()),
      "pairs of keys swapped": len(line),
      "largest true difference of swapped keys":
          float(np.abs(near[0] - near[1]).max(initial=0)),
      "largest difference of scores": float(np.abs(ours[0] - theirs[0]).max()),
  }


def agreement(folder):
  """`compare` of the answers that the processes left."""
  answers = []
  for program in PROGRAMS:
    with np.load(f"{folder}/{program}.npz") as got:
      answers.append((got["scores"], got["indices"]))
  return compare(*answers, *draw())


def main():
  parser = interleave.make_parser(__doc__, rounds=7)
  parser.add_argument("--one", choices=PROGRAMS, help="one process")
  parser.add_argument("--found", help="file for that process's answer")
  args = parser.parse_args()
  if args.one:
    one(args.one, args.found)
    return
  if not args.out:
    parser.error("want --out=PATH")
  results = pathlib.Path(args.out).parent
  results.mkdir(parents=True, exist_ok=True)
  with tempfile.TemporaryDirectory(dir=results) as folder:
    interleave.run(
        {
            name: [sys.executable, "-m", "benchmarks.retrieval",
                   f"--one={name}", f"--found={folder}/{name}.npz"]
            for name in PROGRAMS
        }, args.rounds, args.out,
        f"Top {K} of {KEYS:,} keys for {QUERIES:,} queries of {DIMENSIONS} "
        "dimensions",
        interleave.command(parser, args, "retrieval"),
        lambda: agreement(folder),
    )


if __name__ == "__main__":
  main()
