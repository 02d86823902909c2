"""Ridge probes of fifty targets beside scikit-learn, same choices and results.

  python -m benchmarks.probes --out=results/benchmark_probes

There are 50 targets on 50,000 embeddings of 256 numbers: 40,000 rows to fit,
5,000 to choose among 13 penalties, 5,000 to test. 20 targets are known
everywhere, 20 are unknown in a tenth of the fitting rows, and 10 in another
fifth. The peer is scikit-learn's multi-output `Ridge`, once for each penalty
and each pattern of unknown labels, by the quicker of its solvers "cholesky"
and "svd": each peer process tries both on one penalty before its time is
taken. Both programs standardise on the fitting rows, choose each target's
penalty by the squared error on the selecting rows, and predict the test rows.
Linear algebra has one thread in each process (`--threads`): on a busy machine
more threads wait for one another, which would say nothing about the programs.

Expected: two minutes on a free core.
"""

import functools
import sys
import tempfile
import time

import numpy as np
import threadpoolctl

from accfm.evals.probes import ridge
from benchmarks import interleave

ALPHAS = tuple(float(a) for a in 10.0 ** np.linspace(-2, 4, 13))
FIT, SELECT, TEST = 40_000, 5_000, 5_000
COLUMNS = 256
SOLVERS = ("cholesky", "svd")


def make(seed=0, columns=COLUMNS, sizes=(FIT, SELECT, TEST)):
  """(x float32 [N, D], y [N, 50] with NaN, masks [3, N]): the same each time.

  The spectrum of the embeddings falls as it does in practice. Targets depend
  on a few or on all directions, so that they choose different penalties.
  """
  rng = np.random.default_rng(seed)
  rows = sum(sizes)
  turn = np.linalg.qr(rng.normal(size=(columns, columns)))[0]
  latent = rng.normal(size=(rows, columns)) / np.arange(1, columns + 1)
  x = (5 + latent @ turn).astype(np.float32)
  weights = rng.normal(size=(columns, 50))
  weights *= np.arange(1, columns + 1)[:, None] ** rng.uniform(0, 1.5, 50)
  signal = latent @ weights
  noise = rng.uniform(0.3, 30, 50) * signal.std(axis=0)
  y = 70 + signal + noise * rng.normal(size=signal.shape)
  y[:sizes[0]][rng.random(sizes[0]) < 0.1, 20:40] = np.nan
  y[:sizes[0]][rng.random(sizes[0]) < 0.2, 40:] = np.nan
  part = np.repeat(np.arange(3), sizes)
  return x, y, [part == k for k in range(3)]


def ours(x, y, parts):
  """(predictions [M, K], penalties [K]), by one decomposition a pattern."""
  found = ridge.predict(x, y, *parts, alphas=ALPHAS)
  return found.predicted, found.alpha


def peer(solver, x, y, parts):
  """The same by scikit-learn, with one fit for each penalty and pattern."""
  from sklearn.linear_model import Ridge
  from sklearn.preprocessing import StandardScaler
  fit, select, test = parts
  predicted = np.full((test.sum(), y.shape[1]), np.nan)
  chosen = np.full(y.shape[1], np.nan)
  y_fit, y_select = y[fit], y[select]
  x_fit = x[fit].astype(np.float64)
  for mask, members in ridge.patterns(np.isfinite(y_fit)):
    scaler = StandardScaler().fit(x_fit[mask])
    z = scaler.transform(x_fit[mask])
    z_select, z_test = (
        scaler.transform(x[p].astype(np.float64)) for p in (select, test))
    best = np.full(len(members), np.inf)
    for alpha in ALPHAS:
      model = Ridge(alpha=alpha, solver=solver, copy_X=False)
      model.fit(z, y_fit[mask][:, members])
      miss = model.predict(z_select) - y_select[:, members]
      error = np.mean(miss ** 2, axis=0)
      better = error < best
      best = np.where(better, error, best)
      chosen[members[better]] = alpha
      predicted[:, members[better]] = model.predict(z_test)[:, better]
  return predicted, chosen


def quicker(x, y, parts):
  """The solver that fits one penalty faster, and the seconds of both."""
  from sklearn.linear_model import Ridge
  rows = parts[0] & np.isfinite(y).all(axis=1)
  z, seconds = x[rows].astype(np.float64), {}
  for solver in SOLVERS:
    start = time.perf_counter()
    Ridge(solver=solver).fit(z, y[rows])
    seconds[solver] = round(time.perf_counter() - start, 3)
  return min(SOLVERS, key=lambda solver: seconds[solver]), seconds


def one(name, keep):
  """One process: warms up on few rows, then times the whole task once."""
  small, data = make(sizes=(2_000, 500, 500)), make()
  facts, work = {}, ours
  if name == "peer":
    solver, seconds = quicker(*data)
    facts = {"solver": solver, "seconds_of_one_penalty": seconds}
    work = functools.partial(peer, solver)
  work(*small)
  start = time.perf_counter()
  predicted, chosen = work(*data)
  seconds = time.perf_counter() - start
  np.savez(keep, predicted=predicted, chosen=chosen)
  interleave.emit(seconds, **facts)


def agreement(folder):
  """How far the last processes of both programs agree."""
  mine, theirs = (np.load(f"{folder}/{n}.npz") for n in ("accfm", "peer"))
  far = np.max(np.abs(mine["predicted"] / theirs["predicted"] - 1))
  counts = np.unique(mine["chosen"], return_counts=True)
  return {
      "targets with the same penalty chosen":
          f"{np.sum(mine['chosen'] == theirs['chosen'])} of 50",
      "largest relative difference of a prediction": f"{far:.1e}",
      "penalties chosen (targets)": ", ".join(
          f"{a:.3g} ({n})" for a, n in zip(*counts, strict=True)),
  }


def main():
  parser = interleave.make_parser(__doc__)
  parser.add_argument("--one", choices=("accfm", "peer"), help="one process")
  parser.add_argument("--threads", type=int, default=1)
  parser.add_argument("--keep", help="file for that process's predictions")
  args = parser.parse_args()
  if args.one:
    with threadpoolctl.threadpool_limits(args.threads):
      one(args.one, args.keep)
    return
  if not args.out:
    parser.error("want --out=PATH")
  with tempfile.TemporaryDirectory() as folder:
    commands = {
        title: [sys.executable, "-m", "benchmarks.probes", f"--one={name}",
                f"--threads={args.threads}", f"--keep={folder}/{name}.npz"]
        for title, name in (
            ("accfm", "accfm"), ("scikit-learn Ridge", "peer"),
        )
    }
    interleave.run(
        commands, args.rounds, args.out,
        "Ridge probes: 50 targets, 13 penalties, 50,000 x 256",
        interleave.command(
            parser, args, "probes", ("out", "rounds", "threads")),
        lambda: agreement(folder),
    )


if __name__ == "__main__":
  main()
