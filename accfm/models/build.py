"""Configs to modules: the only place that knows family and preset names.

A further family is one entry of `FAMILIES` and its presets.
"""

import dataclasses
import difflib
import functools

import jax.numpy as jnp
import ml_collections

from accfm.base.errors import InputError
from accfm.models import efficientnet1d, heads, mae_decoder, vit1d

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}

# family -> (check of a module's fields, module)
FAMILIES = {
    "vit1d": (vit1d.check, vit1d.ViT1D),
    "efficientnet1d": (efficientnet1d.check, efficientnet1d.EfficientNet1D),
}

_COMMON = dict(dropout=0.0, drop_path=0.0, remat=False, dtype="float32")

_VIT = dict(
    _COMMON, family="vit1d", patch=20, stem="patch", stem_filters=24,
    stem_stride=8, stem_taps=32, stem_level=0, pool="mean", pool_bins=30,
    pool_width=16, block="plain",
)
_SMALL = dict(_VIT, width=64, depth=2, heads=2, mlp_width=256)

# vit_s is the paper's encoder (method.md: 8 layers of 256, MLP 1,024, 6.3 M
# parameters); the others are ours. Parameters are counted for the paper's
# PPG: 4 channels, 3 for those meant for acceleration alone.
VIT_PRESETS = {
    "vit_s": dict(
        _VIT, width=256, depth=8, heads=4, mlp_width=1024, embed_dim=256
    ),
    # 1.2 M: five times smaller than vit_s, the paper's compression claim.
    "vit_xs": dict(
        _VIT, width=128, depth=6, heads=4, mlp_width=512, embed_dim=128
    ),
    # 0.46 M: fourteen times smaller.
    "vit_xxs": dict(
        _VIT, width=96, depth=4, heads=2, mlp_width=384, embed_dim=96
    ),
    # 0.23 M for acceleration: a token is half a second (32 samples of 3 axes
    # are the 96 values of its width), so that a minute costs some 36 M
    # multiplications and, in 8 bits, a quarter of a megabyte.
    "vit_watch": dict(
        _VIT, patch=32, width=96, depth=3, heads=2, mlp_width=192,
        embed_dim=96,
    ),
    "vit_laptop": dict(
        _SMALL, patch=64, stem="filterbank", stem_level=16, pool="grid",
        embed_dim=256,
    ),
    # Time is kept second by second: for recordings whose shared content is
    # movement rather than beats.
    "vit_local": dict(
        _SMALL, patch=64, stem="filterbank", pool="grid", pool_bins=60,
        pool_width=8, embed_dim=480,
    ),
    "vit_laptop_mae": dict(_SMALL, patch=32, embed_dim=64),
    "vit_tiny": dict(
        _VIT, patch=32, width=16, depth=1, heads=2, mlp_width=32,
        embed_dim=16,
    ),
}

_EFFICIENTNET = dict(
    _COMMON, family="efficientnet1d", stem_kernel=7, stem_stride=2,
    se_ratio=0.25, bn_momentum=0.9, bn_epsilon=1e-3,
)
# The stages of EfficientNet-B0: 1 + 2 + 2 + 3 + 3 + 4 + 1 blocks, the last
# map at 2 Hz of 64. Kernels span 0.2 s at first and 2.5 s at the end.
_B0 = dict(
    _EFFICIENTNET, repeats=(1, 2, 2, 3, 3, 4, 1),
    strides=(1, 2, 2, 2, 1, 2, 1), kernels=(7, 7, 7, 5, 5, 5, 5),
)

EFFICIENTNET_PRESETS = {
    # 3.3 M, the published size: B0's widths but for stage 6 and the last.
    "efficientnet_s": dict(
        _B0, stem_width=32, widths=(16, 24, 40, 80, 112, 176, 320),
        expansions=(1, 6, 6, 6, 6, 6, 6), last_width=384, embed_dim=256,
    ),
    # 0.6 M: five times smaller.
    "efficientnet_xs": dict(
        _B0, stem_width=16, widths=(16, 16, 24, 40, 56, 96, 96),
        expansions=(1, 4, 4, 4, 4, 4, 4), last_width=192, embed_dim=256,
    ),
    "efficientnet_tiny": dict(
        _EFFICIENTNET, stem_stride=4, stem_width=8, repeats=(1, 2),
        widths=(8, 12), kernels=(3, 5), strides=(1, 4), expansions=(1, 2),
        last_width=24, embed_dim=16,
    ),
}

PRESETS = {**VIT_PRESETS, **EFFICIENTNET_PRESETS}


def encoder_config(preset, **overrides):
  """The ConfigDict of a preset, all fields written out."""
  if preset not in PRESETS:
    raise InputError(
        f"encoder: got {preset!r}, want one of {sorted(PRESETS)}"
    )
  _check_known(overrides, PRESETS[preset])
  return ml_collections.ConfigDict({**PRESETS[preset], **overrides})


def _dtype(name):
  if name not in DTYPES:
    raise InputError(f"dtype: got {name!r}, want one of {sorted(DTYPES)}")
  return DTYPES[name]


def _check_known(cfg, known):
  """Raises InputError for a field of `cfg` that is not among `known`."""
  for name in sorted(set(cfg) - set(known)):
    near = difflib.get_close_matches(name, known, 1, 0.0)[0]
    raise InputError(
        f"encoder field: got {name!r}, want one of {sorted(known)}; did you "
        f"mean {near!r}?"
    )


def build_encoder(cfg, axis_name=None):
  """The encoder module of a config or preset name.

  Channels and length are taken from the input: one config serves any
  signal. `module.apply(variables, x[B, T, C], train=False) -> [B, D]`.

  Args:
    cfg: ConfigDict (or dict) with the fields of a preset, or its name; what
      a family gives a default may be left out.
    axis_name: the mesh axis over which batch norm averages its statistics
      in training, `mesh.ROWS` inside the training `shard_map`; None for one
      device. Families without batch norm do not use it.

  Raises:
    InputError: the family or a field is unknown, one is missing, or a value
      does not fit.
  """
  if isinstance(cfg, str):
    cfg = encoder_config(cfg)
  # A config that was stored as JSON has lists.
  cfg = {k: tuple(v) if isinstance(v, list) else v for k, v in cfg.items()}
  family = cfg.pop("family", None)
  if family not in FAMILIES:
    raise InputError(
        f"encoder family: got {family!r}, want one of {sorted(FAMILIES)}"
    )
  check, make = FAMILIES[family]
  fields = {field.name: field.default for field in dataclasses.fields(make)}
  del fields["parent"], fields["name"]  # linen's
  if "axis_name" in fields:
    del fields["axis_name"]
    make = functools.partial(make, axis_name=axis_name)
  _check_known(cfg, fields)
  missing = [
      name for name, default in fields.items()
      if default is dataclasses.MISSING and name not in cfg
  ]
  if missing:
    raise InputError(
        f"encoder: got no {', '.join(missing)}, want all fields of {family}; "
        "start from a preset"
    )
  encoder = make(**{**cfg, "dtype": _dtype(cfg.get("dtype", "float32"))})
  check(encoder)
  return encoder


def build_head(cfg):
  """The projection head of a config with hidden, out, bins, dtype.

  `kind="identity"` is the embedding itself; `normalize=False` leaves the
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


def build_mae_decoder(cfg, patch, channels):
  """The decoder of a config with width, depth, heads, mlp_width, dtype."""
  return mae_decoder.MAEDecoder(
      cfg["width"], cfg["depth"], cfg["heads"], cfg["mlp_width"],
      patch * channels, _dtype(cfg["dtype"]),
  )


def check_maskable(encoder, samples):
  """Raises InputError if an encoder cannot be taught by masking patches."""
  if not isinstance(encoder, vit1d.ViT1D):
    raise InputError(
        f"masked autoencoding hides patches: got {type(encoder).__name__}, "
        "whose filters cross them, want a vit1d"
    )
  if samples % encoder.patch:
    raise InputError(
        f"patch: got {encoder.patch} for segments of {samples} samples, want "
        "a divisor"
    )
  if encoder.stem != "patch" or encoder.pool != "mean":
    raise InputError(
        f"masked autoencoding: got stem={encoder.stem!r}, pool="
        f"{encoder.pool!r}, want stem='patch' (overlapping filters would see "
        "hidden patches) and pool='mean' (another pool would stay untrained)"
    )
  if encoder.embed_dim != encoder.width:
    raise InputError(
        f"masked autoencoding: got embed_dim={encoder.embed_dim}, want the "
        f"width {encoder.width}: a further layer would stay untrained"
    )
