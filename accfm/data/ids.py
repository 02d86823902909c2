"""Who a recording is of: ids of people, and what tells them under any id.

An id is `cohort/participant`. The cohort is the name of the study or device,
so that `S10` of one study is another person than `S10` of another. It is the
source's name unless the prepare config has one.

Fingerprints tell whether two data sets hold the same person whatever the ids
are, as with pseudonyms under another salt. They are hashes of the samples as
the device wrote them, so they depend on no config.
"""

from collections.abc import Iterable, Mapping
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
