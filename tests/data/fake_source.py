"""A source of tiny recordings for tests, and the config that prepares them.

Eight people, one with two sessions; 32 Hz, windows of 4 s every 4 s. What
goes wrong with a recording is told by `Fake.faults`.
"""

import numpy as np

from accfm.base.errors import InputError
from accfm.configs import prepare as prepare_config
from accfm.signals.recording import Beats, Recording, Signal, Span

RATE_HZ = 32.0
WINDOW_SEC = 4.0
EPOCH_S = 1_600_000_000.25  # float32 would round this to a minute or two
NAMES = [f"P{i}/one" for i in range(8)] + ["P3/two"]


class Fake:
  """`list_recordings` and `read_recording`, and what was read so far."""

  def __init__(self, names=None, faults=None, windows=3):
    self.names = NAMES if names is None else names
    self.faults = faults or {}  # name -> "unreadable", "short", "gap", "same"
    self.windows = windows
    self.read = []

  def list_recordings(self, source_dir, cfg):
    return sorted(self.names)

  def read_recording(self, source_dir, name, cfg):
    self.read.append(name)
    fault = self.faults.get(name)
    if fault == "unreadable":
      raise InputError(f"{name}: line 3 is not a number")
    return recording(name, self.windows, fault)


def recording(name, windows=3, fault=None):
  """A recording of `windows` whole windows; numbers depend on the name."""
  person, _, session = name.partition("/")
  rng = np.random.default_rng(list(name.encode()))
  count = int(RATE_HZ * WINDOW_SEC * (0.5 if fault == "short" else windows))
  acc = rng.normal(scale=0.01, size=(count, 3)) + [0, 0, 1]
  ppg = rng.normal(scale=100, size=(count, 1))
  if fault == "gap":
    acc[::50] = np.nan
  if fault == "first":
    ppg[5] = np.inf
  # 80 a minute, until two thirds of three windows.
  end = EPOCH_S + np.arange(1, int(4 * windows)) * 0.75
  return Recording(
      participant="P0" if fault == "same" else person,
      session="one" if fault == "same" else session,
      signals={
          "acc": Signal(acc, RATE_HZ, "g", EPOCH_S),
          "ppg": Signal(ppg, RATE_HZ, "au", EPOCH_S),
      },
      beats=Beats(end, np.full(len(end), 0.75)),
      spans=[Span(EPOCH_S, EPOCH_S + WINDOW_SEC, "rest")],
      attributes={"age_years": 30.0 + len(session), "target_x": 1.0},
  )


def get_config(**fields):
  """A prepare config for `Fake`; `fields` may be dotted with "__"."""
  c = prepare_config.get_config("simulated").unlock()
  c.name, c.source, c.source_cfg = "tiny", "fake", {}
  c.rate_hz, c.window_sec, c.hop_sec = RATE_HZ, WINDOW_SEC, WINDOW_SEC
  c.signals.ppg.channels = 1
  c.signals.ppg.band_hz = None
  c.labels.min_coverage = 0.5
  c.labels.min_pairs = 1
  c.workers = 1
  for path, value in fields.items():
    node, *rest = path.split("__")
    target = c
    while rest:
      target, node, rest = target[node], rest[0], rest[1:]
    target[node] = value
  return c.lock()
