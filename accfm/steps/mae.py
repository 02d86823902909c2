"""Masked autoencoding: hide most patches, predict them from the rest."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from accfm.base import keys as keylib
from accfm.base.errors import InputError
from accfm.losses import masked_mse
from accfm.models import build
from accfm.signals import feed
from accfm.steps import nets
from accfm.steps.given import Given
from accfm.steps.state import Objective


def draw_masks(
    key: jax.Array, rows: jax.Array, length: int, visible: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Random orders of patches, one per global row.

  Args:
    key: of the step.
    rows: [b] global rows.
    length: L, patches per segment.
    visible: V, patches that the encoder sees.

  Returns:
    keep [b, V] patch numbers to encode; restore [b, L], the place of each
    patch in (kept, hidden); hidden [b, L] float32, 1 where not kept.
  """
  row_keys = keylib.row_streams(key, "mask", rows)
  scores = jax.vmap(lambda k: jax.random.uniform(k, (length,)))(row_keys)
  order = jnp.argsort(scores, axis=1)
  restore = jnp.argsort(order, axis=1)
  return order[:, :visible], restore, (restore >= visible).astype(jnp.float32)


def make_loss(
    encode: Callable, decode: Callable, prepare: Callable, patchify: Callable,
    length: int, mask_ratio: float, normalize_target: bool,
) -> Callable:
  """The loss of masked autoencoding (He et al. 2022, arXiv 2111.06377).

  Args:
    encode: `encode(params, x [b, T, C], keep [b, V], key, rows) ->
      [b, V, W]`, the encoder on the visible tokens only.
    decode: `decode(params, visible, restore [b, L]) -> [b, L, P]`.
    prepare: `prepare(key, batch, view) -> x [b, T, C]`.
    patchify: `[b, T, C] -> [b, L, P]` raw samples per patch.
    length: L.
    mask_ratio: share of the patches that is hidden.
    normalize_target: whether each target patch is normalised by itself.

  Returns:
    `loss`, as `state.Objective`.
  """
  visible = round(length * (1.0 - mask_ratio))
  if not 0 < visible < length:
    raise InputError(
        f"mask_ratio: got {mask_ratio}, which leaves {visible} of {length} "
        "patches visible, want some visible and some hidden"
    )

  def loss_fn(params, carried, frozen, batch, key):
    del frozen
    x, rows = prepare(key, batch, "one"), batch["row"]
    keep, restore, hidden = draw_masks(key, rows, length, visible)
    tokens = encode(params, x, keep, key, rows)
    prediction = decode(params, tokens, restore)
    target = patchify(x)
    if normalize_target:
      target = masked_mse.normalize_patches(target)
    return masked_mse.masked_mse(prediction, target, hidden), {}, carried

  return loss_fn


def make_objective(config: ConfigDict, given: Given) -> Objective:
  """Masked autoencoding of `config.signal`.

  Args:
    config: with signal, encoder, decoder, augment, mask_ratio,
      normalize_target, seed.
    given: what is known beside the config.
  """
  contract = given.contract
  encoder = nets.encoder(config.encoder)
  samples = contract.length(config.signal)
  build.check_maskable(encoder, samples)
  channels = contract.signals[config.signal].channels
  patch, length = encoder.patch, samples // encoder.patch
  decoder = build.build_mae_decoder(config.decoder, patch, channels)
  visible = jnp.zeros((1, 1, encoder.width))
  params = {
      "encoder": nets.init_encoder(
          encoder, config.seed, "encoder", contract, config.signal
      )["params"],
      "decoder": nets.init(
          decoder, config.seed, "decoder", visible, jnp.arange(length)[None]
      )["params"],
  }

  def encode(params, x, keep, key, rows):
    return encoder.apply(
        {"params": params["encoder"]}, x, keep, train=True,
        row_keys=keylib.row_streams(key, "dropout/encoder", rows),
        method="encode_visible",
    )

  def decode(params, visible, restore):
    return decoder.apply({"params": params["decoder"]}, visible, restore)

  def patchify(x):
    return x.reshape(len(x), length, patch * channels)  # [b, L, P*C]

  prepare = feed.make_prepare(contract, config.signal, config.augment)
  return Objective(params, make_loss(
      encode, decode, prepare, patchify, length, config.mask_ratio,
      config.normalize_target,
  ))
