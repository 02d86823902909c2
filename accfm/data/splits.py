"""Splits by participant: nobody is in two of them.

People are sorted by a hash of their ids and a seed. So a cohort splits the
same way on every machine and in every preparation, in whatever order its
recordings come. Folds rotate the sorted list.
"""

import fnmatch
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from accfm.base import values
from accfm.base.errors import InputError

NAMES = ("train", "val", "test")
RULES = {
    "split.kind": values.one_of("fractions", "counts", "names"),
    "split.fractions": values.each(values.SHARE),
    "split.counts": values.each(values.COUNT),
    "split.seed": values.SEED,
    "split.fold": values.COUNT,
    "split.folds": values.SOME,
}


def check(cfg: Mapping[str, Any]) -> None:
  """Raises InputError for a config that can split no people.

  Args:
    cfg: kind, fractions, counts, seed, fold and folds; names if that is the
      kind.
  """
  values.check({"split": cfg}, RULES)
  sizes = cfg[cfg["kind"]]
  _check_three(sizes)
  _check_fold(cfg["fold"], cfg["folds"])
  if cfg["kind"] == "names" and cfg["folds"] > 1:
    raise InputError(
        f"split.folds: got {cfg['folds']} with people split by name, want 1")
  if cfg["kind"] == "fractions":
    _check_sum(sizes)
  if cfg["kind"] == "fractions" and min(sizes) <= 0:
    raise InputError(
        f"split.fractions: got {tuple(sizes)}, want each above 0: train, val "
        "and test need a person each"
    )


def split_participants(
    ids: Iterable[str], sizes: Sequence[float], seed: int, fold: int = 0,
    folds: int = 1,
) -> dict[str, list[str]]:
  """Splits people into train, val and test.

  Ids are sorted by the SHA-256 of `seed:id`. The list is rotated by `fold`
  test sets and then cut into test, val and train. So successive folds test
  different people, until all have been tested; if `folds` test sets are more
  than all people, the last one repeats people of fold 0.

  Args:
    ids: participant ids, all different.
    sizes: (train, val, test) as counts (integers that sum to the number of
      people) or fractions (floats that sum to 1; val and test are rounded,
      train is the rest).
    seed: an integer that fixes the order.
    fold: number of the fold, from 0.
    folds: number of folds.

  Returns:
    {"train": [...], "val": [...], "test": [...]}, at least one id each.

  Raises:
    InputError: too few people, counts that miss the number of people,
      fractions that do not sum to 1, or a fold that does not exist.
  """
  ids = list(ids)
  people = len(ids)
  if len(set(ids)) < people:
    twice = sorted({i for i in ids if ids.count(i) > 1})
    raise InputError(f"participants: {twice[:5]} come twice, want each once")
  train, val, test = _counts(people, tuple(sizes))
  _check_fold(fold, folds)
  if (folds - 1) * test >= people:
    most = -(-people // test)
    raise InputError(
        f"split.folds: got {folds} folds of {test} test people for {people} "
        f"people, want at most {most}, else folds repeat"
    )
  order = sorted(ids, key=lambda i: (_hash(seed, i), i))
  shift = fold * test
  order = order[shift:] + order[:shift]
  return {
      "train": sorted(order[test + val:]),
      "val": sorted(order[test:test + val]),
      "test": sorted(order[:test]),
  }


def split_by_names(
    ids: Iterable[str], patterns: Sequence[str]
) -> dict[str, list[str]]:
  """Splits people by the names that their source gives them.

  Args:
    ids: `cohort/participant`, all different.
    patterns: for train, val and test, "+" between several; `*`, `?` and
      `[...]` stand for what they do in a shell, "A*+B1*" for two groups.

  Returns:
    As `split_participants`.

  Raises:
    InputError: somebody is in two splits or in none, or a split is empty; the
      message names them.
  """
  _check_three(patterns)
  out: dict[str, list[str]] = {name: [] for name in NAMES}
  for person in sorted(ids):
    own = person.split("/", 1)[-1]
    mine = [
        split for split, wanted in zip(NAMES, patterns, strict=True)
        if any(fnmatch.fnmatchcase(own, one) for one in wanted.split("+"))
    ]
    if len(mine) != 1:
      where = f"in {' and '.join(mine)}" if mine else "in no split"
      raise InputError(
          f"split.names: {own!r} is {where} of {'/'.join(patterns)}, want "
          "each person in one"
      )
    out[mine[0]].append(person)
  for split, people in out.items():
    if not people:
      raise InputError(
          f"split.names: {patterns[NAMES.index(split)]!r} is nobody, want at "
          f"least one person in {split}"
      )
  return out


def check_people(people: int) -> None:
  """Raises InputError if there are too few people to split."""
  if people < len(NAMES):
    who = "participant" if people == 1 else "participants"
    raise InputError(
        f"split: got {people} {who}, want at least {len(NAMES)}: train, val "
        "and test need a person each; add recordings of other people"
    )


def _check_three(sizes: Sequence[float] | Sequence[str]) -> None:
  if len(sizes) != len(NAMES):
    raise InputError(
        f"split: got {len(sizes)} sizes {tuple(sizes)}, want (train, val, "
        "test)"
    )


def _check_fold(fold: int, folds: int) -> None:
  if not 0 <= fold < folds:
    raise InputError(
        f"split.fold: got {fold} of {folds} folds, want 0 to {folds - 1}"
    )


def _check_sum(fractions: Sequence[float]) -> None:
  if abs(sum(fractions) - 1.0) > 1e-6:
    raise InputError(
        f"split.fractions: {tuple(fractions)} sum to {sum(fractions):g}, want "
        "1"
    )


def _hash(seed, text):
  return hashlib.sha256(f"{seed}:{text}".encode()).hexdigest()


def _counts(people: int, sizes: Sequence[float]) -> tuple[int, ...]:
  """The sizes of (train, val, test) as numbers of people."""
  _check_three(sizes)
  check_people(people)
  if all(isinstance(size, int) for size in sizes):
    counts = tuple(int(size) for size in sizes)
    if sum(counts) != people:
      raise InputError(
          f"split.counts: {'/'.join(map(str, counts))} sum to {sum(counts)}, "
          f"the recordings are of {people} people; want counts that sum to "
          f"{people}, or set split.kind to fractions"
      )
  else:
    _check_sum(sizes)
    val, test = (max(1, int(size * people + 0.5)) for size in sizes[1:])
    counts = (people - val - test, val, test)
  if min(counts) < 1 or min(sizes) <= 0:
    raise InputError(
        f"split: {sizes} gives {'/'.join(map(str, counts))} of {people} "
        "people to train/val/test, want at least one each"
    )
  return counts
