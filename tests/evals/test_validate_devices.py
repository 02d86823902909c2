"""Validation gives the same numbers on any number of devices."""

import types

import jax
import numpy as np
import pytest

from accfm.base import mesh as meshes
from accfm.configs import (
  acc_distill,
  acc_supervised,
  ppg_contrastive,
  ppg_mae,
)
from accfm.data import joined, manifest
from accfm.evals import in_training, validate
from accfm.signals import targets
from accfm.steps import contrastive, distill, mae, supervised
from accfm.steps.given import Given, Start
from accfm.steps.record import Record
from accfm.train import opening
from tests.evals import toy
from tests.models import fresh
from tests.steps import wired

TARGETS = (
    targets.Target("labels/hr_bpm", 70.0, 10.0),
    targets.Target("attributes/sex", classes=(0.0, 1.0)),
)


@pytest.fixture(autouse=True)
def _quick_start():
  """Weights without compiling initialisers."""
  with fresh.initialisers():
    yield


@pytest.fixture(scope="module")
def split(simulated):
  """The val split: two people with seven segments each."""
  return joined.open_joined(
      [manifest.find(simulated, "simulated_easy")], "val"
  )


def contrast(contract, arg="tiny", **fields):
  config = ppg_contrastive.get_config(arg).unlock()
  config.update(fields)
  made = contrastive.make_objective(config, Given(contract))
  return made, Record("contrastive", config.to_dict(), ("ppg",), contract)


def pair(contract, **fields):
  mentor, parent = contrast(contract)
  start = Start("ppg", parent.config["encoder"], {
      "params": mentor.params["encoder"]
  })
  config = acc_distill.get_config("tiny").unlock()
  config.update(fields)
  made = distill.make_objective(config, Given(contract, start))
  return made, Record(
      "distill", config.to_dict(), ("acc", "ppg"), contract, parent=parent
  )


def hidden(contract):
  config = ppg_mae.get_config("tiny")
  made = mae.make_objective(config, Given(contract))
  return made, Record("mae", config.to_dict(), ("ppg",), contract)


def labelled(contract):
  config = acc_supervised.get_config("tiny")
  made = supervised.make_objective(config, Given(contract, targets=TARGETS))
  return made, Record(
      "supervised", config.to_dict(), ("acc",), contract, targets=TARGETS
  )


KINDS = {
    "views": lambda c: contrast(c, koleo_weight=0.1, micro_batches=2),
    "people": lambda c: contrast(c, "tiny,positives=participant"),
    "batch norm": lambda c: contrast(c, wired.EFFICIENT, momentum=0.9),
    "pair": lambda c: pair(c, micro_batches=3),
    "cosine": lambda c: pair(c, loss="cosine", **wired.REGRESSION),
    "mae": hidden,
    "supervised": labelled,
}


def measure(split, kind, rows, devices):
  """The metrics of an untrained model on so many rows and devices."""
  made, record = KINDS[kind](split.contract)
  mesh = meshes.make_mesh(jax.devices()[:devices])
  data = opening.TrainingData(None, split, (1.0,), mesh, record.signals)

  def labels(rows):  # known of some rows alone, not as many on each device
    known = np.where(rows % 3 > 0, 60.0 + rows, np.nan)
    return {"labels": np.float32(np.stack([known, rows % 2], axis=1))}

  check = validate.make_validate(
      record, data, made.loss, rows, 0, kind == "people",
      labels if record.targets else None,
  )
  state = types.SimpleNamespace(**meshes.put_replicated(
      dict(params=made.params, carried=made.carried), mesh
  ))
  return check(state, meshes.put_replicated(made.frozen, mesh))


# Kinds whose collectives another one has too wait for --full.
@pytest.mark.parametrize("kind, rows", [
    *(pytest.param(kind, rows, marks=pytest.mark.full)
      for kind in KINDS for rows in (4, 13)),
])
def test_every_number_of_devices_gives_the_same(split, kind, rows):
  want = measure(split, kind, rows, 1)
  assert "val/loss" in want and all(map(np.isfinite, want.values()))
  for devices in (2, 3, 8):
    got = measure(split, kind, rows, devices)
    assert got.keys() == want.keys()
    for name, value in want.items():
      assert got[name] == pytest.approx(value, rel=1e-4), (name, devices)


@pytest.mark.parametrize("rows, devices, parts", [
    (16, 8, 8), (12, 8, 4), (4, 8, 4), (13, 8, 1), (13, 1, 1), (4, 3, 1),
    (6, 3, 3), (1, 8, 1),
])
def test_rows_divide_over_as_many_parts_as_can_be(rows, devices, parts):
  """Each part has the next rows, and each device one of the parts."""
  for fsdp, model in ((1, 1), (2, 1), (1, 2), (2, 2)):
    if devices % (fsdp * model):
      continue
    mesh = meshes.make_mesh(jax.devices()[:devices], fsdp, model)
    few = meshes.for_rows(mesh, rows)
    assert meshes.row_shards(few) == min(parts, np.gcd(
        rows, devices // model))
    assert few.devices.ravel().tolist() == mesh.devices.ravel().tolist()
    x = meshes.put_all_rows(np.arange(rows), few)
    held = {}
    for shard in x.addressable_shards:
      held.setdefault(tuple(np.asarray(shard.data)), []).append(shard.device)
    assert sorted(held) == [
        tuple(part) for part in np.split(
            np.arange(rows), meshes.row_shards(few))
    ]
    assert len({len(where) for where in held.values()}) == 1


def test_parameters_in_shards_validate_as_whole_ones(split):
  """Over fsdp and model, with rows that do not divide."""
  made, record = KINDS["pair"](split.contract)
  want = measure(split, "pair", 13, 1)
  mesh = meshes.make_mesh(fsdp=2, model=2)
  data = opening.TrainingData(None, split, (1.0,), mesh, record.signals)
  check = validate.make_validate(record, data, made.loss, 13, 0)
  where = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("fsdp"))
  params = jax.tree.map(
      lambda x: jax.device_put(
          x, where if x.ndim and x.shape[0] % 2 == 0
          else meshes.replicated(mesh)), made.params,
  )
  state = types.SimpleNamespace(params=params, carried={})
  got = check(state, meshes.put_replicated(made.frozen, mesh))
  assert got == pytest.approx(want, rel=1e-4)


def test_evaluators_of_a_training_depend_on_no_devices():
  split = toy.Split(3, 7)  # 21 rows in batches of 8
  towers = toy.make_towers(split)
  want, *others = (
      in_training.run_evaluators(
          ("retrieval", "health", "reidentify"), split, towers, ("acc", "ppg"),
          meshes.make_mesh(jax.devices()[:devices]), 8,
      ) for devices in (1, 2, 3, 8)
  )
  assert want
  for got in others:
    assert got == pytest.approx(want, rel=1e-5)
