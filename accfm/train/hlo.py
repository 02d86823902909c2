"""What XLA's texts say: collectives, traffic of the memory, lack of it."""

import collections
import dataclasses
import math
import re

KINDS = (
    "all-reduce", "all-gather", "reduce-scatter", "all-to-all",
    "collective-permute",
)
_LINE = re.compile(
    rf"= (?P<type>.*?) (?P<kind>{'|'.join(KINDS)})(?P<start>-start)?\("
)
_SHAPE = re.compile(r"(\w+)\[([\d,]*)\](?:\{([^}]*)\})?")
_INSTRUCTION = re.compile(r"\s+(?:ROOT )?(%\S+) = (.*?) ([a-z][\w-]*)\((.*)")
# What moves nothing itself: names, views, and calls, whose bodies do it.
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
    group: devices that take part.
  """

  kind: str
  bytes_by_type: dict
  group: int

  @property
  def bytes(self):
    """Of the whole result."""
    return sum(self.bytes_by_type.values())

  @property
  def received(self):
    """Bytes that a device receives at least, by a ring or better."""
    if self.kind == "collective-permute":
      return float(self.bytes)
    share = (self.group - 1) / self.group
    times = {"all-reduce": 2, "reduce-scatter": self.group}
    return times.get(self.kind, 1) * share * self.bytes


def collectives(text):
  """The Collectives of a compiled program's HLO text, loop bodies once.

  A collective that runs beside other work is written again in each of the
  fusions that it passes through: the pieces share a `chain_id` and count
  once. The channel alone does not tell: two gathers may have the same.
  """
  out, chains = [], set()
  for line in text.splitlines():
    found = _LINE.search(line)
    if not found:
      continue
    chain = re.search(r'chain_id="(\d+)"', line)
    if chain:
      name = (found["kind"], _channel(line), chain[1])
      if name in chains:
        continue
      chains.add(name)
    shapes = _SHAPE.findall(found["type"])
    if found["start"] and found["kind"] != "all-reduce":
      # (operands, results[, two counters]): as many results as operands.
      shapes = [s for s in shapes if not (s[0] == "u32" and not s[1])]
      shapes = shapes[len(shapes) // 2:]
    sizes = collections.Counter()
    for shape in shapes:
      sizes[shape[0]] += _size(shape)
    out.append(Collective(found["kind"], dict(sizes), _group(line)))
  return out


def by_kind(found):
  """{kind: {"count", "bytes", "bytes_by_type"}} of Collectives, for JSON."""
  out = {}
  for one in found:
    entry = out.setdefault(
        one.kind, dict(count=0, bytes=0, bytes_by_type={})
    )
    entry["count"] += 1
    entry["bytes"] += one.bytes
    for kind, size in one.bytes_by_type.items():
      of_type = entry["bytes_by_type"]
      of_type[kind] = of_type.get(kind, 0) + size
  return out


def hbm_bytes(text):
  """Bytes that a compiled TPU program reads from and writes to HBM.

  Every operand and result of every instruction outside fusions, whole, whose
  layout does not say that it lies on the chip (`S(1)`, VMEM). XLA's "bytes
  accessed" has those too. Each body of a loop counts once, each branch once.
  """
  inside = set(re.findall(r"(?:calls|to_apply)=(%[\w.-]+)", text))
  total, computation, buffers = 0, None, {}
  for line in text.splitlines():
    head = re.match(r"(?:ENTRY )?(%[\w.-]+) .*\{$", line)
    if head:
      computation, buffers = head[1], {}
    found = _INSTRUCTION.match(line)
    if head or not found or computation in inside:
      continue
    name, kind, op, rest = found.groups()
    buffers[name] = mine = [
        (_size(shape), "S(" not in shape[2]) for shape in _SHAPE.findall(kind)
    ]
    if op in _FREE or op.endswith("-done") or "ConcatBitcast" in rest:
      continue
    if op in ("copy-start", "slice-start"):
      # From one place to another, as many bytes as the smaller one has.
      size = min(mine[:2])[0]
      total += size * sum(in_hbm for _, in_hbm in mine[:2])
      continue
    for given in re.findall(r"%[\w.-]+", rest.partition("), ")[0]):
      mine = mine + buffers.get(given, [])
    total += sum(size for size, in_hbm in mine if in_hbm)
  return total


def memory_needed(error):
  """(needed, available) bytes of an out-of-memory message, else None."""
  for pattern in _MEMORY:
    found = pattern.search(error)
    if found:
      numbers = found.groups()
      return tuple(
          int(float(number) * 1024 ** " KMGT".index(unit or " "))
          for number, unit in (numbers[:2], numbers[2:])
      )
  return None


def _size(shape):
  """Bytes of an array (type, dimensions, layout): bf16 has 16 bits, pred 8."""
  kind, dims, _ = shape
  bits = re.search(r"\d+", kind)
  count = math.prod(int(d) for d in dims.split(",") if d)
  return math.ceil((int(bits[0]) if bits else 8) * count / 8)


def _channel(line):
  found = re.search(r"channel_id=(\d+)", line)
  return found[1] if found else None


def _group(line):
  """Devices in a group: {{0,1},{2,3}} and [2,2]<=[4] have 2."""
  listed = re.search(r"replica_groups=\{\{([\d,]*)\}", line)
  if listed:
    return len(listed[1].split(","))
  shaped = re.search(r"replica_groups=\[(\d+),(\d+)\]", line)
  return int(shaped[2]) if shaped else 1
