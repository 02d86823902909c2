"""Read-outs: ridge by the normal equations, intervals that cover people."""

import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.evals.probes import ridge
from accfm.use import probes


def half_width_oracle(errors, people, coverage):
  """The smallest error that covers enough, tried one by one."""
  errors = [(abs(e), p) for e, p in zip(errors, people, strict=True)
            if np.isfinite(e)]
  names = sorted({p for _, p in errors})
  for q in sorted(e for e, _ in errors):
    total = 0.0
    for name in names:
      own = [e for e, p in errors if p == name]
      total += sum(e <= q for e in own) / len(own)
    if total / (len(names) + 1) >= coverage - 1e-9:
      return q
  return float("inf")


@pytest.mark.parametrize("seed", range(8))
def test_the_interval_against_the_definition(seed):
  rng = np.random.default_rng(seed)
  people = rng.integers(0, 6, 60).astype(str)
  errors = rng.normal(size=60)
  errors[rng.random(60) < 0.1] = np.nan
  for coverage in (0.3, 0.8, 0.85, 0.99):
    assert probes.half_width(errors, people, coverage) == pytest.approx(
        half_width_oracle(errors, people, coverage))


def test_intervals_cover_new_people():
  """People differ in how well they are read, and in their segments."""
  rng = np.random.default_rng(0)

  def person():
    return rng.lognormal(0, 0.7) * rng.normal(size=rng.integers(1, 40))

  covered = []
  for _ in range(400):
    errors = [person() for _ in range(20)]
    q = probes.half_width(
        np.concatenate(errors),
        np.repeat(np.arange(20), [len(e) for e in errors]), 0.8)
    covered.append((np.abs(person()) <= q).mean())
  mean, error = np.mean(covered), np.std(covered) / np.sqrt(len(covered))
  assert 0.8 - 3 * error < mean < 0.8 + 1 / 21 + 3 * error


def test_too_few_people_have_no_interval():
  assert probes.half_width(np.ones(9), np.repeat([0, 1, 2], 3)) == np.inf


def test_a_probe_is_the_evaluations_ridge():
  rng = np.random.default_rng(1)
  x = rng.normal(size=(80, 12)) * rng.uniform(0.1, 9, 12) + 3
  x[:, 5] = 2.0  # constant
  y = x[:, 0] - 0.3 * x[:, 7] + rng.normal(size=80) + 60
  fits = np.arange(80) < 50
  want = ridge.predict(x, y[:, None], fits, ~fits, ~fits)
  got = probes.fit("hr", "bpm", x[fits], y[fits], float(want.alpha[0]),
                   x[~fits], y[~fits], np.arange(30) // 3)
  np.testing.assert_allclose(
      got.predict(x[~fits]).value, want.predicted[:, 0], rtol=1e-6)
  assert got.people == 10 and np.isfinite(got.half_width)
  low, high = got.predict(x[~fits])[1:]
  np.testing.assert_allclose(high - low, 2 * got.half_width)


def test_another_embedding_is_refused():
  x = np.random.default_rng(0).normal(size=(20, 4))
  probe = probes.fit("hr", "bpm", x, x[:, 0], 1.0, x, x[:, 0], np.arange(20))
  with pytest.raises(InputError, match=r"want \[n, 4\]"):
    probe.predict(np.zeros((2, 5)))
