"""CKA against matrices of all pairs, and what it must not see."""

import numpy as np
import pytest

from accfm.evals.embedding import cka, health
from accfm.evals.results.figures import Figures
from tests.evals import toy


def _by_pairs(x, y):
  """The definition, with the kernels of all pairs."""
  n = len(x)

  def hsic(a, b):
    k, m = a @ a.T, b @ b.T
    np.fill_diagonal(k, 0)
    np.fill_diagonal(m, 0)
    return (np.trace(k @ m) + k.sum() * m.sum() / ((n - 1) * (n - 2))
            - 2 * (k @ m).sum() / (n - 2)) / (n * (n - 3))

  return hsic(x, y) / np.sqrt(hsic(x, x) * hsic(y, y))


def test_equals_all_pairs(monkeypatch):
  rng = np.random.default_rng(0)
  x = rng.normal(size=(50, 6)) + 3
  y = np.concatenate([x[:, :2], rng.normal(size=(50, 3))], axis=1) @ (
      rng.normal(size=(5, 5)))
  want = _by_pairs(x, y)
  assert 0.1 < want < 0.9
  assert cka.linear_cka(x, y) == pytest.approx(want)
  monkeypatch.setattr(cka, "BLOCK", 7)
  assert cka.linear_cka(x, y) == pytest.approx(want)


def test_turns_scales_and_shifts_change_nothing():
  rng = np.random.default_rng(1)
  x = rng.normal(size=(40, 8))
  turn = np.linalg.qr(rng.normal(size=(8, 8)))[0]
  assert cka.linear_cka(x, 5 * x @ turn - 100) == pytest.approx(1)


def test_unrelated_embeddings_give_none_on_average():
  rng = np.random.default_rng(2)
  found = [cka.linear_cka(*rng.normal(size=(2, 30, 64))) for _ in range(200)]
  assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(200)
  assert np.isnan(cka.linear_cka(np.ones((30, 4)), rng.normal(size=(30, 4))))


def test_health_has_it_beside_each_encoder():
  data, _ = toy.make_inputs()
  m = Figures()
  outcome = health.score_health(data, toy.make_config(), m)
  v = m.flat()
  for row, encoder in (("", "encoder"), ("untrained/", "untrained")):
    assert v[f"test/{row}health/cka_with_ppg"] == pytest.approx(
        cka.linear_cka(data.encoders[encoder]["test"],
                       data.encoders["ppg"]["test"]))
  assert v["test/health/cka_with_ppg"] > v["test/untrained/health/cka_with_ppg"]
  assert "test/ppg/health/cka_with_ppg" not in v
  assert "CKA with PPG" in outcome.describe()[0].parts[0].heads
  del data.encoders["ppg"]
  m = Figures()
  health.score_health(data, toy.make_config(), m)
  assert not any("cka" in name for name in m.flat())
