"""Plans of every training config: results/plan.{json,md}.

The distillation on four kinds of TPU, the other configs on one.

  python -m benchmarks.plans WORKDIR

Needs the extra `tpu`. Each plan compiles for one to three minutes on two
idle cores. Plans are kept in WORKDIR, and a second call makes only those that
are missing.
"""

import argparse
import hashlib
import json
import pathlib
import subprocess
import sys
from collections.abc import Iterable, Sequence
from typing import Any

RESULTS = pathlib.Path(__file__).parents[1] / "results"

# Config (with its argument), topology, further flags.
LARGE = "--batch=32768"
PLANS = [
    ("acc_distill", "v5e:16x16", LARGE),
    ("acc_distill", "v4:4x4x4", LARGE),
    ("acc_distill", "v5p:4x4x4", LARGE),
    ("acc_distill", "v6e:8x8", LARGE),
    *((config, "v5e:16x16", LARGE) for config in (
        "ppg_mae", "ppg_contrastive", "acc_mae", "acc_contrastive",
        "acc_supervised",
    )),
]

HEAD = """\
# Plans

What the compiler says of one training step on TPUs that are not there, and
the roofline of it. **Nothing here was run.** FLOPs are those of matrix
products and convolutions, as executed: a fused block's forward pass counts
twice (`step_limit.md`). Traffic is XLA's count, which has what stays on the
chip too, and in brackets what goes to and from HBM; times and hours follow
the count, in brackets HBM. Memory, FLOPs, traffic and times are of one chip
and one step; hours are for all steps of the config at that batch. Written by
`python -m benchmarks.plans WORKDIR`; each row is one command of the list
below, and `plan.json` holds it whole.

"""
COLUMNS = (
    ("config", lambda p: pathlib.Path(p["config"]).stem),
    ("topology", lambda p: p["topology"]),
    ("batch", lambda p: f"{p['batch']:,}"),
    ("peak memory, GiB", lambda p: (
        f"{p['peak_memory_bytes'] / 2**30:.2f} of "
        f"{p['memory_bytes'] / 2**30:.0f}"
    )),
    ("GFLOP", lambda p: f"{p['flops'] / 1e9:,.0f}"),
    ("GB of traffic (HBM)", lambda p: (
        f"{p['bytes_accessed'] / 1e9:.1f} ({p['hbm_bytes'] / 1e9:.1f})"
    )),
    ("compute / memory (HBM) / links, ms", lambda p: (
        "{:.1f} / {:.1f} ({:.1f}) / {:.1f}".format(*(
            1e3 * p[f"{part}_seconds"]
            for part in ("compute", "memory", "hbm", "link")
        ))
    )),
    ("bound", lambda p: p["bound"]),
    ("segments/s", lambda p: f"{p['segments_per_second']:,.0f}"),
    ("million segments", lambda p: f"{p['segments'] / 1e6:,.0f}"),
    ("hours (HBM)", lambda p: (
        f"{p['hours']:.2f} "
        f"({p['hours'] * p['least_seconds'] / p['roofline_seconds']:.2f})"
    )),
    ("input, MB/s per host", lambda p: (
        f"{p['input_bytes_per_second_per_host'] / 1e6:,.0f}"
    )),
)


def table(plans: Sequence[dict[str, Any]]) -> str:
  """Plans as Markdown: what they say, then their commands."""
  rows = [[title for title, _ in COLUMNS], ["---"] * len(COLUMNS)]
  rows += [[cell(plan) for _, cell in COLUMNS] for plan in plans]
  lines = [f"| {' | '.join(row)} |" for row in rows]
  return "\n".join([
      HEAD + "\n".join(lines), "", "```",
      *(plan["command"] for plan in plans), "```", "",
      "Assumed: " + "; ".join(
          sorted({text for plan in plans for text in plan["assumed"]})
      ) + ".", "",
  ])


def make(
    asked: Iterable[Sequence[str]], workdir: str | pathlib.Path
) -> list[dict[str, Any]]:
  """The plans of (config, topology, *flags), from WORKDIR where it has them.

  Args:
    asked: what to plan.
    workdir: folder that keeps the plans.
  """
  workdir = pathlib.Path(workdir)
  workdir.mkdir(parents=True, exist_ok=True)
  plans = []
  for config, topology, *flags in asked:
    flags = [f"--config=configs/{config}.py", f"--topology={topology}", *flags]
    command = " ".join(["accfm plan", *flags])
    name = hashlib.sha256(command.encode()).hexdigest()[:16]
    path = workdir / f"{name}.json"
    if not path.exists():
      print(command, flush=True)
      subprocess.run(
          [sys.executable, "-m", "accfm.plan", *flags, f"--json={path}"],
          check=True,
      )
    plans.append({**json.loads(path.read_text()), "command": command})
  return plans


def main():
  parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
  parser.add_argument("workdir", help="folder that keeps the plans")
  plans = make(PLANS, parser.parse_args().workdir)
  (RESULTS / "plan.json").write_text(json.dumps(plans, indent=1) + "\n")
  (RESULTS / "plan.md").write_text(table(plans))


if __name__ == "__main__":
  main()
