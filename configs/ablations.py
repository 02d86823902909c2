"""The paper's ablations, and ours, as variants of the other configs.

Command: accfm study --config=ablations:small --workdir=W
One group alone: --config=ablations:small,group=teachers.
Expected: one table with every variant beside the plain student (`distilled`).
Each variant is a run of the study: the same config with a few fields changed.
"""

from ml_collections import ConfigDict

from accfm.base import configlib
from accfm.base.errors import InputError
from accfm.configs import (
  acc_contrastive,
  acc_distill,
  common,
  ppg_contrastive,
  ppg_mae,
  study,
)
from accfm.signals import augment

# Presets of smaller students by scale: a fifth of the parameters, and one that
# suits a watch.
SIZES = {
    "paper": ("vit_xs", "vit_watch"), "laptop": ("vit_xs", "vit_watch"),
    "tiny": ("vit_tiny",),
}
EFFICIENT = {
    "paper": "efficientnet_s", "laptop": "efficientnet_xs",
    "tiny": "efficientnet_tiny",
}
AUGMENTATIONS = (
    "cutout", "magnitude_warp", "noise", "permute_channels", "time_warp",
)


def get_config(arg=None):
  """Arguments: paper, small or tiny; group (one of `GROUPS`, default all)."""
  arg = common.parse(arg, study.SCALES, group="")
  if arg.group and arg.group not in GROUPS:
    raise InputError(
        f"config argument group: got {arg.group!r}, want one of "
        f"{sorted(GROUPS)}{configlib.nearest(arg.group, GROUPS)}"
    )
  scale = study.SCALES[arg.scale]
  c = study.base(arg.scale, scale)
  runs = {
      "teacher": study.entry(
          "pretrain", "PPG teacher", ppg_contrastive.get_config(scale)
      ),
      "distilled": student("distilled", scale),
  }
  for group in (arg.group,) if arg.group else GROUPS:
    runs |= GROUPS[group](scale)
  c.order = tuple(runs)  # of the runs: one comes after what it needs
  c.runs = ConfigDict(runs)
  return c.lock()


def student(title, scale, more="", needs="teacher", **changes):
  """A run of the distillation config with some fields changed."""
  return _entry(
      "distill", title, acc_distill.get_config(scale + more), needs, changes
  )


def _entry(main, title, config, needs, changes):
  """A run of a config with some fields changed; "__" stands for "."."""
  config.unlock()
  configlib.update(
      config, {name.replace("__", "."): v for name, v in changes.items()}
  )
  return study.entry(main, title, config, needs)


def augmentations(scale):
  """No augmentation, and each one alone, without the time shift."""
  runs = {"no_augmentation": student(
      "no augmentation", scale, augment__student=augment.off(),
      augment__teacher=augment.off(),
  )}
  for name in AUGMENTATIONS:
    alone = {}
    for part in ("student", "teacher"):
      alone[f"augment__{part}"] = augment.off()
      alone[f"augment__{part}"][name].update(
          prob=0.5, together=name == "time_warp"
      )
    runs[f"only_{name}"] = student(
        f"only {name.replace('_', ' ')}", scale, **alone
    )
  return runs


def joint(scale):
  """The teacher not frozen, and both encoders from nothing."""
  return {
      "teacher_trained": student(
          "teacher goes on training", scale, teacher_mode="trained"
      ),
      "joint": student(
          "both from scratch", scale, needs="", teacher_mode="scratch"
      ),
  }


def teachers(scale):
  """Teachers of masked autoencoding or contrast, a Transformer or an
  EfficientNet.
  """
  small = f",encoder={EFFICIENT[scale]}"
  return {
      "teacher_mae": study.entry(
          "pretrain", "PPG teacher, MAE", ppg_mae.get_config(scale)
      ),
      "distilled_from_mae": student(
          "from an MAE teacher", scale, needs="teacher_mae"
      ),
      "teacher_efficientnet": study.entry(
          "pretrain", "PPG teacher, EfficientNet",
          ppg_contrastive.get_config(scale + small),
      ),
      "distilled_from_efficientnet": student(
          "from an EfficientNet teacher", scale, needs="teacher_efficientnet"
      ),
      "student_efficientnet": student(
          "EfficientNet student", scale, small
      ),
  }


def sizes(scale):
  """Smaller students."""
  return {
      f"student_{preset}": student(
          f"student {preset}", scale, f",encoder={preset}"
      ) for preset in SIZES[scale]
  }


def objectives(scale):
  """Temperature, direction, and losses that compare no other segments."""
  predict = dict(teacher_head="identity", head__out=0, head__bins=1)
  return {
      "temperature_high": student("temperature 0.1", scale, temperature=0.1),
      "temperature_learned": student(
          "temperature learned", scale, learn_temperature=True
      ),
      "lambda_1": student("acc → PPG alone", scale, student_weight=1.0),
      "lambda_0": student("PPG → acc alone", scale, student_weight=0.0),
      "cosine": student("cosine regression", scale, loss="cosine", **predict),
      "mse": student("MSE regression", scale, loss="mse", **predict),
  }


def positives(scale):
  """Contrast by person, with and without momentum target and KoLeo."""
  by_person = f"{scale},positives=participant"
  variants = {
      "accel_segment": ("Accel-CL, by segment", f"{scale},positives=segment",
                        {}),
      "accel_person": ("Accel-CL, by person", by_person, {}),
      "accel_no_momentum": ("Accel-CL, no momentum", by_person,
                            dict(momentum=0.0)),
      "accel_no_koleo": ("Accel-CL, no KoLeo", by_person,
                         dict(koleo_weight=0.0)),
  }
  return {
      name: _entry(
          "pretrain", title, acc_contrastive.get_config(arg), "", changes
      ) for name, (title, arg, changes) in variants.items()
  }


GROUPS = {
    "augmentations": augmentations, "joint": joint, "teachers": teachers,
    "sizes": sizes, "objectives": objectives, "positives": positives,
}
