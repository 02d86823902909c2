"""What a manifest holds, and that all it says agrees.

A manifest may come from anybody, or be damaged. Who is in which split, whose
rows are where and how many there are stands in it in several ways; one of
them changed alone is found here, before anybody reads a row.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from accfm.base import configlib
from accfm.base import plain as plainlib
from accfm.base.errors import InputError
from accfm.data.checksums import AGAIN
from accfm.signals import contract as contract_lib
from accfm.signals.contract import Contract

FORMAT = 2  # 1: without checksums, and without this mark


@dataclasses.dataclass(frozen=True)
class Quality:
  """Counts of quality control.

  Attributes:
    kept: windows that became rows.
    rejected: reason -> windows.
    recordings: how many were used, without windows, unreadable.
  """

  kept: int
  rejected: Mapping[str, int]
  recordings: Mapping[str, int]


@dataclasses.dataclass(frozen=True)
class Manifest:
  """The fields of `manifest.json`.

  Attributes:
    name: of the data set.
    source: that read the recordings.
    prepare_config: the prepare config, without secrets.
    recordings: how many, and digests of them.
    splits: split -> ids of its people.
    split_hash: of `splits`.
    people: split -> people with rows.
    windows: split -> rows.
    hours: split -> hours of signal.
    labels: names of the labels.
    label_windows: split -> label -> rows that have it.
    attributes: names of facts about people.
    qc: counts of quality control.
    quantisation: signal -> error of storing it.
    contract: of the rows.
    code_version: version of accfm that wrote it.
    hop_sec: seconds between the starts of windows.
    rows: split -> [[person, rows], ...] in the order of the rows; {} where
      an older version did not write it.
    fingerprints: split -> of each of `splits`, what tells that person under
      any id (`ids.fingerprint`); {} where an older version did not write it.
    source_code: hash of the code of a source outside accfm.
    format: of the data set's files; see `FORMAT`.
  """

  name: str
  source: str
  prepare_config: Mapping[str, Any]
  recordings: Mapping[str, Any]
  splits: Mapping[str, tuple[str, ...]]
  split_hash: str
  people: Mapping[str, int]
  windows: Mapping[str, int]
  hours: Mapping[str, float]
  labels: tuple[str, ...]
  label_windows: Mapping[str, Mapping[str, int]]
  attributes: tuple[str, ...]
  qc: Quality
  quantisation: Mapping[str, Mapping[str, float]]
  contract: Contract
  code_version: str
  hop_sec: float
  rows: Mapping[str, tuple[tuple[str | int, ...], ...]] = dataclasses.field(
      default_factory=dict
  )
  fingerprints: Mapping[str, tuple[str, ...]] = dataclasses.field(
      default_factory=dict
  )
  source_code: str = ""
  format: int = 1


def split_hash(splits: Mapping[str, Any]) -> str:
  """A short hash of who is in which split, in any order of people."""
  return configlib.digest({k: sorted(v) for k, v in splits.items()})


def format_of(plain: Mapping[str, Any], where: str) -> int:
  """The format of a manifest's data set; InputError if it is unknown."""
  found = plain.get("format", 1)
  if isinstance(found, bool) or not isinstance(found, int) or found < 1:
    raise InputError(
        f"{where}.format: got {str(found)[:40]!r}, want 1 to {FORMAT}; {AGAIN}"
    )
  if found > FORMAT:
    raise InputError(
        f"{where}.format: got {found}, want at most {FORMAT}; a newer accfm "
        "wrote it: upgrade accfm"
    )
  return found


def check(plain: Any, where: str) -> Manifest:
  """The Manifest of plain data, after checking all that it says.

  Args:
    plain: what the file holds.
    where: of which file, for messages.

  Raises:
    InputError: a field is missing, unknown or of another type, or two of them
      do not agree; names both.
  """
  try:
    made = plainlib.from_plain(Manifest, plain, where)
    contract_lib.check(made.contract, f"{where}.contract.")
    wrong = _disagreement(made)
  except InputError as error:
    raise InputError(f"{error}; {AGAIN}") from None
  if wrong:
    raise InputError(f"{where}: {wrong}; {AGAIN}")
  return made


def _disagreement(made: Manifest) -> str:
  """What does not agree, "" if all does."""
  return (
      _of_splits(made) or _of_rows(made) or _of_counts(made)
      or _of_contract(made)
  )


def _of_splits(made: Manifest) -> str:
  names = sorted(made.splits)
  for name in names:
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):
      return f"splits: got a split {name[:40]!r}, want a plain name"
  others: dict[str, Mapping[str, Any]] = {
      "people": made.people, "windows": made.windows, "hours": made.hours,
      "label_windows": made.label_windows,
  }
  if made.rows or made.format > 1:
    others["rows"] = made.rows
  if made.fingerprints:
    others["fingerprints"] = made.fingerprints
  for field, found in others.items():
    if sorted(found) != names:
      return f"{field} has splits {sorted(found)}, splits has {names}"
  place: dict[str, str] = {}
  for split, people in made.splits.items():
    for person in people:
      if person in place:
        return (
            f"splits: {person!r} is in {place[person]} and {split}, want each "
            "participant once"
        )
      place[person] = split
  if not isinstance(made.prepare_config.get("salt", ""), str):
    return "prepare_config.salt is no text"
  for split, prints in made.fingerprints.items():
    count = len(made.splits.get(split, ()))
    if len(prints) != count:
      return (
          f"fingerprints.{split} are {len(prints)}, splits.{split} has {count} "
          "participants"
      )
  want = split_hash(made.splits)
  if made.split_hash != want:
    return (
        f"split_hash is {made.split_hash[:40]!r}, that of its participants is "
        f"{want!r}"
    )
  return ""


def _of_rows(made: Manifest) -> str:
  """What `rows` says otherwise than `splits`, `windows` and `people`."""
  for split, entries in made.rows.items():
    seen, total = set(), 0
    for entry in entries:
      if not (
          len(entry) == 2 and isinstance(entry[0], str)
          and isinstance(entry[1], int) and entry[1] > 0
      ):
        return (
            f"rows.{split}: got {list(entry)!r:.60}, want [participant, rows]"
        )
      person, count = entry
      if person in seen:
        return f"rows.{split}: {person!r} stands twice"
      seen.add(person)
      total += int(count)
    strangers = sorted(seen - set(made.splits[split]))
    if strangers:
      return (
          f"rows.{split} has rows of {strangers[0]!r}, who is not in "
          f"splits.{split}"
      )
    if total != made.windows[split]:
      return f"rows.{split} sum to {total}, windows says {made.windows[split]}"
    if len(seen) != made.people[split]:
      return (
          f"rows.{split} are of {len(seen)} people, people says "
          f"{made.people[split]}"
      )
  return ""


def _of_counts(made: Manifest) -> str:
  if min(made.windows.values(), default=0) < 0:
    return f"windows: got {dict(made.windows)}, want none below 0"
  total = sum(made.windows.values())
  if made.qc.kept != total:
    return f"qc.kept is {made.qc.kept}, windows sum to {total}"
  for split, counts in made.label_windows.items():
    if sorted(counts) != sorted(made.labels):
      return (
          f"label_windows.{split} has {sorted(counts)}, labels has "
          f"{sorted(made.labels)}"
      )
    for label, count in counts.items():
      if not 0 <= count <= made.windows[split]:
        return (
            f"label_windows.{split}.{label} is {count}, windows says "
            f"{made.windows[split]}"
        )
  for field, names in (
      ("labels", made.labels), ("attributes", made.attributes)
  ):
    if len(set(names)) != len(names):
      return f"{field}: a name stands twice in {list(names)}"
  return ""


def _of_contract(made: Manifest) -> str:
  """Where the contract is not that of the prepare config."""
  contract = plainlib.to_plain(made.contract)
  config = made.prepare_config
  if sorted(made.quantisation) != sorted(contract["signals"]):
    return (
        f"quantisation has {sorted(made.quantisation)}, contract.signals has "
        f"{sorted(contract['signals'])}"
    )
  for field in ("rate_hz", "window_sec"):
    if field in config and config[field] != contract[field]:
      return (
          f"contract.{field} is {contract[field]}, prepare_config says "
          f"{config[field]!r}"
      )
  if config.get("hop_sec", made.hop_sec) != made.hop_sec:
    return f"hop_sec is {made.hop_sec}, prepare_config says otherwise"
  signals = config.get("signals", contract["signals"])
  if not isinstance(signals, Mapping) or (
      sorted(signals) != sorted(contract["signals"])
  ):
    return "contract.signals are not those of prepare_config"
  for name, spec in contract["signals"].items():
    there = signals[name]
    if not isinstance(there, Mapping):
      return f"prepare_config.signals.{name} is no object"
    for field, value in spec.items():
      said = there.get(field, value)
      if said != value and (said or None) != value:  # no band: [] or null
        return (
            f"contract.signals.{name}.{field} is {value!r}, prepare_config "
            f"says {said!r}"
        )
  return ""
