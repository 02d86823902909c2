"""Opens what a training run reads: its data sets, on the mesh of its devices.

The order is the order of checks: nothing is written before the data, the
batch size and the config have been found fit to run.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any

import jax
from ml_collections import ConfigDict

from accfm.base import mesh as meshlib
from accfm.base.errors import InputError, warn
from accfm.data import ids, joined, orders, samplers, sharedmemory
from accfm.data import manifest as manifest_lib
from accfm.signals.contract import Contract
from accfm.steps import micro
from accfm.train import allowed, sharding


@dataclasses.dataclass(frozen=True)
class TrainingData:
  """The data of one training run, and the devices that it is put on.

  Attributes:
    train, val: `joined.Joined` splits of the data sets.
    weights: share of each data set in a batch, up to a factor.
    mesh: the data mesh.
    signals: names of the signals that batches hold.
  """

  train: joined.Joined
  val: joined.Joined
  weights: tuple[float, ...]
  mesh: jax.sharding.Mesh
  signals: tuple[str, ...]

  @property
  def contract(self) -> Contract:
    """The data sets' input contract."""
    return self.train.contract


def open_data(config: ConfigDict, signals: Iterable[str]) -> TrainingData:
  """Opens the data sets of a config and checks that a run can use them.

  Args:
    config: with data_dir, dataset ("name", or "name:weight,name:weight" for
      a mixture), batch_size.
    signals: names of the signals that the run feeds.

  Raises:
    InputError: no such data set, an absent signal, a batch that does not
      divide over the devices, or workers without room for their batches.
  """
  allowed.check(config)
  mixture = allowed.parse_mixture(config.dataset)
  folders = [manifest_lib.find(config.data_dir, name) for name in mixture]
  signals = tuple(signals)
  train = joined.open_joined(
      folders, "train", config.max_damaged_share, signals)
  for line in ids.crossings([part.manifest for part in train.parts]):
    warn(f"dataset: {line}")
  for part in train.parts:
    part.keep_records(config.cache_mb * 2**20 // len(train.parts))
  mesh = meshlib.make_mesh(fsdp=config.fsdp, model=config.model)
  check_signals(signals, train.contract, folders[0])
  check_mesh(config, mesh)
  sharedmemory.check(
      config.workers, config.prefetch,
      (1 + by_people(config)) * sharedmemory.batch_bytes(
          train.contract, signals, config.batch_size // jax.process_count()
      ),
  )
  return TrainingData(
      train, joined.open_joined(folders, "val", signals=signals),
      tuple(mixture.values()), mesh, signals,
  )


def check_mesh(config: ConfigDict, mesh: jax.sharding.Mesh) -> None:
  """Raises InputError for a batch or blocks that a mesh cannot be given."""
  meshlib.check_batch(config.batch_size, mesh)
  sharding.check_blocks(config, mesh)
  if "micro_batches" in config:
    micro.check(config, config.batch_size // meshlib.row_shards(mesh))


def check_signals(
    signals: Iterable[str], contract: Contract, where: str
) -> None:
  """Raises InputError unless the data of a contract have the signals."""
  for name in signals:
    if name not in contract.signals:
      raise InputError(
          f"signal: got {name!r}, want one of {sorted(contract.signals)} of "
          f"{where}"
      )


def by_people(config: ConfigDict) -> bool:
  """Whether a config pairs two segments of a person, by its `positives`."""
  return config.get("positives", "segment") == "participant"


def make_sampler(config: ConfigDict, data: TrainingData) -> Any:
  """`sampler(k) -> samplers.Draw` of a run without labels."""
  return samplers.make(
      data.train, config.batch_size, config.seed, data.weights,
      by_people(config), meshlib.row_shards(data.mesh),
      orders.Nearness(**config.order), config.get("minutes_per_person", 1),
  )
