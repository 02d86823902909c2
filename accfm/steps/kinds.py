"""The kinds of training, each in one record: all that depends on the kind.

The mains, the plan of a step, and whoever rebuilds encoders from a checkpoint
read `KINDS`. A new kind is its step (a loss and `make_objective`), an entry
here, and a config whose `objective` names the entry.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from ml_collections import ConfigDict

from accfm.base.configlib import nearest
from accfm.base.errors import InputError
from accfm.models import build
from accfm.signals import augment
from accfm.signals.contract import Contract
from accfm.steps import contrastive, distill, mae, supervised
from accfm.steps.given import Given, Start
from accfm.steps.record import Ranking, Record
from accfm.steps.state import Objective

# What a checkpoint keeps beside an encoder: (name in its parameters, module).
Head = tuple[str, Any]


def _no_heads(record: Record) -> dict[str, Head]:
  """{}: the encoder's output is all that is wanted of a checkpoint."""
  del record
  return {}


@dataclasses.dataclass(frozen=True)
class Kind:
  """One kind of training.

  Attributes:
    main: name of the command that trains it.
    make_objective: `make_objective(config, given) -> state.Objective`.
    encoders: names under which a checkpoint keeps its encoders, in the order
      of its signals: the one that is trained, and then its teacher.
    heads: `heads(record) -> {encoder: (name, module)}` of the encoders that
      have a head.
    parent: config field that names the checkpoint to start from, with a
      field PARENT_step beside it; "" where a run starts from nothing. With
      two encoders the parent is the teacher, with one it goes on training.
    parent_title: what the parent is to a checkpoint, for messages.
    assume_start: `assume_start(config) -> (Start or None, sentences)`: what
      a plan assumes where the config names no parent.
    labelled: whether it learns from labels.
    ranking: metric and mode that rank its checkpoints; {0} and {1} stand for
      its signals.
  """

  main: str
  make_objective: Callable[[ConfigDict, Given], Objective]
  encoders: tuple[str, ...] = ("encoder",)
  heads: Callable[[Record], Mapping[str, Head]] = _no_heads
  parent: str = ""
  parent_title: str = "its parent"
  assume_start: Callable[
      [ConfigDict], tuple[Start | None, tuple[str, ...]]
  ] | None = None
  labelled: bool = False
  ranking: Ranking = Ranking("val/loss", "min")

  def signals(
      self, config: ConfigDict, start: Start | None
  ) -> tuple[str, ...]:
    """Names of the signals that batches hold, in the order of `encoders`."""
    if len(self.encoders) == 1:
      return (config.signal,)
    assert start is not None
    return config.signal, start.signal

  def adopt_encoder(
      self, config: ConfigDict, start: Start | None
  ) -> ConfigDict:
    """The config with its parent's encoder, where that goes on training."""
    if start is None or len(self.encoders) > 1:
      return config
    return ConfigDict({**config.to_dict(), "encoder": dict(start.config)})

  def resolve_augment(
      self, config: ConfigDict, contract: Contract, signals: tuple[str, ...]
  ) -> ConfigDict:
    """The config with the augmentation of its signals' kinds written out.

    What a run saves says so what it did, see `augment.resolve`.
    """
    out = ConfigDict(config.to_dict())
    if "augment" not in out:
      return out
    kinds = [contract.signals[name].kind for name in signals]
    if len(kinds) == 1:
      out.augment = ConfigDict(augment.resolve(out.augment, kinds[0]))
    else:
      for encoder, kind in zip(self.encoders, kinds, strict=True):
        out.augment[encoder] = ConfigDict(
            augment.resolve(out.augment[encoder], kind)
        )
    return out

  def rank_by(self, signals: tuple[str, ...]) -> Ranking:
    """`ranking` for a run's signals."""
    return dataclasses.replace(
        self.ranking, metric=self.ranking.metric.format(*signals)
    )


def _contrastive_heads(record: Record) -> dict[str, Head]:
  return {"encoder": ("head", build.build_head(record.setting("head")))}


def _distill_heads(record: Record) -> dict[str, Head]:
  teacher = build.build_encoder(encoder_configs(record)["teacher"])
  fields = {n: record.setting(n) for n in ("head", "teacher_head", "loss")}
  made = distill.make_heads(fields, teacher.embed_dim)
  return {
      name: (f"{name}_head", head)
      for name, head in zip(("student", "teacher"), made, strict=True)
  }


def _supervised_heads(record: Record) -> dict[str, Head]:
  return {"encoder": ("predictor", supervised.make_predictor(record.targets))}


KINDS = {
    "mae": Kind("pretrain", mae.make_objective),
    "contrastive": Kind(
        "pretrain", contrastive.make_objective, heads=_contrastive_heads
    ),
    "distill": Kind(
        "distill", distill.make_objective, ("student", "teacher"),
        _distill_heads, "teacher", "its teacher", distill.assume_start,
        ranking=Ranking("val/{0}2{1}/recall@1", "max"),
    ),
    "supervised": Kind(
        "supervise", supervised.make_objective, heads=_supervised_heads,
        parent="init", parent_title="the encoder that it started from",
        assume_start=supervised.assume_start, labelled=True,
    ),
}


def of_config(config: ConfigDict, main: str = "") -> tuple[str, Kind]:
  """(name, Kind) of what a config trains.

  Args:
    config: of a training main.
    main: the command that is to train it; "" for any.

  Raises:
    InputError: a config that trains nothing, an unknown objective, or one
      of another main.
  """
  if "objective" not in config:
    mains = [f"accfm.{m}" for m in dict.fromkeys(
        kind.main for kind in KINDS.values()
    )]
    raise InputError(
        "config: got one that trains nothing, want one of "
        f"{', '.join(mains[:-1])} or {mains[-1]}, such as "
        "configs/acc_distill.py"
    )
  name = config.objective
  known = sorted(n for n, kind in KINDS.items() if main in ("", kind.main))
  if name not in known:
    elsewhere = KINDS[name].main if name in KINDS else ""
    raise InputError(
        f"objective: got {name!r}, want one of {known}" + (
            f" for accfm.{main}; {name!r} is trained by accfm.{elsewhere}"
            if elsewhere else nearest(name, known)
        )
    )
  return name, KINDS[name]


def of_record(record: Record) -> Kind:
  """The Kind of a checkpoint; InputError where there is no such kind."""
  if record.kind not in KINDS:
    raise InputError(
        f"checkpoint kind: got {record.kind!r}, want one of {sorted(KINDS)}"
    )
  kind = KINDS[record.kind]
  if len(record.signals) != len(kind.encoders):
    raise InputError(
        f"checkpoint signals: got {list(record.signals)}, want one for each "
        f"encoder of a {record.kind!r} run, {list(kind.encoders)}"
    )
  return kind


def encoder_configs(record: Record) -> dict[str, Any]:
  """{encoder's name: its config} of a checkpoint, the trained one first."""
  mine, *others = of_record(record).encoders
  out = {mine: record.setting("encoder")}
  for name in others:  # a teacher that no run had trained is in the config
    parent = record.parent
    out[name] = (
        parent.setting("encoder") if parent else
        record.setting(f"{name}_encoder")
    )
  return out
