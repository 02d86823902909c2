"""int16 storage: exact to half a step, never not-finite, cost as measured."""

import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.data import quantise


@pytest.fixture
def values():
  rng = np.random.default_rng(0)
  x = rng.normal(size=(200, 4)) * [1e-6, 0.02, 1.0, 3e5]
  x[:, 2] = 0.0
  x[7, 1] = -0.9  # the largest is negative
  return x


def test_against_a_loop(values):
  stored, scale = quantise.quantise(values)
  assert stored.dtype == np.int16 and scale.dtype == np.float32
  for c in range(values.shape[1]):
    peak = max(abs(x) for x in values[:, c])
    want = peak / 32767 if peak else 1.0
    assert scale[c] == pytest.approx(want, rel=1e-6)
    for t in range(len(values)):
      back = float(stored[t, c]) * float(scale[c])
      # Half a step, and float32's rounding of the scale.
      assert abs(back - values[t, c]) <= 0.5 * want + 1e-7 * peak
  assert np.abs(stored[:, [0, 1, 3]]).max(axis=0).tolist() == [32767] * 3


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e39])
def test_not_finite_is_an_error(values, bad):
  values[3, 1] = bad
  with pytest.raises(InputError, match="acc: .* want finite"):
    quantise.quantise(values, "acc")


def test_tiny_numbers_do_not_divide_by_zero():
  stored, scale = quantise.quantise(np.full((10, 1), 1e-45))
  assert np.isfinite(stored * scale).all()
  assert np.abs(stored * scale.astype(np.float64)).max() < 2e-45


def test_error_against_a_loop(values):
  parts = [values[:90], values[90:]]
  sums, error, signal, largest = [], 0.0, 0.0, 0.0
  for part in parts:
    stored, scale = quantise.quantise(part)
    sums.append(quantise.error_sums(part, stored, scale))
    for c in range(part.shape[1]):
      mean = sum(part[:, c]) / len(part)
      for t in range(len(part)):
        off = float(stored[t, c]) * float(scale[c]) - part[t, c]
        error += off ** 2
        signal += (part[t, c] - mean) ** 2
        largest = max(largest, abs(off))
  out = quantise.summary(quantise.add_sums(sums))
  assert out["rms_relative"] == pytest.approx((error / signal) ** 0.5)
  assert out["max_abs"] == pytest.approx(largest)
  assert 0 < out["rms_relative"] < 1e-4


def test_nothing_stored_costs_nothing():
  assert quantise.summary(quantise.add_sums([])) == {
      "rms_relative": 0.0, "max_abs": 0.0
  }
