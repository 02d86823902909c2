"""Contrastive pre-training: two views of a segment, or of a person, agree."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from accfm.base import keys as keylib
from accfm.base.mesh import ROW_AXES
from accfm.losses import infonce, koleo
from accfm.losses.spans import Spans
from accfm.models import build
from accfm.signals import feed
from accfm.steps import micro, nets
from accfm.steps.given import Given
from accfm.steps.state import Objective


def make_loss(
    embed: Callable, temperature: float, target: Callable | None = None,
    koleo_weight: float = 0.0, block: int = 0,
) -> Callable:
  """The loss that pulls two views together.

  InfoNCE both ways over the global batch: the other view of the same row is
  the row's own key, all other rows are the others. With a momentum target
  each view is compared with the target's embedding of the other one
  (Abbaspourazad et al. 2024, arXiv 2312.05409).

  Args:
    embed: `embed(params, carried, key, view, batch) -> (z [b, P], carried)`,
      unit rows: augmentation, encoder, head.
    temperature: scalar.
    target: `target(carried, key, view, batch) -> z [b, P]` by the momentum
      target, or None.
    koleo_weight: weight of the KoLeo term of the trained embeddings.
    block: rows compared with the global batch at once; 0 for all.

  Returns:
    `loss`, as `state.Objective`.
  """

  def loss_fn(params, carried, frozen, batch, key):
    del frozen
    one, carried = embed(params, carried, key, "one", batch)
    two, carried = embed(params, carried, key, "two", batch)
    spans = gather_spans(batch)
    if target is None:
      losses, metrics = paired_loss(one, two, temperature, 0.5, block, spans)
    else:
      # Whatever the target computes, no gradient may reach it.
      far, near = (
          jax.lax.stop_gradient(target(carried, key, view, batch))
          for view in ("two", "one")
      )
      losses, metrics = paired_loss(one, far, temperature, 1.0, block, spans)
      back, _ = paired_loss(two, near, temperature, 1.0, block, spans)
      losses = 0.5 * (losses + back)
    if koleo_weight:
      spread = 0.5 * (_koleo(one, block, spans) + _koleo(two, block, spans))
      metrics["koleo"] = jax.lax.stop_gradient(spread).mean()
      losses += koleo_weight * spread
    return losses, metrics, carried

  return loss_fn


def paired_loss(
    query: jax.Array, keys: jax.Array, temperature: float | jax.Array,
    query_weight: float, block: int = 0, spans: Spans | None = None,
) -> tuple[jax.Array, dict[str, jax.Array]]:
  """InfoNCE both ways between paired rows of the global batch.

  Args:
    query, keys: [b, P] unit rows of this device; row i belongs to row i.
    temperature: scalar.
    query_weight: weight of query -> keys; the reverse has the rest.
    block: rows compared with the global batch at once; 0 for all.
    spans: from `gather_spans`.

  Returns:
    (losses [b], {"recall@1": in the batch, query -> keys}).
  """
  first = jax.lax.axis_index(ROW_AXES) * query.shape[0]
  all_keys = jax.lax.all_gather(keys, ROW_AXES, tiled=True)  # [B, P]
  losses: Any = 0.0
  if query_weight > 0.0:
    losses += query_weight * infonce.infonce(
        query, all_keys, temperature, first, block, spans
    )
  if query_weight < 1.0:
    all_query = jax.lax.all_gather(query, ROW_AXES, tiled=True)
    losses += (1.0 - query_weight) * infonce.infonce(
        keys, all_query, temperature, first, block, spans
    )
  return losses, {"recall@1": recall(query, all_keys, first, block, spans)}


def recall(
    query: jax.Array, all_keys: jax.Array, first: jax.Array, block: int = 0,
    spans: Spans | None = None,
) -> jax.Array:
  """Share of this device's queries that find their own key in the batch."""
  query, all_keys = jax.lax.stop_gradient((query, all_keys))
  return infonce.recall_at_1(query, all_keys, first, block, spans).mean()


def gather_spans(batch: Mapping[str, jax.Array]) -> Spans | None:
  """Which rows of the global batch share samples with those of this device.

  None where segments do not overlap, or where each row has a pair: then no
  other row is of the same person.
  """
  if "span" not in batch or "pair" in batch:
    return None
  return batch["span"], jax.lax.all_gather(batch["span"], ROW_AXES, tiled=True)


def make_objective(config: ConfigDict, given: Given) -> Objective:
  """Two augmented views of `config.signal`, of one segment or one person.

  Args:
    config: with signal, encoder, head, augment, temperature, momentum,
      koleo_weight, loss_block, micro_batches, seed.
    given: what is known beside the config.
  """
  contract = given.contract
  encoder = nets.encoder(config.encoder)
  head = build.build_head(config.head)
  variables = nets.init_encoder(
      encoder, config.seed, "encoder", contract, config.signal
  )
  weights = {
      "encoder": variables["params"],
      "head": nets.init_head(head, config.seed, "head", encoder.embed_dim),
  }
  prepare = feed.make_prepare(contract, config.signal, config.augment)

  def embed_rows(params, carried, key, view, batch):
    rows = batch["row"]
    if view == "two":  # of another segment of the person, where there is one
      batch = {**batch, **batch.get("pair", {})}
    x = prepare(key, batch, view)
    x, carried = nets.forward(
        encoder, "encoder", params, carried, x,
        keylib.stream(key, f"view/{view}"), rows,
    )
    return nets.project(head, params["head"], x), carried

  embed = micro.batched(embed_rows, config.micro_batches, [variables])
  carried = nets.carry(encoder=variables)
  if config.momentum:
    carried["target"] = jax.tree.map(jnp.copy, weights)

  def advance(params, carried):
    blend = jax.tree.map(
        lambda old, new: old + (1.0 - config.momentum) * (new - old),
        carried["target"], params,
    )
    return {**carried, "target": blend}

  def target(carried, key, view, batch):
    # Batch norm scales by this batch; the statistics of it are dropped.
    return embed(carried["target"], carried, key, view, batch)[0]

  loss = make_loss(
      embed, config.temperature, target if config.momentum else None,
      config.koleo_weight, config.loss_block,
  )
  return Objective(
      weights, loss, carried, {}, advance if config.momentum else None
  )


def _koleo(z, block, spans):
  first = jax.lax.axis_index(ROW_AXES) * z.shape[0]
  others = jax.lax.all_gather(z, ROW_AXES, tiled=True)
  return koleo.nearest(z, others, first, block, spans)
