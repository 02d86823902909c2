"""Who a recording is of: ids of people, and what tells them under any id.

An id is `cohort/participant`. The cohort is the name of the study or device,
so that `S10` of one study is another person than `S10` of another. It is the
source's name unless the prepare config has one.

Fingerprints tell whether two data sets hold the same person whatever the ids
are, as with pseudonyms under another salt. They are hashes of the samples as
the device wrote them, so they depend on no config.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from accfm.base import plugins

# Of each person the lowest few hashes are kept. Where two data sets share most
# of a person's recordings, they share one of these.
KEPT = 4
DIGITS = 12  # of each hash: 20,000 people on each side meet by chance in 1e-5


def cohort(config: Any) -> str:
  """The name of a prepare config's cohort: the first part of each id."""
  return config.cohort or of_source(config.source)


def of_source(source: str) -> str:
  """The name of the cohort that a source reads, unless a config has one."""
  return plugins.stem(source) if plugins.is_plugin(source) else source


def fingerprint(hashes: Iterable[str]) -> str:
  """A person's fingerprint: a few hashes with spaces between them.

  Args:
    hashes: of the samples of each signal of each recording of that person
      (`twins.sample_hashes`).
  """
  return " ".join(sorted({h[:DIGITS] for h in hashes})[:KEPT])


def fingerprints(
    people: Mapping[str, Iterable[str]],
    entries: Iterable[tuple[str, Any, Mapping[str, Any]]],
) -> dict[str, list[str]]:
  """split -> the fingerprint of each person, "" where nothing tells.

  Args:
    people: split -> ids.
    entries: (id, session, summary of `staging`) of all recordings.
  """
  found: dict[str, set[str]] = {}
  for person, _, summary in entries:
    if summary["windows"]:
      found.setdefault(person, set()).update(summary["samples"].values())
  return {
      split: [fingerprint(found.get(person, ())) for person in members]
      for split, members in people.items()
  }


def crossings(manifests: Sequence[Mapping[str, Any]]) -> list[str]:
  """People who are trained on in one data set and held out in another.

  Args:
    manifests: of the data sets of a mixture, plain data.

  Returns:
    A line for each pair of data sets that has some.
  """
  lines = []
  for one, other in itertools.permutations(manifests, 2):
    ids, words = _of_split(one, "train")
    for split in other["splits"]:
      if split == "train":
        continue
      names, prints = other["splits"][split], other.get("fingerprints", {})
      found = [
          person for person, theirs in itertools.zip_longest(
              names, prints.get(split, ()), fillvalue=""
          ) if (person in ids and _same_salt(one, other))
          or not words.isdisjoint(theirs.split())
      ]
      if found:
        lines.append(
            f"{len(found):,} people are in train of {one['name']} and in "
            f"{split} of {other['name']}, such as {found[0]}: nothing that is "
            "measured there says how the encoder does on others; prepare both "
            "with the same --config.split, or name their cohorts apart with "
            "--config.cohort if they are other people"
        )
  return lines


def _of_split(
    manifest: Mapping[str, Any], split: str
) -> tuple[set[str], set[str]]:
  """(ids, hashes of all fingerprints) of the people of a split."""
  prints = manifest.get("fingerprints", {}).get(split, ())
  return set(manifest["splits"].get(split, ())), set(" ".join(prints).split())


def _same_salt(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
  return known_salt(one) == known_salt(other)


def known_salt(manifest: Mapping[str, Any]) -> str | None:
  """By which a data set's salt is known, "" for plain ids, None if unsaid."""
  return manifest.get("prepare_config", {}).get("salt")
