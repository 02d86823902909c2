"""The coverage benchmark on few cohorts, and its counting by hand."""

import numpy as np
import pytest

from benchmarks import coverage


@pytest.fixture
def small(monkeypatch):
  monkeypatch.setattr(coverage, "MANY", 200)
  monkeypatch.setattr(coverage, "DRAWS", 40)


def test_every_cell_runs_and_is_told(small):
  found = coverage.simulate(4, 0, (3, 10))
  assert list(found) == list(coverage.CELLS)
  for by_size in found.values():
    assert "held" not in by_size["3"][coverage.USED]
    assert by_size["10"][coverage.USED]["given"] == 4
  text = coverage.markdown(
      found, {"cohorts": 4, "accfm": "1"})
  assert text.count("| MAE | none |") == 1  # the percentile has one of three
  assert text.count("\n| recall@1 of 0.98 |") == 2


def test_holding_the_truth_is_counted():
  pairs = [(0.0, 2.0), (1.5, 3.0), (-1.0, 0.5), (0.9, 1.1), (None, None)]
  got = coverage.coverage(pairs, 1.0)
  assert (got["given"], got["cohorts"]) == (4, 5)
  assert (got["held"], got["below"], got["above"]) == (0.5, 0.25, 0.25)
  assert got["se"] == 0.25 and got["width"] == pytest.approx(1.5)
  assert "held" not in coverage.coverage([(None, None)] * 3, 1.0)


def test_bca_without_bias_and_skew_is_the_percentile_interval():
  drawn = np.arange(-50, 51) / 10.0
  low, high = coverage.bca(0.0, np.array([-1.0, 0.0, 1.0]), drawn)
  assert (low, high) == pytest.approx(tuple(
      np.quantile(drawn, [0.025, 0.975])), abs=1e-3)


@pytest.mark.parametrize("name, measure", [
    ("MAE", 1.0), ("recall@1 of 0.8", 0.8), ("recall@1 of 0.98", 0.98),
    ("AUC of people", coverage.EQUAL), ("Pearson r", 0.6),
    ("improvement on a baseline", 0.2), ("paired difference", -0.2),
    ("upper limit of agreement", 1.96 * 2 ** 0.5),
])
def test_the_truth_is_the_score_of_a_large_cohort(name, measure, small):
  cell = coverage.CELLS[name]
  one = cell.make(np.random.default_rng(1), 20_000)
  assert cell.truth == measure
  assert float(one.statistic(np.ones(20_000))) == pytest.approx(
      measure, abs=0.04)
