"""Streams against whole recordings, and signals with real clocks."""

import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.signals import clocks, windows
from accfm.signals.contract import Contract, SignalSpec
from accfm.signals.recording import Recording, Signal

T0 = 1_600_000_000.0
ACC = SignalSpec(3, "g", "acc", gravity_kept=True)
PPG = SignalSpec(1, "au", "ppg", band_hz=(0.5, 8.0), delay_s=0.3)


class Lazy:
  """Values that remember what was asked for."""

  def __init__(self, values, finite=False):
    self._values, self.shape, self.finite = values, values.shape, finite
    self.most, self.asked = 0, 0

  def __len__(self):
    return len(self._values)

  def __getitem__(self, rows):
    out = self._values[rows]
    self.most, self.asked = max(self.most, len(out)), self.asked + len(out)
    return out


def noisy(rng, seconds, rate, channels, offset=0.0, gaps=True):
  n = round(seconds * rate)
  x = offset + np.cumsum(rng.normal(size=(n, channels)), 0) * 0.01
  x += 0.1 * rng.normal(size=(n, channels))
  for _ in range(6 if gaps else 0):
    at = rng.integers(0, n)
    x[at:at + rng.integers(1, round(5 * rate))] = np.nan
  x[rng.integers(0, n)] = 1e9  # an impossible one
  return x


def recorded(seed, rates, clock=False):
  rng = np.random.default_rng(seed)
  seconds = 900.0
  acc = noisy(rng, seconds, rates[0], 3, 0.6)
  ppg = noisy(rng, seconds + 3, rates[1], 1)
  own = None
  if clock:
    first = np.array([0, 30_000, 41_234])
    own = clocks.Clock(
        first, T0 + first / 64.0052 + np.array([0.0, 0.0, 7.77]),
        np.array([64.0052, 64.0052, 63.98]))
  return Recording("p", "s", {
      "acc": Signal(acc, rates[0], "g", T0, (-8.0, 8.0), own),
      "ppg": Signal(ppg, rates[1], "au", T0 - 0.71),
  })


def equal(got, want, banded):
  assert len(got) == len(want) > 20
  for a, b in zip(got, want, strict=True):
    assert a.start_s == b.start_s
    assert a.impossible == b.impossible and a.clipped == b.clipped
    np.testing.assert_array_equal(a.signals["acc"], b.signals["acc"])
    for name in banded:
      x, y = a.signals[name], b.signals[name]
      np.testing.assert_array_equal(np.isnan(x), np.isnan(y))
      np.testing.assert_allclose(
          np.nan_to_num(x), np.nan_to_num(y), atol=2e-5)


@pytest.mark.parametrize("rates, clock", [
    ((64.0, 64.0), False), ((100.0, 64.0), False), ((50.0, 128.0), False),
    ((64.0, 64.0), True), ((63.9999, 55.0), False),
])
@pytest.mark.parametrize("block_s", [31.0, 200.0])
def test_blocks_give_what_the_whole_gives(monkeypatch, rates, clock, block_s):
  contract = Contract({"acc": ACC, "ppg": PPG}, 64.0, 20.0)
  raw = recorded(1, rates, clock)
  want = list(windows.cut(windows.align(raw, contract), contract, 10.0))
  monkeypatch.setattr(windows, "BLOCK_S", block_s)
  equal(list(windows.stream(raw, contract, 10.0)), want, ["ppg"])


def test_blocks_give_what_the_whole_gives_at_two_rates(monkeypatch):
  slow = SignalSpec(1, "au", "ppg", band_hz=(0.5, 8.0), rate_hz=32.0)
  contract = Contract({"acc": ACC, "ppg": slow}, 64.0, 20.0)
  raw = recorded(2, (100.0, 64.0))
  want = list(windows.cut(windows.align(raw, contract), contract, 10.0))
  monkeypatch.setattr(windows, "BLOCK_S", 45.0)
  equal(list(windows.stream(raw, contract, 10.0)), want, ["ppg"])


def test_a_long_recording_is_read_in_blocks(monkeypatch):
  rng = np.random.default_rng(0)
  values = Lazy(noisy(rng, 3600, 100.0, 3, 0.6, gaps=False), finite=True)
  raw = Recording("p", "s", {"acc": Signal(values, 100.0, "g", T0)})
  contract = Contract({"acc": ACC}, 64.0, 60.0)
  monkeypatch.setattr(windows, "BLOCK_S", 300.0)
  assert len(list(windows.stream(raw, contract, 60.0))) == 60
  assert values.most < 100 * (300 + 5 * 60)
  assert values.asked < 2 * len(values)


def sine(t):
  return np.stack([np.sin(2 * np.pi * f * t) for f in (0.9, 3.7, 8.1)], 1)


@pytest.mark.parametrize("rate", [63.9999, 64.0052, 100.03, 31.27])
def test_a_rate_as_the_device_keeps_it(rate):
  """Sines come out at their true times, hours after the start too."""
  first = 5_000_000  # as if it were a day later
  n = round(200 * rate)
  clock = clocks.Clock(
      np.array([0]), np.array([T0 + first / rate]), np.array([rate]))
  x = sine((first + np.arange(n)) / rate)
  raw = Recording(
      "p", "s", {"acc": Signal(x, round(rate), "g", T0, clock=clock)})
  a = windows.align(raw, Contract({"acc": ACC}, 64.0, 60.0), dict(
      max_crest=None))
  t = a.start_s - T0 + np.arange(len(a.signals["acc"])) / 64.0
  np.testing.assert_allclose(
      a.signals["acc"][100:-100], sine(t)[100:-100], atol=3e-3)


def test_pieces_of_a_clock_that_drifts_join_without_a_step():
  first = np.array([0, 6000, 12_000])
  rate = np.array([100.0, 100.4, 99.7])
  start = T0 + np.array([0.0, 60.0, 60.0 + 6000 / 100.4])
  clock = clocks.Clock(first, start, rate)
  stretch, = clock.stretches(18_000)
  x = sine(stretch.time(np.arange(18_000)) - T0)
  raw = Recording("p", "s", {"acc": Signal(x, 100.0, "g", T0, clock=clock)})
  a = windows.align(raw, Contract({"acc": ACC}, 64.0, 60.0), dict(
      max_crest=None))
  t = a.start_s - T0 + np.arange(len(a.signals["acc"])) / 64.0
  np.testing.assert_allclose(
      a.signals["acc"][100:-100], sine(t)[100:-100], atol=5e-3)


def test_the_interpolation_of_any_place_is_that_of_the_filter():
  rng = np.random.default_rng(0)
  x = 0.1 * rng.normal(size=(64 * 200, 3))
  contract = Contract({"acc": ACC}, 50.0, 60.0)
  plain = Recording("p", "s", {"acc": Signal(x, 64.0, "g", T0)})
  near = clocks.Clock(
      np.array([0, 6400]), T0 + np.array([0.0, 100.0]),
      np.array([64.0, 64.0]))
  real = Recording("p", "s", {"acc": Signal(x, 64.0, "g", T0, clock=near)})
  np.testing.assert_allclose(
      windows.align(real, contract).signals["acc"],
      windows.align(plain, contract).signals["acc"], atol=2e-5)


def test_a_gap_of_months_is_refused():
  clock = clocks.Clock(
      np.array([0, 6400]), T0 + np.array([0.0, 40 * 86_400.0]),
      np.array([64.0, 64.0]))
  raw = Recording("p", "s", {
      "acc": Signal(np.zeros((12_800, 3)), 64.0, "g", T0, clock=clock)})
  with pytest.raises(InputError, match="no samples for 40 days, want at most"):
    windows.align(raw, Contract({"acc": ACC}, 64.0, 60.0))


def test_milliseconds_for_seconds_are_refused():
  with pytest.raises(InputError, match="are these milliseconds"):
    Recording("p", "s", {"acc": Signal(
        np.zeros((10, 3)), 64.0, "g", 1000 * T0)})
