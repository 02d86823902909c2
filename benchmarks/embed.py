"""The embedding pass beside the bare forward pass of the same encoder.

  JAX_PLATFORMS=cpu python -m benchmarks.embed --out=results/benchmark_embed

The pass of `accfm.evaluate` reads shards, parses records, undoes the storage
scale, normalises, embeds, fetches and checks. "bare" is the encoder alone: it
embeds one batch that lies on the devices, as many times as the pass has
batches. The pass should reach at least 90 % of the bare throughput. Weights
are random; segments are simulated and prepared by `accfm.prepare` (60 people,
24 minutes each). All programs run under launch/cores.sh.

Expected: 10 minutes on 2 idle cores.
"""

import sys
import tempfile
import time

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from accfm import prepare
from accfm.base import mesh as meshlib
from accfm.configs import prepare as prepare_config
from accfm.data import manifest, pipeline
from accfm.evals.embedding import forward
from accfm.models import build
from accfm.steps import towers as towerlib
from accfm.steps.record import Record
from benchmarks import interleave

ROWS = {"vit_laptop": 8192, "vit_s": 512}  # of the train split, repeated
BATCH = 128
WAYS = ("bare", "pass")


def make_data(folder: str) -> None:
  """Prepares the simulated recordings."""
  config = prepare_config.get_config("simulated,participants=60,minutes=24")
  prepare.run(config, "", folder)


def one(way: str, encoder: str, data_dir: str) -> None:
  """One process: opens the data, compiles, then times all rows once."""
  folder = manifest.find(data_dir, prepare_config.get_config("simulated").name)
  split = pipeline.open_split(folder, "train")
  rows = np.arange(ROWS[encoder]) % len(split)
  config = {"encoder": build.encoder_config(encoder).to_dict()}
  towers = towerlib.untrained(
      Record("mae", config, ("acc",), split.contract), 0
  )
  mesh = meshlib.make_mesh()
  split.table  # noqa: B018  as an evaluation has read it for the leak guard
  if way == "pass":
    def work(rows):
      forward.embed_split(towers, split, BATCH, mesh, rows)
  else:
    work = make_bare(towers["acc"], split, mesh)
  work(rows[:BATCH])
  start = time.perf_counter()
  work(rows)
  seconds = time.perf_counter() - start
  interleave.emit(
      seconds, rows_per_s=round(len(rows) / seconds, 1), devices=mesh.size
  )


def make_bare(tower, split, mesh):
  """`work(rows)`: the encoder on one resident batch, for as many rows."""
  batch = split.read(np.arange(BATCH), ["acc"])
  x = jnp.asarray(batch["acc"]) * jnp.asarray(batch["acc_scale"])[:, None]
  x = meshlib.put_rows(np.asarray(tower.normalize(x)), mesh)
  variables = meshlib.put_replicated(tower.variables, mesh)
  data = PartitionSpec("data")
  encode = jax.jit(jax.shard_map(
      lambda v, x: tower.encoder.apply(v, x, train=False), mesh=mesh,
      in_specs=(PartitionSpec(), data), out_specs=data, check_vma=False,
  ))

  def work(rows):
    out = None
    for _ in range(0, len(rows), BATCH):
      out = encode(variables, x)
    jax.block_until_ready(out)

  return work


def shares(runs: list[dict]) -> dict[str, str]:
  """{what: text}: the pass's share of the bare throughput, by encoder."""
  out = {}
  for encoder in ROWS:
    bare, full = (
        [r["seconds"] for r in sorted(runs, key=lambda r: r["round"])
         if r["name"] == f"{encoder}, {way}"] for way in WAYS
    )
    share = [a / b for a, b in zip(bare, full, strict=True)]
    out[f"{encoder}: throughput of the pass by the bare one's"] = (
        f"{interleave.spread(share)} (wanted: 0.90)")
  return out


def main():
  parser = interleave.make_parser(__doc__)
  parser.add_argument("--one", choices=WAYS, help="one process")
  parser.add_argument("--encoder", help="of that process")
  parser.add_argument("--data_dir", help="of that process")
  args = parser.parse_args()
  if args.one:
    one(args.one, args.encoder, args.data_dir)
    return
  if not args.out:
    parser.error("want --out=PATH")
  with tempfile.TemporaryDirectory() as folder:
    make_data(folder)
    result = interleave.run(
        {
            f"{encoder}, {way}": [
                *interleave.LAUNCH, sys.executable, "-m", "benchmarks.embed",
                f"--one={way}", f"--encoder={encoder}", f"--data_dir={folder}",
            ] for encoder in ROWS for way in WAYS
        }, args.rounds, args.out,
        f"Embedding pass beside the bare forward pass, batches of {BATCH}",
        interleave.command(
            parser, args, "embed", environment=("JAX_PLATFORMS",)),
    )
  result["checks"] = {
      "rows": ", ".join(f"{n:,} for {e}" for e, n in ROWS.items()),
      **shares(result["runs"]),
  }
  interleave.write(result, args.out)


if __name__ == "__main__":
  main()
