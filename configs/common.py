"""What training configs share: loop and optimiser fields at four scales.

`paper` is the scale of arXiv 2412.11276 as far as it is known; its batch,
steps and learning rate are our choice. `laptop` trains on two CPU cores in
minutes, `quickstart` is its shortest run that learns, `tiny` only runs the
code.

The marks [D], [L], [L2], [r] and [o] in configs are explained in
docs/method.md: what a paper reports, readers recall, or we chose.
"""

from ml_collections import ConfigDict

from accfm.base import configlib, plugins
from accfm.base.errors import InputError
from accfm.models import build

SCALES = {
    "paper": dict(
        batch_size=4096, total_steps=100_000, lr=1e-3, warmup_steps=2000,
        every=1000, validate_rows=1024, head_hidden=1024,
    ),
    "laptop": dict(
        batch_size=128, total_steps=1000, lr=2e-3, warmup_steps=40,
        every=100, validate_rows=256, head_hidden=256,
    ),
    "quickstart": dict(
        batch_size=128, total_steps=600, lr=2e-3, warmup_steps=40,
        every=100, validate_rows=256, head_hidden=256,
    ),
    "tiny": dict(
        batch_size=8, total_steps=2, lr=1e-3, warmup_steps=1, every=2,
        validate_rows=8, head_hidden=16,
    ),
}


# The encoder of each scale, unless a config says otherwise.
ENCODERS = {
    "paper": "vit_s", "laptop": "vit_laptop",
    "quickstart": "vit_laptop", "tiny": "vit_tiny",
}


def parse(arg, scales=None, /, **fields):
  """Arguments of a config: a scale (of SCALES), and what `fields` adds."""
  scales = scales or SCALES
  arg = configlib.parse(arg, positional="scale", scale="paper", **fields)
  if arg.scale not in scales:
    raise InputError(
        f"config argument scale: got {arg.scale!r}, want one of "
        f"{sorted(scales)}{configlib.nearest(arg.scale, scales)}"
    )
  return arg


def encoder(scale, preset):
  """An encoder's config; at the paper's scale as TPUs compute it best.

  `preset` may also be an encoder class outside the package, such as
  "./nets.py:ConvNet"; the argument of a command's config names it.

  At the paper's scale encoders compute in bfloat16, and the blocks of a ViT
  are kernels if its widths suit them: a tenth of the memory traffic
  (results/step_limit.md).
  """
  if plugins.is_plugin(preset):
    plugins.allow([preset])
  cfg = build.encoder_config(preset)
  if scale != "paper":
    return cfg
  if "dtype" in cfg:
    cfg.dtype = "bfloat16"
  if "block" in cfg and not (cfg.width % 128 or cfg.mlp_width % 128):
    cfg.block = "fused"
  return cfg


def training(scale):
  """Data, loop and optimiser fields of a scale."""
  at = SCALES[scale]
  c = ConfigDict()
  c.seed = 0
  # Data: a data set of `python -m accfm.prepare`, by folder and name.
  c.data_dir = "data"
  c.dataset = "simulated_easy"
  c.prefetch = 2  # batches read ahead, by as many threads
  # Processes of each host that read instead, each `prefetch` batches ahead.
  c.workers = 0
  c.cache_mb = 0  # memory of each process for records that were read
  # How far the order of rows jumps, of self-supervised runs and distillation:
  # so many parts of a batch draw from their own parts of the rows; blocks of
  # so many rows (0: single rows), of which a window is shuffled together.
  c.order = ConfigDict(dict(lanes=1, block=0, window=16))
  # Share of the training rows that may be damaged on disk: each is replaced
  # by another row, by one of the same person if there is one. 0: stop.
  c.max_damaged_share = 0.0
  # "" or a text: checkpoints then say whom they saw by salted pseudonyms.
  c.pseudonym_salt = ""
  # Neighbouring devices that split parameters and optimiser state: among
  # devices that split the batch too, and within the products of a block.
  c.fsdp = 1
  c.model = 1
  # Loop, in steps.
  c.batch_size = at["batch_size"]
  c.total_steps = at["total_steps"]
  c.log_every = max(1, at["every"] // 5)
  c.validate_every = at["every"]
  c.validate_rows = at["validate_rows"]
  c.checkpoint_every = at["every"]
  # Of several processes one that does not get on for so long is named and
  # ends the job (accfm/base/processes/heartbeat.py); 0 for never.
  c.stall_seconds = 300
  c.keep_latest = 2
  c.keep_best = 1
  # A loss or gradient that is not finite: "stop", or "skip": back to the
  # newest checkpoint and on without that batch, up to max_skipped of them.
  c.on_bad_step = "stop"
  c.max_skipped = 10
  # So is a loss above this times the median of the 64 before; 0: never.
  c.spike_factor = 0.0
  # "10:13" writes a profiler's trace of these steps to WORKDIR/profile.
  c.profile_steps = ""
  # An optimiser of optax by name: adamw, adam, lion, sgd, ... Its learning
  # rate warms up linearly and falls along a cosine.
  c.optimizer = "adamw"
  c.lr = at["lr"]
  c.warmup_steps = at["warmup_steps"]
  c.weight_decay = 1e-3
  c.clip_norm = 1.0
  c.b1 = 0.9  # momentum of the gradient (also of sgd and rmsprop)
  c.b2 = 0.999  # decay of the squared gradient
  c.lr_floor = 0.01  # of lr, at the end
  # Learning rate by parameter: (("^encoder/", 0.1),) trains those whose path
  # matches the regular expression at a tenth of lr.
  c.lr_multipliers = ()
  # What weight decay acts on: patterns of paths; () for all parameters of two
  # axes or more.
  c.decay_patterns = ()
  return c


def head(scale, encoder):
  """The projection head that suits an encoder's config.

  256 -> 128 with a hidden layer of 1,024 [L, r]; for an embedding that keeps
  time bins apart a small one shared by them.
  """
  grid = encoder.get("pool") == "grid"
  if grid and encoder.embed_dim == encoder.pool_bins * encoder.pool_width:
    return ConfigDict(dict(
        hidden=64, out=4 * encoder.pool_bins, bins=encoder.pool_bins,
        dtype="float32",
    ))
  hidden = SCALES[scale]["head_hidden"]
  return ConfigDict(dict(hidden=hidden, out=128, bins=1, dtype="float32"))
