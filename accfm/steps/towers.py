"""Towers: what a checkpoint knows of one signal, from int16 to a vector.

A tower undoes the storage scale, normalises as the contract says, embeds
and, where there is a head, projects or predicts. It is a pytree, so it can be
passed to jit and placed on devices; nothing of the training objective is in
it.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax
import jax
import jax.numpy as jnp

from accfm.base import keys
from accfm.base.errors import InputError
from accfm.models import build, heads
from accfm.signals import contract as contract_lib
from accfm.signals import feed, targets


@flax.struct.dataclass
class Tower:
  """One signal's encoder and head.

  Attributes:
    variables: of the encoder, {"params": ..., "batch_stats"?: ...}.
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
    if self.head is None or isinstance(self.head, heads.Predictor):
      return None
    return heads.unit(
        self.head.apply(self.head_variables, self.embed(x, scale))
    )

  def predict(self, x, scale):
    """As `embed`, then the predictor: [B, O], or None without one."""
    if not isinstance(self.head, heads.Predictor):
      return None
    return self.head.apply(self.head_variables, self.embed(x, scale))


@dataclasses.dataclass(frozen=True)
class _Part:
  """Where a checkpoint keeps one signal's tower, and how it is built."""

  encoder: str
  encoder_cfg: Any
  head: str
  make_head: Callable | None


def from_checkpoint(params, carried, frozen, meta):
  """The towers of a checkpoint.

  Args:
    params, carried: of the TrainState; see `objectives`.
    frozen: what was frozen, by name: variables.
    meta: the checkpoint's meta.

  Returns:
    {signal: Tower}, the student's first.
  """
  towers = {}
  for signal, part in _parts(meta).items():
    head = part.make_head() if part.make_head else None
    weights = params.get(part.head, {})
    towers[signal] = Tower(
        variables=encoder_variables(params, carried, frozen, part.encoder),
        head_variables={"params": weights} if weights else {},
        signal=signal,
        encoder=build.build_encoder(part.encoder_cfg),
        head=head,
        normalize=feed.make_normalize(
            contract_lib.from_dict(meta["contract"]).signals[signal]
        ),
    )
  return towers


def encoder_variables(params, carried, frozen, name):
  """{"params", "batch_stats"?} of an encoder, trained or frozen."""
  if name in frozen:
    return frozen[name]
  stats = carried.get("batch_stats", {})
  out = {"params": params[name]}
  if name in stats:
    out["batch_stats"] = stats[name]
  return out


def untrained(meta, seed):
  """Towers of the same architecture with fresh weights of `seed`."""
  contract = contract_lib.from_dict(meta["contract"])
  root = jax.random.key(seed)
  params, fresh = {}, {}
  for signal, part in _parts(meta).items():
    channels = contract.signals[signal].channels
    x = jnp.zeros((1, contract.samples, channels))
    fresh[part.encoder] = jax.jit(build.build_encoder(part.encoder_cfg).init)(
        keys.stream(root, f"untrained/{part.encoder}"), x
    )
    if part.make_head:
      embedding = jnp.zeros((1, part.encoder_cfg["embed_dim"]))
      params[part.head] = jax.jit(part.make_head().init)(
          keys.stream(root, f"untrained/{part.head}"), embedding
      ).get("params", {})
  return from_checkpoint(params, {}, fresh, meta)


def _parts(meta):
  """signal -> _Part, the student's first."""
  config, kind = meta["config"], meta["kind"]
  if kind == "distill":
    student, teacher = meta["signals"]
    cfg = meta["teacher"]["config"]["encoder"]
    mine, theirs = heads.distill_configs(
        config["head"], config["teacher_head"], config["loss"],
        cfg["embed_dim"],
    )
    return {
        student: _Part(
            "student", config["encoder"], "student_head",
            functools.partial(build.build_head, mine),
        ),
        teacher: _Part(
            "teacher", cfg, "teacher_head",
            functools.partial(build.build_head, theirs),
        ),
    }
  makers = {
      "mae": ("", None),
      "contrastive": (
          "head", lambda: build.build_head(config["head"])
      ),
      "supervised": (
          "predictor", lambda: heads.Predictor(sum(
              t.outputs for t in targets.from_plain(meta["targets"])
          )),
      ),
  }
  if kind not in makers:
    raise InputError(
        f"checkpoint kind: got {kind!r}, want 'distill' or one of "
        f"{sorted(makers)}"
    )
  (signal,) = meta["signals"]
  return {signal: _Part("encoder", config["encoder"], *makers[kind])}
