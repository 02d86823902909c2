"""A split in memory and towers without weights to speak of."""

import flax.struct
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from accfm.evals import inputs
from accfm.evals.results.figures import TESTED
from accfm.signals.contract import Contract, SignalSpec


def make_contract(seconds=4):
  return Contract(
      {"acc": SignalSpec(3, "g", "acc"), "ppg": SignalSpec(1, "au", "ppg")},
      rate_hz=64.0, window_sec=float(seconds),
  )


def make_config(**fields):
  return ml_collections.ConfigDict({**dict(
      pools=(8,), within_pool=4, adjacent_sec=10.0, bootstrap_draws=200, seed=0,
      probe_folds=0,
      min_people=2, min_windows=4, min_participants=4, min_class=3,
      label_fractions=(1.0,), label_seed=0, label_draws=1,
      person_pooling="mean", subgroups=True, examples=0, redact=False,
      map_label="", map_method="pca",
  ), **fields})


class Split:
  """Rows in memory behind the interface of `accfm.data.pipeline.Split`."""

  def __init__(self, people=5, each=7, seconds=4, seed=0, prefix="toy/p"):
    rng = np.random.default_rng(seed)
    n = people * each
    self.contract = make_contract(seconds)
    self.manifest = {}
    self.digest = "0123456789abcdef"
    t = round(64 * seconds)
    self.values = {
        "acc": rng.integers(-3000, 3000, (n, t, 3)).astype(np.int16),
        "ppg": rng.integers(-3000, 3000, (n, t, 1)).astype(np.int16),
    }
    for name in ("acc", "ppg"):
      c = self.values[name].shape[2]
      self.values[f"{name}_scale"] = np.full((n, c), 1e-3, np.float32)
    who = np.repeat(np.arange(people), each)
    rate = rng.uniform(55, 95, people)[who] + rng.normal(0, 3, n)
    self.table = {
        "participant": np.array([f"{prefix}{i:03d}" for i in who]),
        "session": np.array(["a"] * n),
        "start_s": 1000.0 + seconds * np.tile(np.arange(each), people),
        "motion_g": rng.uniform(0, 1, n).astype(np.float32),
        "condition": np.array([""] * n),
        "labels/hr_bpm": rate.astype(np.float32),
        "labels/sdnn_ms": np.full(n, np.nan, np.float32),
        "attributes/age_years": rng.uniform(20, 80, people)[who].astype(
            np.float32),
        "attributes/sex": (np.arange(people) % 2)[who].astype(np.float32),
    }

  def __len__(self):
    return len(self.table["start_s"])

  def read(self, indices, signals):
    return {
        key: self.values[key][indices]
        for s in signals for key in (s, f"{s}_scale")
    }


@flax.struct.dataclass
class Tower:
  """A linear map of the window; its head is the same, of unit length."""

  weights: jax.Array  # [T * C, D]
  bias: float = 0.0
  signal: str = flax.struct.field(pytree_node=False, default="acc")
  head: bool = flax.struct.field(pytree_node=False, default=True)

  def embed(self, x, scale):
    x = x.astype(jnp.float32) * scale[:, None]
    return x.reshape(len(x), -1) @ self.weights + self.bias

  def project(self, x, scale):
    if not self.head:
      return None
    y = self.embed(x, scale)
    return y / jnp.linalg.norm(y, axis=-1, keepdims=True)

  def predict(self, x, scale):
    return None


def make_towers(split, width=6, seed=1, head=True):
  rng = np.random.default_rng(seed)
  out = {}
  for name in ("acc", "ppg"):
    size = int(np.prod(split.values[name].shape[1:]))
    weights = rng.normal(size=(size, width)).astype(np.float32)
    out[name] = Tower(jnp.asarray(weights), signal=name, head=head)
  return out


def make_inputs(noise=0.3, width=12, window_sec=4.0):
  """Inputs with a signal in them: labels and pairs depend on a latent."""
  rng = np.random.default_rng(5)
  splits = {
      "train": Split(20, 8, seed=1, prefix="toy/a"),
      "val": Split(6, 8, seed=2, prefix="toy/b"),
      "test": Split(8, 8, seed=3, prefix="toy/c"),
  }
  turn = rng.normal(size=(width, width))
  encoders = {TESTED: {}, "untrained": {}, "ppg": {}}
  pairs = {TESTED: {}, "untrained": {}, "envelope": {}}
  feats = {}
  for name, split in splits.items():
    n = len(split)
    latent = rng.normal(size=(n, width))
    latent[:, 0] = (split.table["labels/hr_bpm"] - 75) / 12
    latent[:, 1] = (split.table["attributes/age_years"] - 50) / 15
    latent[:, 2] = 2 * split.table["attributes/sex"] - 1
    draw = lambda z, s: (z @ turn + s * rng.normal(size=z.shape)).astype(  # noqa: E731
        np.float32)
    encoders[TESTED][name] = draw(latent, noise)
    encoders["ppg"][name] = draw(latent, 0.1)
    encoders["untrained"][name] = rng.normal(size=(n, width))
    feats[name] = draw(latent, 5.0)
    if name == "test":
      pairs[TESTED] = {"acc": draw(latent, noise), "ppg": draw(latent, noise)}
      pairs["envelope"] = {"acc": draw(latent, 2.0), "ppg": draw(latent, 2.0)}
      pairs["untrained"] = {s: rng.normal(size=(n, width))
                            for s in ("acc", "ppg")}
  tables = {name: split.table for name, split in splits.items()}
  data = inputs.Inputs(
      "test", tables, encoders, pairs, feats, "acc", "ppg", window_sec,
      recordings=splits["test"],
  )
  return data, splits
