"""Distillation: the student finds, or predicts, its segment's teacher."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from accfm.base.configlib import nearest
from accfm.base.errors import InputError
from accfm.base.mesh import ROW_AXES
from accfm.losses import regression, soft_targets
from accfm.models import build, heads
from accfm.signals import augment, feed
from accfm.steps import contrastive, micro, nets
from accfm.steps.given import Given, Start
from accfm.steps.state import Objective


@dataclasses.dataclass(frozen=True)
class Loss:
  """How a student is compared with its teacher.

  Attributes:
    regress: `regress(student, teacher [b, P]) -> [b]`, a row with its own
      partner alone; None for InfoNCE, a row with the whole global batch.
    unit_rows: whether both are scaled to unit length before.
  """

  regress: Callable | None = None
  unit_rows: bool = True


@dataclasses.dataclass(frozen=True)
class Soft:
  """Targets of InfoNCE that the frozen teacher draws up.

  Attributes:
    weight: share of the soft target; the row's own partner has the rest.
    temperature: of the similarities between the teacher's embeddings.
  """

  weight: float = 0.0
  temperature: float = 0.1


LOSSES = {
    "contrastive": Loss(),
    "cosine": Loss(regression.cosine),
    "mse": Loss(regression.mse, unit_rows=False),
}


def check_loss(name: str) -> None:
  """Raises InputError unless there is a loss of this name."""
  if name not in LOSSES:
    raise InputError(
        f"loss: got {name!r}, want one of {sorted(LOSSES)}"
        f"{nearest(name, LOSSES)}"
    )


def make_loss(
    name: str, embed: Callable, teach: Callable, temperature: float,
    student_weight: float, block: int = 0, soft: Soft = Soft(),
) -> Callable:
  """The loss of cross-modal distillation.

  "contrastive", the paper's (arXiv 2412.11276, w and temperature as
  recalled): w InfoNCE(student -> teacher) + (1 - w) InfoNCE(teacher ->
  student) over the global batch. For comparison, without other segments:
  "cosine", 1 - cos(student, teacher), and "mse", the squared error of the
  student's prediction of the teacher's embedding. With soft targets InfoNCE
  is, in both directions, the cross-entropy with a mixture of the own partner
  and of those whose segments the teacher finds alike.

  Args:
    name: one of `LOSSES`.
    embed: `embed(params, carried, key, batch) -> (z [b, P], carried)`:
      augmentation, student and its head.
    teach: `teach(params, carried, frozen, key, batch) -> (z [b, P],
      carried)`: augmentation, teacher, then its head. With soft targets
      z is [b, P + E]: the teacher's own embedding follows.
    temperature: scalar; a learned one is `params["log_temperature"]`, where
      that exists, and starts there.
    student_weight: w, 0 to 1.
    block: rows compared with the global batch at once; 0 for all.
    soft: of the contrastive loss alone.

  Returns:
    `loss`, as `state.Objective`.
  """
  check_loss(name)
  regress = LOSSES[name].regress

  def loss_fn(params, carried, frozen, batch, key):
    student, carried = embed(params, carried, key, batch)
    teacher, carried = teach(params, carried, frozen, key, batch)
    spans = contrastive.gather_spans(batch)
    if regress is not None:
      losses = regress(student, teacher)
      first = jax.lax.axis_index(ROW_AXES) * student.shape[0]
      keys = jax.lax.all_gather(heads.unit(teacher), ROW_AXES, tiled=True)
      found = contrastive.recall(
          heads.unit(student), keys, first, block, spans
      )
      return losses, {"recall@1": found}, carried
    tau = temperature
    if "log_temperature" in params:
      # CLIP's bound: below 0.01 training diverges (arXiv 2103.00020).
      tau = jnp.maximum(jnp.exp(params["log_temperature"]), 0.01)
    alike = None
    if soft.weight:
      teacher, alike = jnp.split(teacher, [student.shape[1]], axis=1)
    losses, metrics = contrastive.paired_loss(
        student, teacher, tau, student_weight, block, spans
    )
    if alike is not None:
      losses += soft.weight * _soft_gap(
          student, teacher, alike, tau, student_weight, block, soft, spans
      )
    metrics["temperature"] = jnp.asarray(jax.lax.stop_gradient(tau))
    return losses, metrics, carried

  return loss_fn


def _soft_gap(
    student, teacher, alike, tau, student_weight, block, soft, spans
):
  """[b]: what soft targets add, both ways, over the global batch.

  Args:
    student, teacher: [b, P] projections of this device.
    alike: [b, E] the teacher's embeddings.
    tau, student_weight, block, soft: as `make_loss`.
    spans: from `contrastive.gather_spans`.
  """
  first = jax.lax.axis_index(ROW_AXES) * student.shape[0]
  every = jax.lax.all_gather(alike, ROW_AXES, tiled=True)
  mine = soft_targets.centred(alike, every)
  others = soft_targets.centred(every, every)
  gap: Any = 0.0
  for weight, query, keys in (
      (student_weight, student, teacher), (1 - student_weight, teacher, student)
  ):
    if weight > 0.0:
      gap += weight * soft_targets.soft_gap(
          query, jax.lax.all_gather(keys, ROW_AXES, tiled=True), mine, others,
          tau, soft.temperature, first, block, spans,
      )
  return gap


def make_objective(config: ConfigDict, given: Given) -> Objective:
  """A student of `config.signal` beside a teacher of another signal.

  Args:
    config: with signal, encoder, head, teacher_head, teacher_mode, loss,
      augment (of "student" and "teacher"), temperature, learn_temperature,
      student_weight, soft_weight, soft_temperature, loss_block,
      micro_batches, seed.
    given: with the teacher to start from.
  """
  contract, start = given.contract, given.start
  assert start is not None  # a main has found the teacher
  _check_config(config)
  encoder = nets.encoder(config.encoder)
  mentor = nets.encoder(start.config)
  my_head, their_head = make_heads(config, mentor.embed_dim)
  check_together(*(
      augment.resolve(config.augment[role], contract.signals[name].kind)
      for role, name in (("student", config.signal), ("teacher", start.signal))
  ))
  mine, theirs = (
      feed.make_prepare(contract, name, config.augment[role])
      for role, name in (("student", config.signal), ("teacher", start.signal))
  )
  student = nets.init_encoder(
      encoder, config.seed, "student", contract, config.signal
  )
  params = {
      "student": student["params"],
      "student_head": nets.init_head(
          my_head, config.seed, "student_head", encoder.embed_dim
      ),
      "teacher_head": nets.init_head(
          their_head, config.seed, "teacher_head", mentor.embed_dim
      ),
  }
  if config.learn_temperature:
    params["log_temperature"] = jnp.log(jnp.float32(config.temperature))
  teacher = start.variables
  if teacher is None:
    teacher = nets.init_encoder(
        mentor, config.seed, "teacher", contract, start.signal
    )
  trained, frozen = {"student": student}, {}
  if config.teacher_mode == "frozen":
    frozen["teacher"] = teacher
  else:
    trained["teacher"] = teacher
    params["teacher"] = teacher["params"]

  def embed_rows(params, carried, key, batch):
    x = mine(key, batch, config.signal)
    x, carried = nets.forward(
        encoder, "student", params, carried, x, key, batch["row"]
    )
    return nets.project(my_head, params["student_head"], x), carried

  def teach_rows(params, carried, frozen, key, batch):
    x = theirs(key, batch, start.signal)
    if frozen:
      x = jax.lax.stop_gradient(mentor.apply(frozen["teacher"], x))
    else:
      x, carried = nets.forward(
          mentor, "teacher", params, carried, x, key, batch["row"]
      )
    z = nets.project(their_head, params["teacher_head"], x)
    if config.soft_weight:
      z = jnp.concatenate([z, x.astype(z.dtype)], axis=1)
    return z, carried

  embed, teach = (
      micro.batched(fn, config.micro_batches, trained.values())
      for fn in (embed_rows, teach_rows)
  )
  loss = make_loss(
      config.loss, embed, teach, config.temperature, config.student_weight,
      config.loss_block, Soft(config.soft_weight, config.soft_temperature),
  )
  return Objective(params, loss, nets.carry(**trained), frozen)


def make_heads(config: Mapping[str, Any], teacher_dim: int) -> tuple[Any, Any]:
  """(student's head, teacher's head) of a distillation config.

  Args:
    config: with head, teacher_head, loss.
    teacher_dim: values of the teacher's embedding.
  """
  check_loss(config["loss"])
  mine, theirs = heads.distill_configs(
      config["head"], config["teacher_head"],
      LOSSES[config["loss"]].unit_rows, teacher_dim,
  )
  return build.build_head(mine), build.build_head(theirs)


def _check_config(config: ConfigDict) -> None:
  """Raises InputError for a loss that a constant teacher would satisfy, or
  soft targets of a teacher that moves.
  """
  check_loss(config.loss)
  if LOSSES[config.loss].regress is not None and (
      config.teacher_head != "identity" or config.teacher_mode != "frozen"
  ):
    raise InputError(
        f"loss {config.loss!r}: got teacher_head={config.teacher_head!r}, "
        f"teacher_mode={config.teacher_mode!r}, want 'identity' and 'frozen': "
        "a teacher that may move would agree by becoming constant"
    )
  if config.soft_weight and (
      config.loss != "contrastive" or config.teacher_mode != "frozen"
  ):
    raise InputError(
        f"soft_weight: got {config.soft_weight:g} with loss={config.loss!r}, "
        f"teacher_mode={config.teacher_mode!r}, want 'contrastive' and "
        "'frozen': a teacher that may move would draw up targets that are "
        "easy to meet"
    )


def check_together(
    student: Mapping[str, Any], teacher: Mapping[str, Any]
) -> None:
  """Raises InputError unless student and teacher move alike in time.

  Jitter apart, which is small and meant to differ.

  Args:
    student, teacher: their augmentation, see `augment.resolve`.
  """
  for name in ("time_shift", "time_warp"):
    mine, theirs = (
        dict(part.get(name, {"prob": 0.0})) for part in (student, teacher)
    )
    if not (mine["prob"] or theirs["prob"]):
      continue
    shared = augment.FIELDS[name]["together"]
    if mine != theirs or not mine.get("together", shared):
      raise InputError(
          f"augment.*.{name}: got {mine} for the student and {theirs} for "
          "the teacher, want the same with together=True: a pair would lose "
          "its alignment"
      )


def assume_start(config: ConfigDict) -> tuple[Start, tuple[str, ...]]:
  """(start, sentences): what a plan assumes without --config.teacher."""
  start = Start(config.teacher_signal, config.teacher_encoder)
  if config.teacher_mode == "scratch":
    return start, ()
  return start, ("no --config.teacher: one like config.teacher_encoder",)
