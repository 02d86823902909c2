"""The train step of a config, compiled for TPUs that are not there.

The same functions wire it as in training: those of `kinds`, `fit.make_step`,
`batches.make_batch`. Weights, optimiser and batch are shapes: nothing is
read, initialised or allocated, so any machine with libtpu can do it.
"""

import dataclasses
import os
import re
import types
from typing import Any

import jax
import numpy as np
from jax.experimental import topologies
from ml_collections import ConfigDict

from accfm.base import mesh as meshlib
from accfm.base.errors import InputError
from accfm.data import batches, manifest, pipeline, samplers
from accfm.plans import flops, hlo, roofline
from accfm.signals import targets as targetlib
from accfm.signals.contract import Contract, SignalSpec, from_dict
from accfm.steps import kinds
from accfm.steps import state as statelib
from accfm.steps.given import Given, Start
from accfm.train import allowed, fit, opening, sharding
from accfm.train.checkpoints import reader

# The paper's minute, as `configs/prepare.py:simulated` prepares it.
CONTRACT = Contract(
    {
        "acc": SignalSpec(3, "g", "acc", gravity_kept=True),
        "ppg": SignalSpec(4, "au", "ppg", band_hz=(0.5, 8.0)),
    },
    rate_hz=64.0, window_sec=60.0,
)
_ONE = np.zeros(1, np.int64)  # the rows of a batch of one

# libtpu asks the cloud what machine this is, and wants to be alone.
_ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
}


def open_topology(name: str) -> tuple[roofline.Chip, Any]:
  """(Chip, devices) of a TPU topology such as "v5e:4x4" or "v4:4x4x8".

  Raises:
    InputError: an unknown chip or shape, or libtpu is not installed.
  """
  found = re.fullmatch(r"(\w+):(\d+(?:x\d+)*)", name)
  chip = roofline.CHIPS.get(found[1]) if found else None
  sides = [int(n) for n in found[2].split("x")] if found else []
  if chip is None or len(sides) != chip.axes:
    raise InputError(
        f"topology: got {name!r}, want a chip of {sorted(roofline.CHIPS)} and "
        "its shape, such as v5e:4x4 or v4:2x2x1"
    )
  chips = int(np.prod(sides))
  if not 0 < chips <= chip.largest:
    raise InputError(
        f"topology: got {name!r}, {chips} chips, want 1 to {chip.largest}"
    )
  for variable, value in _ENVIRONMENT.items():
    os.environ.setdefault(variable, value)
  jax.config.update("jax_platforms", "cpu")  # a TPU that is here rests
  options = dict(chip.options)
  if chips < chip.chips_per_host:
    options["chips_per_host_bounds"] = (*sides, 1)[:3]
  try:
    devices = topologies.get_topology_desc(
        platform="tpu", topology_name=name, **options
    ).devices
  except jax.errors.JaxRuntimeError as error:
    raise InputError(
        f"topology: got {name!r}, want one that libtpu knows ("
        f"{' '.join(str(error).split())})"
    ) from error
  except RuntimeError as error:
    raise InputError(
        "libtpu is not installed, want it for planning; install accfm[tpu], "
        f"or jax[tpu]=={jax.__version__}"
    ) from error
  return chip, devices


@dataclasses.dataclass(frozen=True)
class Task:
  """What a config trains, as shapes.

  Attributes:
    kind: name of the kind of training.
    signals: names of the signals that its batches hold.
    objective: a `state.Objective` whose weights are shapes.
    row: a batch of one row, as shapes.
    cohorts: names of the data sets.
    assumed: sentences, one for each thing that the config leaves open.
  """

  kind: str
  signals: tuple[str, ...]
  objective: statelib.Objective
  row: Any
  cohorts: tuple[str, ...]
  assumed: tuple[str, ...]

  @property
  def row_bytes(self) -> int:
    """Bytes of one segment, as a host hands it to a chip."""
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(self.row))

  @property
  def parameters(self) -> int:
    """Number of trained parameters."""
    return sum(x.size for x in jax.tree.leaves(self.objective.params))


def make_task(config: ConfigDict) -> Task:
  """The Task of a config of accfm.pretrain, accfm.distill, accfm.supervise.

  Raises:
    InputError: a config of another main, or one that cannot be wired.
  """
  name, kind = kinds.of_config(config)
  contract, cohorts, assumed = _data(config)
  start, more = _start(config, kind)
  config = kind.adopt_encoder(config, start)
  signals = kind.signals(config, start)
  opening.check_signals(signals, contract, "the planned data")
  config = kind.resolve_augment(config, contract, signals)
  targets, also = _targets(config) if kind.labelled else ((), ())

  def wire():
    return kind.make_objective(config, Given(contract, start, targets))

  pairs = _ONE if opening.by_people(config) else None
  row = batches.make_batch(
      _Shapes(contract, cohorts), signals, samplers.Draw(_ONE, pairs),
      extra=_labels(len(targets)) if targets else None,
  )
  row = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), row)
  return Task(
      name, signals, _as_shapes(wire), row, cohorts,
      (*assumed, *more, *also),
  )


def trace(config: ConfigDict, task: Task, mesh: jax.sharding.Mesh) -> Any:
  """The step of a Task for a mesh, traced: `.jaxpr`, `.lower()`."""
  step, tx, _ = fit.make_step(
      config, task.objective, task.cohorts, mesh
  )
  return step.trace(*arguments(config, task, mesh, tx))


def arguments(
    config: ConfigDict, task: Task, mesh: jax.sharding.Mesh, tx: Any
) -> tuple[Any, Any, Any, Any]:
  """(state, frozen, batch, key) of the step, as shapes with shardings."""
  state = statelib.shapes(task.objective, tx)
  batch = jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(
          (config.batch_size, *x.shape[1:]), x.dtype
      ), task.row,
  )
  key = jax.eval_shape(lambda: jax.random.key(config.seed))
  whole, rows = meshlib.replicated(mesh), meshlib.rows(mesh)
  return (
      jax.tree.map(_with_sharding, state, sharding.shardings(state, mesh)),
      _placed(task.objective.frozen, whole),
      _placed(batch, rows), _placed(key, whole),
  )


def compile_step(
    config: ConfigDict, traced: Any, mesh: jax.sharding.Mesh
) -> Any:
  """The compiled program of `trace`.

  Raises:
    InputError: it needs more memory than a chip has; the message says what
      would help.
  """
  try:
    return traced.lower().compile()
  except jax.errors.JaxRuntimeError as error:
    memory = hlo.memory_needed(str(error))
    if memory is None:
      raise
    needed, available = memory
    rows = config.batch_size // meshlib.row_shards(mesh)
    raise InputError(
        f"the step of batch {config.batch_size:,} on {mesh.size} chips "
        f"({rows:,} rows a chip) does not fit: got "
        f"{roofline.gigabytes(needed)}, want at most "
        f"{roofline.gigabytes(available)} a chip; "
        + roofline.remedies(config, mesh.size, needed, available)
    ) from error


def counts(traced: Any, compiled: Any, model: int = 1) -> dict[str, Any]:
  """What a step does on one chip, plain values.

  Args:
    traced, compiled: of `trace` and `compile_step`.
    model: chips that share each product of a block; its FLOPs are counted
      as shared evenly.

  Returns:
    {"peak_memory_bytes"; "flops", "bf16_flops", "unknown_loops" as
    `flops.Work`, "xla_flops"; "bytes_accessed", XLA's count with loops as
    often as they run, "xla_bytes_accessed" without, "hbm_bytes" as
    `hlo.Traffic`; "bytes_received", "collectives"}.
  """
  cost, text = compiled.cost_analysis(), compiled.as_text()
  work = flops.count(traced.jaxpr)
  moved, found = hlo.traffic(text), hlo.collectives(text)
  accessed = cost["bytes accessed"] * moved.all / moved.once
  return {
      "peak_memory_bytes": compiled.memory_analysis().peak_memory_in_bytes,
      **dataclasses.asdict(work),
      "flops": work.flops / model,
      "bf16_flops": work.bf16_flops / model,
      "xla_flops": cost["flops"],
      "bytes_accessed": accessed,
      "xla_bytes_accessed": cost["bytes accessed"],
      "hbm_bytes": min(moved.hbm, accessed),
      "bytes_received": sum(one.times * one.received for one in found),
      "collectives": hlo.by_kind(found),
  }


def _data(config):
  """(contract, names of the data sets, sentences) of a config's data."""
  names = tuple(allowed.parse_mixture(config.dataset))
  try:
    folder = manifest.find(config.data_dir, names[0])
  except InputError:
    signals = ", ".join(
        f"{name} of {spec.channels} channels"
        for name, spec in CONTRACT.signals.items()
    )
    return CONTRACT, names, (
        f"no data set {names[0]} in {config.data_dir}: segments of "
        f"{CONTRACT.window_sec:g} s at {CONTRACT.rate_hz:g} Hz, {signals}",
    )
  return from_dict(manifest.load(folder)["contract"]), names, ()


def _start(config, kind):
  """(Start or None, sentences): the encoder that a planned run starts from.

  Of a checkpoint only the record is read, so its weights are drawn.
  """
  if not kind.parent:
    return None, ()
  path = config[kind.parent]
  if not path:
    return kind.assume_start(config)
  record = reader.read_record(
      reader.find(path, config[f"{kind.parent}_step"])
  )
  return Start(record.signals[0], record.setting("encoder")), ()


def _targets(config):
  """(targets, sentences) of a supervised config: their statistics are no part
  of a step.
  """
  numbers = tuple(targetlib.Target(column) for column in config.numbers)
  classes = tuple(
      targetlib.Target(column, classes=(0.0, 1.0))
      for column in config.classes
  )
  also = ("two values of each label in config.classes",) if classes else ()
  return numbers + classes, also


def _labels(count):
  """`labels(rows)` of so many targets, see `batches.train_batches`."""
  return lambda rows: {"labels": np.zeros((len(rows), count), np.float32)}


class _Shapes:
  """Stands for a `joined.Joined`: rows of the right shape, not filled."""

  def __init__(self, contract, names):
    self._contract = contract
    apart = {"hop_sec": contract.window_sec, "contract": contract.to_dict()}
    self.parts = [types.SimpleNamespace(manifest=apart) for _ in names]
    self.bounds = np.arange(len(names) + 1)

  def read(self, indices, signals):
    return pipeline.empty_rows(self._contract, len(indices), signals)

  def cohort(self, rows):
    return np.zeros(len(rows), np.int32)


def _as_shapes(wire):
  """The Objective that `wire()` makes, its weights as shapes."""
  made = []

  def weights():
    made.append(wire())
    return made[0].params, made[0].carried, made[0].frozen

  params, carried, frozen = jax.eval_shape(weights)
  return dataclasses.replace(
      made[0], params=params, carried=carried, frozen=frozen
  )


def _placed(tree, where):
  return jax.tree.map(lambda x: _with_sharding(x, where), tree)


def _with_sharding(x, where):
  return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where)
