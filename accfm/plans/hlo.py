"""What XLA's texts say: collectives, memory traffic, and memory that is short.

A program's text is a list of computations. The body of a loop is one of them.
It counts as often as the loop runs, which the loop's condition tells
(`i < 5`). The branches of a choice count as equally likely. Loops that XLA
makes of a gather count once, because they touch one row each time.
"""

import collections
import dataclasses
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

KINDS = (
    "all-reduce", "all-gather", "reduce-scatter", "all-to-all",
    "collective-permute",
)
_COLLECTIVE = re.compile(rf"({'|'.join(KINDS)})(-start)?")
_SHAPE = re.compile(r"(\w+)\[([\d,]*)\](?:\{([^}]*)\})?")
_INSTRUCTION = re.compile(
    r"\s*(?:ROOT )?(%\S+) = (.*?) ([a-z][\w-]*)\((.*)"
)
# These move nothing themselves: names, views, and calls, whose bodies do.
_FREE = {
    "parameter", "constant", "tuple", "get-tuple-element", "bitcast",
    "while", "conditional", "call", "after-all", "partition-id", "replica-id",
}
_MEMORY = (  # in the order needed, available
    re.compile(r"Used ([\d.]+)([KMGT]?) of ([\d.]+)([KMGT]?) hbm"),
    re.compile(
        r"\(([\d.]+)([KMGT]?)\) exceeds available HBM \(([\d.]+)([KMGT]?)\)"
    ),
)


@dataclasses.dataclass(frozen=True)
class Collective:
  """One collective of a program, per device.

  Attributes:
    kind: one of `KINDS`.
    bytes_by_type: {"f32": bytes, ...} of the whole result: what all devices
      of a group gather, or the array that they sum.
    group: number of devices that take part.
    times: how often it runs in a step.
  """

  kind: str
  bytes_by_type: dict
  group: int
  times: float = 1

  @property
  def bytes(self) -> int:
    """Size of the whole result, once."""
    return sum(self.bytes_by_type.values())

  @property
  def received(self) -> float:
    """Bytes that a device has to receive, by a ring or better, once."""
    if self.kind == "collective-permute":
      return float(self.bytes)
    share = (self.group - 1) / self.group
    times = {"all-reduce": 2, "reduce-scatter": self.group}
    return times.get(self.kind, 1) * share * self.bytes


def collectives(text: str) -> list[Collective]:
  """The Collectives of a compiled program's HLO text.

  A collective that runs beside other work is written again in each of the
  fusions that it passes through. The pieces share a `chain_id` and count
  once. The channel alone cannot tell them: two gathers may have the same.
  """
  out, chains = [], set()
  runs = _runs(text)
  for computation, instruction in _instructions(text):
    _, shapes, op, rest = instruction
    found = _COLLECTIVE.fullmatch(op)
    if not found:
      continue
    kind, starts = found.groups()
    chain = re.search(r'chain_id="(\d+)"', rest)
    if chain:
      channel = re.search(r"channel_id=(\d+)", rest)
      name = (kind, channel and channel[1], chain[1])
      if name in chains:
        continue
      chains.add(name)
    if starts and kind != "all-reduce":
      # (operands, results[, two counters]): as many results as operands.
      shapes = [s for s in shapes if not (s[0] == "u32" and not s[1])]
      shapes = shapes[len(shapes) // 2:]
    sizes = collections.Counter()
    for shape in shapes:
      sizes[shape[0]] += _size(shape)
    out.append(Collective(
        kind, dict(sizes), _group(rest), runs.get(computation, (1, 1))[0]
    ))
  return out


def by_kind(found: Iterable[Collective]) -> dict[str, dict]:
  """{kind: {"count", "bytes", "bytes_by_type"}} of Collectives, for JSON."""
  out: dict[str, dict] = {}
  for one in found:
    entry = out.setdefault(
        one.kind, dict(count=0, bytes=0, bytes_by_type={})
    )
    entry["count"] += one.times
    entry["bytes"] += one.times * one.bytes
    for kind, size in one.bytes_by_type.items():
      of_type = entry["bytes_by_type"]
      of_type[kind] = of_type.get(kind, 0) + one.times * size
  return out


@dataclasses.dataclass(frozen=True)
class Traffic:
  """Bytes of all operands and results of a program's instructions.

  Attributes:
    all: each counted as often as it runs.
    once: with each loop's body once, as XLA counts.
    hbm: the part of `all` that lies in HBM.
  """

  all: float
  once: float
  hbm: float


def traffic(text: str) -> Traffic:
  """The Traffic of a compiled program's HLO text.

  It counts whole operands and results of every instruction outside fusions.
  Where a layout says `S(1)` they lie on the chip (VMEM); XLA's "bytes
  accessed" has those too. An in-place update counts its whole array.
  """
  everything = once = hbm = 0.0
  buffers = {}
  runs = _runs(text)
  for computation, (name, shapes, op, rest) in _instructions(text):
    if computation not in runs:  # inside a fusion
      continue
    buffers[computation, name] = mine = [
        (_size(shape), "S(" not in shape[2]) for shape in shapes
    ]
    if op in _FREE or op.endswith("-done") or "ConcatBitcast" in rest:
      continue
    if op in ("copy-start", "slice-start"):
      # From one place to another, as many bytes as the smaller one has.
      size = min(mine[:2])[0]
      moved = [(size, in_hbm) for _, in_hbm in mine[:2]]
    else:
      moved = list(mine)
      for given in re.findall(r"%[\w.-]+", rest.partition("), ")[0]):
        moved += buffers.get((computation, given), [])
    times, in_loop_once = runs[computation]
    total = sum(size for size, _ in moved)
    everything += times * total
    once += in_loop_once * total
    hbm += times * sum(size for size, in_hbm in moved if in_hbm)
  return Traffic(everything, once, hbm)


def memory_needed(error: str) -> tuple[int, int] | None:
  """(needed, available) bytes of an out-of-memory message, else None."""
  for pattern in _MEMORY:
    found = pattern.search(error)
    if found:
      numbers = found.groups()
      return _in_bytes(*numbers[:2]), _in_bytes(*numbers[2:])
  return None


def _in_bytes(number: str, unit: str) -> int:
  return int(float(number) * 1024 ** " KMGT".index(unit or " "))


def _instructions(text: str) -> Iterator[tuple[str | None, tuple]]:
  """Yields (computation, (name, shapes, operation, the rest))."""
  computation = None
  for line in text.splitlines():
    head = re.match(r"(?:ENTRY )?(%[\w.-]+) .*\{$", line)
    found = None if head else _INSTRUCTION.match(line)
    if head:
      computation = head[1]
    elif found:
      name, kind, op, rest = found.groups()
      yield computation, (name, _SHAPE.findall(kind), op, rest)


def _runs(text: str) -> dict[Any, tuple[float, float]]:
  """{computation: (times it runs, the same with bodies of loops once)}.

  It has the computations outside fusions.
  """
  conditions, calls = {}, collections.defaultdict(list)
  for computation, (_, _, op, rest) in _instructions(text):
    limit = re.match(r"(\d+)\)", rest)
    if op == "constant" and limit:
      conditions.setdefault(computation, []).append(int(limit[1]))
    if op == "while":
      calls[computation].append(
          (_named("body", rest), _named("condition", rest), "/gather" in rest)
      )
    elif op == "conditional":
      listed = re.search(r"branch_computations=\{([^}]*)\}", rest)
      names = re.findall(
          r"%[\w.-]+", listed[1] if listed else " ".join(re.findall(
              r"(?:true|false)_computation=(%[\w.-]+)", rest
          ))
      )
      calls[computation] += [(name, None, len(names)) for name in names]
    elif op == "call":
      calls[computation].append((_named("to_apply", rest), None, 1))
  entry = re.search(r"^ENTRY (%[\w.-]+)", text, re.MULTILINE)
  out = {}

  def visit(name, times, once):
    before = out.get(name, (0, 0))
    out[name] = (before[0] + times, before[1] + once)
    for callee, condition, how in calls[name]:
      if condition is None:  # one of `how` branches
        visit(callee, times / how, once / how)
        continue
      limits = conditions.get(condition, [])
      trips = limits[0] if len(limits) == 1 and not how else 1
      visit(callee, times * trips, once)

  if entry:
    visit(entry[1], 1, 1)
  return out


def _named(role: str, rest: str) -> str:
  """The computation that has a role in an instruction."""
  found = re.search(rf"{role}=(%[\w.-]+)", rest)
  assert found, f"no {role} in: {rest}"
  return found[1]


def _size(shape: tuple[str, str, str]) -> int:
  """Bytes of an array (type, dimensions, layout): bf16 has 16 bits, pred 8."""
  kind, dims, _ = shape
  bits = re.search(r"\d+", kind)
  count = math.prod(int(d) for d in dims.split(",") if d)
  return math.ceil((int(bits[0]) if bits else 8) * count / 8)


def _group(line: str) -> int:
  """Number of devices in a group: {{0,1},{2,3}} and [2,2]<=[4] have 2."""
  listed = re.search(r"replica_groups=\{\{([\d,]*)\}", line)
  if listed:
    return len(listed[1].split(","))
  shaped = re.search(r"replica_groups=\[(\d+),(\d+)\]", line)
  return int(shaped[2]) if shaped else 1
