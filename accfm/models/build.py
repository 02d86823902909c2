"""Configs to modules: the only place that knows family and preset names."""

import jax.numpy as jnp
import ml_collections

from accfm.base.errors import InputError
from accfm.models import heads, mae_decoder, vit1d

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}

_VIT = dict(
    family="vit1d", patch=20, stem="patch", stem_filters=24, stem_stride=8,
    stem_taps=32, pool="mean", pool_bins=30, pool_width=16, remat=False,
    dtype="float32",
)
_SMALL = dict(_VIT, width=64, depth=2, heads=2, mlp_width=256)

# vit_s is the paper's encoder (method.md: 8 layers of 256, MLP 1,024, 6.3 M
# parameters). The others are ours, for a laptop.
PRESETS = {
    "vit_s": dict(
        _VIT, width=256, depth=8, heads=4, mlp_width=1024, embed_dim=256
    ),
    "vit_laptop": dict(
        _SMALL, patch=64, stem="filterbank", pool="grid", embed_dim=256
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


def encoder_config(preset, **overrides):
  """The ConfigDict of a preset, all fields written out."""
  if preset not in PRESETS:
    raise InputError(
        f"encoder: got {preset!r}, want one of {sorted(PRESETS)}"
    )
  unknown = set(overrides) - set(PRESETS[preset])
  if unknown:
    raise InputError(
        f"encoder fields {sorted(unknown)} are unknown, want some of "
        f"{sorted(PRESETS[preset])}"
    )
  return ml_collections.ConfigDict({**PRESETS[preset], **overrides})


def _dtype(name):
  if name not in DTYPES:
    raise InputError(f"dtype: got {name!r}, want one of {sorted(DTYPES)}")
  return DTYPES[name]


def build_encoder(cfg):
  """The encoder module of a config or preset name.

  Channels and length are taken from the input: one config serves any
  signal. `module.apply(variables, x[B, T, C], train=False) -> [B, D]`.

  Args:
    cfg: ConfigDict (or dict) with the fields of a preset, or its name.
  """
  if isinstance(cfg, str):
    cfg = encoder_config(cfg)
  cfg = dict(cfg)
  family = cfg.pop("family", None)
  if family != "vit1d":
    raise InputError(f"encoder family: got {family!r}, want 'vit1d'")
  cfg["dtype"] = _dtype(cfg["dtype"])
  if cfg["stem"] not in ("patch", "filterbank"):
    raise InputError(
        f"stem: got {cfg['stem']!r}, want 'patch' or 'filterbank'"
    )
  if cfg["pool"] not in ("mean", "grid"):
    raise InputError(f"pool: got {cfg['pool']!r}, want 'mean' or 'grid'")
  if cfg["width"] % (2 * cfg["heads"]):
    raise InputError(
        f"width: got {cfg['width']} for {cfg['heads']} heads, want a "
        "multiple of twice the heads"
    )
  if cfg["stem"] == "filterbank" and cfg["patch"] % cfg["stem_stride"]:
    raise InputError(
        f"patch: got {cfg['patch']}, want a multiple of stem_stride="
        f"{cfg['stem_stride']}"
    )
  return vit1d.ViT1D(**cfg)


def build_head(cfg):
  """The projection head of a config with hidden, out, bins, dtype."""
  if cfg["out"] % cfg["bins"]:
    raise InputError(
        f"head.out: got {cfg['out']}, want a multiple of bins={cfg['bins']}"
    )
  return heads.MLPHead(
      cfg["hidden"], cfg["out"], cfg["bins"], _dtype(cfg["dtype"])
  )


def build_mae_decoder(cfg, patch, channels):
  """The decoder of a config with width, depth, heads, mlp_width, dtype."""
  return mae_decoder.MAEDecoder(
      cfg["width"], cfg["depth"], cfg["heads"], cfg["mlp_width"],
      patch * channels, _dtype(cfg["dtype"]),
  )


def check_maskable(encoder, samples):
  """Raises InputError if an encoder cannot be taught by masking patches."""
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
