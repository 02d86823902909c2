"""Fields that every training config shares, with their defaults."""

from ml_collections import ConfigDict


def training(tiny):
  """Data, loop and optimiser fields."""
  c = ConfigDict()
  c.seed = 0
  # Data: a data set of `python -m accfm.prepare`, by folder and name.
  c.data_dir = "data"
  c.dataset = "simulated_easy"
  c.prefetch = 2  # batches read ahead
  # Loop, in steps.
  c.batch_size = 8 if tiny else 256
  c.total_steps = 2 if tiny else 2000
  c.log_every = 1 if tiny else 20
  c.validate_every = 2 if tiny else 200
  c.validate_rows = 8 if tiny else 256
  c.checkpoint_every = 2 if tiny else 200
  c.keep_latest = 2
  c.keep_best = 1
  # AdamW, warm-up and cosine.
  c.lr = 1e-3
  c.warmup_steps = 1 if tiny else 100
  c.weight_decay = 1e-3
  c.clip_norm = 1.0
  c.b1 = 0.9
  c.b2 = 0.98
  c.lr_floor = 0.01  # of lr, at the end
  return c


def head():
  """A projection head: 256 -> 128 with a hidden layer of 1,024 [L, r]."""
  return ConfigDict(dict(hidden=1024, out=128, dtype="float32"))
