"""Alignment, uniformity and the collapse warning against loops."""

import dataclasses

import numpy as np
import pytest

from accfm.evals.embedding import health
from accfm.evals.results.figures import TESTED, Figures
from tests.evals import toy


def unit(x):
  return x / np.linalg.norm(x, axis=1, keepdims=True)


def loops(x, y):
  """(alignment of pairs, uniformity of x) by their definitions."""
  x, y = unit(x), unit(y)
  near = [sum((a - b) ** 2) for a, b in zip(x, y, strict=True)]
  every = [
      np.exp(-2 * sum((x[i] - x[j]) ** 2))
      for i in range(len(x)) for j in range(len(x)) if i != j
  ]
  return np.mean(near), np.log(np.mean(every))


def test_equal_their_definitions():
  rng = np.random.default_rng(0)
  x, y = rng.normal(1, 2, size=(2, 23, 5))
  aligned, uniform = loops(x, y)
  assert health.alignment(x, y) == pytest.approx(aligned)
  assert health.uniformity(x) == pytest.approx(uniform)
  assert health.uniformity(x, block=4) == pytest.approx(uniform)


def test_ends_of_the_scales():
  rng = np.random.default_rng(0)
  x = rng.normal(size=(40, 6))
  assert health.alignment(x, 3 * x) == pytest.approx(0, abs=1e-12)
  assert health.alignment(x, -x) == pytest.approx(4)
  assert health.uniformity(np.ones((9, 3))) == pytest.approx(0, abs=1e-9)
  wide = rng.normal(size=(300, 2000))
  assert health.uniformity(wide) == pytest.approx(-4, abs=0.05)


def test_of_many_rows_a_fixed_part_is_used():
  x = np.random.default_rng(0).normal(size=(50, 4))
  got = health.uniformity(x, rows=12)
  some = x[np.round(np.linspace(0, 49, 12)).astype(int)]
  assert got == pytest.approx(health.uniformity(some))
  assert got == health.uniformity(x, rows=12) != health.uniformity(x)


def test_consecutive_windows_of_one_recording():
  table = {
      "participant": np.array(["b", "a", "b", "a", "a", "b"]),
      "session": np.array(["1", "1", "1", "2", "1", "1"]),
      "start_s": np.array([20.0, 5.0, 0.0, 9.0, 1.0, 10.0]),
  }
  one, two = health.consecutive(table)
  assert list(zip(one.tolist(), two.tolist(), strict=True)) == [
      (4, 1), (2, 5), (5, 0)]


def measured(data):
  m = Figures()
  health.score_health(data, toy.make_config(), m)
  return m.flat(), {x["key"]: x["reason"] for x in m.missing()}


def test_two_towers_are_aligned_by_their_projections():
  data, _ = toy.make_inputs()
  v, _ = measured(data)
  pair = data.pairs[TESTED]
  aligned, uniform = loops(pair["acc"], pair["ppg"])
  assert v["test/health/alignment"] == pytest.approx(aligned)
  assert v["test/health/uniformity"] == pytest.approx(uniform)
  assert v["test/ppg/health/uniformity"] == pytest.approx(
      loops(pair["ppg"], pair["ppg"])[1])
  assert "test/ppg/health/alignment" not in v  # it is the same pair
  fresh = data.pairs["untrained"]
  aligned, uniform = loops(fresh["acc"], fresh["ppg"])
  assert v["test/untrained/health/alignment"] == pytest.approx(aligned)
  assert v["test/health/alignment"] < v["test/untrained/health/alignment"]


def test_one_tower_is_aligned_by_neighbouring_windows():
  data, _ = toy.make_inputs()
  data = dataclasses.replace(
      data, pairs={"envelope": data.pairs["envelope"]}, teacher="")
  v, _ = measured(data)
  x = data.encoders[TESTED]["test"]  # eight windows a person, in order of time
  first = [i for i in range(63) if (i + 1) % 8]
  aligned, _ = loops(x[first], x[[i + 1 for i in first]])
  assert v["test/health/alignment"] == pytest.approx(aligned, rel=1e-6)
  assert v["test/health/uniformity"] == pytest.approx(
      loops(x, x)[1], rel=1e-5)
  rows = np.arange(0, 64, 8)
  data.tables["test"] = {c: c_[rows] for c, c_ in data.table.items()}
  for parts in data.encoders.values():
    parts["test"] = parts["test"][rows]
  v, reasons = measured(data)
  assert v["test/health/alignment"] is None
  assert "no two windows" in reasons["test/health/alignment"]


@pytest.mark.parametrize("change", ["rank", "constant"])
def test_a_collapse_is_flagged_and_told_loudly(change, capsys):
  data, _ = toy.make_inputs()
  v, _ = measured(data)
  assert v["test/health/collapsed"] == v["test/ppg/health/collapsed"] == 0
  assert capsys.readouterr().err == ""
  rng = np.random.default_rng(0)
  if change == "rank":  # one direction and a little noise
    x = np.outer(rng.normal(size=64), np.ones(12)) + 1e-3 * rng.normal(
        size=(64, 12))
  else:  # four of sixty dimensions vary, without a mean
    x = np.pad(rng.normal(size=(64, 4)), ((0, 0), (0, 56)))
  data.encoders[TESTED]["test"] = data.encoders["untrained"]["test"] = x
  v, _ = measured(data)
  assert (health.effective_rank(health.spectrum(x)) < 3) == (change == "rank")
  assert v["test/health/collapsed"] == 1
  assert v["test/untrained/health/collapsed"] == 1
  said = capsys.readouterr().err
  assert said.count("\n") == 1  # nobody trained the other one
  assert said.startswith("WARNING: the acc embedding has COLLAPSED: effective")


def test_each_spectrum_is_computed_once(monkeypatch):
  """Also with its section: one singular value decomposition an encoder."""
  data, _ = toy.make_inputs()
  calls, svd = [], np.linalg.svd
  monkeypatch.setattr(
      np.linalg, "svd", lambda x, **k: calls.append(x.shape) or svd(x, **k))
  outcome = health.score_health(data, toy.make_config(), Figures())
  (section,) = outcome.describe()
  assert len(calls) == len(data.encoders) == 3
  (plot,) = [p for p in section.parts
             if p.kind == "plot" and p.name == "spectra"]
  np.testing.assert_allclose(
      plot.data["sizes"][TESTED], svd(data.encoders[TESTED]["test"])[1],
      rtol=1e-5)
