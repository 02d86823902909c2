"""From int16 to z-scores, against loops in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.signals import augment, feed
from accfm.signals.contract import Contract, SignalSpec


def batch(b=4, t=96, seed=0):
  rng = np.random.default_rng(seed)
  out = {"row": np.arange(b, dtype=np.int32)}
  for name, c in (("acc", 3), ("ppg", 2)):
    out[name] = rng.integers(-32767, 32768, (b, t, c)).astype(np.int16)
    out[f"{name}_scale"] = rng.uniform(1e-5, 1e-2, (b, c)).astype(np.float32)
  return out


def contract(normalize="zscore"):
  spec = dict(normalize=normalize)
  return Contract(
      {"acc": SignalSpec(3, "g", "acc", **spec),
       "ppg": SignalSpec(2, "au", "ppg", **spec)}, 16.0, 6.0,
  )


def test_dequantize_undoes_the_scale_alike_in_numpy_and_jax():
  rows = batch()
  x, scale = rows["acc"], rows["acc_scale"]
  want = np.empty(x.shape)
  for b, t, c in np.ndindex(*x.shape):
    want[b, t, c] = float(x[b, t, c]) * float(scale[b, c])
  for got in (feed.dequantize(x, scale),
              feed.dequantize(jnp.asarray(x), jnp.asarray(scale))):
    assert got.dtype == np.float32 and got.shape == x.shape
    np.testing.assert_allclose(got, want, rtol=1e-6)
  one = feed.dequantize(x[0], scale[0])  # [T, C]
  np.testing.assert_allclose(one, want[0], rtol=1e-6)


def zscore_oracle(x):
  out = np.zeros(x.shape)
  for b in range(x.shape[0]):
    for c in range(x.shape[2]):
      row = np.float64(x[b, :, c])
      if row.max() > row.min():
        out[b, :, c] = (row - row.mean()) / row.std()
  return out


@pytest.mark.parametrize("offset, size", [
    (0.0, 1.0), (1.0, 2e-3), (-1e4, 3.0), (0.0, 1e-5), (0.0, 1e6),
])
def test_zscore(offset, size):
  """Also a milli-g on top of gravity, and an offset of any size."""
  rng = np.random.default_rng(0)
  x = (offset + size * rng.normal(size=(3, 3840, 2))).astype(np.float32)
  got = jax.jit(feed.zscore)(x)
  assert got.dtype == jnp.float32
  np.testing.assert_allclose(got, zscore_oracle(x), atol=5e-3)
  # A float32 mean of 3,840 values of size 1e4 is off by about 5e-4.
  np.testing.assert_allclose(got.mean(1), 0.0, atol=5e-4)
  np.testing.assert_allclose(got.std(1), 1.0, rtol=1e-3)


@pytest.mark.parametrize("value", [0.0, 1.0, 0.3, -7.77, 1234.567, 1e-7, 1e6])
def test_a_constant_channel_becomes_zeros(value):
  """Whatever rounding its mean brings, and whatever its neighbour does."""
  x = np.random.default_rng(0).normal(size=(2, 3840, 2)).astype(np.float32)
  x[:, :, 0] = np.float32(value)
  got = np.asarray(jax.jit(feed.zscore)(x))
  np.testing.assert_array_equal(got[:, :, 0], 0.0)
  np.testing.assert_allclose(got[:, :, 1].std(1), 1.0, rtol=1e-3)


@pytest.mark.parametrize("name", ["cutout", "magnitude_warp", "time_shift"])
def test_a_constant_channel_stays_zero_behind_an_augmentation(name):
  rows = {
      "acc": np.full((4, 3840, 3), 21_845, np.int16),
      "acc_scale": np.full((4, 3), 0.3 / 21_845, np.float32),
      "row": np.arange(4, dtype=np.int32),
  }
  cfg = {**augment.off(), name: dict(augment.PRESETS["acc"][name], prob=1.0)}
  prepare = jax.jit(feed.make_prepare(contract(), "acc", cfg),
                    static_argnums=2)
  got = prepare(jax.random.key(0), rows, "one")
  np.testing.assert_array_equal(got, 0.0)


def test_prepare_without_augmentation_is_the_zscore():
  rows = batch()
  prepare = feed.make_prepare(contract(), "ppg", augment.off())
  got = prepare(jax.random.key(0), rows, "one")
  want = zscore_oracle(feed.dequantize(rows["ppg"], rows["ppg_scale"]))
  np.testing.assert_allclose(got, want, atol=1e-4)
  plain = feed.make_prepare(contract("none"), "ppg", augment.off())
  np.testing.assert_array_equal(
      plain(jax.random.key(0), rows, "one"),
      feed.dequantize(rows["ppg"], rows["ppg_scale"]),
  )


def test_augmentation_is_in_the_signals_unit_and_before_the_zscore():
  """Noise of 5 g drowns what is stored; z-scored after, it has SD 1."""
  rows = batch(t=2000)
  cfg = {**augment.off(), "noise": dict(prob=1.0, sd=5.0, relative=False)}
  raw = feed.make_prepare(contract("none"), "acc", cfg)
  change = raw(jax.random.key(0), rows, "one") - feed.dequantize(
      rows["acc"], rows["acc_scale"]
  )
  np.testing.assert_allclose(change.std((0, 1)), 5.0, rtol=0.05)
  scored = feed.make_prepare(contract(), "acc", cfg)
  np.testing.assert_allclose(
      scored(jax.random.key(0), rows, "one").std(1), 1.0, rtol=1e-3
  )


def test_unknown_normalisation():
  with pytest.raises(InputError, match="normalize: got 'minmax', want 'zsc"):
    feed.make_normalize(SignalSpec(1, "au", "ppg", normalize="minmax"))


@pytest.mark.parametrize("name", ["zscore", "none"])
def test_a_normalisation_is_one_function(name):
  """What is compiled with it is found again by its identity."""
  spec = SignalSpec(1, "au", "ppg", normalize=name)
  assert feed.make_normalize(spec) is feed.make_normalize(spec)
