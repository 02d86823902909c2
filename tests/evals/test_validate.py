"""Validation rows, and the numbers of a step against a loop."""

import types

import jax
import numpy as np
import pytest

from accfm.base import mesh as meshes
from accfm.configs import acc_distill, ppg_contrastive
from accfm.data import manifest, pipeline
from accfm.evals import validate
from accfm.evals.embedding import forward
from accfm.signals import augment
from accfm.steps import contrastive, distill, nets, towers
from accfm.steps.given import Given, Start
from accfm.steps.record import Record
from accfm.train import opening
from tests.models import fresh


@pytest.mark.parametrize("rows, wanted, devices, n", [
    (100, 256, 8, 96), (100, 20, 8, 16), (100, 3, 8, 8), (8, 8, 8, 8),
    (100, 256, 1, 100), (7, 256, 1, 7),
])
def test_rows_are_distinct_and_spread(rows, wanted, devices, n):
  numbers, count = validate.pick_rows(rows, wanted, devices)
  assert count == len(numbers) == len(set(numbers)) == n
  assert numbers.min() == 0 and numbers.max() == rows - 1
  assert np.ptp(np.diff(numbers)) <= 1


def test_a_split_smaller_than_the_devices_counts_each_row_once():
  numbers, count = validate.pick_rows(3, 256, 8)
  assert len(numbers) == 8 and count == 3
  assert numbers[:count].tolist() == [0, 1, 2]


def test_numbers_of_a_pair(simulated, monkeypatch):
  monkeypatch.setattr(
      nets, "init",
      lambda module, seed, name, *x: fresh.variables(
          module, *x, seed=len(name)),
  )
  split = pipeline.open_joined(
      [manifest.find(simulated, "simulated_easy")], "val"
  )
  config = acc_distill.get_config("tiny").unlock()
  config.augment = dict(student=augment.off(), teacher=augment.off())
  teacher_config = ppg_contrastive.get_config("tiny")
  contract = split.contract
  teacher = contrastive.make_objective(teacher_config, Given(contract))
  made = distill.make_objective(config, Given(contract, Start(
      "ppg", teacher_config.encoder, {"params": teacher.params["encoder"]},
  )))
  record = Record(
      "distill", config.to_dict(), ("acc", "ppg"), contract,
      parent=Record(
          "contrastive", teacher_config.to_dict(), ("ppg",), contract
      ),
  )
  data = opening.TrainingData(
      None, split, (1.0,), meshes.make_mesh(), ("acc", "ppg")
  )
  check = validate.make_validate(record, data, made.loss, 8, 0)
  state = types.SimpleNamespace(params=made.params, carried={})
  got = check(state, made.frozen)
  numbers, _ = validate.pick_rows(len(split), 8, 8)
  rows = split.read(numbers, ("acc", "ppg"))
  q, k = (
      np.asarray(jax.jit(type(t).project)(
          t, rows[name], rows[f"{name}_scale"]
      ), np.float64)
      for name, t in towers.from_checkpoint(
          made.params, {}, made.frozen, record).items()
  )
  losses, found = [], {"acc2ppg": 0, "ppg2acc": 0}
  for name, a, b in (("acc2ppg", q, k), ("ppg2acc", k, q)):
    for i in range(8):
      z = [a[i] @ b[j] / config.temperature for j in range(8)]
      losses.append(np.log(sum(np.exp(z))) - z[i])
      found[name] += all(z[j] < z[i] for j in range(8) if j != i) / 8
  assert got["val/loss"] == pytest.approx(np.mean(losses), rel=1e-3)
  for name, recall in found.items():
    assert got[f"val/{name}/recall@1"] == pytest.approx(recall)
  assert sorted(got) == ["val/acc2ppg/recall@1", "val/effective_rank",
                         "val/loss", "val/ppg2acc/recall@1"]
  compiled = forward.make_forward(data.mesh)._cache_size()
  assert check(state, made.frozen) == got
  assert forward.make_forward(data.mesh)._cache_size() == compiled
