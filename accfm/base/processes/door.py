"""The door of a job: how its processes find and recognise each other.

Process 0 listens at the job's address and the others connect. Both sides
prove that they know the job's token before either believes the other: each
sends a random number, and answers the other's with a hash of it that only the
token makes (HMAC, RFC 2104). The token itself never travels. What is not of
the job, at either end, is named at once on stderr and otherwise ignored.

The token is $ACCFM_TOKEN, a text that is the same for all processes. Without
it the job's address stands in, which anybody can guess: that keeps out
processes of other jobs that come by mistake, and nobody who means it. Nor is
what follows encrypted, and JAX's own service, which takes over the port, asks
for no token: the port belongs into a private network.
"""

import contextlib
import dataclasses
import hmac
import os
import secrets
import selectors
import socket
import time

from accfm.base import interrupts
from accfm.base.errors import InputError, warn
from accfm.base.processes import wire as wirelib

TOKEN = "ACCFM_TOKEN"
SOON_SECONDS = 3.0  # for a first message before a line says that none came
HELLO_SECONDS = 10.0  # for a first message; ours come at once
STRANGER_SECONDS = 30.0  # for an earlier job to leave the port


@dataclasses.dataclass(frozen=True)
class Job:
  """What every process is told of the job before it knows the others.

  Attributes:
    host, port: where process 0 is found.
    count: number of processes.
    token: what all processes know.
  """

  host: str
  port: int
  count: int
  token: str = dataclasses.field(repr=False)

  @property
  def address(self) -> str:
    """`host:port`."""
    return wirelib.address(self.host, self.port)

  def proof(self, *words: object) -> str:
    """A hash of words that only the job's token makes."""
    text = "\0".join(map(str, words)).encode()
    return hmac.new(self.token.encode(), text, "sha256").hexdigest()


@dataclasses.dataclass(frozen=True)
class Guest:
  """A process that has arrived at process 0's door.

  Attributes:
    host: its machine's name.
    wire: the connection to it.
    proof: answers its random number.
  """

  host: str
  wire: wirelib.Wire
  proof: str


def make_job(host: str, port: int, count: int) -> Job:
  """The Job at an address, with the token of the environment."""
  token = os.environ.get(TOKEN, "")
  return Job(host, port, count, token or f"{host}:{port}")


def receive(job: Job, seconds: float) -> dict[int, Guest]:
  """Waits on process 0 until all others have arrived; tells them to start.

  The port is free again when this returns.

  Returns:
    index -> Guest.

  Raises:
    InputError: a process is missing or has a number that does not fit; those
      that came are told so too.
    OSError: the port cannot be listened at.
  """
  with contextlib.ExitStack() as stack:
    selector = stack.enter_context(selectors.DefaultSelector())
    for door in wirelib.listen(job.host, job.port):
      stack.enter_context(door)
      door.setblocking(False)
      selector.register(door, selectors.EVENT_READ)
    came, wrong = _gather(job, selector, seconds)
  me = socket.gethostname()
  for guest in came.values():
    guest.wire.send(
        **({"end": [2, wrong]} if wrong else {"start": me}), proof=guest.proof
    )
  if wrong:
    for guest in came.values():
      guest.wire.close()
    raise InputError(wrong)
  return came


def arrive(job: Job, index: int, seconds: float) -> tuple[wirelib.Wire, str]:
  """Goes to process 0's door and waits until all have come.

  Returns:
    (Wire to process 0, name of its machine).

  Raises:
    InputError: process 0 does not answer, another program or job does, or a
      process is missing or has a number that does not fit.
  """
  me = f"process {index} of {job.count} (host {socket.gethostname()})"
  until = time.monotonic() + seconds
  stranger_since = None
  told = set()  # lines that need not be said again

  def tell(text):
    if text not in told:
      told.add(text)
      warn(text)

  def unheard():
    tell(f"nothing answers at {job.address}: a firewall is between, or what "
         f"listens there accepts nobody; {me} tries again")

  def who(wire):
    return (f"what listens at {job.address} is not process 0 of this job "
            f"({wire.said()})")

  while (left := until - time.monotonic()) > 0:
    interrupts.check()
    began = time.monotonic()
    wire = wirelib.connect(job.host, job.port, left, unheard=unheard)
    if wire is None:
      break
    if time.monotonic() - began > 1:
      stranger_since = None  # it had gone
    patience = min(left, HELLO_SECONDS)
    hello = wire.first(min(patience, SOON_SECONDS))
    if hello is None and patience > SOON_SECONDS:
      tell(f"{who(wire)}; {me} tries again")
      hello = wire.first(patience - SOON_SECONDS)
    nonce = (hello or {}).get("nonce")
    if isinstance(nonce, str):
      # Process 0 waits for the last one that long from when it was ready.
      start = _introduce(job, index, wire, nonce, until + seconds, me)
      if start is not None:
        return wire, start
    else:
      tell(f"{who(wire)}; {me} tries again")
      stranger_since = stranger_since or began
      if time.monotonic() - stranger_since > STRANGER_SECONDS:
        wire.close()
        raise InputError(
            f"{me}: {who(wire)}; choose another port, or stop that program"
        )
    wire.close()
    time.sleep(0.2)  # an earlier job's process 0 may not be gone yet
  raise InputError(
      f"{me}: process 0 did not answer at {job.address} for {seconds:g} s; "
      "look at what started it, and at the network to it"
  )


def _introduce(
    job: Job, index: int, wire: wirelib.Wire, nonce: str, until: float, me: str
) -> str | None:
  """Process 0's machine once all have come; None if it went away."""
  mine = secrets.token_hex(16)
  wire.send(
      hello=index, count=job.count, host=socket.gethostname(), nonce=mine,
      proof=job.proof("process", nonce, mine, index, job.count),
  )
  answer = wire.first(until - time.monotonic())
  if answer is None:
    return None
  refused = answer.get("refused")
  proof = job.proof("process 0", mine, nonce)
  if refused is None and not _same(answer.get("proof"), proof):
    refused = "it does not know this job's token"
  if refused is None and "start" in answer:
    return str(answer["start"])
  wire.close()
  if refused is None:
    raise InputError(answer["end"][1])
  raise InputError(
      f"{me}: process 0 at {job.address} is of another job ({refused}); give "
      f"all processes of a job the same address and {TOKEN}"
  )


def _gather(
    job: Job, selector: selectors.BaseSelector, seconds: float
) -> tuple[dict[int, Guest], str]:
  """(the processes that came, what is wrong or "")."""
  came: dict[int, Guest] = {}
  strangers: set[str] = set()  # named once each
  waiting: dict[wirelib.Wire, tuple[str, float]] = {}  # (nonce, since)
  wrong, until = "", time.monotonic() + seconds

  def name_stranger(wire, why):
    if wire.peer() not in strangers:
      strangers.add(wire.peer())
      warn(f"{wire.peer()} came to {job.address} and is not of this job "
            f"({why}); ignored")

  def turn_away(wire, why):
    selector.unregister(wire)
    del waiting[wire]
    name_stranger(wire, why)
    wire.close()

  while len(came) < job.count - 1 and not wrong:
    now = time.monotonic()
    if now >= until:
      wrong = _missing(job, came, seconds)
      break
    interrupts.check()
    ends = [until, now + interrupts.LOOK_S]
    for wire, (_, since) in list(waiting.items()):
      if now >= since + HELLO_SECONDS:
        turn_away(wire, wire.said())
      elif now >= since + SOON_SECONDS:  # it may have the rest of the time
        name_stranger(wire, wire.said())
        ends.append(since + HELLO_SECONDS)
      else:
        ends.append(since + min(SOON_SECONDS, HELLO_SECONDS))
    for key, _ in selector.select(max(0.0, min(ends) - now)):
      if isinstance(key.fileobj, socket.socket):
        with contextlib.suppress(OSError):
          wire = wirelib.Wire(key.fileobj.accept()[0])
          waiting[wire] = secrets.token_hex(16), time.monotonic()
          wire.send(nonce=waiting[wire][0])
          selector.register(wire, selectors.EVENT_READ)
        continue
      wire = key.fileobj
      assert isinstance(wire, wirelib.Wire)
      messages = wire.read()
      if messages == []:
        continue  # half of a message
      hello = messages[0] if messages else {}
      nonce, index = waiting[wire][0], hello.get("hello")
      if not isinstance(index, int):
        turn_away(wire, wire.said())
        continue
      mine, size = hello.get("nonce"), hello.get("count")
      host = str(hello.get("host"))
      if not _same(hello.get("proof"),
                   job.proof("process", nonce, mine, index, size)):
        wire.send(refused="it was given another address or token")
        turn_away(wire, f"process {index} of host {host} has another token")
        continue
      selector.unregister(wire)
      del waiting[wire]
      guest = Guest(host, wire, job.proof("process 0", mine, nonce))
      wrong = _check_number(job, came, index, size, host)
      came[-index if wrong and index in came else index] = guest
  for wire in waiting:
    wire.close()
  return came, wrong


def _check_number(
    job: Job, came: dict[int, Guest], index: int, size: object, host: str
) -> str:
  """What is wrong with the number of a process that arrives, or ""."""
  if size != job.count or not 0 < index < job.count:
    return (
        f"process {index} of {size} (host {host}) came to a job of "
        f"{job.count} processes; give all the same number, and each its own "
        "from 0 on"
    )
  if index in came:
    return (
        f"process {index} of {job.count} came twice, from host "
        f"{came[index].host} and host {host}; give each its own number"
    )
  return ""


def _missing(job: Job, came: dict[int, Guest], seconds: float) -> str:
  missing = sorted(set(range(1, job.count)) - set(came))
  return (
      f"{number(missing, job.count)} did not arrive within {seconds:g} s; "
      "look at what started there, and at the network between its host and "
      f"{socket.gethostname()}"
  )


def number(indices: list[int], count: int) -> str:
  """"process 1 of 4", "processes 1, 2, 3, 4 and 7 more of 32"."""
  listed = ", ".join(map(str, indices[:4]))
  more = f" and {len(indices) - 4} more" if len(indices) > 4 else ""
  return f"process{'es' if len(indices) > 1 else ''} {listed}{more} of {count}"


def _same(given: object, wanted: str) -> bool:
  return isinstance(given, str) and hmac.compare_digest(
      given.encode(), wanted.encode()
  )
