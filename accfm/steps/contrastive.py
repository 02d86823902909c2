"""Contrastive pre-training: two augmented views of one segment agree."""

import jax

from accfm.losses import infonce


def make_loss(embed, prepare, temperature):
  """The loss that pulls two views of a segment together.

  InfoNCE both ways over the global batch: the other view of the same
  segment is the own key, all other segments are the others.

  Args:
    embed: `embed(params, x [b, T, C]) -> [b, P]` unit rows, encoder + head.
    prepare: `prepare(key, batch, view) -> x [b, T, C]`, augmented and
      normalised.
    temperature: scalar.

  Returns:
    `loss(params, frozen, batch, key) -> (losses [b], metrics)`, for
    `state.make_update`.
  """

  def loss_fn(params, frozen, batch, key):
    del frozen
    one = embed(params, prepare(key, batch, "one"))
    two = embed(params, prepare(key, batch, "two"))
    return paired_loss(one, two, temperature, 0.5)

  return loss_fn


def paired_loss(query, keys, temperature, query_weight):
  """InfoNCE both ways between paired rows of the global batch.

  Args:
    query, keys: [b, P] unit rows of this device; row i belongs to row i.
    temperature: scalar.
    query_weight: weight of query -> keys; the reverse has the rest.

  Returns:
    (losses [b], {"recall@1": in the batch, query -> keys}).
  """
  first = jax.lax.axis_index("data") * query.shape[0]
  all_keys = jax.lax.all_gather(keys, "data", tiled=True)  # [B, P]
  losses = 0.0
  if query_weight > 0.0:
    losses += query_weight * infonce.infonce(
        query, all_keys, temperature, first
    )
  if query_weight < 1.0:
    all_query = jax.lax.all_gather(query, "data", tiled=True)
    losses += (1.0 - query_weight) * infonce.infonce(
        keys, all_query, temperature, first
    )
  recall = infonce.recall_at_1(
      jax.lax.stop_gradient(query), jax.lax.stop_gradient(all_keys), first
  )
  return losses, {"recall@1": recall.mean()}
