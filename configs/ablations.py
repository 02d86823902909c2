"""The paper's ablations, and ours, as variants of the other configs.

Command: accfm study --config=ablations:easy --workdir=W
Some groups alone: --config=ablations:easy,group=teachers+sizes.
Expected: table.md and table.json in W, a line a variant beside what the paper
claims of it; runs.md, .json and .png, a line a run. `easy` is a cohort of 300
simulated people of 24 minutes, `realistic` one of 1,000.
Each variant is a run of the study: the same config with a few fields changed.
With several seeds each is run once a seed, from a teacher of that seed.
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

# Presets of smaller students: a fifth of the parameters of the teacher's
# encoder, and one that suits a watch. At the scale `laptop` no preset is a
# fifth of its encoder, but these fields of it are (82 thousand of 393).
SIZES = {"paper": ("vit_xs", "vit_watch"), "tiny": ("vit_tiny",)}
FIFTH = {
    "laptop": dict(width=24, mlp_width=96, pool_width=4, stem_filters=12),
}
EFFICIENT = {
    "paper": "efficientnet_s", "laptop": "efficientnet_xs",
    "tiny": "efficientnet_tiny",
}
AUGMENTATIONS = (
    "cutout", "magnitude_warp", "noise", "permute_channels", "time_warp",
)
MINUTES = (4,)  # of a person in a batch
SOFT = (0.5,)  # weights of soft targets
# Beside the scales of a study: data set, steps, seeds, groups.
COHORTS = {
    "easy": ("simulated_easy", 300, 2, (
        "augmentations", "joint", "teachers", "sizes", "minutes", "soft",
    )),
    "realistic": ("simulated_realistic", 600, 2, ("joint", "teachers")),
}
SCALES = {**study.SCALES, **dict.fromkeys(COHORTS, "laptop")}
# What the paper reports of a variant; the marks are those of docs/method.md.
CLAIMS = {
    "distilled": "recall@1 0.992 in a pool not known [D]; HR and HRV errors "
                 "23 to 49 % below one-signal baselines [D]",
    "no_augmentation": "HR error 45 % larger [D2]",
    "joint": "HR error > 95 % larger; the PPG encoder collapses [D2]",
    "distilled_from_mae": "works, as with contrast [D2]",
    "distilled_from_efficientnet": "works, as with a Transformer [D2]",
    "student_efficientnet": "works, as with a Transformer [D2]",
    "student_vit_xs": "5 times smaller, still beats the baselines [D2]",
    "student_fifth": "5 times smaller, still beats the baselines [D2]",
}


def get_config(arg=None):
  """Arguments: paper, small, tiny, easy or realistic; group (one of `GROUPS`,
  or several with "+" between; default all, or those of the cohort); seeds (how
  many; default 1, or those of the cohort).
  """
  arg = common.parse(arg, SCALES, group="", seeds=0)
  dataset, steps, seeds, groups = COHORTS.get(
      arg.scale, ("", 0, 1, tuple(GROUPS)))
  chosen = tuple(arg.group.split("+")) if arg.group else groups
  for group in chosen:
    if group not in GROUPS:
      raise InputError(
          f"config argument group: got {group!r}, want one of "
          f"{sorted(GROUPS)}{configlib.nearest(group, GROUPS)}"
      )
  scale = SCALES[arg.scale]
  c = study.base(arg.scale, scale)
  if dataset:
    c.datasets = (dataset,)
    c.total_steps = steps
    c.evaluate.update(
        evals=("health", "retrieval", "probe"), pools=(256,), subgroups=False,
        report=False,
    )
  people = "" if scale == "tiny" else ",positives=participant"  # [L]
  runs = {
      "teacher": study.entry(
          "pretrain", "PPG teacher", ppg_contrastive.get_config(scale + people)
      ),
      "distilled": student("distilled", scale),
  }
  for group in chosen:
    runs |= GROUPS[group](scale)
  # A line of table.md is a variant, with the mean and the range over its
  # seeds; else the table has a line a run.
  c.by_variant = True
  seeds = arg.seeds or seeds
  if seeds > 1:
    c.shared = tuple(field for field in c.shared if field != "seed")
  runs = {
      name: entry for seed in range(seeds)
      for name, entry in of_seed(runs, seed, seeds).items()
  }
  c.order = tuple(runs)  # of the runs: one comes after what it needs
  c.runs = ConfigDict(runs)
  return c.lock()


def of_seed(runs, seed, seeds):
  """The runs with a seed; the first one keeps their names."""
  def named(name):
    return f"{name}_seed{seed}" if seed and name else name

  out = {}
  for name, entry in runs.items():
    entry = ConfigDict(entry.to_dict(preserve_field_references=True))
    entry.variant = name  # of which this run is one seed
    entry.claim = CLAIMS.get(name, "")  # what the paper says of it
    if seeds > 1:
      entry.config.seed = seed
    if seed:
      entry.title = f"{entry.title}, seed {seed}"
    entry.needs = named(entry.needs)
    out[named(name)] = entry
  return out


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


def shift_alone():
  """No augmentation but our own time shift, which is not the paper's."""
  cfg = augment.off()
  cfg.time_shift.prob = 1.0
  return cfg


def augmentations(scale):
  """Without the time shift, which is ours; then with it and without the
  paper's augmentations, and with each of them alone.
  """
  runs = {
      "no_time_shift": student(
          "no time shift", scale, augment__student__time_shift__prob=0.0,
          augment__teacher__time_shift__prob=0.0,
      ),
      "no_augmentation": student(
          "no augmentation but the time shift", scale,
          augment__student=shift_alone(), augment__teacher=shift_alone(),
      ),
  }
  for name in AUGMENTATIONS:
    alone = {}
    for part in ("student", "teacher"):
      alone[f"augment__{part}"] = shift_alone()
      alone[f"augment__{part}"][name].update(
          prob=0.5, together=name == "time_warp"
      )
    runs[f"only_{name}"] = student(
        f"time shift and {name.replace('_', ' ')} alone", scale, **alone
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
  runs = {
      f"student_{preset}": student(
          f"student {preset}", scale, f",encoder={preset}"
      ) for preset in SIZES.get(scale, ())
  }
  if scale in FIFTH:
    runs["student_fifth"] = student("student of a fifth", scale, **{
        f"encoder__{name}": value for name, value in FIFTH[scale].items()
    })
  return runs


def minutes(scale):
  """Several minutes of each person in a batch, so that who knows the person
  does not know the minute.
  """
  return {
      f"minutes_{m}": student(
          f"{m} minutes of each person", scale, minutes_per_person=m
      ) for m in MINUTES
  }


def soft(scale):
  """Targets that the frozen teacher draws up from its own similarities."""
  return {
      f"soft_{round(100 * weight)}": student(
          f"soft targets, weight {weight:g}", scale, soft_weight=weight
      ) for weight in SOFT
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
    "sizes": sizes, "minutes": minutes, "soft": soft, "objectives": objectives,
    "positives": positives,
}
