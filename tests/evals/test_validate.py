"""Validation rows, and the numbers of a step against a loop."""

import types

import jax
import numpy as np
import pytest

from accfm.base import mesh as meshes
from accfm.configs import acc_distill, ppg_contrastive
from accfm.data import joined, manifest
from accfm.evals import validate
from accfm.evals.embedding import forward
from accfm.signals import augment
from accfm.steps import contrastive, distill, nets, towers
from accfm.steps.given import Given, Start
from accfm.steps.record import Record
from accfm.train import opening
from tests.models import fresh


@pytest.mark.parametrize("rows, wanted, n", [
    (100, 256, 100), (100, 20, 20), (100, 3, 3), (8, 8, 8), (3, 256, 3),
    (7, 1, 1), (1, 8, 1),
])
def test_rows_are_distinct_and_spread(rows, wanted, n):
  numbers = validate.pick_rows(rows, wanted)
  assert len(numbers) == len(set(numbers)) == n
  assert numbers.min() == 0 and numbers.max() == (rows - 1 if n > 1 else 0)
  assert n < 2 or np.ptp(np.diff(numbers)) <= 1


@pytest.mark.parametrize("count", [8, 13, 3])
def test_numbers_of_a_pair(simulated, monkeypatch, count):
  """On eight devices, also of rows that do not divide over them."""
  monkeypatch.setattr(
      nets, "init",
      lambda module, seed, name, *x: fresh.variables(
          module, *x, seed=len(name)),
  )
  split = joined.open_joined(
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
  check = validate.make_validate(record, data, made.loss, count, 0)
  state = types.SimpleNamespace(params=made.params, carried={})
  got = check(state, made.frozen)
  numbers = validate.pick_rows(len(split), count)
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
    for i in range(count):
      z = [a[i] @ b[j] / config.temperature for j in range(count)]
      losses.append(np.log(sum(np.exp(z))) - z[i])
      found[name] += all(z[j] < z[i] for j in range(count) if j != i) / count
  assert got["val/loss"] == pytest.approx(np.mean(losses), rel=1e-3)
  for name, recall in found.items():
    assert got[f"val/{name}/recall@1"] == pytest.approx(recall)
  assert sorted(got) == ["val/acc2ppg/recall@1", "val/effective_rank",
                         "val/loss", "val/ppg2acc/recall@1"]
  compiled = forward.make_forward(data.mesh)._cache_size()
  assert check(state, made.frozen) == got
  assert forward.make_forward(data.mesh)._cache_size() == compiled
