"""The leak guard: who is scored may not have shaped the encoder.

People whom an encoder, or the checkpoint that it started from, was trained on
are refused, and so are those who were its validation people, by whom it chose
its step. Two things tell that a person is the same:

- the id, `cohort/participant`, where both data sets have plain ids, or
  pseudonyms under one salt. A person of another cohort is another person;
- the recordings: the fingerprints of a person are alike under any id
  (`accfm.data.ids`). They show that someone was seen, or was in a split that
  training does not read. That none is alike shows nothing.

Where the ids of one cohort cannot be compared and no recording tells, the
guard says so and refuses. `allow_seen` scores all of them and marks the result.
"""

import dataclasses
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from accfm.base import pseudonyms
from accfm.base.errors import InputError, warn
from accfm.data import ids as idslib
from accfm.steps import kinds
from accfm.steps import record as recordlib
from accfm.steps.record import Cohort, Record

SHOWN = 5  # ids in a message
_OTHER_SALT = (
    "one data set has pseudonyms that the other does not have, and no "
    "recording tells; prepare both with the same --config.salt"
)
_OLD_NAMES = (
    "an older accfm named people after the source, whatever their study, and "
    "both data sets have these names; prepare both anew, each with the "
    "--config.cohort of its study"
)


@dataclasses.dataclass(frozen=True)
class Seen:
  """People under evaluation who may have shaped the encoder, sorted ids.

  Attributes:
    trained: an encoder was trained on them.
    validated: they are its validation people.
    untold: whether they are either cannot be told.
  """

  trained: tuple[str, ...] = ()
  validated: tuple[str, ...] = ()
  untold: tuple[str, ...] = ()

  def and_of(self, other: "Seen") -> "Seen":
    """Whom this checkpoint or another one may have seen."""
    return Seen(*(
        tuple(sorted({*getattr(self, f.name), *getattr(other, f.name)}))
        for f in dataclasses.fields(self)
    ))


@dataclasses.dataclass(frozen=True)
class People:
  """The people under evaluation, and what their data set says of ids.

  Attributes:
    ids: of those who are scored, each once.
    prints: id -> hashes of its fingerprint; {} for an older data set.
    known_salt: as `Cohort.known_salt`.
    source: that read the recordings, "" if unknown.
    everybody: ids of all splits of the data set.
  """

  ids: tuple[str, ...]
  prints: Mapping[str, frozenset[str]] = dataclasses.field(
      default_factory=dict
  )
  known_salt: str | None = ""
  source: str = ""
  everybody: tuple[str, ...] = ()


def people_of(split: Any) -> People:
  """The people of an open split (`pipeline.Split`)."""
  manifest = split.manifest
  prints = manifest.get("fingerprints", {})
  return People(
      tuple(sorted({str(p) for p in split.table["participant"]})),
      {
          person: frozenset(words.split())
          for name, people in manifest.get("splits", {}).items()
          for person, words in zip(people, prints.get(name, ()), strict=False)
      },
      idslib.known_salt(manifest),
      idslib.of_source(manifest.get("source", "")),
      tuple(p for ids in manifest.get("splits", {}).values() for p in ids),
  )


def cohorts(record: Record) -> tuple[Cohort, ...]:
  """The data sets of a checkpoint's record.

  Raises:
    InputError: the record does not say; a guard that guesses guards nothing.
  """
  if record.cohorts is None:
    raise InputError(
        "leak guard: the checkpoint's record does not say who was trained "
        "on; an older version wrote it: train again"
    )
  return record.cohorts


def check_unseen(
    people: People, record: Record, allow_seen: bool = False,
    allow_validated: bool = False,
) -> Seen:
  """Refuses people who may have shaped the encoder.

  Args:
    people: under evaluation.
    record: the checkpoint's record, with its parents' inside.
    allow_seen: score whomever, and say who was seen.
    allow_validated: score validation people, and say who they are: the
      command asks for the validation split.

  Returns:
    Whom training may have seen: nobody, unless allowed.

  Raises:
    InputError: there are some who are not allowed.
  """
  found: dict[str, dict[str, list[str]]] = {}
  reasons = []
  for name, one in _chain(record):
    for cohort in cohorts(one):
      names, reason = _reader(people, cohort)
      if reason:
        reasons.append(reason)
      for person in people.ids:
        what = names(person)
        if what:
          found.setdefault(what, {}).setdefault(name, []).append(person)
  by_kind = {
      what: sorted({p for some in by_name.values() for p in some})
      for what, by_name in found.items()
  }
  trained = by_kind.get("train", [])
  validated = sorted(set(by_kind.get("val", [])) - set(trained))
  untold = sorted(
      set(by_kind.get("untold", [])) - set(trained) - set(validated)
  )
  if not allow_seen:
    who = {what: " and ".join(some) for what, some in found.items()}
    if trained:
      _refuse(
          f"{who['train']} trained on {_some(trained, people)} to be scored"
      )
    if validated and not allow_validated:
      _refuse(
          f"{_some(validated, people)} to be scored are validation people of "
          f"{who['val']}, by whom its step was chosen"
      )
    if untold:
      raise InputError(
          f"leak guard: cannot tell whether {who['untold']} trained on "
          f"{_some(untold, people)} to be scored: {reasons[0]}, or mark the "
          "result with --config.allow_seen=true"
      )
  return Seen(tuple(trained), tuple(validated), tuple(untold))


def check_fitted(
    people: People, fitted: Any, allow_seen: bool = False
) -> tuple[str, ...]:
  """Refuses people whom probes are fitted on, in a data set of their own.

  Args:
    people: under evaluation.
    fitted: an open split of the data set whose train and val splits probes
      are fitted on.
    allow_seen: score those of whom this cannot be told.

  Returns:
    Sorted ids of those; () unless allowed.

  Raises:
    InputError: some are fitted on, or are not allowed.
  """
  cohort = recordlib.cohort_of(fitted)
  who, reason = _reader(people, cohort)
  found = {person: who(person) for person in people.ids}
  shared = [p for p, what in found.items() if what in ("train", "val")]
  untold = sorted(p for p, what in found.items() if what == "untold")
  if shared:
    raise InputError(
        f"leak guard: probes are fitted on {_some(shared, people)} to be "
        f"scored, who are in train or val of {cohort.dataset}, want none; "
        "choose another data set to fit on"
    )
  if untold and not allow_seen:
    raise InputError(
        f"leak guard: cannot tell whether probes are fitted on "
        f"{_some(untold, people)} to be scored, from {cohort.dataset}: "
        f"{reason}, or mark the result with --config.allow_seen=true"
    )
  return tuple(untold)


def _chain(record: Record) -> Iterator[tuple[str, Record]]:
  """What a checkpoint rests on: (what it is called, its record)."""
  name, one = "the encoder", record
  while one is not None:
    yield name, one
    name, one = kinds.of_record(one).parent_title, one.parent


def _reader(
    people: People, cohort: Cohort
) -> tuple[Callable[[str], str], str]:
  """(who(id) -> "train", "val", "untold" or "", why some are untold)."""
  place = _split_of(cohort.splits)
  prints = _split_of(cohort.fingerprints)
  theirs = {_cohort(person) for person in place}
  compare = _comparable(people, cohort, place)
  # Older data sets call a person of any study by the source's name.
  old = not cohort.fingerprints or not people.prints
  same_source = people.source in (
      {cohort.source} if cohort.source else theirs
  )
  by_name = {
      person.partition("/")[2]: split for person, split in place.items()
  } if old and compare and people.source and same_source else {}

  def who(person: str) -> str:
    name = pseudonyms.pseudonym(person, cohort.salt)
    found = {prints[h] for h in people.prints.get(person, ()) if h in prints}
    if compare and name in place:
      found.add(place[name])
    for split in ("train", "val"):
      if split in found:
        return split
    if found:
      return ""  # in a split that training does not read
    if _cohort(person) in theirs:
      return "" if compare else "untold"
    known = by_name.get(name.partition("/")[2], "")
    return "untold" if known in ("train", "val") else ""

  some = {_cohort(person) for person in people.ids}
  if not compare and some & theirs:
    return who, _OTHER_SALT
  return who, _OLD_NAMES if by_name else ""


def _split_of(members: Mapping[str, Collection[str]]) -> dict[str, str]:
  """Member -> its split; of several the one that tells most."""
  rank = {"val": 1, "train": 2}
  return {
      one: split
      for split in sorted(members, key=lambda s: rank.get(s, 0))
      for one in members[split]
  }


def _comparable(
    people: People, cohort: Cohort, place: Mapping[str, str]
) -> bool:
  """Whether equal people have equal ids, but for the record's own salt."""
  theirs, mine = cohort.known_salt, people.known_salt
  everybody = people.everybody or people.ids
  if mine is None and not _hidden(everybody):
    mine = ""
  if theirs is None and not cohort.salt and not _hidden(place):
    theirs = ""
  if mine is not None and theirs is not None:
    return mine == theirs
  if any(
      pseudonyms.pseudonym(p, cohort.salt) in place for p in everybody
  ):
    return True
  if theirs is not None or mine != "" or not cohort.salt:
    return False
  # An older record under a salt of its own, of plain ids most likely.
  if not {_cohort(p) for p in place}.isdisjoint(map(_cohort, people.ids)):
    warn(
        f"leak guard: an older accfm wrote the record of {cohort.dataset}; "
        "whether its people had pseudonyms before cannot be verified, and "
        "they are taken for others than those to be scored"
    )
  return True


def _hidden(people: Collection[str]) -> bool:
  """Whether ids look like pseudonyms."""
  return bool(people) and all(
      re.fullmatch("[0-9a-f]{12}", p.partition("/")[2]) for p in people
  )


def _cohort(person: str) -> str:
  return person.partition("/")[0]


def _some(found: Collection[str], people: People) -> str:
  """`2 of the 9 people (a, b)`, whose end is "to be scored"."""
  shown = sorted(found)[:SHOWN]
  return f"{len(found)} of the {len(people.ids)} people ({', '.join(shown)})"


def _refuse(what: str) -> None:
  raise InputError(
      f"leak guard: {what}, want none; choose another --config.split or "
      "dataset, or mark the result as seen with --config.allow_seen=true"
  )
