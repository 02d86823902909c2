"""The rhythm stem: what repeats in a minute, at which rates.

A beat moves a still wrist by less than the sensor's noise. What tells it is
that it comes again. Two views gather that, each from learned filters that are
the same for every axis, summed over axes, so that a turned watch is the same
input:

* the *energy* of a band rises with each beat, so the spectrum of its logarithm
  has a line at the rate (and at its multiples);
* one beat *resembles* the next, so the autocorrelation of the wave itself has
  a peak at the interval.

Both are read at the same rates, even in the logarithm. A line or peak then
moves along the row as the rate changes and keeps its shape.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

TINY = 1e-14  # g^2, far below what any device resolves


@functools.cache
def rates_hz(lowest: float, highest: float, count: int) -> np.ndarray:
  """[R] rates, even in the logarithm."""
  return np.geomspace(lowest, highest, count)


@functools.cache
def waves(
    samples: int, rate_hz: float, low: float, high: float, count: int,
    hann: bool,
) -> np.ndarray:
  """[samples, 2R] cosines and sines of `rates_hz`, with a Hann window."""
  angle = 2 * np.pi * np.arange(samples)[:, None] / rate_hz * rates_hz(
      low, high, count)
  both = np.concatenate([np.cos(angle), np.sin(angle)], 1)
  if hann:
    both *= np.hanning(samples + 2)[1:-1, None]
  return (both / np.sqrt(samples)).astype(np.float32)


def quadrature_init(low: float, high: float) -> Any:
  """Initialiser [taps, 1, 2F] of F windowed cosine/sine pairs.

  Frequencies are geometric from `low` to `high` cycles per sample; each filter
  has mean 0 and norm 1.
  """

  def init(key, shape, dtype=jnp.float32):
    del key
    taps, pairs = shape[0], shape[2] // 2
    n = np.arange(taps)[:, None] - (taps - 1) / 2
    angle = 2 * np.pi * np.geomspace(low, high, pairs) * n
    window = np.hanning(taps + 2)[1:-1, None]
    both = np.stack([np.cos(angle), np.sin(angle)]) * window
    both -= window * both.sum(1, keepdims=True) / window.sum()
    both /= np.linalg.norm(both, axis=1, keepdims=True)
    return jnp.asarray(np.concatenate([both[0], both[1]], -1)[:, None], dtype)

  return init


def local_mean(x: jax.Array, span: int) -> jax.Array:
  """[B, N, F]: the mean of `span` steps around each, of those that exist.

  No difference of running sums: after a burst of movement it may be below 0.
  """
  return nn.avg_pool(x, (span,), (1,), "SAME", count_include_pad=False)


def standard(x: jax.Array) -> jax.Array:
  """Each row less its mean, by its SD, over the last axis; finite at 0."""
  x = x - x.mean(-1, keepdims=True)
  return x * jax.lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + 1e-8)


class Rhythm(nn.Module):
  """[B, T, C] in g -> tokens [B, L, W].

  Attributes:
    width: W.
    rate_hz: of the input.
    filters: F, pairs of the view of energy.
    rows: into which their energies are mixed.
    waves: pairs of the view of likeness.
    stride: of the filters, in samples.
    rates: R, at which both views are read.
    low_bpm, high_bpm: the rates' ends.
    dtype: of the tokens.
  """

  width: int
  rate_hz: float = 64.0
  filters: int = 24
  rows: int = 8
  waves: int = 3
  stride: int = 4
  rates: int = 112
  low_bpm: float = 30.0
  high_bpm: float = 400.0
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[B, T, C] -> [B, L, W]; token 0 and token WHOLE see the whole minute."""
    b, t, c = x.shape
    x = x.astype(jnp.float32)
    x = x - x.mean(1, keepdims=True)
    x = x.transpose(0, 2, 1).reshape(b * c, t, 1)
    tokens = [*self.energy(x, b, c), *self.likeness(x, b, c)]
    return jnp.concatenate(tokens, 1).astype(self.dtype)

  def _frames(self, x, long_s, hop_s):
    """[B, N, F] -> [B, K, n, F], frames of long_s every hop_s."""
    hz = self.rate_hz / self.stride
    n, hop = round(long_s * hz), round(hop_s * hz)
    first = np.arange(0, x.shape[1] - n + 1, hop)
    return x[:, first[:, None] + np.arange(n)]

  def _at_rates(self, frames):
    """[B, K, n, F] -> magnitudes [B, K, F, R] of a Hann spectrum."""
    hz = self.rate_hz / self.stride
    both = waves(frames.shape[2], hz, self.low_bpm / 60, self.high_bpm / 60,
                 self.rates, True)
    found = jnp.einsum("bknf,nr->bkfr", frames, both, precision="highest")
    return jnp.sqrt(
        jnp.square(found[..., :self.rates])
        + jnp.square(found[..., self.rates:]) + 1e-8)

  def _tokens(self, rows, name):
    """[B, K, F, R] -> [B, K, W]."""
    rows = standard(rows)
    return nn.Dense(self.width, name=name)(
        rows.reshape(*rows.shape[:2], -1))

  def energy(self, x: Any, b: int, c: int) -> tuple[Any, Any]:
    """Tokens of the energy's spectrum: 24 s each, and the whole minute."""
    hz = self.rate_hz / self.stride
    wave = nn.Conv(
        2 * self.filters, (32,), (self.stride,), use_bias=False,
        kernel_init=quadrature_init(1.5 / 64, 24.0 / 64), name="bands")(x)
    power = jnp.square(wave[..., :self.filters]) + jnp.square(
        wave[..., self.filters:])
    power = power.reshape(b, c, -1, self.filters).sum(1)  # [B, N, F]
    usual = jnp.exp(jnp.log(power + TINY).mean(1, keepdims=True))
    energy = 0.25 * jnp.log(power + 0.01 * usual + TINY)
    energy -= local_mean(energy, round(2.5 * hz))
    energy = jnp.clip(energy, -1.0, 1.0)
    rows = nn.Dense(self.rows, name="mix")(energy)
    parts = self._at_rates(self._frames(rows, 24.0, 3.0))
    whole = self._at_rates(rows[:, None])
    return (self._tokens(whole, "energy_whole"),
            self._tokens(parts, "energy_parts"))

  def likeness(self, x: Any, b: int, c: int) -> tuple[Any, Any]:
    """Tokens of the wave's autocorrelation: 12 s each, and their mean."""
    hz = self.rate_hz / self.stride
    wave = nn.Conv(
        2 * self.waves, (48,), (self.stride,), use_bias=False,
        kernel_init=quadrature_init(2.5 / 64, 9.0 / 64), name="waves")(x)
    wave = wave.reshape(b, c, -1, 2, self.waves)
    power = jnp.square(wave).sum((1, 3))  # [B, N, waves]
    usual = jnp.exp(jnp.log(power + TINY).mean(1, keepdims=True))
    gain = jax.lax.rsqrt(
        local_mean(power, round(2.5 * hz)) + 0.01 * usual + TINY)
    wave = wave * gain[:, None, :, None]
    size = jnp.sqrt(jnp.square(wave).sum((1, 3)) + 1e-6)  # [B, N, waves]
    wave = wave * jnp.minimum(1.0, 2.5 / size)[:, None, :, None]
    wave = wave.transpose(0, 2, 1, 3, 4).reshape(b, -1, c * 2 * self.waves)
    frames = self._frames(wave, 12.0, 6.0)  # [B, K, n, c*2*waves]
    k, n = frames.shape[1:3]
    frames = frames.reshape(b, k, n, c, 2, self.waves)
    z = jax.lax.complex(frames[..., 0, :], frames[..., 1, :])
    spectrum = jnp.fft.fft(z, 512, axis=2)  # [B, K, 512, c, waves]
    power = (jnp.square(spectrum.real) + jnp.square(spectrum.imag)).sum(3)
    f = np.fft.fftfreq(512, 1 / hz)
    lag = 1 / rates_hz(self.low_bpm / 60, self.high_bpm / 60, self.rates)
    angle = 2 * np.pi * f[:, None] * lag
    both = np.concatenate([np.cos(angle), np.sin(angle)], 1).astype(np.float32)
    found = jnp.einsum("bkfw,fr->bkwr", power, both, precision="highest")
    zero = power.sum(2)[..., None] + 1e-6
    overlap = np.concatenate([1 / np.maximum(1 - lag / 12.0, 0.1)] * 2)
    found = found / zero * overlap.astype(np.float32)[None, None, None]
    real, imag = found[..., :self.rates], found[..., self.rates:]
    size = jnp.sqrt(jnp.square(real) + jnp.square(imag) + 1e-8)
    rows = jnp.concatenate([real, size], 2)  # [B, K, 2 waves, R]
    return (self._tokens(rows.mean(1, keepdims=True), "likeness_whole"),
            self._tokens(rows, "likeness_parts"))
