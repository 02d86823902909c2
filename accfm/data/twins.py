"""The same recording twice, which would put one minute into train and test.

A copy or a link has the same files. One that was saved anew, or has a file
more, still has the same samples in some signal.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from accfm.base.errors import InputError
from accfm.signals.recording import Recording

HOW = ("refuse", "join")
SHOWN = 5  # names or pairs in a message
# A signal that changes less often is no evidence: a sensor that lay still.
MIN_CHANGES = 64
BLOCK = 1 << 20  # samples that are hashed together
DAY_S = 86_400.0  # recordings that start earlier have no date

# {recording: (the one before it, what both have)}.
Pairs = Mapping[str, tuple[str, str]]


def listed(names: Sequence[str]) -> str:
  """The first few names, and how many more there are."""
  more = len(names) - SHOWN
  text = ", ".join(repr(name) for name in names[:SHOWN])
  return text + (f" and {more:,} more" if more > 0 else "")


def sample_hashes(recording: Recording) -> dict[str, str]:
  """Signal -> hash of its samples, for signals that could tell a copy.

  Samples are compared as float32, whatever a source stores them as.
  """
  return {
      name: found for name, signal in recording.signals.items()
      if (found := _hash(signal.values))
  }


def _hash(raw: Any) -> str:
  """Hash of samples [N, C], read in blocks; "" if they are no evidence."""
  found = hashlib.sha256(str(tuple(raw.shape)).encode())
  changes, before = 0, None
  for low in range(0, len(raw), BLOCK):
    with np.errstate(over="ignore"):
      values = np.array(raw[low:low + BLOCK], np.float32, order="C")
    values += 0.0  # -0 is 0
    values[np.isnan(values)] = np.nan
    found.update(values.tobytes())
    finite = values[np.isfinite(values).all(axis=1)]
    if before is not None:
      finite = np.concatenate([before, finite])
    changes += np.count_nonzero((finite[1:] != finite[:-1]).any(axis=1))
    before = finite[-1:]
  return found.hexdigest()[:32] if changes >= MIN_CHANGES else ""


def by_files(bare: Mapping[str, str]) -> Pairs:
  """The recordings that have the same files as one before them.

  Args:
    bare: recording -> hash of its files; "" is no evidence.
  """
  first, out = {}, {}
  for name, content in sorted(bare.items()):
    if content and first.setdefault(content, name) != name:
      out[name] = first[content], "all files"
  return out


def by_samples(summaries: Iterable[Mapping[str, Any]]) -> Pairs:
  """The recordings that share the samples of a signal with one before them.

  Args:
    summaries: of `staging`; those without windows do not count.
  """
  first, out = {}, {}
  for s in sorted(summaries, key=lambda s: s["recording"]):
    if not s["windows"]:
      continue
    known = sorted(
        (first[h], f"signal {signal}") for signal, h in s["samples"].items()
        if h in first
    )
    if known:
      out[s["recording"]] = known[0]
    else:
      first.update(dict.fromkeys(s["samples"].values(), s["recording"]))
  return out


def settle(
    pairs: Pairs, how: str, say: Callable[[str], Any] = print
) -> set[str]:
  """The recordings to leave out.

  Args:
    pairs: of the same recording.
    how: `config.same_recording`.
    say: called with a line about those that are left out.

  Raises:
    InputError: there are some, and `how` is "refuse".
  """
  if not pairs:
    return set()
  shown = [
      f"{kept!r} and {name!r} ({what})"
      for name, (kept, what) in sorted(pairs.items())[:SHOWN]
  ]
  more = len(pairs) - len(shown)
  text = "; ".join(shown) + (f"; and {more:,} more" if more > 0 else "")
  if how == "join":
    say(f"prepare: the same recording twice, the first is kept: {text}")
    return set(pairs)
  raise InputError(
      f"the same recording twice: {text}; one minute must not be in train and "
      "test: remove one of the two, or set --config.same_recording=join to "
      "keep the first"
  )


def overlaps(summaries: Iterable[Mapping[str, Any]]) -> list[str]:
  """Lines about sessions of a participant at the same time.

  Two devices may be worn at once, so this is no error.
  """
  people, lines = {}, []
  for s in summaries:
    if s["windows"] and s["start_s"] > DAY_S:
      people.setdefault(s["participant"], []).append(s)
  for person, sessions in sorted(people.items()):
    sessions.sort(key=lambda s: s["start_s"])
    last = sessions[0]
    for s in sessions[1:]:
      seconds = min(last["end_s"], s["end_s"]) - s["start_s"]
      if seconds > 0:
        lines.append(
            f"participant {person!r}: sessions {last['session']!r} and "
            f"{s['session']!r} overlap by {seconds:.0f} s; are they of two "
            "devices?"
        )
      last = max(last, s, key=lambda s: s["end_s"])
  more = len(lines) - SHOWN
  return lines[:SHOWN] + ([f"and {more:,} more"] if more > 0 else [])
