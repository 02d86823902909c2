"""Which values the fields of a training config may have.

What a module uses it also rules, in its own `RULES`; here are the fields that
several parts of a training share, and the one check that the mains make before
they open anything.
"""

from ml_collections import ConfigDict

from accfm.base import values
from accfm.base.errors import InputError
from accfm.data import batches, orders, people_batches
from accfm.models import build
from accfm.signals import augment
from accfm.steps import distill
from accfm.train import guard, loop, optim, trace

RULES: values.Rules = {
    "seed": values.SEED,
    "max_damaged_share": values.SHARE,
    "fsdp": values.SOME,
    "model": values.SOME,
    "validate_rows": values.SOME,
    "evals_every": values.COUNT,
    "stall_seconds": values.COUNT,
    "keep_latest": values.SOME,
    "keep_best": values.COUNT,
    # contrastive, distill
    "temperature": values.above(0),
    "loss_block": values.COUNT,
    "micro_batches": values.SOME,
    "positives": values.one_of("segment", "participant"),
    "minutes_per_person": values.SOME,
    "momentum": values.from_below(0, 1),
    "koleo_weight": values.COUNT,
    "loss": values.one_of(*sorted(distill.LOSSES)),
    "student_weight": values.SHARE,
    "soft_weight": values.SHARE,
    "soft_temperature": values.above(0),
    "teacher_mode": values.one_of("frozen", "trained", "scratch"),
    "teacher_head": values.one_of("mlp", "identity"),
    "teacher_step": values.STEP,
    # mae
    "mask_ratio": values.inside(0, 1),
    # supervised
    "label_fraction": values.above_to(0, 1),
    "label_seed": values.SEED,
    "hold_out_share": values.from_below(0, 1),
    "init_step": values.STEP,
    # Heads; those of a teacher's size have "out" 0.
    "head.hidden": values.COUNT,
    "head.out": values.COUNT,
    "head.bins": values.SOME,
    "decoder.width": values.SOME,
    "decoder.depth": values.SOME,
    "decoder.heads": values.SOME,
    "decoder.mlp_width": values.SOME,
    "*.dtype": values.one_of(*build.DTYPES),
}
TABLES = (
    RULES, loop.RULES, guard.RULES, batches.RULES, orders.RULES, optim.RULES,
)
ENCODERS = ("encoder", "teacher_encoder")
# Groups that hold augmentations, if not one themselves.
ROLES = ("student", "teacher")


def check(config: ConfigDict) -> None:
  """Raises InputError for a field that no training may have so.

  It opens no file and asks no device.

  Args:
    config: of accfm.pretrain, accfm.distill or accfm.supervise.
  """
  values.check(config, *TABLES)
  for name in ENCODERS:
    if name in config:
      build.check_encoder(config[name], name)
  if "augment" in config:
    roles = [role for role in ROLES if role in config.augment]
    for role in roles:
      augment.check(config.augment[role], f"augment.{role}")
    if not roles:
      augment.check(config.augment)
  optim.read_settings(config)
  batches.check(config)
  each = config.get("minutes_per_person", 1)
  people_batches.check(config.batch_size, each)
  if each > 1 and config.get("positives") == "participant":
    raise InputError(
        f"minutes_per_person: got {each} with positives='participant', which "
        "pairs two segments of each person already, want 1 or "
        "--config.positives=segment"
    )
  if "order" in config:
    orders.Nearness(**config.order).check(config.batch_size // each)
  trace.parse(config.profile_steps, config.total_steps)
  if "dataset" in config:
    parse_mixture(config.dataset)


def parse_mixture(text: str) -> dict[str, float]:
  """{"a": 2.0, "b": 1.0} of "a:2,b:1"; a name without a weight has 1.

  Raises:
    InputError: no name, or none that a data set can have, a name twice, or a
      weight that is not above 0.
  """
  out = {}
  for item in text.split(","):
    name, _, weight = item.strip().partition(":")
    try:
      value = float(weight or 1)
    except ValueError:
      value = 0.0
    if not values.NAME.fits(name) or name in out or not (
        0 < value < float("inf")
    ):
      raise InputError(
          f"dataset: got {text[:200]!r}, want a name or name:weight,"
          "name:weight with different names and weights above 0; a name is "
          f"{values.NAME.want}"
      )
    out[name] = value
  return out
