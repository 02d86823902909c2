"""Process 0's desk: where all processes of a job report.

The desk knows who is there, compares what all are about to run, hears a sign
of life from each about once a second, and tells all of them when the job has
to end and why. It is a thread of process 0, and process 0 talks to it as the
others do. Its verdict is an exit code and a line.
"""

import collections
import dataclasses
import json
import selectors
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from accfm.base.processes import door
from accfm.base.processes import wire as wirelib

BAD_INPUT = 2  # bad input in one, processes that differ, or one is missing
LOST = 75  # a process was killed, or gives no sign of life
STALLED = 76  # a process lives and makes no progress
GRACE = 5.0  # seconds in which others may come to the same end by themselves
SILENT = 3.0  # seconds without a sign of life, then nobody else is blamed
FIELDS = 5  # differing fields that a message names


@dataclasses.dataclass
class Peer:
  """What the desk knows of a process."""

  index: int
  host: str
  wire: wirelib.Wire
  heard: float  # when it last gave a sign of life
  moved: float  # when it last made progress
  mark: int = 0  # how far it is; all processes pass the same marks
  doing: str = "starting"
  limit: float = 0.0  # seconds that this may take; 0: no limit
  facts: dict | None = None
  over: bool = False  # it has reported how it ended


class Desk(threading.Thread):
  """Serves the processes of a job until all are gone."""

  def __init__(
      self, wires: dict[int, tuple[str, wirelib.Wire]], lost_seconds: float,
      start_seconds: float,
  ):
    """Args:
      wires: {index: (host, Wire)} of all processes, 0 among them.
      lost_seconds: a process that is silent for longer is lost.
      start_seconds: within which all must have reported what they run, after
        the first that did.
    """
    super().__init__(name="desk", daemon=True)
    now = time.monotonic()
    self._peers = {
        i: Peer(i, host, wire, now, now) for i, (host, wire) in wires.items()
    }
    self._lost, self._start = lost_seconds, start_seconds
    self._first_facts: float | None = None  # when the first reported
    self._agreed: str | None = None  # how they differ, "" if not at all
    self._verdict: tuple[int, str] | None = None
    self._open = set(self._peers)
    self._selector = selectors.DefaultSelector()
    for peer in self._peers.values():
      self._selector.register(peer.wire, selectors.EVENT_READ, peer)
    self._others_gone = threading.Event()

  def wait_for_others(self, seconds: float) -> None:
    """Returns when no other process is connected, or after so long."""
    self._others_gone.wait(seconds)

  def run(self) -> None:
    """Of the thread."""
    beat, last = min(1.0, self._lost / 5), 0.0
    while self._open:
      for key, _ in self._selector.select(beat):
        peer = key.data
        messages = peer.wire.read()
        if messages is None:
          self._left(peer)
        for message in messages or ():
          self._hear(peer, message)
      now = time.monotonic()
      if now - last > beat:  # not for each message of a thousand processes
        last = now
        self._look(now)

  def _look(self, now: float) -> None:
    """Gives a sign of life and judges the others'."""
    for i in self._open:
      self._peers[i].wire.send(alive=1)
    if self._verdict is None:
      self._look_for_lost(now)
      self._look_for_stalled(now)
      self._look_for_late(now)

  def _hear(self, peer: Peer, message: dict) -> None:
    peer.heard = time.monotonic()
    if "mark" in message:
      mark, peer.doing, peer.limit = message["mark"]
      if mark != peer.mark:
        peer.mark, peer.moved = mark, peer.heard
    elif "facts" in message:
      peer.facts, peer.moved = message["facts"], peer.heard
      self._first_facts = self._first_facts or peer.heard
      facts = {
          i: p.facts for i, p in self._peers.items() if p.facts is not None
      }
      if len(facts) == len(self._peers):
        self._agreed = compare(facts, self._called)
        for p in self._peers.values():
          p.wire.send(agreed=self._agreed)
    elif "stop" in message:
      peer.over = True
      code, text = message["stop"]
      self._end(code, f"{self._called([peer.index])} stopped: {text}", GRACE,
                but=(peer,))
    elif "bye" in message:
      peer.over = True

  def _left(self, peer: Peer) -> None:
    self._open.discard(peer.index)
    self._selector.unregister(peer.wire)
    peer.wire.close()
    if not peer.over:
      peer.over = True
      self._end(
          LOST, f"{self._called([peer.index])} is gone without a word (killed, "
          f"or its host went down) while {peer.doing}", but=(peer,)
      )
    if not self._open - {0}:
      self._others_gone.set()

  def _look_for_lost(self, now: float) -> None:
    for peer in self._peers.values():
      limit = min(self._lost, peer.limit or self._lost)
      if not peer.over and now - peer.heard > limit:
        self._end(
            LOST, f"{self._called([peer.index])} gave no sign of life for "
            f"{limit:g} s (stopped, or cut off), last while {peer.doing}",
            but=(peer,),
        )

  def _look_for_stalled(self, now: float) -> None:
    going = [p for p in self._peers.values() if not p.over]
    if not going or any(now - p.heard > SILENT for p in going):
      return  # a silent process may be what the others wait for
    least = min(p.mark for p in going)
    last = [p for p in going if p.mark == least]
    if not all(0 < p.limit < now - p.moved for p in last):
      return
    self._end(
        STALLED, f"{self._called([p.index for p in last])} did not get on for "
        f"{last[0].limit:g} s while {last[0].doing}"
        + ("; the others wait for it" if len(last) < len(going) else "")
        + " (config.stall_seconds)",
    )

  def _look_for_late(self, now: float) -> None:
    if self._first_facts is None or self._agreed is not None:
      return
    late = [p for p in self._peers.values() if p.facts is None]
    if now - self._first_facts > self._start:
      self._end(
          STALLED, f"{self._called([p.index for p in late])} was not ready to "
          f"start {self._start:g} s after the first that was"
      )

  def _end(
      self, code: int, text: str, patience: float = 0.0,
      but: Iterable[Peer] = (),
  ) -> None:
    """Tells all processes that the job ends, once."""
    if self._verdict is not None:
      return
    self._verdict = code, text
    for peer in but:  # it cannot hear, or knows: process 0 need not wait
      if peer.index:
        self._open.discard(peer.index)
    for peer in self._peers.values():
      peer.wire.send(end=[code, text, patience])
    if not self._open - {0}:
      self._others_gone.set()

  def _called(self, indices: list[int]) -> str:
    return name(indices, len(self._peers), {
        i: peer.host for i, peer in self._peers.items()
    })


def name(indices: list[int], count: int, hosts: dict[int, str]) -> str:
  """"process 1 of 4 (host a)", "processes 1, 3 of 4 (hosts a, b)"."""
  places = list(dict.fromkeys(hosts[i] for i in indices[:4]))
  return (
      f"{door.number(indices, count)} (host{'s' if len(places) > 1 else ''} "
      f"{', '.join(places)})"
  )


def compare(
    facts: dict[int, dict[str, Any]], name: Callable[[list[int]], str]
) -> str:
  """What differs between processes, as one line; "" if nothing does.

  The processes without the most common value are named. Where two values are
  equally common, process 0 has the right one.

  Args:
    facts: process -> {"config/lr": 0.1, ...}, plain values.
    name: what the message calls a list of processes.
  """
  differing = collections.defaultdict(list)
  fields = dict.fromkeys(field for known in facts.values() for field in known)
  for field in fields:
    texts = {
        i: json.dumps(known[field], sort_keys=True) if field in known
        else "absent" for i, known in sorted(facts.items())
    }
    counts = collections.Counter(texts.values())
    usual = counts.most_common(1)[0][0]  # the first to be counted if equal
    for text in counts:
      if text != usual:
        odd = tuple(i for i in texts if texts[i] == text)
        kind, _, field_name = field.partition("/")
        differing[odd].append(
            f"{kind} differs in {field_name}: {_short(text)} v. "
            f"{_short(usual)} of the others"
        )
  lines = []
  for odd, found in differing.items():
    more = f"; and {len(found) - FIELDS} more" if len(found) > FIELDS else ""
    lines.append(f"{name(list(odd))}: {'; '.join(found[:FIELDS])}{more}")
  return "; ".join(lines)


def _short(text: str) -> str:
  return text if len(text) <= 60 else text[:57] + "..."
