"""The training step beside PyTorch's: same sizes, batch and type.

  python -m benchmarks.step --task=distill --out=results/benchmark_distill \\
    --peers_python=peers/bin/python
  python -m benchmarks.step --task=mae --out=results/benchmark_mae \\
    --peers_python=peers/bin/python

`distill` is the paper's student (8 layers of width 256 over 192 patches of
three-axis acceleration) beside its frozen teacher of four PPG channels, with
two heads and InfoNCE. `mae` masks 0.8 of the patches of PPG and predicts them
with a decoder of 2 layers of width 128. Both have batch 32, float32, AdamW
with clipping, and no augmentation; segments lie on the device as int16 and
are normalised in the step.

Ours is the step that `accfm.distill` and `accfm.pretrain` run, with one XLA
device for all cores and with one for each core. The peers are a ViT of timm's
blocks, eager and compiled, with open_clip's loss, and vit-pytorch's MAE
(benchmarks/peers/step.py says how it is adapted). All run under
launch/cores.sh, so that memory stays with each process, with as many threads
as there are cores. A process compiles, takes two steps, and then prints the
median of `--steps` more.

Expected: 6 minutes for `distill` and 4 for `mae` on 2 idle cores; two of them
are the first compilation of PyTorch's programs. On busy cores set
OMP_WAIT_POLICY=PASSIVE: otherwise PyTorch's threads spin while they wait for
one another, and a step takes twenty times as long.
"""

import json
import os
import statistics
import sys
import time

from accfm.base.errors import InputError
from benchmarks import interleave, others

CHANNELS = {"distill": ("acc", "ppg"), "mae": ("ppg",)}
PACKAGES = {
    "distill": dict(torch="torch", timm="timm", open_clip="open_clip_torch",
                    absl="absl-py"),
    "mae": dict(torch="torch", timm="timm", vit_pytorch="vit-pytorch",
                absl="absl-py"),
}
PEERS = {  # name -> (tasks that it does, arguments)
    "timm": (("distill", "mae"), ["--program=timm"]),
    "timm compiled": (("distill", "mae"), ["--program=timm", "--compile"]),
    "vit-pytorch": (("mae",), ["--program=vit-pytorch"]),
    "vit-pytorch compiled": (("mae",), ["--program=vit-pytorch", "--compile"]),
}
ALIKE = 0.02  # how far products may differ, and sizes where layers differ


def make_config(task, scale, batch, augmented=False):
  """The config of a task: float32 in plain blocks, for a CPU."""
  from accfm.configs import acc_distill, ppg_mae
  from accfm.signals import augment
  config = {"distill": acc_distill, "mae": ppg_mae}[task].get_config(scale)
  with config.unlocked():
    config.batch_size = batch
    encoders = [config.encoder]
    if task == "distill":
      encoders.append(config.teacher_encoder)
      if not augmented:
        config.augment.student = config.augment.teacher = augment.off()
    for encoder in encoders:
      encoder.update(dtype="float32", block="plain")
  return config


def sizes(task, config):
  """What a peer has to know of a config, as plain values."""
  from accfm.plans import aot
  encoder = config.encoder
  out = {
      "batch": config.batch_size, "samples": aot.CONTRACT.length("acc"),
      "channels": {
          name: aot.CONTRACT.signals[name].channels for name in CHANNELS[task]
      },
      **{name: encoder[name] for name in (
          "patch", "width", "depth", "heads", "mlp_width")},
      **{name: config[name] for name in ("weight_decay", "lr", "clip_norm")},
  }
  if task == "distill":
    return {
        **out, "temperature": config.temperature,
        "head_hidden": config.head.hidden, "head_out": config.head.out,
    }
  return {
      **out, "mask_ratio": config.mask_ratio,
      "decoder": {name: config.decoder[name] for name in (
          "width", "depth", "heads", "mlp_width")},
  }


def make_step(task, config):
  """(step, arguments): the step of training, and what it is called with."""
  import jax
  import numpy as np

  from accfm.base import mesh as meshlib
  from accfm.plans import aot
  from accfm.steps import distill, mae, nets
  from accfm.steps import state as statelib
  from accfm.steps.given import Given, Start
  from accfm.train import fit
  contract, rng = aot.CONTRACT, np.random.default_rng(0)
  if task == "distill":
    teacher = nets.init_encoder(
        nets.encoder(config.teacher_encoder), 1, "teacher", contract, "ppg"
    )
    objective = distill.make_objective(config, Given(
        contract, Start("ppg", config.teacher_encoder, teacher)
    ))
  else:
    objective = mae.make_objective(config, Given(contract))
  mesh = meshlib.make_mesh()
  batch = {}
  for name in CHANNELS[task]:
    shape = (config.batch_size, contract.length(name),
             contract.signals[name].channels)
    batch[name] = rng.integers(-20_000, 20_000, shape, np.int16)
    batch[f"{name}_scale"] = np.full((shape[0], shape[2]), 1e-4, np.float32)
  batch["row"] = np.arange(config.batch_size, dtype=np.int32)
  step, tx, _ = fit.make_step(config, objective, ("one",), mesh)
  state = meshlib.put_replicated(statelib.create(objective, tx), mesh)
  frozen = meshlib.put_replicated(objective.frozen, mesh)
  return step, (
      state, frozen, meshlib.put_rows(batch, mesh), jax.random.key(0)
  )


def one(task, config, steps):
  """One process of ours."""
  import jax

  from accfm.plans import flops
  step, (state, *rest) = make_step(task, config)
  start = time.perf_counter()
  traced = step.trace(state, *rest)
  compiled = traced.lower().compile()
  compile_s = time.perf_counter() - start
  count = sum(x.size for x in jax.tree.leaves(state.params))
  seconds, losses = [], []
  for _ in range(steps + 2):
    start = time.perf_counter()
    state, metrics = compiled(state, *rest)
    jax.block_until_ready(state)
    seconds.append(time.perf_counter() - start)
    losses.append(round(float(metrics["loss"]), 4))
  products = flops.count(traced.jaxpr, "cpu").flops * jax.device_count()
  interleave.emit(
      statistics.median(seconds[2:]), jax=jax.__version__,
      devices=jax.device_count(), compile_s=round(compile_s, 1),
      parameters=count, gflop=round(products / 1e9, 3), losses=losses,
  )


def check_alike(runs):
  """{what: text} of sizes, which are those of the first program in all.

  Raises:
    InputError: a program has another number of parameters, or of products.
      vit-pytorch, whose layers differ a little, may differ by `ALIKE`.
  """
  want = runs[0]
  for run in runs:
    far = abs(run["parameters"] / want["parameters"] - 1)
    exact = not run["name"].startswith("vit-pytorch")
    if far > (0 if exact else ALIKE):
      raise InputError(
          f"{run['name']}: got {run['parameters']:,} trained parameters, want "
          f"the {want['parameters']:,} of {want['name']}"
      )
    if abs(run["gflop"] / want["gflop"] - 1) > ALIKE:
      raise InputError(
          f"{run['name']}: got {run['gflop']} GFLOP a step, want about the "
          f"{want['gflop']} of {want['name']}"
      )
  last = {run["name"]: run for run in runs}
  return {
      "trained parameters": ", ".join(
          f"{name} {run['parameters']:,}" for name, run in last.items()),
      "GFLOP of products a step, backward included": ", ".join(
          f"{name} {run['gflop']:.1f}" for name, run in last.items()),
  }


def speeds(runs):
  """{what: text} of the time of the quickest peer by our quickest."""
  ratios = []
  for number in sorted({run["round"] for run in runs}):
    times = {r["name"]: r["seconds"] for r in runs if r["round"] == number}
    mine = min(t for name, t in times.items() if name.startswith("accfm"))
    rest = min(t for name, t in times.items() if not name.startswith("accfm"))
    ratios.append(rest / mine)
  return {
      "time of the quickest peer by our quickest, each round": (
          f"{interleave.spread(ratios)} (wanted: 1.00)")
  }


def commands(args):
  """name -> arguments of its process; ours first."""
  own = [f"--task={args.task}", f"--steps={args.steps}"]
  ours = [sys.executable, "-m", "benchmarks.step", "--one",
          f"--scale={args.scale}", f"--batch={args.batch}", *own]
  flag = "XLA_FLAGS=--xla_force_host_platform_device_count={}"
  out = {
      name: ["env", "JAX_PLATFORMS=cpu", flag.format(devices),
             *interleave.LAUNCH, *ours]
      for name, devices in (
          ("accfm, a device a core", os.cpu_count()), ("accfm, one device", 1),
      )
  }
  config = make_config(args.task, args.scale, args.batch)
  given = json.dumps(sizes(args.task, config))
  for name, (tasks, arguments) in PEERS.items():
    if args.task in tasks:
      out[name] = [
          *interleave.LAUNCH, args.peers_python, "-m", "benchmarks.peers.step",
          *arguments, *own,
          f"--sizes={given}", f"--threads={os.cpu_count()}",
      ]
  return out


def main():
  parser = interleave.make_parser(__doc__, rounds=3)
  parser.add_argument("--task", choices=CHANNELS, required=True)
  parser.add_argument("--steps", type=int, default=5, help="timed, a process")
  parser.add_argument("--scale", default="paper")
  parser.add_argument("--batch", type=int, default=32)
  parser.add_argument("--peers_python", default=sys.executable)
  parser.add_argument("--one", action="store_true", help="one process of ours")
  args = parser.parse_args()
  if args.one:
    one(args.task, make_config(args.task, args.scale, args.batch), args.steps)
    return
  if not args.out:
    parser.error("want --out=PATH")
  others.check(args.peers_python, PACKAGES[args.task])
  result = interleave.run(
      commands(args), args.rounds, args.out,
      f"A training step ({args.task}, batch {args.batch}) beside PyTorch",
      others.command(parser, args, "step",
                     ("task", "out", "rounds", "steps", "scale", "batch")),
  )
  result["checks"] = {**speeds(result["runs"]), **check_alike(result["runs"])}
  interleave.write(result, args.out)


if __name__ == "__main__":
  main()
