"""Augmentations on the device, keyed by name, step and global row.

`augment_ops` says what each operation does to a segment; this module decides
which segment gets which. Every row of a batch [B, T, C] gets each operation
with the operation's own probability. The order of the operations is drawn
once for each step: with an order for each row, every row would pay for all
operations at each position. An operation of probability 0 is left out of the
program.

The probabilities of `PRESETS` are those published for PPG and ECG
(Abbaspourazad et al. 2024, arXiv 2312.05409); for acceleration the channel
step permutes axes, which is our choice, as are all strengths. Which preset a
signal gets follows from its kind in the input contract, known only when the
data are open: until then a config holds None for every field that depends on
it, and `resolve` fills it in. The marks [L] and [o] say where a choice comes
from (docs/method.md).
"""

import functools
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from accfm.base import configlib, settings, values
from accfm.base import keys as keylib
from accfm.base.errors import InputError
from accfm.signals import augment_ops as ops

OPERATIONS = {
    "time_shift": ops.time_shift,  # the signals of a segment move together
    "time_jitter": ops.time_shift,  # each view moves on its own
    "time_warp": ops.time_warp,
    "permute_channels": ops.permute_channels,
    "magnitude_warp": ops.magnitude_warp,
    "scale": ops.scale,
    "rotate": ops.rotate,
    "cutout": ops.cutout,
    "noise": ops.noise,
}

# Every field of an operation's config besides `prob`. All strengths are our
# choice [o].
FIELDS = {
    "time_shift": dict(
        # Whether all views of a segment (two signals, or two views of one)
        # get the same draw.
        together=True,
        max_share=0.5,
    ),
    "time_jitter": dict(together=False, max_share=1 / 120),
    # 0.1 moves a beat by about a second within a minute. Much more would
    # change the heart rate variability into another person's.
    "time_warp": dict(together=False, sd=0.1, knots=8),
    "permute_channels": dict(together=False),
    "magnitude_warp": dict(together=False, sd=0.3, knots=8),
    "scale": dict(together=False, sd=0.2),
    "rotate": dict(together=False, max_angle_deg=30.0),
    "cutout": dict(together=False, max_share=0.2),
    "noise": dict(
        together=False, sd=0.1,
        # Whether `sd` is a share of each channel's own SD or in the signal's
        # unit; None: by kind.
        relative=True,
    ),
}

# Probabilities [L] for ppg and ecg; an operation that is not named has 0. For
# acc we take those of ppg [o].
PROBABILITIES = {
    "ppg": dict(cutout=0.4, magnitude_warp=0.25, noise=0.25,
                permute_channels=0.25, time_warp=0.15),
    "ecg": dict(cutout=0.8, magnitude_warp=0.5, noise=0.5, time_warp=0.3),
}
PROBABILITIES["acc"] = PROBABILITIES["ppg"]

# Strengths of a signal's kind that differ from `FIELDS`.
STRENGTHS = {"acc": {"noise": dict(sd=0.0005, relative=False)}}

PRESETS = {
    kind: {
        name: {"prob": probs.get(name, 0.0), **fields,
               **STRENGTHS.get(kind, {}).get(name, {})}
        for name, fields in FIELDS.items()
    }
    for kind, probs in PROBABILITIES.items()
}

# What differs between the presets is not known before the kind is.
BY_KIND = {
    (name, field): type(value)
    for name, fields in PRESETS["ppg"].items()
    for field, value in fields.items()
    if any(one[name][field] != value for one in PRESETS.values())
}

INF = float("inf")

# Least and largest value of a field. The comments are what --help shows.
LIMITS = {
    # Chance that a segment has it; None: that of the signal's kind.
    "prob": (0.0, 1.0),
    # Largest part of the segment that is cut out, or distance that it moves.
    "max_share": (0.0, 1.0),
    # Strength: SD of noise, or of the logarithm of a factor; None: by kind.
    "sd": (0.0, INF),
    # Places at which a smooth curve is drawn.
    "knots": (2, INF),
    # Largest angle of a rotation.
    "max_angle_deg": (0.0, 180.0),
}


def preset(
    kind: str, **overrides: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
  """The augmentation of a kind of signal, as plain dicts.

  Args:
    kind: "ppg", "ecg" or "acc".
    **overrides: `operation=dict(field=value)`, what differs.
  """
  if kind not in PRESETS:
    raise InputError(
        f"augmentation preset: got {kind!r}, want one of {sorted(PRESETS)}"
    )
  return _changed(PRESETS[kind], overrides)


def by_kind(**overrides: Mapping[str, Any]) -> ConfigDict:
  """The augmentation config that follows the signal's kind.

  Each field that depends on the kind is an empty placeholder of its type. A
  value set there, here or on the command line, wins over the kind's.

  Args:
    **overrides: `operation=dict(field=value)`, what is fixed.
  """
  fields = {
      name: {
          field: placeholder(BY_KIND[name, field])
          if (name, field) in BY_KIND else value
          for field, value in fields.items()
      } for name, fields in PRESETS["ppg"].items()
  }
  return ConfigDict({
      # Whose values the empty fields get: those of the signal's "kind", or
      # of "ppg", "ecg" or "acc" whatever it is.
      "preset": "kind",
      **_changed(fields, overrides),
  })


def off() -> ConfigDict:
  """The augmentation config that does nothing."""
  return by_kind(**{name: dict(prob=0.0) for name in OPERATIONS})


def resolve(cfg: Mapping[str, Any], kind: str) -> dict[str, Any]:
  """An augmentation config with the values of a signal's kind filled in.

  Args:
    cfg: {"preset": whose values to take, "kind" (where it is left out) for
      those of the signal's own kind; operation: {field: value}}. A field that
      is None or left out is the preset's, but "prob" must be there. An
      operation left out does not happen.
    kind: of the signal, from its contract. A kind without a preset has the
      strengths of `FIELDS`, and no probabilities.

  Raises:
    InputError: an unknown operation or preset, or a probability that
      nothing gives.
  """
  chosen = cfg.get("preset", "kind")
  if chosen != "kind" and chosen not in PRESETS:
    known = ["kind", *sorted(PRESETS)]
    raise InputError(
        f"augment.preset: got {chosen!r}, want one of {known}"
        f"{configlib.nearest(str(chosen), known)}"
    )
  chosen = kind if chosen == "kind" else chosen
  out: dict[str, Any] = {}
  if "preset" in cfg:
    out["preset"] = chosen if chosen in PRESETS else "kind"
  for name in cfg:
    if name == "preset":
      continue
    _check_name(name)
    given = {field: cfg[name][field] for field in cfg[name]}
    known = PRESETS.get(chosen, FIELDS)[name]
    out[name] = {
        field: value for field, value in known.items()
        if field != "prob" or field in given
    } | {
        field: value for field, value in given.items()
        if value is not None or field not in known
    }
    if out[name].get("prob", 0.0) is None:
      raise InputError(
          f"augment: got a signal of kind {kind!r}, for which there is no "
          f"preset, and no {name}.prob; set it, or set preset to one of "
          f"{sorted(PRESETS)}"
      )
  return out


def check(cfg: Mapping[str, Any], where: str = "augment") -> None:
  """Raises InputError for a value that no signal can have.

  Args:
    cfg: as for `resolve`; what is None is decided by the signal's kind.
    where: the config's place, for messages.
  """
  chosen = cfg.get("preset", "kind")
  values.check({where: {"preset": chosen}}, {
      f"{where}.preset": values.one_of("kind", *sorted(PRESETS))
  })
  for name in cfg:
    if name != "preset":
      _check_name(name)
      _checked_fields(
          name, {k: cfg[name][k] for k in cfg[name]}, f"{where}.{name}", True
      )


def make_augment(cfg: Mapping[str, Any]) -> Callable:
  """The augmentation of one signal.

  Args:
    cfg: {operation: {"prob": p, "together": bool, strengths}}, see `resolve`;
      a field left out is that of `FIELDS`, an operation left out does not
      happen.

  Returns:
    `augment(key, x, rows, view="") -> x`, with the step's key, x [B, T, C]
    float32 and the global rows [B]. Streams are named by operation and view,
    so two views differ. An operation that acts `together` ignores the view:
    the two signals of a segment get the same draw, and all such operations
    come in the same order in both, so their time axes stay aligned.

  Raises:
    InputError: an unknown operation or field, no probability, or a value
      out of range; when called, x that an operation cannot take.
  """
  for name in cfg:
    if name != "preset":
      _check_name(name)
  every = {  # whatever the order in cfg
      name: _checked_fields(name, cfg[name]) for name in OPERATIONS
      if name in cfg
  }
  active = {
      name: fields for name, fields in every.items() if fields["prob"] > 0.0
  }
  branches = [_branch(name, fields) for name, fields in active.items()]
  probs = np.array([[fields["prob"]] for fields in active.values()])  # [n, 1]

  def augment(key, x, rows, view=""):
    if not active:
      return x

    streams = [
        name if fields["together"] else f"{name}/{view}"
        for name, fields in active.items()
    ]
    ranks, chances, draws = _draws(key, streams, rows)
    happens = chances < probs  # [n, B]
    if len(branches) == 1:
      return branches[0](draws[0], happens[0], x)

    order = jnp.argsort(ranks)

    def position(place, x):
      # Each operation is in the program once, and one of them runs.
      n = order[place]
      return jax.lax.switch(n, branches, draws[n], happens[n], x)

    return jax.lax.fori_loop(0, len(branches), position, x)

  return augment


def _changed(fields, overrides):
  """A copy of {operation: {field: value}} with some values changed."""
  out = {name: dict(known) for name, known in fields.items()}
  for name, changes in overrides.items():
    _check_name(name)
    out[name].update(changes)
  return out


def _draws(key, streams, rows):
  """All that a step draws for its n operations, at once.

  A program that calls the generator for each operation takes longer to
  compile than to run many steps.

  Args:
    key: of the step.
    streams: names [n] of the operations' streams.
    rows: [B] global rows.

  Returns:
    ranks [n] that order the operations, chances [n, B], both uniform between
    0 and 1, and keys [n, B] for the operations.
  """
  n = len(streams)
  numbers = [
      zlib.crc32(f"{stream}/{use}".encode()) & 0x7FFFFFFF
      for use in ("rank", "chance", "draw") for stream in streams
  ]
  keys = keylib.row_streams(key, "augment", np.array(numbers))  # [3n]
  fold = jax.vmap(jax.vmap(jax.random.fold_in, (None, 0)), (0, None))
  row_keys = fold(keys[n:], rows)  # [2n, B]
  uniform = jax.vmap(jax.random.uniform)(
      jnp.concatenate([keys[:n], row_keys[:n].ravel()])
  )
  return uniform[:n], uniform[n:].reshape(n, -1), row_keys[n:]


def _branch(name, fields):
  """`apply(keys [B], happens [B], x [B, T, C]) -> x` of one operation."""
  strengths = {
      field: value for field, value in fields.items()
      if field not in ("prob", "together")
  }
  operation = functools.partial(OPERATIONS[name], **strengths)

  def apply(keys, happens, x):
    changed = jax.vmap(operation)(keys, x)
    return jnp.where(happens[:, None, None], changed, x)

  return apply


def _check_name(name):
  if name not in OPERATIONS:
    raise InputError(
        f"augmentation: got {name!r}, want some of {sorted(OPERATIONS)}"
        f"{configlib.nearest(name, OPERATIONS)}"
    )


def _checked_fields(name, given, where="", undecided=False):
  """All fields of an operation, checked; some may still be None."""
  where = where or f"augmentation {name}"
  fields = vars(settings.merge(given, {"prob": None, **FIELDS[name]}, where))
  for field, value in fields.items():
    low, high = LIMITS.get(field, (None, None))
    if undecided and value is None:
      continue
    if low is not None and (value is None or not low <= value <= high):
      want = f"{low:g} to {high:g}" if high < INF else f"at least {low:g}"
      raise InputError(f"{where}.{field}: got {value}, want {want}")
  return fields
