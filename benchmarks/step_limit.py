"""How far a step of distillation is from the time of its products alone.

  python -m benchmarks.step_limit WORKDIR

Writes results/step_limit.{json,md}. Needs the extra `tpu`. Plans are made and
kept in WORKDIR as by `benchmarks.plans`; nothing is run.
"""

import argparse
import json
import subprocess
import sys

from accfm.models import build
from accfm.plans import roofline
from benchmarks import kernel_schedule, plans

CHIP = roofline.CHIPS["v5e"]
TOKENS = 192  # of a minute at 64 Hz, 20 samples each


def both(**fields):
  """Flags for student and teacher."""
  return [
      f"--config.{tower}.{name}={value}"
      for name, value in fields.items()
      for tower in ("encoder", "teacher_encoder")
  ]


VARIANTS = {
    "plain, float32": both(dtype="float32", block="plain"),
    "plain, bfloat16": both(block="plain"),
    "plain, bfloat16, 2 heads": both(block="plain", heads=2),
    "plain, bfloat16, remat": both(block="plain", remat=True),
    "fused, bfloat16 (the config)": [],
    "no blocks at all": both(depth=0),
}
PURE = "plain, bfloat16"  # its products, none computed twice


def traffic_floor(parameters, rows):
  """Bytes that must move for each pair where each block is one kernel.

  A block of the student reads x and writes y; then it reads x and dy and
  writes dx. A block of the teacher reads x and writes y. All of these are
  bfloat16. Of the state, parameters and two moments are read and written, and
  gradients are written and read, in float32; a chip's rows share this.
  """
  cfg = build.encoder_config("vit_s")
  tokens = 2 * TOKENS * cfg.width
  blocks = cfg.depth * (5 + 2) * tokens
  return blocks, 8 * 4 * parameters / rows


def schedule():
  """Cycles that the kernels take per segment; see `kernel_schedule`."""
  out = subprocess.run(
      [sys.executable, "-m", "benchmarks.kernel_schedule"], check=True,
      stdout=subprocess.PIPE, text=True,
  ).stdout
  return json.loads(out.splitlines()[-1])


def table(found):
  """The page of {"plans": {variant: plan}, "cycles"}."""
  of = found["plans"]
  rows = of[PURE]["batch"] // of[PURE]["chips"]
  pure = of[PURE]["flops"] / CHIP.peak_flops
  lines = []
  for name, plan in of.items():
    times = [plan["roofline_seconds"], plan["least_seconds"]]
    lines.append(" | ".join([
        f"| {name}", f"{plan['peak_memory_bytes'] / 2**30:.2f}",
        f"{plan['flops'] / 1e9:,.0f}",
        f"{plan['flops'] / 1e9 / rows:.1f}",
        f"{plan['bytes_accessed'] / 1e6 / rows:.0f} "
        f"({plan['hbm_bytes'] / 1e6 / rows:.0f})",
        f"{1e3 * plan['compute_seconds']:.1f}",
        f"{1e3 * plan['memory_seconds']:.1f} "
        f"({1e3 * plan['hbm_seconds']:.1f})",
        f"{times[0] / pure:.2f} ({times[1] / pure:.2f}) |",
    ]))
  blocks, state = traffic_floor(of[PURE]["parameters"], rows)
  floor = rows * (blocks + state) / CHIP.hbm_bandwidth
  depth = build.encoder_config("vit_s").depth
  cycles = depth * (
      2 * found["cycles"]["forward"] + found["cycles"]["backward"]
  )
  kernels = rows * cycles / kernel_schedule.CLOCK
  rest = of["no blocks at all"]
  return f"""\
# How near the step is to its arithmetic

The distillation of `configs/acc_distill.py` at the scale `paper`, frozen
teacher and student `vit_s`, compiled for v5e:16x16 at a batch of 32,768 ({rows}
pairs a chip). **Nothing here was run on a TPU.** Written by
`python -m benchmarks.step_limit WORKDIR`; commands are below.

"Pure compute" is {1e3 * pure:.2f} ms: \
the {of[PURE]['flops'] / 1e9:,.0f} GFLOP \
of matrix products and convolutions of
one chip and step, none computed twice, at {CHIP.peak_flops / 1e12:.0f} \
TFLOP/s. The last column is the
roofline by that. GFLOP of a row are those executed: a fused block computes its
forward pass again in the backward pass, but for its last product.

| blocks | peak memory, GiB | GFLOP | a pair | MB of traffic a pair (HBM) | \
compute, ms | memory (HBM), ms | roofline / pure compute (HBM) |
| --- | --- | --- | --- | --- | --- | --- | --- |
{chr(10).join(lines)}

**What traffic means.** XLA's "bytes accessed" adds all operands and results of
all instructions, also those that it keeps in the chip's own memory (128 MiB on
a v5e). In brackets only buffers that lie in HBM count, by their layouts in the
compiled program. The truth is between. A kernel counts its operands and
results; weights once, since its programs share them.

**Floor.** With each block one kernel, {blocks / 1e6:.1f} MB a pair must pass \
its edges (student:
x in, y out, then x and dy in and dx out; teacher: x in, y out; bfloat16), and
{state / 1e6:.1f} MB is the state (parameters, two moments, gradients, \
float32) by {rows} rows:
{1e3 * floor:.1f} ms at {CHIP.hbm_bandwidth / 1e9:.0f} GB/s, less than the \
compute. (The program has less in HBM:
some of what one kernel leaves for the next stays on the chip.) What \
augmentation, stem, heads,
loss and optimiser move is the row "no blocks at all": \
{rest['bytes_accessed'] / 1e6 / rows:.0f} MB a pair by XLA's
count, {rest['hbm_bytes'] / 1e6 / rows:.0f} in HBM.

**What a roofline leaves out.** By the compiler's own schedule of the two \
kernels
(`python -m benchmarks.kernel_schedule`; stalls on memory not counted) a segment
takes {found['cycles']['forward']:,.0f} cycles forward and \
{found['cycles']['backward']:,.0f} backward. All blocks of a step are then
{1e3 * kernels:.1f} ms at {kernel_schedule.CLOCK / 1e9:.2f} GHz, \
{kernels / pure:.2f} x pure compute: units wait for each other
while exponentials, norms and transposes are done.

```
{chr(10).join(plan['command'] for plan in of.values())}
```
"""


def main():
  parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
  parser.add_argument("workdir", help="folder that keeps the plans")
  workdir = parser.parse_args().workdir
  asked = [
      ("acc_distill", "v5e:16x16", plans.LARGE, *flags)
      for flags in VARIANTS.values()
  ]
  found = {
      "plans": dict(zip(VARIANTS, plans.make(asked, workdir), strict=True)),
      "cycles": schedule(),
  }
  (plans.RESULTS / "step_limit.json").write_text(
      json.dumps(found, indent=1) + "\n"
  )
  (plans.RESULTS / "step_limit.md").write_text(table(found))


if __name__ == "__main__":
  main()
