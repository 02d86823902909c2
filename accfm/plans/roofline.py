"""The time of a step on a chip by its figures, and what to do when it does
not fit.

A roofline: products at the peak of the matrix unit, memory traffic at the full
bandwidth, collectives over all links at once, each as if the others took no
time. There are two counts of the traffic. XLA's has every operand of every
instruction, also those that stay on the chip, so a step may be faster than it
says. The bytes whose buffers lie in HBM give a time that no step should beat.
"""

import dataclasses
import math
from typing import Any

from ml_collections import ConfigDict

GIB = 1024**3


@dataclasses.dataclass(frozen=True)
class Chip:
  """Published figures of one chip.

  Attributes:
    name: as topologies are named, "v5e".
    peak_flops: bfloat16 products a second.
    hbm_bytes: memory.
    hbm_bandwidth: bytes a second.
    ici_bandwidth: bytes a second that all its links together receive.
    chips_per_host: in slices of several hosts.
    axes: number of sides of a topology.
    largest: number of chips of the largest slice.
    options: for libtpu, beyond the name.
  """

  name: str
  peak_flops: float
  hbm_bytes: int
  hbm_bandwidth: float
  ici_bandwidth: float
  chips_per_host: int = 4
  axes: int = 2
  largest: int = 256
  options: dict = dataclasses.field(default_factory=dict)


# From the pages "TPU v4", "TPU v5e", "TPU v5p" and "TPU v6e" of Google
# Cloud's TPU documentation, per chip; links are half of the "bidirectional
# ICI bandwidth" there. That of v4, which its page leaves out, is 6 links of
# 50 GB/s (Jouppi et al. 2023, arXiv 2304.01433). JAX drives the two cores of
# a v4 chip as one device, a megacore, as it does those of v5p.
CHIPS = {chip.name: chip for chip in (
    Chip("v4", 275e12, 32 * GIB, 1200e9, 300e9, axes=3, largest=4096,
         options=dict(chip_config_name="megacore")),
    Chip("v5e", 197e12, 16 * GIB, 819e9, 200e9),
    Chip("v5p", 459e12, 95 * GIB, 2765e9, 600e9, axes=3, largest=6144),
    Chip("v6e", 918e12, 32 * GIB, 1600e9, 400e9),
)}


def times(chip: Chip, counts: dict[str, Any]) -> dict[str, Any]:
  """The times of a step on one chip, in seconds, and which one is longest.

  Args:
    chip: a Chip.
    counts: with bf16_flops, bytes_accessed, hbm_bytes, bytes_received, as
      `aot.counts`.

  Returns:
    {"compute_seconds", "memory_seconds", "link_seconds", "roofline_seconds",
    "bound"} by XLA's traffic; "hbm_seconds", "least_seconds" by that of HBM.
  """
  parts = {
      "compute": counts["bf16_flops"] / chip.peak_flops,
      "memory": counts["bytes_accessed"] / chip.hbm_bandwidth,
      "link": counts["bytes_received"] / chip.ici_bandwidth,
  }
  bound = max(parts, key=lambda part: parts[part])
  hbm = counts["hbm_bytes"] / chip.hbm_bandwidth
  return {
      **{f"{name}_seconds": value for name, value in parts.items()},
      "roofline_seconds": parts[bound],
      "bound": bound,
      "hbm_seconds": hbm,
      "least_seconds": max(parts["compute"], hbm, parts["link"]),
  }


def rates(
    seconds: float, batch: int, segments: int, row_bytes: int, hosts: int
) -> dict[str, float]:
  """What the time of a step means for a run and for reading its input.

  Args:
    seconds: time of a step.
    batch: number of segments in a step.
    segments: number of segments in the run.
    row_bytes: size of one segment, as hosts hand it to chips.
    hosts: number of hosts that share the reading.

  Returns:
    {"segments_per_second", "segments", "hours", "input_bytes_per_second",
    "input_bytes_per_second_per_host", "reads_per_second_per_host": single
    records, "share_bytes_per_million": one host's part where the hosts divide
    a million segments among them}.
  """
  pace = batch / seconds
  return {
      "segments_per_second": pace,
      "segments": segments,
      "hours": segments / pace / 3600,
      "input_bytes_per_second": pace * row_bytes,
      "input_bytes_per_second_per_host": pace * row_bytes / hosts,
      "reads_per_second_per_host": pace / hosts,
      "share_bytes_per_million": 1e6 * row_bytes / hosts,
  }


def remedies(
    config: ConfigDict, devices: int, needed: float, available: float
) -> str:
  """What would make a step fit, best first, as text.

  Activations take nearly all of the memory; they grow with the rows of a
  chip.

  Args:
    config: of the run, with batch_size and an encoder.
    devices: number of chips that share the batch.
    needed, available: bytes of a chip.
  """
  over = needed / available
  rows = config.batch_size // devices
  fewer = int(rows / (1.1 * over))  # a tenth to spare
  out = []
  encoder = config.get("encoder", {})
  if encoder.get("dtype") == "float32":
    out.append(
        "compute in bfloat16 with --config.encoder.dtype=bfloat16 (about "
        "half of the memory)"
    )
  if encoder.get("block") == "plain" and not (
      encoder.width % 128 or encoder.mlp_width % 128
  ):
    out.append(
        "blocks as kernels with --config.encoder.block=fused (about a tenth "
        "of the memory)"
    )
  if encoder.get("remat") is False and encoder.get("block") != "fused":
    out.append(
        "recompute blocks with --config.encoder.remat=True (about a quarter "
        "of the memory, a sixth more FLOPs)"
    )
  enough = [k for k in range(2, rows + 1) if not rows % k and k > 1.1 * over]
  batch_norm = encoder.get("family") == "efficientnet1d"
  if config.get("micro_batches") == 1 and enough and not batch_norm:
    out.append(
        f"the same batch in pieces with --config.micro_batches={enough[0]} (a "
        "third more FLOPs)"
    )
  if fewer:
    out.append(f"a smaller batch, about --batch={fewer * devices}")
  out.append(
      "more chips, about "
      f"{2 ** math.ceil(math.log2(devices * 1.1 * over))} for this batch"
  )
  return "; ".join(out)


def report(plan: dict[str, Any]) -> str:
  """A plan (see `accfm.plan`) as text to read."""
  chips = plan["chips"]
  chip = CHIPS[plan["chip"]]

  def line(name: str, amount: str, seconds: float) -> str:
    what = name.removesuffix("_seconds")
    mark = "  <- the bound" if what == plan["bound"] else ""
    return f"  {what:<11}{amount:<44}{1e3 * seconds:9.3f} ms{mark}"

  found = [
      f"{entry['count']} {kind} of {megabytes(entry['bytes'])} ("
      + ", ".join(sorted(entry["bytes_by_type"])) + ")"
      for kind, entry in sorted(plan["collectives"].items())
  ]
  faster = plan["roofline_seconds"] / plan["least_seconds"]
  low = plan["input_bytes_per_second_per_host"]
  return "\n".join([
      f"{plan['kind']} of {'+'.join(plan['signals'])} on {plan['topology']}: "
      f"{chips} chips, {plan['hosts']} host(s), batch {plan['batch']:,} "
      f"({plan['batch'] // chips:,} a chip), {plan['parameters']:,} trained "
      "parameters",
      "per chip and step, compiled, not run:",
      f"  fits       {gigabytes(plan['peak_memory_bytes'])} of "
      f"{gigabytes(chip.hbm_bytes)} at the peak",
      line("compute", f"{plan['flops'] / 1e9:,.1f} GFLOP of products",
           plan["compute_seconds"]),
      line("memory", f"{plan['bytes_accessed'] / 1e9:,.2f} GB accessed",
           plan["memory_seconds"]),
      line("hbm", f"{plan['hbm_bytes'] / 1e9:,.2f} GB of it not on the chip",
           plan["hbm_seconds"]),
      line("link", f"{megabytes(plan['bytes_received'])} received",
           plan["link_seconds"]),
      f"  collectives: {'; '.join(found) or 'none'}",
      f"by that {plan['segments_per_second']:,.0f} segments/s, "
      f"{plan['hours']:,.2f} hours for {plan['segments']:,} segments; "
      f"{plan['hours'] / faster:,.2f} if only HBM counts",
      f"which takes {low / 1e6:,.0f} MB/s of input on each host, "
      f"{plan['input_bytes_per_second'] / 1e6:,.0f} MB/s in all; "
      f"{faster:.1f} times that if only HBM counts",
      f"in an order without nearness {plan['reads_per_second_per_host']:,.0f} "
      "single reads/s on each host; with --config.order.block=256 of "
      f"neighbours; with --config.order.lanes={plan['hosts']} of its own "
      f"{plan['share_bytes_per_million'] / 1e9:,.2f} GB of each million "
      "segments, which --config.cache_mb keeps in memory",
      *(f"assumed: {text}" for text in plan["assumed"]),
  ])


def gigabytes(size: float) -> str:
  """Bytes as text, in GiB."""
  return f"{size / GIB:.2f} GiB"


def megabytes(size: float) -> str:
  """Bytes as text, in MB."""
  return f"{size / 1e6:,.2f} MB"
