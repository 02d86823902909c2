"""Ridge probes of fifty targets beside scikit-learn, same choices and results.

  python -m benchmarks.probes --out=results/benchmark_probes

50 targets on 50,000 embeddings of 256 numbers (40,000 to fit, 5,000 to choose
among 13 penalties, 5,000 to test): 20 targets known everywhere, 20 unknown in
a tenth of the fitting rows, 10 unknown in another fifth. The peer is
scikit-learn's multi-output `Ridge`, once for each penalty and each pattern of
unknown labels, with the quicker of its solvers "cholesky" and "svd" (both are
run). All standardise on the fitting rows, choose each target's penalty by the
squared error on the selecting rows, and predict the test rows.

Expected: a quarter of an hour or less on 2 cores, most of it the "svd" rows.
"""

import argparse
import sys
import tempfile
import time

import numpy as np

from accfm.evals import ridge
from benchmarks import interleave

ALPHAS = tuple(float(a) for a in 10.0 ** np.linspace(-2, 4, 13))
FIT, SELECT, TEST = 40_000, 5_000, 5_000
COLUMNS = 256
SOLVERS = ("cholesky", "svd")


def make(seed=0, columns=COLUMNS, sizes=(FIT, SELECT, TEST)):
  """(x float32 [N, D], y [N, 50] with NaN, masks [3, N]): the same each time.

  Embeddings have a spectrum that falls as they do in practice, and targets
  need from a few to all of the directions, so they choose other penalties.
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
  """(predictions [M, K], penalties [K]) by one decomposition a pattern."""
  found = ridge.predict(x, y, *parts, alphas=ALPHAS)
  return found.predicted, found.alpha


def peer(solver, x, y, parts):
  """The same by scikit-learn, multi-output, a fit a penalty and pattern."""
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


def one(name, keep):
  """One process: warms up on few rows, then times the whole task once."""
  work = ours if name == "accfm" else lambda *a: peer(name, *a)
  work(*make(sizes=(2_000, 500, 500)))
  data = make()
  start = time.perf_counter()
  predicted, chosen = work(*data)
  seconds = time.perf_counter() - start
  np.savez(keep, predicted=predicted, chosen=chosen)
  interleave.emit(seconds, penalties=len(set(chosen.tolist())))


def agreement(folder):
  """What the processes left: do they say the same?"""
  found = {n: np.load(f"{folder}/{n}.npz") for n in ("accfm", *SOLVERS)}
  mine, out = found["accfm"], {}
  for name in SOLVERS:
    theirs = found[name]
    far = np.max(np.abs(mine["predicted"] / theirs["predicted"] - 1))
    same = int(np.sum(mine["chosen"] == theirs["chosen"]))
    out[f"chosen penalties equal to {name}"] = f"{same} of 50"
    out[f"largest relative difference from {name}"] = f"{far:.1e}"
  counts = np.unique(mine["chosen"], return_counts=True)
  out["penalties chosen"] = ", ".join(
      f"{a:.3g} ({n})" for a, n in zip(*counts, strict=True))
  return out


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--out", help="path of the results without suffix")
  parser.add_argument("--rounds", type=int, default=5)
  parser.add_argument("--one", help="accfm, cholesky or svd: one process")
  parser.add_argument("--keep", help="file for that process's predictions")
  args = parser.parse_args()
  if args.one:
    one(args.one, args.keep)
    return
  if not args.out:
    parser.error("want --out=PATH")
  with tempfile.TemporaryDirectory() as folder:
    commands = {
        title: [sys.executable, "-m", "benchmarks.probes", f"--one={name}",
                f"--keep={folder}/{name}.npz"]
        for title, name in (
            ("accfm", "accfm"),
            ("scikit-learn Ridge, cholesky", "cholesky"),
            ("scikit-learn Ridge, svd", "svd"),
        )
    }
    interleave.run(
        commands, args.rounds, args.out,
        "Ridge probes: 50 targets, 13 penalties, 50,000 x 256",
        f"python -m benchmarks.probes --out={args.out}"
        + (f" --rounds={args.rounds}" if args.rounds != 5 else ""),
        lambda: agreement(folder),
    )


if __name__ == "__main__":
  main()
