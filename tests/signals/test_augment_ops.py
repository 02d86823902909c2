"""Each augmentation of one segment against a slow oracle or its property."""

import functools
import itertools

import jax
import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.signals import augment, augment_ops

GRAVITY = np.array([0.2, -0.5, 0.8], np.float32)
STRENGTHS = {
    augment_ops.time_shift: dict(max_share=0.3),
    augment_ops.time_warp: dict(sd=0.3, knots=5),
    augment_ops.permute_channels: {},
    augment_ops.magnitude_warp: dict(sd=0.4, knots=5),
    augment_ops.scale: dict(sd=0.3),
    augment_ops.rotate: dict(max_angle_deg=60.0),
    augment_ops.cutout: dict(max_share=0.5),
    augment_ops.noise: dict(sd=0.2, relative=True),
}
EVERY = sorted(STRENGTHS, key=lambda operation: operation.__name__)


def segment(t=80, seed=0, size=0.05):
  """Acceleration [T, 3] in g: gravity and a little movement."""
  rng = np.random.default_rng(seed)
  return (GRAVITY + size * rng.normal(size=(t, 3))).astype(np.float32)


def keys(count):
  return jax.random.split(jax.random.key(1), count)


def many(function, count, *args, **fields):
  """`function(key, *args, **fields)` for `count` keys, stacked."""
  one = functools.partial(function, **fields)
  each = jax.vmap(lambda key: one(key, *args))
  return np.asarray(jax.jit(each)(keys(count)))


def test_every_operation_is_tested():
  assert set(STRENGTHS) == set(augment.OPERATIONS.values())


@pytest.mark.parametrize("operation", EVERY)
def test_shape_and_type_are_kept_and_something_changes(operation):
  x = segment()
  got = many(operation, 4, x, **STRENGTHS[operation])
  assert got.shape == (4, *x.shape) and got.dtype == x.dtype
  assert np.isfinite(got).all() and np.abs(got - x).max() > 1e-3


@pytest.mark.parametrize("operation, fields", [
    (augment_ops.time_shift, dict(max_share=0.0)),
    (augment_ops.time_warp, dict(sd=0.0, knots=4)),
    (augment_ops.magnitude_warp, dict(sd=0.0, knots=4)),
    (augment_ops.scale, dict(sd=0.0)),
    (augment_ops.rotate, dict(max_angle_deg=0.0)),
    (augment_ops.cutout, dict(max_share=0.0)),
    (augment_ops.noise, dict(sd=0.0, relative=True)),
])
def test_no_strength_is_the_identity(operation, fields):
  x = segment()
  for got in many(operation, 5, x, **fields):
    np.testing.assert_allclose(got, x, atol=1e-5)


@pytest.mark.parametrize("operation", [
    augment_ops.cutout, augment_ops.magnitude_warp, augment_ops.scale,
])
def test_gravity_stays(operation):
  """What scales a signal leaves the posture where it is."""
  x = segment(t=400, size=0.01)
  for got in many(operation, 20, x, **STRENGTHS[operation]):
    np.testing.assert_allclose(got.mean(0), GRAVITY, atol=0.01)
    assert np.abs(np.linalg.norm(got, axis=1) - 1).max() < 0.25


def test_permutation_keeps_every_channel_and_all_orders_come():
  x = segment()
  orders = []
  for got in many(augment_ops.permute_channels, 300, x):
    order = [
        next(c for c in range(3) if (x[:, c] == got[:, place]).all())
        for place in range(3)
    ]
    assert sorted(order) == [0, 1, 2]
    orders.append(tuple(order))
  counts = [orders.count(o) for o in itertools.permutations(range(3))]
  assert min(counts) > 20


def test_time_shift_is_circular_within_its_limit():
  x = np.arange(40, dtype=np.float32)[:, None] + np.zeros(2, np.float32)
  shifts = []
  for got in many(augment_ops.time_shift, 300, x, max_share=0.1):
    assert (got[:, 0] == got[:, 1]).all()
    shift = int(-got[0, 0] % 40)
    np.testing.assert_array_equal(got, np.roll(x, shift, axis=0))
    shifts.append(shift if shift < 20 else shift - 40)
  assert set(shifts) == set(range(-4, 5))
  assert min(shifts.count(shift) for shift in set(shifts)) > 10


def test_cutout_replaces_one_span_by_the_mean():
  x = segment(t=100)
  lengths, starts = [], []
  for got in many(augment_ops.cutout, 400, x, max_share=0.3):
    where = np.flatnonzero((got != x).any(1))
    assert np.abs(got[where] - x.mean(0)).max(initial=0.0) < 1e-6
    if len(where):
      assert (np.diff(where) == 1).all()  # one span
      starts.append(where[0])
    lengths.append(len(where))
  assert max(lengths) <= 30 and max(lengths) >= 25 and min(lengths) <= 2
  assert min(starts) < 5 and max(starts) > 90


@pytest.mark.parametrize("length, knots", [(2, 2), (7, 2), (101, 5), (64, 9)])
def test_hats_interpolate_like_a_search(length, knots):
  values = np.random.default_rng(0).normal(size=knots)
  want = np.interp(
      np.linspace(0.0, knots - 1, length), np.arange(knots), values
  )
  np.testing.assert_allclose(
      values @ augment_ops.hats(length, knots), want, atol=1e-12
  )


def test_magnitude_warp_scales_the_deviation_by_a_smooth_positive_curve():
  x = segment(t=101)
  mean = x.mean(0)
  logs = []
  for got in many(augment_ops.magnitude_warp, 200, x, sd=0.4, knots=5):
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


def test_scale_is_one_positive_factor_on_the_deviation():
  x = segment()
  mean = x.mean(0)
  logs = []
  for got in many(augment_ops.scale, 500, x, sd=0.3):
    factor = np.median((got - mean) / (x - mean))
    np.testing.assert_allclose(got, mean + factor * (x - mean), atol=2e-6)
    logs.append(np.log(factor))
  assert np.std(logs) == pytest.approx(0.3, rel=0.1)
  assert np.mean(logs) == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize("relative", [True, False])
def test_noise_has_the_stated_size(relative):
  x = segment(t=200) * np.array([1, 10, 0], np.float32)
  added = many(augment_ops.noise, 300, x, sd=0.2, relative=relative) - x
  want = 0.2 * (x.std(0) if relative else np.ones(3))
  np.testing.assert_allclose(added.std((0, 1)), want, rtol=0.02, atol=1e-6)
  np.testing.assert_allclose(added.mean((0, 1)), 0.0, atol=5e-3)
  for a, b in [(added[:, :-1, 1], added[:, 1:, 1]),  # white in time
               (added[..., 0], added[..., 1])]:  # and across channels
    assert abs(np.cov(a.ravel(), b.ravel())[0, 1]) < 0.02 * want[0] * want[1]


def slow_path(key, length, sd, knots):
  """The warp's path in float64, one sample after the other."""
  normals = np.float64(jax.random.normal(key, (knots,)))
  speeds = np.exp(sd * np.clip(normals, -2.5, 2.5))
  path = [0.0]
  for t in range(1, length):
    before, after = np.interp(
        np.array([t - 1, t]) * (knots - 1) / (length - 1), np.arange(knots),
        speeds,
    )
    path.append(path[-1] + (before + after) / 2)
  return np.array(path) * (length - 1) / path[-1]


def test_time_warp_reads_along_the_path():
  x = segment(t=90)
  x[:, 0] = np.sin(np.arange(90) / 5)
  got = many(augment_ops.time_warp, 5, x, sd=0.4, knots=5)
  for key, warped in zip(keys(5), got, strict=True):
    path = slow_path(key, 90, 0.4, 5)
    assert np.abs(path - np.arange(90)).max() > 1.0
    want = np.stack(
        [np.interp(path, np.arange(90), x[:, c]) for c in range(3)], axis=1
    )
    np.testing.assert_allclose(warped, want, atol=1e-4)


@pytest.mark.parametrize("length, sd, knots", [
    (2, 0.5, 2), (50, 0.8, 4), (3840, 0.1, 8), (3840, 0.5, 30),
])
def test_warp_path_is_strictly_monotone_and_keeps_both_ends(length, sd, knots):
  paths = many(augment_ops.warp_path, 50, length, sd, knots)
  assert (np.diff(paths, axis=1) > 0).all()
  np.testing.assert_array_equal(paths[:, 0], 0.0)
  np.testing.assert_allclose(paths[:, -1], length - 1, rtol=1e-6)
  assert paths.max() <= length - 1
  for key, path in zip(keys(2), paths[:2], strict=True):
    np.testing.assert_allclose(
        path, slow_path(key, length, sd, knots), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("length, sd, block", [
    (90, 0.2, 16), (64, 0.0, 16), (100, 1.5, 8), (7, 0.4, 128), (257, 0.1, 128),
])
def test_both_ways_to_read_along_a_path_agree(length, sd, block):
  """The one for TPUs runs here too; a search is the oracle of both."""
  x = segment(t=length, size=1.0)
  for path in many(augment_ops.warp_path, 3, length, sd, 4):
    assert np.diff(path).max() <= np.exp(5 * sd) + 1e-4
    want = np.stack(
        [np.interp(path, np.arange(length), x[:, c]) for c in range(3)], axis=1
    )
    got = augment_ops.read_by_products(x, path, np.exp(5 * sd), block)
    np.testing.assert_allclose(got, want, atol=2e-4)
    np.testing.assert_allclose(
        augment_ops.read_by_gather(x, path), want, atol=2e-4
    )


@pytest.mark.parametrize("max_angle_deg", [30.0, 180.0])
def test_rotation_is_proper_its_axis_and_angle_uniform(max_angle_deg):
  n = 2000
  turns = np.float64(many(augment_ops.rotation, n, max_angle_deg))
  np.testing.assert_allclose(
      turns @ turns.transpose(0, 2, 1),
      np.broadcast_to(np.eye(3), (n, 3, 3)), atol=1e-6,
  )
  np.testing.assert_allclose(np.linalg.det(turns), 1.0, atol=1e-6)
  # The skew part is sin(angle) * axis, the trace 1 + 2 cos(angle).
  axes = np.stack([
      turns[:, 2, 1] - turns[:, 1, 2], turns[:, 0, 2] - turns[:, 2, 0],
      turns[:, 1, 0] - turns[:, 0, 1],
  ], axis=1) / 2
  sine = np.linalg.norm(axes, axis=1)
  cosine = (np.trace(turns, axis1=1, axis2=2) - 1) / 2
  angles = np.rad2deg(np.arctan2(sine, cosine))
  clear = sine > 1e-2  # of smaller ones rounding hides the axis
  axes = axes[clear] / sine[clear, None]
  assert clear.mean() > 0.95
  # Kolmogorov's distance of a sample of n is beyond 2 / sqrt(n) once in
  # 1,500 times. A coordinate of a uniform axis is uniform in -1 to 1.
  for values, low, high in [
      (angles, 0.0, max_angle_deg), *((a, -1.0, 1.0) for a in axes.T)
  ]:
    share = (np.sort(values) - low) / (high - low)
    ideal = (np.arange(len(share)) + 0.5) / len(share)
    assert np.abs(share - ideal).max() < 2 / len(share) ** 0.5


def test_rotate_turns_every_sample_alike_and_keeps_its_norm():
  x = segment(size=0.3)
  turns = many(augment_ops.rotation, 20, 180.0)
  got = many(augment_ops.rotate, 20, x, max_angle_deg=180.0)
  for turn, rotated in zip(turns, got, strict=True):
    for before, after in zip(x, rotated, strict=True):
      np.testing.assert_allclose(after, turn @ before, atol=1e-6)
      assert np.linalg.norm(after) == pytest.approx(
          np.linalg.norm(before), rel=1e-5
      )
  assert np.abs(got.mean(1) - GRAVITY).max() > 0.5  # gravity turns too


def test_rotate_wants_three_axes():
  x = np.zeros((10, 4), np.float32)
  with pytest.raises(InputError, match="rotate: got 4 channels, want the 3"):
    augment_ops.rotate(jax.random.key(0), x, max_angle_deg=10.0)
