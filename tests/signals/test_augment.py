"""Augmentations against slow oracles, and keyed by row and not by place."""

import functools

import jax
import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.signals import augment

FIELDS = {
    "time_shift": dict(max_share=0.3),
    "time_jitter": dict(max_share=0.3),
    "permute_channels": {},
    "magnitude_warp": dict(sd=0.4, knots=5),
    "cutout": dict(max_share=0.5),
    "noise": dict(sd=0.2, relative=True),
}
GRAVITY = np.array([0.2, -0.5, 0.8], np.float32)


def segments(b=6, t=80, seed=0, size=0.05):
  """Acceleration [B, T, 3] in g: gravity and a little movement."""
  rng = np.random.default_rng(seed)
  return (GRAVITY + size * rng.normal(size=(b, t, 3))).astype(np.float32)


def only(name, prob=1.0, **fields):
  return {**augment.off(), name: {**FIELDS[name], **fields, "prob": prob}}


@functools.cache
def compiled(items):
  cfg = {name: dict(fields) for name, fields in items}
  return jax.jit(augment.make_augment(cfg), static_argnames="view")


def run(cfg, x, rows=None, seed=0, view=""):
  items = tuple((n, tuple(f.items())) for n, f in cfg.items())
  rows = np.arange(len(x)) if rows is None else np.asarray(rows)
  return np.asarray(
      compiled(items)(jax.random.key(seed), x, rows, view=view)
  )


def draws(name, x, count, **fields):
  """`count` results [count, T, C] of one operation on x [T, C]."""
  operation = functools.partial(
      augment.OPERATIONS[name], **{**FIELDS[name], **fields}
  )
  keys = jax.random.split(jax.random.key(1), count)
  return np.asarray(jax.jit(jax.vmap(operation, (0, None)))(keys, x))


def test_off_is_the_identity_and_compiles_to_nothing():
  x = segments()
  assert run(augment.off(), x).tobytes() == x.tobytes()
  jaxpr = jax.make_jaxpr(augment.make_augment(augment.off()))(
      jax.random.key(0), x, np.arange(6)
  )
  assert not jaxpr.eqns


@pytest.mark.parametrize("name, fields", [
    ("time_shift", dict(max_share=0.0)),
    ("magnitude_warp", dict(sd=0.0)),
    ("cutout", dict(max_share=0.0)),
    ("noise", dict(sd=0.0)),
])
def test_no_strength_is_the_identity(name, fields):
  x = segments()
  np.testing.assert_allclose(run(only(name, **fields), x), x, atol=1e-6)


@pytest.mark.parametrize("name", sorted(augment.OPERATIONS))
def test_shape_and_type_are_kept_and_something_changes(name):
  x = segments()
  got = run(only(name), x)
  assert got.shape == x.shape and got.dtype == x.dtype
  assert np.isfinite(got).all() and np.abs(got - x).max() > 1e-3


@pytest.mark.parametrize("name", sorted(augment.OPERATIONS))
def test_a_row_draws_by_its_number_alone(name):
  """Order, batch size and neighbours change nothing; step and row do."""
  x = segments(8)
  cfg = only(name, prob=0.6)
  whole = run(cfg, x)
  order = np.array([5, 2, 7, 0])
  np.testing.assert_array_equal(run(cfg, x[order], order), whole[order])
  same = np.broadcast_to(x[:1], x.shape)
  apart = run(only(name), same) - same
  assert len(np.unique(np.round(apart, 6), axis=0)) > 1
  assert (run(only(name), x, seed=1) != run(only(name), x)).any()


@pytest.mark.parametrize("name", sorted(augment.OPERATIONS))
def test_views_differ_but_for_the_time_shift(name):
  x = segments()
  one, two = (run(only(name), x, view=view) for view in ("one", "two"))
  assert (one == two).all() == (name == "time_shift")


def test_operations_draw_independently():
  """Whether one happens says nothing of the other."""
  n = 2000
  x = segments(n, t=10)
  cut = np.abs(run(only("cutout", 0.5, max_share=1.0), x) - x).max((1, 2)) > 0
  loud = np.abs(run(only("noise", 0.5), x) - x).max((1, 2)) > 0
  both = np.mean(cut & loud)
  assert abs(both - cut.mean() * loud.mean()) < 4 * 0.25 / n**0.5 + 0.01


@pytest.mark.parametrize("name", ["magnitude_warp", "noise"])
@pytest.mark.parametrize("prob", [0.1, 0.5, 0.9])
def test_the_measured_probability(name, prob):
  n = 3000
  x = segments(n, t=6)
  changed = (run(only(name, prob), x) != x).any((1, 2))
  assert abs(changed.mean() - prob) < 4 * (prob * (1 - prob) / n) ** 0.5


def test_permutation_keeps_every_channel_and_all_orders_come():
  x = segments(1)[0]
  orders = []
  for got in draws("permute_channels", x, 300):
    order = [
        next(c for c in range(3) if (x[:, c] == got[:, place]).all())
        for place in range(3)
    ]
    assert sorted(order) == [0, 1, 2]
    orders.append(tuple(order))
  counts = [orders.count(order) for order in set(orders)]
  assert len(counts) == 6 and min(counts) > 20


def test_time_shift_is_circular_within_its_limit():
  x = np.arange(40, dtype=np.float32)[:, None] + np.zeros(2, np.float32)
  shifts = set()
  for got in draws("time_shift", x, 300, max_share=0.1):
    assert (got[:, 0] == got[:, 1]).all()
    shift = int(-got[0, 0] % 40)
    np.testing.assert_array_equal(got, np.roll(x, shift, axis=0))
    shifts.add(shift if shift < 20 else shift - 40)
  assert shifts == set(range(-4, 5))


@pytest.mark.parametrize("prob", [0.5, 1.0])
def test_two_signals_of_a_segment_shift_together(prob):
  t = np.arange(80, dtype=np.float32)
  acc = np.tile(t[:, None], (9, 1, 3))
  ppg = np.tile(10 * t[:, None], (9, 1, 1))
  cfg = only("time_shift", prob)
  a = run(cfg, acc, view="acc")
  b = run(cfg, ppg, view="ppg")
  np.testing.assert_array_equal(10 * a[:, :, :1], b)
  assert len(set(a[:, 0, 0])) > 2


def test_cutout_replaces_one_span_by_the_mean():
  x = segments(1, t=100)[0]
  lengths, starts = [], []
  for got in draws("cutout", x, 400, max_share=0.3):
    where = np.flatnonzero((got != x).any(1))
    for t in range(100):
      want = x.mean(0) if t in where else x[t]
      np.testing.assert_allclose(got[t], want, atol=1e-6)
    if len(where):
      assert (np.diff(where) == 1).all()  # one span
      starts.append(where[0])
    lengths.append(len(where))
  assert max(lengths) <= 30 and max(lengths) >= 25 and min(lengths) <= 2
  assert min(starts) < 5 and max(starts) > 90


def test_magnitude_warp_scales_the_deviation_by_a_smooth_positive_curve():
  x = segments(1, t=101)[0]
  mean = x.mean(0)
  logs = []
  for got in draws("magnitude_warp", x, 200, sd=0.4, knots=5):
    deviation = x - mean
    curve = np.median((got - mean) / deviation, axis=1)
    np.testing.assert_allclose(got, mean + curve[:, None] * deviation,
                               atol=2e-5)
    assert curve.min() > 0
    # Five knots 25 samples apart, straight lines in the logarithm.
    knots = np.log(curve[::25])
    np.testing.assert_allclose(
        np.log(curve), np.interp(np.arange(101) / 25, np.arange(5), knots),
        atol=2e-2,
    )
    logs.append(knots)
  assert np.std(logs) == pytest.approx(0.4, rel=0.1)
  assert np.mean(logs) == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize("relative", [True, False])
def test_noise_has_the_stated_size(relative):
  x = segments(1, t=200)[0] * np.array([1, 10, 0], np.float32)
  added = draws("noise", x, 300, sd=0.2, relative=relative) - x
  want = 0.2 * (x.std(0) if relative else np.ones(3))
  np.testing.assert_allclose(added.std((0, 1)), want, rtol=0.02, atol=1e-6)
  np.testing.assert_allclose(added.mean((0, 1)), 0.0, atol=5e-3)
  same = np.corrcoef(added[:, :-1, 1].ravel(), added[:, 1:, 1].ravel())
  assert abs(same[0, 1]) < 0.02  # white


@pytest.mark.parametrize("name", ["cutout", "magnitude_warp"])
def test_gravity_stays(name):
  """What scales a signal leaves the posture where it is."""
  x = segments(1, t=400, size=0.01)[0]
  for got in draws(name, x, 20):
    np.testing.assert_allclose(got.mean(0), GRAVITY, atol=0.01)
    assert np.abs(np.linalg.norm(got, axis=1) - 1).max() < 0.25


@pytest.mark.parametrize("kind", sorted(augment.PRESETS))
def test_presets_run_and_know_every_operation(kind):
  cfg = augment.preset(kind, time_shift=dict(prob=1.0))
  assert set(cfg) == set(augment.OPERATIONS)
  assert cfg["time_shift"]["prob"] == 1.0
  assert augment.PRESETS[kind]["time_shift"]["prob"] == 0.0
  x = segments(16)
  got = run(cfg, x)
  assert got.shape == x.shape and np.isfinite(got).all()


def test_errors():
  with pytest.raises(InputError, match="preset: got 'eeg', want one of"):
    augment.preset("eeg")
  with pytest.raises(InputError, match="got 'flip', want some of"):
    augment.make_augment({"flip": dict(prob=1.0)})
  for prob in (-0.1, 1.5, float("nan")):
    with pytest.raises(InputError, match=f"noise.prob: got {prob}, want 0"):
      augment.make_augment(only("noise", prob))
