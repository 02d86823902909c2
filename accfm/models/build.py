"""Configs to modules: the one place that knows encoder families and presets.

An encoder family is a class of `flax.linen.Module` that

- declares its settings as dataclass fields, `embed_dim` (D, the size of an
  embedding) among them; a field `dtype` gets the compute type that the
  config names, and a field `axis_name`, which no config has, the mesh axis
  over which a batch norm averages in training;
- is called as `encoder(x, train=False, row_keys=None)`, x [B, T, C] and
  already normalised, for an embedding [B, D] in float32. T and C are read
  from x. `row_keys` are [B] jax keys, one a row, for what is drawn at random
  in training. "params" and "batch_stats" are its only collections;
- may have a method `check(self)`, which raises InputError where its settings
  do not fit together.

Each file of `accfm.models.encoders` is a family, and a config may name one
outside the package: `family="./nets.py:ConvNet"` (see `accfm.base.plugins`).
"""

import dataclasses
import pkgutil
from collections.abc import Iterable, Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from accfm.base import configlib, plugins, values
from accfm.base.errors import InputError
from accfm.models import encoders, heads, mae_decoder

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}
# Fields that no config sets: linen's own, and the mesh's.
NOT_SETTINGS = ("parent", "name", "axis_name")

_FILES = {
    name: plugins.load_own(f"{encoders.__name__}.{name}")
    for _, name, _ in pkgutil.iter_modules(encoders.__path__)
}
FAMILIES = {name: file.ENCODER for name, file in _FILES.items()}


def settings(encoder: type[nn.Module]) -> dict[str, Any]:
  """Name -> default of an encoder's fields, as a config writes them.

  A field without a default has `dataclasses.MISSING`.
  """
  out = {
      field.name: field.default for field in dataclasses.fields(encoder)
      if field.name not in NOT_SETTINGS
  }
  kind: Any = out.get("dtype", dataclasses.MISSING)
  if kind is not dataclasses.MISSING:
    out["dtype"] = np.dtype(kind).name
  return out


def _preset(family: str, fields: Mapping[str, Any]) -> dict[str, Any]:
  # Its file in models/encoders, or a class of your own: ./nets.py:ConvNet.
  return {"family": family, **settings(FAMILIES[family]), **fields}


PRESETS = {
    name: _preset(family, fields)
    for family, file in _FILES.items() for name, fields in file.PRESETS.items()
}


def encoder_config(preset: str, **overrides: Any) -> ConfigDict:
  """The config of an encoder, all fields written out.

  Args:
    preset: a name of `PRESETS`, or an encoder class outside the package,
      such as "./nets.py:ConvNet", for its own defaults.
    **overrides: fields that are to differ.

  Raises:
    InputError: an unknown preset or field, a plug-in that the command has not
      named, or one with a field that neither it nor `overrides` sets.
  """
  if plugins.is_plugin(preset):
    known = {"family": preset, **settings(_family(preset))}
  elif preset in PRESETS:
    known = PRESETS[preset]
  else:
    raise InputError(
        f"encoder: got {preset!r}, want one of {sorted(PRESETS)}, or a class "
        "of your own such as ./nets.py:ConvNet"
        f"{configlib.nearest(preset, PRESETS)}"
    )
  _check_known(overrides, known)
  cfg = {**known, **overrides}
  unset = [n for n, value in cfg.items() if value is dataclasses.MISSING]
  if unset:
    raise InputError(
        f"encoder {preset}: got no {', '.join(unset)}, which have no default; "
        "give the class defaults, or write all fields in a config of your own"
    )
  return ConfigDict(cfg)


def build_encoder(
    cfg: Mapping[str, Any] | str,
    axis_name: str | tuple[str, ...] | None = None,
) -> Any:
  """The encoder module of a config or preset name.

  The module reads the number of channels and samples from its input: one
  config serves any signal. `module.apply(variables, x[B, T, C], train=False)
  -> [B, D]`.

  Args:
    cfg: ConfigDict or dict of the fields of a preset, or its name. Fields
      with a default may be left out.
    axis_name: the mesh axis over which batch norm averages its statistics in
      training, `mesh.ROW_AXES` inside the training `shard_map`; None for one
      device. Families without batch norm ignore it.

  Raises:
    InputError: the family or a field is unknown, a field is missing, a value
      does not fit, or the family is a plug-in that the command has not named.
  """
  if isinstance(cfg, str):
    cfg = encoder_config(cfg)
  # A config that was stored as JSON has lists.
  given: dict[str, Any] = {
      k: tuple(v) if isinstance(v, list) else v for k, v in cfg.items()
  }
  family = given.pop("family", None)
  encoder = _family(family)
  known = settings(encoder)
  _check_known(given, known)
  unset = [
      name for name, default in known.items()
      if default is dataclasses.MISSING and name not in given
  ]
  if unset:
    raise InputError(
        f"encoder: got no {', '.join(unset)}, want all fields of {family}; "
        "start from a preset"
    )
  if "dtype" in known:
    given["dtype"] = _dtype(given.get("dtype", "float32"))
  if "axis_name" in {field.name for field in dataclasses.fields(encoder)}:
    given["axis_name"] = axis_name
  module = encoder(**given)
  if hasattr(module, "check"):
    module.check()
  return module


def check_encoder(cfg: Mapping[str, Any], where: str = "encoder") -> None:
  """Raises InputError for an encoder's config that cannot be built.

  Args:
    cfg: as for `build_encoder`.
    where: the config's place, for messages.
  """
  file = _FILES.get(cfg.get("family", ""))
  values.check(cfg, getattr(file, "RULES", {}), where=f"{where}.")
  build_encoder(cfg)


def _family(name: Any) -> type[nn.Module]:
  """The encoder class of a family, of the package or a plug-in."""
  if name in FAMILIES:
    return FAMILIES[name]
  if not plugins.is_plugin(name):
    raise InputError(
        f"encoder family: got {name!r}, want one of {sorted(FAMILIES)}, or a "
        "class of your own such as ./nets.py:ConvNet"
    )
  found = plugins.load(name, "encoder family")
  if not (isinstance(found, type) and issubclass(found, nn.Module)):
    raise InputError(
        f"encoder family: got {name!r}, which is no class of "
        "flax.linen.Module; name the class behind a colon, such as "
        "./nets.py:ConvNet"
    )
  if "embed_dim" not in settings(found):
    raise InputError(
        f"encoder family: got {name!r}, which has no field embed_dim, want "
        "the size of an embedding there"
    )
  return found


def _dtype(name: str) -> Any:
  if name not in DTYPES:
    raise InputError(f"dtype: got {name!r}, want one of {sorted(DTYPES)}")
  return DTYPES[name]


def _check_known(cfg: Iterable[str], known: Iterable[str]) -> None:
  """Raises InputError for a field of `cfg` that is not among `known`."""
  for name in sorted(set(cfg) - set(known)):
    raise InputError(
        f"encoder field: got {name!r}, want one of {sorted(known)}"
        f"{configlib.nearest(name, known)}"
    )


def build_head(cfg: Mapping[str, Any]) -> Any:
  """The projection head of a config with hidden, out, bins, dtype.

  `kind="identity"` is the embedding itself. `normalize=False` leaves the
  length of its rows free.
  """
  normalize = cfg.get("normalize", True)
  if cfg.get("kind") == "identity":
    return heads.IdentityHead(normalize)
  if cfg["out"] % cfg["bins"]:
    raise InputError(
        f"head.out: got {cfg['out']}, want a multiple of bins={cfg['bins']}"
    )
  return heads.MLPHead(
      cfg["hidden"], cfg["out"], cfg["bins"], _dtype(cfg["dtype"]), normalize
  )


def build_mae_decoder(
    cfg: Mapping[str, Any], patch: int, channels: int
) -> Any:
  """The decoder of a config with width, depth, heads, mlp_width, dtype."""
  return mae_decoder.MAEDecoder(
      cfg["width"], cfg["depth"], cfg["heads"], cfg["mlp_width"],
      patch * channels, _dtype(cfg["dtype"]),
  )


def check_maskable(encoder: Any, samples: int) -> None:
  """Raises InputError if an encoder cannot be trained by masking patches.

  Masked autoencoding needs an encoder that can embed some patches only: one
  with the fields `patch` and `width` and the methods `encode_visible` and
  `check_maskable`, as `encoders.vit1d.ViT1D` has them.

  Args:
    encoder: a module of `build_encoder`.
    samples: of a segment.
  """
  if not hasattr(encoder, "encode_visible"):
    raise InputError(
        f"masked autoencoding hides patches: got {type(encoder).__name__}, "
        "which cannot leave patches out (it has no encode_visible), want a "
        "vit1d"
    )
  encoder.check_maskable(samples)
