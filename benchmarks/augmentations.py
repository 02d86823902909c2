"""Augmentations beside braindecode and tsaug, and their share of a step.

  python -m benchmarks.augmentations --out=results/benchmark_augmentations \\
    --peers_python=peers/bin/python

Times are milliseconds per segment of 60 s of three-axis acceleration, in
batches of 64, where every operation changes every segment. Ours are compiled
for the CPU with one XLA device, braindecode's are batched in torch with as
many threads as there are cores, tsaug's run in NumPy. Only operations with a
counterpart are timed (benchmarks/peers/augmentations.py says how alike they
are); rotation, shift and jitter in time have none.

Then one process takes the distillation step of benchmarks/step.py (`vit_s`,
batch 32, float32) by turns with and without the augmentation of both signals
that `acc_distill` asks for. This gives the share of the augmented step that
is augmentation; at most 0.05 is wanted.

Expected: 5 minutes on 2 idle cores. On busy cores set OMP_WAIT_POLICY=PASSIVE:
otherwise torch's threads spin while they wait for one another.
"""

import json
import os
import statistics
import sys
import time

from benchmarks import interleave, others, step

SIZES = {
    "batch": 64, "samples": 3840, "channels": 3, "cutout_share": 0.2,
    "knots": 8,
}
OPERATIONS = ("noise", "cutout", "permute_channels", "scale",
              "magnitude_warp", "time_warp")
PACKAGES = dict(torch="torch", braindecode="braindecode", tsaug="tsaug",
                absl="absl-py")
PEERS = ("braindecode", "tsaug")


def ours(sizes):
  """({operation: work()}, facts) on an array [B, T, C] on the device."""
  import jax
  import jax.numpy as jnp

  from accfm.signals import augment
  shape = (sizes["batch"], sizes["samples"], sizes["channels"])
  x = jax.random.normal(jax.random.key(0), shape)
  rows, works = jnp.arange(sizes["batch"]), {}
  for name in OPERATIONS:
    apply = jax.jit(augment.make_augment({
        name: {**augment.PRESETS["ppg"][name], "prob": 1.0}
    }))
    works[name] = lambda f=apply: f(
        jax.random.key(1), x, rows
    ).block_until_ready()
  return works, {"jax": jax.__version__}


def one(way, args):
  """One process of ours: the operations, or both steps."""
  if way == "operations":
    works, facts = ours(SIZES)
    interleave.emit_each(works, SIZES["batch"], 5, **facts)
  else:
    steps_in_turn(args)


def steps_in_turn(args):
  """Times the step with augmentation and without, by turns."""
  import jax
  programs, seconds = {}, {}
  for way in ("augmented", "plain"):
    config = step.make_config(
        "distill", args.scale, args.batch, way == "augmented"
    )
    programs[way] = step.make_step("distill", config)
  for number in range(args.steps + 2):
    for way, (run, (state, *rest)) in programs.items():
      start = time.perf_counter()
      state, _ = jax.block_until_ready(run(state, *rest))
      if number >= 2:  # both have compiled, and their memory is there
        seconds.setdefault(way, []).append(time.perf_counter() - start)
      programs[way] = run, (state, *rest)
  interleave.emit(
      statistics.median(seconds["augmented"]), each=seconds,
      jax=jax.__version__, devices=jax.device_count(),
  )


def commands(args):
  """name -> arguments of its process."""
  flag = "XLA_FLAGS=--xla_force_host_platform_device_count={}"

  def mine(way, devices):
    return [
        "env", "JAX_PLATFORMS=cpu", flag.format(devices), *interleave.LAUNCH,
        sys.executable, "-m", "benchmarks.augmentations", f"--one={way}",
        f"--scale={args.scale}", f"--batch={args.batch}",
        f"--steps={args.steps}",
    ]

  given = json.dumps({**SIZES, "threads": os.cpu_count()})
  return {
      "accfm": mine("operations", 1),
      **{
          name: [*interleave.LAUNCH, args.peers_python, "-m",
                 "benchmarks.peers.augmentations", f"--package={name}",
                 f"--sizes={given}"] for name in PEERS
      },
      "steps": mine("steps", os.cpu_count()),
  }


def compare(runs):
  """What the runs of `interleave.run` say, as plain data.

  Returns:
    {"operations": {operation: {package: {"ms": [per round], "times as long":
    [per round]}}}, "share of the step": [per round]}.
  """
  of = {}
  for run in sorted(runs, key=lambda r: r["round"]):
    of.setdefault(run["name"], []).append(run)
  operations = {}
  for name in OPERATIONS:
    line = operations[name] = {}
    for package in ("accfm", *PEERS):
      if name in of[package][0]["ms"]:
        ms = [run["ms"][name] for run in of[package]]
        base = [run["ms"][name] for run in of["accfm"]]
        line[package] = {"ms": ms, "times as long": [
            b / a for a, b in zip(base, ms, strict=True)
        ]}
  shares = [
      1 - statistics.median(run["each"]["plain"]) / run["seconds"]
      for run in of["steps"]
  ]
  return {"operations": operations, "share of the step": shares}


def markdown(result):
  """The comparison as a table with its notes."""
  found = result["compared"]
  lines = [
      f"# {result['title']}", "",
      "| operation | " + " | ".join(
          f"{p}, ms per segment" + (" (times as long)" if p in PEERS else "")
          for p in ("accfm", *PEERS)) + " |",
      "|---|---|---|---|",
  ]
  for name, line in found["operations"].items():
    cells = [interleave.spread(line["accfm"]["ms"], 3)]
    for package in PEERS:
      at = line.get(package)
      cells.append("\u2013" if at is None else (
          f"{statistics.median(at['ms']):.3f} "
          f"({interleave.spread(at['times as long'], 1)})"))
    lines.append(f"| {name} | " + " | ".join(cells) + " |")
  return "\n".join([*lines, *interleave.notes(
      result, "- augmentation's share of an augmented distillation step "
      f"(vit_s, float32): {interleave.spread(found['share of the step'], 3)} "
      "(wanted: 0.05)",
  )]) + "\n"


def main():
  parser = interleave.make_parser(__doc__)
  parser.add_argument("--peers_python", default=sys.executable)
  parser.add_argument("--scale", default="paper", help="of the step")
  parser.add_argument("--batch", type=int, default=32, help="of the step")
  parser.add_argument("--steps", type=int, default=5, help="timed, a process")
  parser.add_argument("--one", choices=("operations", "steps"),
                      help="one process of ours")
  args = parser.parse_args()
  if args.one:
    one(args.one, args)
    return
  if not args.out:
    parser.error("want --out=PATH")
  others.check(args.peers_python, PACKAGES)
  result = interleave.run(
      commands(args), args.rounds, args.out,
      f"Augmentations beside braindecode and tsaug, {SIZES['batch']} segments",
      others.command(parser, args, "augmentations",
                     ("out", "rounds", "scale", "batch", "steps")),
  )
  # The programs do different work: their times cannot be compared.
  del result["seconds"], result["times_as_long"]
  result["compared"] = compare(result["runs"])
  interleave.write(result, args.out, markdown(result))


if __name__ == "__main__":
  main()
