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
  c.seed = 0  # of the first weights, the order of rows and augmentation
  c.data_dir = "data"  # folder in which `accfm prepare` left the data sets
  # Name of a data set, or a weighted mixture: "one:3,other:1".
  c.dataset = "simulated_easy"
  c.prefetch = 2  # batches read ahead, each by a thread
  # Processes of each host that read instead of threads, each `prefetch`
  # batches ahead; 0 for threads.
  c.workers = 0
  c.cache_mb = 0  # memory of each process for records that it has read
  # How far apart rows of a batch may lie on disk, see the fields.
  c.order = ConfigDict(dict(lanes=1, block=0, window=16))
  # Share of the training rows that may be damaged on disk: each is replaced by
  # another row, of the same participant if there is one. 0: stop.
  c.max_damaged_share = 0.0
  # A text: checkpoints then name people by pseudonyms salted with it.
  c.pseudonym_salt = ""
  # Neighbouring devices that split parameters and optimiser state among them,
  # and the rows of the batch too.
  c.fsdp = 1
  c.model = 1  # neighbouring devices that split the products of a block
  c.batch_size = at["batch_size"]  # segments of a step, over all devices
  c.total_steps = at["total_steps"]  # updates of the whole run
  c.log_every = max(1, at["every"] // 5)  # steps between logged metrics
  c.validate_every = at["every"]  # steps between validations; 0: never
  c.validate_rows = at["validate_rows"]  # segments of a validation
  # Evaluators of `accfm evaluate` to run on all validation people as training
  # goes, e.g. ("health", "retrieval"); their figures go to metrics.jsonl.
  c.train_evals = ()
  # Steps between them, a multiple of validate_every; 0: with each validation.
  c.evals_every = 0
  c.checkpoint_every = at["every"]  # steps between checkpoints
  # Of several processes, one that stands still for this long is named and
  # ends the job (accfm/base/processes/heartbeat.py); 0: never.
  c.stall_seconds = 300
  c.keep_latest = 2  # newest checkpoints that are kept
  c.keep_best = 1  # checkpoints that are kept because they validate best
  # When a loss or gradient is NaN or infinite: "stop", or "skip": go back to
  # the newest checkpoint and on without that batch.
  c.on_bad_step = "stop"
  c.max_skipped = 10  # batches that may be skipped
  # A loss above this times the median of the 64 before is bad too; 0: never.
  c.spike_factor = 0.0
  # "10:13" writes a profiler's trace of these steps to WORKDIR/profile.
  c.profile_steps = ""
  # An optimiser of optax by name: adamw, adam, lion, sgd, ... Its learning
  # rate warms up linearly and falls along a cosine.
  c.optimizer = "adamw"
  c.lr = at["lr"]  # highest learning rate
  c.warmup_steps = at["warmup_steps"]  # steps until it is reached
  c.weight_decay = 1e-3  # pull of weights towards zero, per unit of lr
  c.clip_norm = 1.0  # largest norm of all gradients together; 0: no clipping
  c.b1 = 0.9  # momentum of the gradient (also of sgd and rmsprop)
  c.b2 = 0.999  # decay of the squared gradient
  c.lr_floor = 0.01  # last learning rate, as a share of lr
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
