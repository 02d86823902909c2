"""How long the fused block's kernels take by the compiler's own schedule.

  python -m benchmarks.kernel_schedule

Needs the extra `tpu`. The program of a kernel is a loop over segments without
branches. A flag makes libtpu write this program as bundles (a later libtpu may
lack the flag); a v5e issues one bundle per cycle. The number of bundles
includes what a roofline leaves out: units that wait for each other,
exponentials, registers that are spilled to memory. It leaves out stalls on
memory.
"""

import argparse
import functools
import json
import os
import pathlib
import re
import tempfile

LOOP = re.compile(r"^ *0x[0-9a-f]+ .*: >", re.MULTILINE)
ROWS, TOKENS, WIDTH, HEADS, MLP_WIDTH = 128, 192, 256, 4, 1024
CLOCK = 197e12 / (4 * 2 * 128**2)  # Hz of a v5e: four units of 128 x 128


def bundles(text: str) -> int:
  """How many bundles the loops of a program have."""
  return len(LOOP.findall(text))


def main():
  """Prints {"forward", "backward"}: cycles per segment, as JSON."""
  parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
  parser.parse_args()
  folder = tempfile.mkdtemp()
  os.environ["LIBTPU_INIT_ARGS"] = (
      f"--xla_jf_dump_to={folder} --xla_jf_dump_llo_text=true"
  )
  # These imports come after the flag: libtpu reads its flags once.
  import jax
  import jax.numpy as jnp
  from jax.sharding import PartitionSpec

  from accfm.base import mesh as meshlib
  from accfm.models import fused, transformer
  from accfm.plans import aot

  _, devices = aot.open_topology("v5e:1x1")
  mesh = meshlib.make_mesh(devices)
  x = jax.ShapeDtypeStruct((ROWS, TOKENS, WIDTH), jnp.bfloat16)
  block = transformer.Block(HEADS, MLP_WIDTH, jnp.bfloat16)
  params = jax.eval_shape(block.init, jax.random.key(0), x)["params"]
  out = {}
  for name, operands in (("forward", (x, params)),
                         ("backward", (x, params, x))):
    run = functools.partial(
        getattr(fused, name), heads=HEADS, dtype=jnp.bfloat16
    )
    jax.jit(jax.shard_map(
        run, mesh=mesh, in_specs=PartitionSpec(), out_specs=PartitionSpec(),
    )).trace(*operands).lower().compile()
    # The kernel is the largest of the programs written.
    counts = [
        bundles(path.read_text())
        for path in pathlib.Path(folder).glob("*-final_bundles.txt")
        if "schedule" not in path.name
    ]
    out[name] = max(counts) / 2  # two segments a program
  print(json.dumps(out))


if __name__ == "__main__":
  main()
