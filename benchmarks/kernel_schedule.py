"""How long the fused block's kernels take by the compiler's own schedule.

  python -m benchmarks.kernel_schedule

Needs the extra `tpu`. A kernel's program is a loop over segments, without
branches; libtpu, asked by a flag of its own that may go one day, writes it as
bundles of which a v5e issues one a cycle. Their number is what a roofline
leaves out: units that wait for each other, exponentials, registers that go to
memory and back. Stalls on memory it does not have.
"""

import functools
import json
import os
import pathlib
import re
import tempfile

LOOP = re.compile(r"^ *0x[0-9a-f]+ .*: >", re.MULTILINE)
CLOCK = 197e12 / (4 * 2 * 128**2)  # Hz of a v5e: four units of 128 x 128


def bundles(text):
  """Bundles within loops of a program."""
  return len(LOOP.findall(text))


def main(rows=128, tokens=192, width=256, heads=4, mlp_width=1024):
  """Prints {"forward", "backward"}: cycles for each segment, as JSON."""
  folder = tempfile.mkdtemp()
  os.environ["LIBTPU_INIT_ARGS"] = (
      f"--xla_jf_dump_to={folder} --xla_jf_dump_llo_text=true"
  )
  # Only now: libtpu reads its flags once.
  import jax
  import jax.numpy as jnp
  from jax.sharding import PartitionSpec

  from accfm.base import mesh as meshlib
  from accfm.models import fused, transformer
  from accfm.plans import aot

  _, devices = aot.open_topology("v5e:1x1")
  mesh = meshlib.make_mesh(devices)
  x = jax.ShapeDtypeStruct((rows, tokens, width), jnp.bfloat16)
  block = transformer.Block(heads, mlp_width, jnp.bfloat16)
  params = jax.eval_shape(block.init, jax.random.key(0), x)["params"]
  out = {}
  for name, operands in (("forward", (x, params)),
                         ("backward", (x, params, x))):
    run = functools.partial(
        getattr(fused, name), heads=heads, dtype=jnp.bfloat16
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
