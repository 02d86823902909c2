"""Towers: what a checkpoint knows of one signal, from int16 to a vector.

A tower undoes the storage scale, normalises as the contract says, embeds
and, where there is a head, projects. It is a pytree, so it can be passed to
jit and placed on devices; nothing of the training objective is in it.
"""

from typing import Any

import flax
import jax
import jax.numpy as jnp

from accfm.base import keys
from accfm.base.errors import InputError
from accfm.models import build
from accfm.signals import contract as contract_lib
from accfm.signals import feed


@flax.struct.dataclass
class Tower:
  """One signal's encoder and head.

  Attributes:
    variables: of the encoder, {"params": ...}.
    head_variables: of the head, or None.
    signal: the contract's name of it.
    encoder, head: linen modules; head is None where there is none.
    normalize: `[B, T, C] -> [B, T, C]`.
  """

  variables: Any
  head_variables: Any | None
  signal: str = flax.struct.field(pytree_node=False)
  encoder: Any = flax.struct.field(pytree_node=False)
  head: Any = flax.struct.field(pytree_node=False)
  normalize: Any = flax.struct.field(pytree_node=False)

  def embed(self, x, scale):
    """int16 [B, T, C] and scale [B, C] -> encoder output [B, D] float32."""
    x = self.normalize(feed.dequantize(x, scale))
    return self.encoder.apply(self.variables, x, train=False)

  def project(self, x, scale):
    """As `embed`, then the head: [B, P] unit rows, or None without one."""
    if self.head is None:
      return None
    return self.head.apply(self.head_variables, self.embed(x, scale))


def from_checkpoint(params, frozen, meta):
  """The towers of a checkpoint.

  Args:
    params: of the TrainState: {"encoder", "head"?} of a single-signal run,
      {"student", "student_head", "teacher_head"} of a distillation.
    frozen: {"teacher": ...} of a distillation, else {}.
    meta: the checkpoint's meta.

  Returns:
    {signal: Tower}, the student's first.
  """
  parts = _parts(meta)
  trees = {**frozen, **params}
  towers = {}
  for signal, (encoder, head, cfg, head_cfg) in parts.items():
    has_head = head in trees and head_cfg is not None
    towers[signal] = Tower(
        variables={"params": trees[encoder]},
        head_variables={"params": trees[head]} if has_head else None,
        signal=signal,
        encoder=build.build_encoder(cfg),
        head=build.build_head(head_cfg) if has_head else None,
        normalize=feed.make_normalize(
            contract_lib.from_dict(meta["contract"]).signals[signal]
        ),
    )
  return towers


def untrained(meta, seed):
  """Towers of the same architecture with fresh weights of `seed`."""
  contract = contract_lib.from_dict(meta["contract"])
  root = jax.random.key(seed)
  params = {}
  for signal, (encoder, head, cfg, head_cfg) in _parts(meta).items():
    channels = contract.signals[signal].channels
    x = jnp.zeros((1, contract.samples, channels))
    params[encoder] = jax.jit(build.build_encoder(cfg).init)(
        keys.stream(root, f"untrained/{encoder}"), x
    )["params"]
    if head_cfg is not None:
      embedding = jnp.zeros((1, cfg["embed_dim"]))
      params[head] = jax.jit(build.build_head(head_cfg).init)(
          keys.stream(root, f"untrained/{head}"), embedding
      )["params"]
  return from_checkpoint(params, {}, meta)


def _parts(meta):
  """signal -> (encoder's name, head's name, encoder cfg, head cfg or None)."""
  config = meta["config"]
  if meta["kind"] == "distill":
    student, teacher = meta["signals"]
    return {
        student: (
            "student", "student_head", config["encoder"], config["head"]
        ),
        teacher: (
            "teacher", "teacher_head", meta["teacher"]["config"]["encoder"],
            config["head"],
        ),
    }
  if meta["kind"] in ("mae", "contrastive"):
    (signal,) = meta["signals"]
    return {
        signal: ("encoder", "head", config["encoder"], config.get("head"))
    }
  raise InputError(
      f"checkpoint kind: got {meta['kind']!r}, want 'mae', 'contrastive' or "
      "'distill'"
  )
