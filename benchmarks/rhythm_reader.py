"""A reader of heart rate trained on planted minutes alone, on real wrists.

  JAX_PLATFORMS=cpu python -m benchmarks.rhythm_reader \\
    --data=DIR --steps=1500 --seeds=1 --out=results/rhythm_reader

A rhythm stem, two Transformer blocks and a linear map to a distribution over
rates learn from planted windows (`accfm.signals.planted`), and never see a
recording. Then they read windows of DIR: `embraceplus/P1`, one night, and
`tfg_e4`, seated people with an E4. Windows last 60 s, one every 30 s, with
labels from beats that cover 80 % (E4: 75 %) of them. Beside it "the median of
all labels" and "each person's own median", which cheat.

The settings were tried on these two recordings, so their figures are those of
development, not of unseen people.

Expected: 25 minutes a seed on 2 idle cores.
"""

import argparse
import json
import os
import pathlib
import platform
import time
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from accfm.base import files
from accfm.configs import prepare
from accfm.data import allowed, staging
from accfm.data.sources import SOURCES
from accfm.models.stems.rhythm import Rhythm
from accfm.models.transformer import Block
from accfm.signals import rates
from accfm.signals.planted import minutes

HR = rates.BINS["hr_bpm"]
WIDTH, TOGETHER, HELD_OUT = 64, 96, 1920
NIGHT = (1_715_319_865, 1_715_346_888)  # of P1


class Reader(nn.Module):
  """[B, T, C] in g -> logits of HR's bins."""

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    y = Rhythm(WIDTH, name="stem")(x)
    y = y + self.param(
        "place", nn.initializers.normal(0.02), (1, *y.shape[1:]))
    for k in range(2):
      y = Block(4, 4 * WIDTH, jnp.float32, name=f"block_{k}")(y)
    y = nn.LayerNorm()(y)
    whole = jnp.concatenate([y[:, 0], y[:, 14], y.mean(1), y.max(1)], -1)
    return nn.Dense(HR.outputs)(nn.Dense(256)(whole))


def planted(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
  """(windows [N, T, C] float16 without their mean, bpm [N], NaN for none)."""
  rng, x, y = np.random.default_rng(seed), [], []
  for first in range(0, count, TOGETHER):
    made = minutes.batch(
        seed, jnp.arange(first, first + TOGETHER),
        jnp.asarray(rng.integers(0, 60, TOGETHER)), minutes=60, ppg=False)
    acc = np.asarray(made["acc"])
    x.append((acc - acc.mean(1, keepdims=True)).astype(np.float16))
    y.append(np.asarray(made["hr_bpm"]))
  return np.concatenate(x), np.concatenate(y)


def real(folder: pathlib.Path, source: str, names: list[str],
         coverage: float) -> dict[str, np.ndarray]:
  """Windows, labels and people of recordings, cut as preparation cuts them."""
  config = prepare.get_config(source).unlock()
  del config.signals["ppg"]
  config.labels.min_coverage = coverage
  rules = staging.Rules(
      contract=allowed.check(config), hop_sec=30.0,
      labels=config.labels.to_dict(), quality=config.quality.to_dict())
  out: dict[str, list] = {"x": [], "y": [], "who": [], "start": []}
  for name in names:
    raw = SOURCES[source].read_recording(folder, name, config.source_cfg)
    arrays, _ = staging.cut_recording(raw, rules)
    if not arrays:
      continue
    known = np.isfinite(arrays["label.hr_bpm"])
    x = arrays["acc.values"][known] * arrays["acc.scale"][known][:, None]
    out["x"].append((x - x.mean(1, keepdims=True)).astype(np.float32))
    out["y"].append(arrays["label.hr_bpm"][known])
    out["start"].append(arrays["start_s"][known])
    out["who"].append(np.full(int(known.sum()), raw.participant))
  return {k: np.concatenate(v) for k, v in out.items()}


def train(seed: int, steps: int, batch: int, x: np.ndarray, y: np.ndarray
          ) -> tuple[Any, Any]:
  """(function that reads, loss at the end)."""
  module = Reader()
  params = jax.jit(module.init)(
      jax.random.key(seed), jnp.zeros((2, *x.shape[1:])))
  tx = optax.adamw(optax.warmup_cosine_decay_schedule(
      0.0, 2e-3, steps // 20 + 1, steps), weight_decay=0.01)
  state = tx.init(params)

  @jax.jit
  def step(params, state, x, y):
    def loss(p):
      want = rates.targets(HR, jnp.nan_to_num(y, nan=60.0), jnp.isnan(y))
      got = jax.nn.log_softmax(module.apply(p, x.astype(jnp.float32)))
      return -(want * got).sum(-1).mean()

    value, grads = jax.value_and_grad(loss)(params)
    updates, state = tx.update(grads, state, params)
    return optax.apply_updates(params, updates), state, value

  rng, losses = np.random.default_rng(seed), []
  for k in range(steps):
    some = rng.integers(HELD_OUT, len(x), batch)
    params, state, value = step(params, state, x[some], y[some])
    losses.append(float(value))
    if (k + 1) % 100 == 0:
      print(f"seed {seed} step {k + 1} loss {np.mean(losses[-100:]):.3f}",
            flush=True)
  read = jax.jit(lambda x: rates.read(HR, jax.nn.softmax(
      module.apply(params, x.astype(jnp.float32)))))
  return read, float(np.mean(losses[-100:]))


def score(got: np.ndarray, want: np.ndarray) -> dict[str, float]:
  """Errors in bpm and shares of windows."""
  off = np.abs(got - want)
  return {"windows": len(want), "median": float(np.median(off)),
          "mean": float(off.mean()), "within_5": float((off <= 5).mean())}


def main() -> None:
  """Trains, reads, writes the table."""
  parser = argparse.ArgumentParser()
  parser.add_argument("--data", required=True)
  parser.add_argument("--out", required=True)
  parser.add_argument("--steps", type=int, default=1500)
  parser.add_argument("--batch", type=int, default=96)
  parser.add_argument("--windows", type=int, default=38_400)
  parser.add_argument("--seeds", type=int, default=1)
  args = parser.parse_args()
  data = pathlib.Path(args.data)
  e4 = sorted(p.name for p in (data / "tfg_e4").iterdir() if p.is_dir())
  sets = {
      "P1, one night, EmbracePlus": real(
          data / "embraceplus", "embraceplus", ["P1"], 0.8),
      "TFG, seated, E4": real(data / "tfg_e4", "e4", e4, 0.75),
  }
  night = sets["P1, one night, EmbracePlus"]
  inside = (night["start"] >= NIGHT[0]) & (night["start"] < NIGHT[1])
  sets["P1, one night, EmbracePlus"] = {k: v[inside] for k, v in night.items()}
  rows: dict[str, list] = {name: [] for name in ("planted", *sets)}
  began = time.monotonic()
  for seed in range(args.seeds):
    x, y = planted(seed, args.windows)
    read, loss = train(seed, args.steps, args.batch, x, y)
    there = np.isfinite(y[:HELD_OUT])
    sets_here = {"planted": {"x": x[:HELD_OUT][there],
                             "y": y[:HELD_OUT][there]}, **sets}
    for name, one in sets_here.items():
      got = np.concatenate([
          np.asarray(read(one["x"][i:i + 64]).value)
          for i in range(0, len(one["x"]), 64)])
      rows[name].append({**score(got, one["y"]), "seed": seed, "loss": loss})
      print(name, rows[name][-1], flush=True)
  cheats = {
      name: {"median of all": score(np.median(one["y"]), one["y"]),
             "each person's own": score(_own(one), one["y"])}
      for name, one in sets.items()
  }
  about = {
      "command": "python -m benchmarks.rhythm_reader --data=DIR "
                 f"--steps={args.steps} --batch={args.batch} "
                 f"--windows={args.windows} --seeds={args.seeds} "
                 f"--out={args.out}",
      "minutes": (time.monotonic() - began) / 60, "cores": os.cpu_count(),
      "machine": platform.machine(), "generator": minutes.VERSION}
  out = pathlib.Path(args.out)
  files.write_atomic(out.with_suffix(".json"), json.dumps(
      {"about": about, "rows": rows, "cheats": cheats}, indent=1))
  files.write_atomic(out.with_suffix(".md"), text(about, rows, cheats))
  print(text(about, rows, cheats))


def _own(one):
  """Each person's own median label, at each window."""
  return np.array([np.median(one["y"][one["who"] == who])
                   for who in one["who"]])


def text(about: dict, rows: dict, cheats: dict) -> str:
  """The table: a line a data set and way."""
  lines = [
      "# Heart rate from acceleration, learned from planted minutes", "",
      f"`{about['command']}`, {about['minutes']:.0f} minutes on "
      f"{about['cores']} cores ({about['machine']}). Single windows of 60 s, "
      "error in bpm; over seeds the mean, and the range in brackets. The "
      "settings were tried on these recordings. Rows of medians know the "
      "labels.", "",
      "| | windows | median | mean | within 5 bpm |", "|---|---|---|---|---|",
  ]
  for name, found in rows.items():
    cells = []
    for key, digits in (("median", 2), ("mean", 2), ("within_5", 3)):
      values = [one[key] for one in found]
      cell = f"{np.mean(values):.{digits}f}"
      if len(values) > 1:
        cell += f" [{min(values):.{digits}f}, {max(values):.{digits}f}]"
      cells.append(cell)
    lines.append(
        f"| {name}: reader | {found[0]['windows']} | " + " | ".join(cells)
        + " |")
    for way, one in cheats.get(name, {}).items():
      lines.append(
          f"| {name}: {way} (cheats) | {one['windows']} | {one['median']:.2f} "
          f"| {one['mean']:.2f} | {one['within_5']:.3f} |")
  return "\n".join([*lines, ""])


if __name__ == "__main__":
  main()
