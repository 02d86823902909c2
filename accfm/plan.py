"""Main: a config and a TPU topology -> memory, time and input of a step.

  accfm plan --config=acc_distill --topology=v5e:16x16 --batch=32768

Compiles the step that training would run, ahead of time, on any CPU: it needs
no TPU, no data set and no checkpoint. Its times are a roofline, not a
measurement, and leave out validation and reading. Needs the extra `tpu`.
"""

import json as jsonlib
from collections.abc import Sequence
from typing import Any

from ml_collections import ConfigDict

from accfm.base import commandline, files, interrupts, mains, plugins
from accfm.base import mesh as meshlib
from accfm.base.errors import InputError
from accfm.plans import aot, roofline
from accfm.steps import kinds
from accfm.train import allowed, opening


def run(
    config: ConfigDict, topology: str, batch: str = "", segments: str = "",
    json: str = "", command: Sequence[str] = (),
) -> dict[str, Any]:
  """Plans one step, prints and returns the plan.

  Args:
    config: of accfm.pretrain, accfm.distill or accfm.supervise.
    topology: chip and shape, "v5e:4x4".
    batch: replaces config.batch_size.
    segments: how many the run trains on, for its hours; by default
      total_steps x batch.
    json: file that the plan is written to.
    command: the arguments of this command, for the record.

  Returns:
    Plain values. Counts are per chip, times are in seconds.

  Raises:
    InputError: a topology or config that cannot be planned, or a step that
      needs more memory than a chip has.
  """
  plugins.allow_fields(config)
  kinds.of_config(config)  # or it trains nothing
  config = config.copy_and_resolve_references()
  if batch:
    config.batch_size = count("batch", batch)
  allowed.check(config)
  total = config.total_steps * config.batch_size
  total = count("segments", segments) if segments else total
  chip, devices = aot.open_topology(topology)
  mesh = meshlib.make_mesh(devices, config.fsdp, config.model)
  opening.check_mesh(config, mesh)
  task = aot.make_task(config)
  traced = aot.trace(config, task, mesh)
  interrupts.check()
  compiled = aot.compile_step(config, traced, mesh)
  interrupts.check()

  counts = aot.counts(traced, compiled, config.model)
  hosts = len({device.process_index for device in devices})
  times = roofline.times(chip, counts)
  plan = {
      "config": commandline.config_place(command),
      "command": " ".join(["accfm plan", *command]),
      "kind": task.kind,
      "signals": list(task.signals),
      "chip": chip.name,
      "topology": topology,
      "chips": len(devices),
      "hosts": hosts,
      "batch": config.batch_size,
      "parameters": task.parameters,
      "memory_bytes": chip.hbm_bytes,
      **counts,
      **times,
      **roofline.rates(
          times["roofline_seconds"], config.batch_size, total,
          task.row_bytes, hosts,
      ),
      "assumed": list(task.assumed),
  }
  if json:
    files.write_atomic(json, jsonlib.dumps(plan, indent=1) + "\n")
  print(roofline.report(plan), flush=True)
  return plan


def count(name: str, text: str) -> int:
  """A whole number above 0 of a flag; 20_000_000 and 2e7 are the same."""
  try:
    value = float(text)
  except ValueError:
    value = 0.0
  if not (0 < value < float("inf") and value == int(value)):
    raise InputError(
        f"--{name}: got {text!r}, want a whole number above 0"
    )
  return int(value)


MAIN = mains.Main(
    __doc__, run, (
        mains.Flag(
            "topology", "chip and shape, such as v5e:4x4 or v4:2x2x1"
        ),
        mains.Flag("batch", "segments of a step, else the config's", ""),
        mains.Flag(
            "segments", "of the whole run, else total_steps times batch", ""
        ),
        mains.Flag("json", "file that the plan is written to", ""),
    ),
    usual=(
        "acc_distill", "ppg_contrastive", "ppg_mae", "acc_contrastive",
        "acc_mae", "acc_supervised", "finetune",
    ),
    tells_command=True,
    again="run the same command again",
)

if __name__ == "__main__":
  MAIN.start()
