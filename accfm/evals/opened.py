"""What one evaluation reads: its splits, the signals of each, and the guard.

Only what is read has to match the checkpoint's input contract. The signal of
the encoder under test must be there. Where the data set cannot feed the
checkpoint's other encoder, everything that needs it is not evaluable, and the
rest is scored.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from accfm.base.errors import InputError
from accfm.data import manifest, pipeline
from accfm.evals import leaks
from accfm.evals.inputs import Shared
from accfm.signals import contract as contract_lib
from accfm.signals.contract import Contract
from accfm.steps.record import Record

FITTED_ON = ("train", "val")


@dataclasses.dataclass(frozen=True)
class Signals:
  """The parts that signals play in an evaluation.

  Attributes:
    student: the signal of the encoder under test.
    teacher: the signal it is paired with, "" for none.
    motion: the acceleration that hand-made features are of, "" for none.
    own: those of the checkpoint's encoders that the data set can feed.
    absent: those that it cannot feed -> why.
  """

  student: str
  teacher: str
  motion: str
  own: tuple[str, ...]
  absent: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Opened:
  """What an evaluation reads.

  Attributes:
    splits: name -> open split: the one under evaluation, and those that
      probes are fitted on.
    tested: name of the split under evaluation.
    signals: the parts that they play.
    reads: name of a split -> signals of the checkpoint's encoders that it can
      feed.
    seen: who under evaluation may have shaped the encoder.
    fit_dataset: the data set of the people whom probes are fitted on, "" for
      the one under evaluation.
    fitted_on: names of the splits that probes are fitted and chosen on.
  """

  splits: Mapping[str, Any]
  tested: str
  signals: Signals
  reads: Mapping[str, tuple[str, ...]]
  seen: leaks.Seen
  fit_dataset: str = ""
  fitted_on: tuple[str, str] = FITTED_ON

  @property
  def split(self) -> Any:
    """The open split under evaluation."""
    return self.splits[self.tested]


def datasets(config: ConfigDict, record: Record | None) -> list[str]:
  """Names of the data sets to evaluate on.

  Args:
    config: with `dataset`, "" for all that the checkpoint learned from.
    record: the checkpoint's record, None without a checkpoint.

  Raises:
    InputError: the record does not say, or there is none.
  """
  if record is None:
    if not config.dataset or not config.data_dir:
      raise InputError(
          f"dataset: got {config.dataset!r} in {config.data_dir!r} without a "
          "checkpoint, want the data set to evaluate on; set "
          "--config.data_dir and --config.dataset"
      )
    return [config.dataset]
  trained = [cohort.dataset for cohort in leaks.cohorts(record)]
  return [config.dataset] if config.dataset else trained


def open_splits(
    config: ConfigDict, record: Record | None, dataset: str, shared: Shared
) -> Opened:
  """Opens what an evaluation reads, after checking that it may.

  Args:
    config: as `configs/evaluate.py`.
    record: the checkpoint's record, None without a checkpoint.
    dataset: name of the data set.
    shared: a split is opened once.

  Raises:
    InputError: no such data set or split, a split without segments, another
      input contract, no partner, or people that the leak guard refuses.
  """
  data_dir = config.data_dir
  if not data_dir and record is not None:
    data_dir = record.setting("data_dir")
  folder = manifest.find(data_dir, dataset)
  other = "" if config.fit_dataset == dataset else config.fit_dataset
  fitted_on = FITTED_ON
  if other:
    fitted_on = (f"{other}.train", f"{other}.val")
  places = {}
  if "probe" in config.evals or config.align_with:
    where = manifest.find(data_dir, other) if other else folder
    places = {
        name: (where, part)
        for name, part in zip(fitted_on, FITTED_ON, strict=True)
    }
  places[config.split] = folder, config.split
  splits = {
      name: shared.get(
          ("split", *place), functools.partial(pipeline.open_split, *place))
      for name, place in places.items()
  }
  tested = splits[config.split]
  want = tested.contract if record is None else record.contract
  own = (_student(config, want),) if record is None else record.signals
  for name, split in splits.items():
    contract_lib.check_match(
        split.contract, want, own[:1], places[name][0],
        *([f"{dataset}'s"] if record is None else []),
    )
  signals = choose_signals(config, own, splits, want)
  for name, split in splits.items():
    if not len(split):
      raise InputError(
          f"{places[name][0]}: split {places[name][1]} has 0 windows, want at "
          "least 1; prepare it with more people in that split, or evaluate "
          "what needs no such split (--config.split, --config.evals)"
      )
  people, seen = leaks.people_of(tested), leaks.Seen()
  if record is not None:
    seen = leaks.check_unseen(
        people, record, config.allow_seen,
        allow_validated=config.split == "val")
  if other and fitted_on[0] in splits:
    seen = seen.and_of(leaks.Seen(untold=leaks.check_fitted(
        people, splits[fitted_on[0]], config.allow_seen)))
  return Opened(
      splits, config.split, signals, {
          name: tuple(
              s for s in signals.own
              if not contract_lib.mismatch(split.contract, want, s))
          for name, split in splits.items()
      }, seen, other, fitted_on,
  )


def _student(config: ConfigDict, contract: Contract) -> str:
  """The signal of an encoder that comes without a checkpoint."""
  if config.signal:
    if config.signal not in contract.signals:
      raise InputError(
          f"signal: got {config.signal!r}, want one of "
          f"{sorted(contract.signals)} of the data set"
      )
    return config.signal
  names = list(contract.signals)
  acc = [n for n in names if contract.signals[n].kind == "acc"]
  return (acc or names)[0]


def choose_signals(
    config: ConfigDict, own: Sequence[str], splits: Mapping[str, Any],
    want: Contract,
) -> Signals:
  """The parts that signals play.

  Args:
    config: `partner`: the signal to retrieve, "" for the checkpoint's own
      second signal or the only other one of the contract; `evals`; `split`.
    own: signals of the checkpoint's encoders, that of the encoder under test
      first.
    splits: name -> open split.
    want: the contract of those encoders.

  Raises:
    InputError: `partner` is none of the other signals, or is "" where
      retrieval has several to choose from.
  """
  contract = splits[config.split].contract
  student, *theirs = own
  absent = {
      name: reason for name in theirs
      if (reason := contract_lib.mismatch(contract, want, name))
  }
  others = theirs or [s for s in contract.signals if s != student]
  partner = config.partner
  if partner and partner not in others:
    whose = "the checkpoint's own" if theirs else "the data set's others"
    raise InputError(
        f"partner: got {partner!r}, want one of {sorted(others)}, {whose}; "
        "set --config.partner"
    )
  if not partner and len(others) > 1 and "retrieval" in config.evals:
    raise InputError(
        f"partner: got none for a checkpoint of {student!r} alone, want the "
        f"signal to retrieve, one of {sorted(others)}; set --config.partner"
    )
  teacher = partner or (others[0] if len(others) == 1 else "")
  if teacher in absent:
    teacher = ""
  motion = [
      name for name in dict.fromkeys((student, teacher, *contract.signals))
      if name and contract.signals[name].kind == "acc" and not any(
          contract_lib.mismatch(split.contract, contract, name)
          for split in splits.values())
  ]
  return Signals(
      student, teacher, (motion or [""])[0],
      tuple(name for name in own if name not in absent), absent,
  )
