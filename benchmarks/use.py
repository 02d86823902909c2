"""What it takes to import accfm, and to embed the first minute with it.

  JAX_PLATFORMS=cpu python -m benchmarks.use --checkpoint=WORKDIR \\
    --out=results/benchmark_use [--before=CHECKOUT]

Each program is a process of its own; its time starts with its first import.
"import" imports accfm alone. "first embedding" loads the checkpoint, an encoder
of acceleration, and embeds one minute of a still wrist. CHECKOUT is a checkout
of commit 4ebdd66, which had no `accfm.load`: there the modules of the
evaluation do the same.

Expected: two minutes on 2 cores.
"""

import sys

from benchmarks import interleave

START = """
import json, os, resource, sys, time
start = time.perf_counter()
def emit():
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  print(json.dumps({
      "seconds": time.perf_counter() - start, "peak_mib": round(peak / 1024),
      "modules": len(sys.modules),
  }))
"""
IMPORT = START + "import accfm\nemit()\n"
NOW = START + """
import accfm
encoder = accfm.load(sys.argv[1])
import numpy as np
minute = np.ones((encoder.contract.length("acc"), 3)) / 3**0.5
encoder.embed(minute, rate_hz=encoder.contract.rate_hz, unit="g")
emit()
"""
BEFORE = START + """
os.chdir(sys.argv[2])
sys.path.insert(0, sys.argv[2])
import numpy as np
from accfm.data import quantise
from accfm.signals import contract
from accfm.steps import towers
from accfm.train import checkpoints
loaded = checkpoints.load(sys.argv[1])
tower = towers.from_checkpoint(
    loaded.params, loaded.carried, loaded.frozen, loaded.meta)["acc"]
samples = contract.from_dict(loaded.meta["contract"]).length("acc")
stored, scale = quantise.quantise(np.ones((samples, 3)) / 3**0.5)
np.asarray(tower.embed(stored[None], scale[None]))
emit()
"""


def main():
  """Measures and writes the table."""
  parser = interleave.make_parser(__doc__)
  parser.add_argument("--checkpoint", required=True,
                      help="workdir of an encoder of acceleration")
  parser.add_argument("--before", default="", help="checkout to compare with")
  args = parser.parse_args()
  if not args.out:
    parser.error("want --out=PATH")
  run = [sys.executable, "-c"]
  commands = {
      "first embedding": [*run, NOW, args.checkpoint],
      "import": [*run, IMPORT],
  }
  if args.before:
    commands["first embedding before"] = [
        *run, BEFORE, args.checkpoint, args.before,
    ]
  interleave.run(
      commands, args.rounds, args.out,
      "Importing accfm, and the first embedding with it",
      "JAX_PLATFORMS=cpu python -m benchmarks.use --checkpoint=WORKDIR "
      "--before=CHECKOUT",
  )


if __name__ == "__main__":
  main()
