"""The record of a checkpoint: everything that it says of itself, typed.

Each checkpoint holds one as JSON: the config and the input contract that
rebuild its encoders, who was trained on, and the record of the checkpoint that
the run started from. The file may come from anybody, so `from_plain` compares
every field with its type before anybody reads it.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from accfm.base import plain as plainlib
from accfm.base.errors import InputError
from accfm.base.pseudonyms import pseudonym
from accfm.signals import contract as contract_lib
from accfm.signals.contract import Contract
from accfm.signals.targets import Target
from accfm.version import __version__

VERSION = 1  # 0: no field `version`, and `teacher` for `parent`
MAX_PARENTS = 16  # of parents; what is deeper was not written by training


@dataclasses.dataclass(frozen=True)
class Cohort:
  """One data set that was trained on.

  Attributes:
    dataset: its name.
    splits: split -> ids of its participants, or their pseudonyms.
    split_hash: of the participants' ids in each split.
    windows: split -> number of its segments.
    salt: of the pseudonyms; "" where `splits` has the ids themselves.
    digest: hash of the data set (`manifest.digest`); "" where the checkpoint
      or the data set is of an older version.
    known_salt: by which the salt of the data set's own ids is known, "" for
      plain ids; None where an older version did not write it.
    source: that read the recordings; "" where an older version did not write
      it.
    fingerprints: split -> what tells its people under any id, sorted, so that
      it says of no id whose it is; {} where an older version did not write
      it.
  """

  dataset: str
  splits: Mapping[str, tuple[str, ...]]
  split_hash: str = ""
  windows: Mapping[str, int] = dataclasses.field(default_factory=dict)
  salt: str = ""
  digest: str = ""
  known_salt: str | None = None
  source: str = ""
  fingerprints: Mapping[str, tuple[str, ...]] = dataclasses.field(
      default_factory=dict
  )


@dataclasses.dataclass(frozen=True)
class Ranking:
  """The validation metric that ranks a run's checkpoints; "" for none."""

  metric: str = ""
  mode: str = "max"


@dataclasses.dataclass(frozen=True)
class Record:
  """What a checkpoint says of itself.

  Attributes:
    kind: kind of training, one of `kinds.KINDS`.
    config: the run's config, plain values.
    signals: names of the signals it was trained with, its own first.
    contract: the input contract of its data.
    cohorts: the data sets it was trained on; None where an older version
      did not write them.
    parent: record of the checkpoint that the run started from: the teacher
      of a distilled student, the encoder that was fine-tuned. None for a
      run that started from nothing.
    targets: what a supervised checkpoint predicts.
    code_version: version of accfm that trained it.
    version: of this format.
    step: number of updates done; None where an older version did not write
      it.
    best: what ranks the run's checkpoints.
    metrics: validation metrics of this very step, None where not finite;
      None if the step was not validated.
    skipped: batches that were left out (`guard.Guard`).
    losses: the latest losses, for the guard against spikes.
  """

  kind: str
  config: Mapping[str, Any]
  signals: tuple[str, ...]
  contract: Contract
  cohorts: tuple[Cohort, ...] | None = None
  parent: "Record | None" = None
  targets: tuple[Target, ...] = ()
  code_version: str = __version__
  version: int = VERSION
  step: int | None = None
  best: Ranking = Ranking()
  metrics: Mapping[str, float | None] | None = None
  skipped: tuple[Mapping[str, Any], ...] = ()
  losses: tuple[float, ...] = ()

  def setting(self, name: str) -> Any:
    """A field of the config; InputError where it is not there."""
    if name not in self.config:
      raise InputError(
          f"checkpoint's config: got no field {name!r}, want all fields of a "
          f"{self.kind!r} run"
      )
    return self.config[name]


def make(
    kind: str,
    config: Any,
    data: Any,
    parent: Record | None = None,
    targets: tuple[Target, ...] = (),
) -> Record:
  """The Record of a run. With `config.pseudonym_salt` it holds nobody's id.

  Args:
    kind: name of the kind of training.
    config: the run's ConfigDict.
    data: its `opening.TrainingData`.
    parent: record of what it starts from.
    targets: of a supervised run.
  """
  made = Record(
      kind, config.to_dict(), tuple(data.signals), data.contract,
      tuple(cohort_of(part) for part in data.train.parts), parent, targets,
  )
  salt = config.pseudonym_salt
  return hide_people(made, salt) if salt else made


def cohort_of(part: Any) -> Cohort:
  """What a record says of a data set.

  Args:
    part: an open split of it (`pipeline.Split`).
  """
  manifest = part.manifest
  return Cohort(
      manifest["name"],
      {s: tuple(ids) for s, ids in manifest["splits"].items()},
      manifest["split_hash"], manifest["windows"], digest=part.digest,
      known_salt=manifest.get("prepare_config", {}).get("salt"),
      source=manifest.get("source", ""),
      fingerprints={
          split: tuple(sorted({h for p in people for h in p.split()}))
          for split, people in manifest.get("fingerprints", {}).items()
      },
  )


def hide_people(record: Record, salt: str) -> Record:
  """A record, and its parents', without anybody's id.

  The salt is kept beside the pseudonyms, so that the leak guard can tell who
  was trained on. Nobody can read an id there, but a guess of one can be
  tested. What a parent's record hides already stays as it is.
  """
  cohorts = record.cohorts and tuple(
      cohort if cohort.salt else dataclasses.replace(
          cohort, salt=salt, splits={
              split: tuple(pseudonym(one, salt) for one in ids)
              for split, ids in cohort.splits.items()
          },
      ) for cohort in record.cohorts
  )
  parent = record.parent and hide_people(record.parent, salt)
  return dataclasses.replace(record, cohorts=cohorts, parent=parent)


def to_plain(record: Record) -> dict[str, Any]:
  """A record as JSON can hold it."""
  return plainlib.to_plain(record)


def from_plain(plain: Any, where: str = "record") -> Record:
  """The Record that `to_plain` described, by this or an older version.

  Args:
    plain: what a checkpoint's file holds.
    where: of which file, for messages.

  Raises:
    InputError: a newer version wrote it, a field is unknown, missing or of
      another type, or a signal is not in the contract.
  """
  made = plainlib.from_plain(Record, _upgraded(plain, where), where)
  one, place = made, where
  while one is not None:
    if not one.signals:
      raise InputError(f"{place}.signals: got none, want at least one")
    contract_lib.check(one.contract, f"{place}.contract.")
    for name in one.signals:
      if name not in one.contract.signals:
        raise InputError(
            f"{place}.signals: got {name!r}, want some of "
            f"{sorted(one.contract.signals)} of its contract"
        )
    one, place = one.parent, f"{place}.parent"
  return made


def _upgraded(plain: Any, where: str) -> Any:
  """Plain data of any version as this version writes it."""
  chain = []
  while isinstance(plain, Mapping):
    place = where + ".parent" * len(chain)
    if len(chain) > MAX_PARENTS:
      raise InputError(
          f"{where}: got more than {MAX_PARENTS} parents, want a checkpoint "
          "that accfm wrote"
      )
    version = plain.get("version", 0)
    if not isinstance(version, int) or not 0 <= version <= VERSION:
      raise InputError(
          f"{place}.version: got {version!r}, want 0 to {VERSION}; a newer "
          "accfm wrote it: upgrade accfm"
      )
    one = {**plain, "version": VERSION}
    if version == 0 and "teacher" in plain:
      one["parent"] = one.pop("teacher")
      if isinstance(one["parent"], Mapping) and (
          one["parent"].get("kind") == "scratch"
      ):
        one["parent"] = None  # a teacher that was drawn, not trained before
    chain.append(one)
    plain = one.get("parent")
  for one in reversed(chain):
    one["parent"] = plain
    plain = one
  return plain
