"""The leak guard: nobody who is scored may have been trained on."""

from collections.abc import Iterable
from typing import Any

from accfm.base import pseudonyms
from accfm.base.errors import InputError
from accfm.steps import kinds
from accfm.steps.record import Cohort, Record


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


def _trained_on(people: Iterable[str], record: Record) -> set[str]:
  """The ids that a checkpoint's record names as trained on.

  A record that holds pseudonyms holds their salt, too.
  """
  out = set()
  for cohort in cohorts(record):
    trained = set(cohort.splits.get("train", ()))
    out |= {
        p for p in people if pseudonyms.pseudonym(p, cohort.salt) in trained
    }
  return out


def check_unseen(
    people: Iterable[Any], record: Record, allow_seen: bool
) -> list[str]:
  """The leak guard: nobody who is scored may have been trained on.

  Args:
    people: ids under evaluation.
    record: the checkpoint's record, with its parents' inside.
    allow_seen: score them all the same.

  Returns:
    Sorted ids that training saw: [] unless allowed.

  Raises:
    InputError: some were seen and `allow_seen` is False.
  """
  ids, seen, who = set(map(str, people)), set(), []
  name, one = "the encoder", record
  while one is not None:
    trained = _trained_on(ids, one)
    if trained:
      seen |= trained
      who.append(name)
    name, one = kinds.of_record(one).parent_title, one.parent
  if seen and not allow_seen:
    some = ", ".join(sorted(seen)[:5])
    raise InputError(
        f"leak guard: {' and '.join(who)} trained on {len(seen)} of the "
        f"{len(ids)} people to be scored ({some}), want none; choose "
        "another --config.split or dataset, or mark the result as seen with "
        "--config.allow_seen=true"
    )
  return sorted(seen)
