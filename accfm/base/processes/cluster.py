"""A main as several processes: start, agreement, signs of life, the end.

`ACCFM_DISTRIBUTED` says how a process finds the others:

  unset or ""    one process
  auto           Cloud TPU, GKE, SLURM, Open MPI: as JAX detects them
  HOST:PORT/N/I  process I of N; process 0 runs on HOST, where PORT is free.
                 Process 0 listens at that address alone, where it is its own

Before JAX starts, all processes arrive at a `door` that process 0 opens at
that address, and prove that they know the job's token:

  ACCFM_TOKEN    a text that is the same for all processes; without it the
                 address stands in

They stay connected to process 0's `desk`, because JAX's own service does not
name a process that is missing, cannot be reached before all are there, and
aborts where a process dies (docs/pods.md has a table of what JAX names and
what this adds). So a mismatch cannot become a deadlock. When a process is
missing, dies, is cut off or stands still, all others name it:

  ACCFM_START_SECONDS  300  for all to arrive, and to be ready to start
  ACCFM_LOST_SECONDS    60  without a sign of life, then a process is lost
  config.stall_seconds 300  without progress (see `heartbeat`)

Exit codes: 2 for bad input, here or in another process, for processes that
differ (the message says in what) and for one that did not arrive; 75 when a
process was lost (at once where it was killed); 76 when one stood still; 130
after Ctrl-C in one of them; 143 after SIGTERM, when all have saved the same
step; 1 for a bug. After 75, 76, 130 and 143 the same command resumes. Where
ours fails, JAX aborts with 134.
"""

import os
import re
import selectors
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from accfm.base import interrupts
from accfm.base.errors import InputError
from accfm.base.processes import desk as desklib
from accfm.base.processes import door as doorlib
from accfm.base.processes import wire as wirelib

VARIABLE = "ACCFM_DISTRIBUTED"
START_SECONDS, LOST_SECONDS = 300.0, 60.0
FINISHED = 1 << 60  # a mark beyond all others

# This process among several; None if it is alone.
_member: "Member | None" = None


def start() -> None:
  """Joins the job that the environment names; call it before JAX is used.

  Raises:
    InputError: the variable cannot be read, a process is missing, or numbers
      do not fit together.
  """
  global _member
  text = os.environ.get(VARIABLE, "")
  if not text or _member is not None:
    return
  begin = _seconds("ACCFM_START_SECONDS", START_SECONDS)
  lost = _seconds("ACCFM_LOST_SECONDS", LOST_SECONDS)
  local_devices = None
  if text == "auto":
    host, port, count, index, local_devices = _detect(begin)
  else:
    host, port, count, index = parse(text)
  if count == 1:
    return
  job = doorlib.make_job(host, port, count)
  member = _join(job, index, begin, lost)
  import jax  # here: mains without it, such as prepare, start sooner
  # On a CPU, collectives between processes go through Gloo.
  jax.config.update("jax_cpu_collectives_implementation", "gloo")
  # JAX's service listens where the door was; its default is all addresses.
  own = index == 0 and wirelib.own_addresses(host)
  jax.distributed.initialize(
      job.address, count, index, local_devices, "deactivate",
      coordinator_bind_address=job.address if own else None,
      initialization_timeout=int(begin) + 30,
      # The desk is quicker; JAX's own abort comes where the desk fails.
      heartbeat_timeout_seconds=int(4 * lost) + 60,
      shutdown_timeout_seconds=int(4 * lost) + 60,
  )
  _member = member


def parse(text: str) -> tuple[str, int, int, int]:
  """(host, port, number of processes, this one) of "HOST:PORT/N/I"."""
  found = re.fullmatch(r"(\S+):(\d{1,5})/(\d+)/(\d+)", text)
  values = [int(x) for x in found.groups()[1:]] if found else [0, 0, 0]
  port, count, index = values
  if not found or not 0 < port < 65536 or not index < count:
    raise InputError(
        f"{VARIABLE}: got {text!r}, want auto, or HOST:PORT/N/I for process I "
        "of N (I from 0 on) with process 0 on HOST, e.g. host0:8476/4/1"
    )
  return found[1].strip("[]"), port, count, index


def alone() -> bool:
  """Whether this main runs as one process."""
  return _member is None


def refuse(main: str) -> None:
  """Raises InputError for a main that runs as one process only."""
  if os.environ.get(VARIABLE, ""):
    raise InputError(
        f"{VARIABLE}: got {os.environ[VARIABLE]!r} for {main}, which runs as "
        "one process; unset it (pretrain, distill and supervise know it)"
    )


def agree(facts: dict[str, Any]) -> None:
  """Returns when all processes have come here with the same facts.

  Args:
    facts: {"config/lr": 0.1, ...}, plain values.

  Raises:
    InputError: they differ. All processes raise it, and the message names
      those that differ from most.
  """
  if _member is not None:
    _member.agree(facts)


def mark(doing: str, limit: float = 0.0) -> None:
  """Reports progress: what this process does next, and how long it may take.

  Args:
    doing: e.g. "reading the batch of step 7".
    limit: seconds until the process counts as standing still; 0: no limit.
  """
  if _member is not None:
    _member.mark(doing, limit)


def guarded(function: Callable, last: bool = False) -> Callable:
  """`function`, whose errors end the whole job with a message.

  Args:
    function: any; in a job of one process its InputErrors are left to the
      caller.
    last: whether the process ends when it returns.
  """

  def call(*args):
    try:
      out = function(*args)
    except SystemExit:  # after SIGTERM; all of them
      finish()
      raise
    except InputError as error:
      if _member is not None:  # one with a cause may be another's end
        _member.leave(desklib.BAD_INPUT, str(error), bool(error.__cause__))
      raise
    except KeyboardInterrupt as error:
      if _member is not None:
        _member.leave(
            interrupts.code(error), str(error) or "interrupted", False
        )
      raise
    except Exception as error:
      if _member is not None:
        line = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        _member.leave(1, line, True, traceback.format_exc())
      raise
    if last:
      finish()
    return out

  return call


def finish() -> None:
  """Leaves a job that is done; returns when all processes are done."""
  global _member
  if _member is not None:
    _member.finish()
    _member = None


class Member(threading.Thread):
  """This process at the desk: reports what it does, hears how the job ends."""

  def __init__(
      self, names: tuple[int, dict[int, str]], index: int,
      wire: wirelib.Wire, lost_seconds: float, desk: desklib.Desk | None = None,
  ):
    """Args:
      names: (number of processes, process -> its machine, as far as known).
      index: of this process.
      wire: to the desk.
      lost_seconds: after which a silent desk counts as lost.
      desk: the desk itself, in process 0.
    """
    super().__init__(name="member", daemon=True)
    self._names, self._index = names, index
    self._wire, self._lost, self._desk = wire, lost_seconds, desk
    self._mark: list[Any] = [0, "starting", 0.0]
    self._agreed: str | None = None
    self._answer = threading.Event()
    self._trouble = threading.Event()  # an error of our own, or its cause
    self._leaving = threading.Lock()  # whoever has it ends this process
    self._finishing = False

  def run(self) -> None:
    """Of the thread."""
    heard, beat = time.monotonic(), min(1.0, self._lost / 5)
    selector = selectors.DefaultSelector()
    selector.register(self._wire, selectors.EVENT_READ)
    while True:
      if selector.select(beat):
        messages = self._wire.read()
        heard = time.monotonic()
        if messages is None:
          if self._finishing:
            return
          self._end(desklib.LOST, f"{self._zero()} is gone (killed, or its "
                    "host went down)")
        for message in messages or ():
          if "end" in message:
            self._end(*message["end"])
          elif "agreed" in message:
            self._agreed = message["agreed"]
            self._answer.set()
      self._wire.send(mark=self._mark)
      limit = min(self._lost, self._mark[2] or self._lost)
      if time.monotonic() - heard > limit:
        self._end(desklib.LOST, f"{self._zero()} gave no sign of life for "
                  f"{limit:g} s (stopped, or cut off)")

  def mark(self, doing: str, limit: float) -> None:
    """As the function `mark`."""
    self._mark = [self._mark[0] + 1, doing, limit]

  def agree(self, facts: dict[str, Any]) -> None:
    """As the function `agree`."""
    self._wire.send(facts=facts)
    while not self._answer.wait(interrupts.LOOK_S):
      interrupts.check()
    if self._agreed:
      raise InputError(self._agreed)

  def leave(
      self, code: int, text: str, perhaps_theirs: bool, details: str = ""
  ) -> NoReturn:
    """Ends this process with its own error and tells the others.

    Args:
      code: exit code.
      text: one line.
      perhaps_theirs: whether another process's end may be the cause; if that
        is heard of within seconds, its message is printed instead.
      details: printed before, e.g. a traceback.
    """
    if perhaps_theirs:
      self._trouble.set()
      threading.Event().wait(desklib.GRACE)
    self._leaving.acquire()
    sys.stdout.flush()
    print(f"{details}error: {text}", file=sys.stderr, flush=True)
    self._wire.send(stop=[code, text])
    self._exit(code)

  def finish(self) -> None:
    """As the function `finish`."""
    self._mark = [FINISHED, "finishing", 0.0]
    self._finishing = True
    import jax  # as in `start`
    jax.distributed.shutdown()
    self._wire.send(bye=1)

  def _end(self, code: int, text: str, patience: float = 0.0) -> NoReturn:
    """Ends this process for a reason that lies in another one."""
    if patience:  # our own main thread may come to the same end
      self._trouble.wait(patience)
    self._leaving.acquire()
    print(f"error: {text}", file=sys.stderr, flush=True)
    self._exit(code)

  def _exit(self, code: int) -> NoReturn:
    """Ends the process without clean-up.

    The main thread may wait in a collective that never ends. Process 0 goes
    last, because the others need its desk.
    """
    if self._desk is not None:
      self._desk.wait_for_others(2 * desklib.GRACE)
    os._exit(code)

  def _zero(self) -> str:
    return desklib.name([0], *self._names)


def _join(
    job: doorlib.Job, index: int, begin: float, lost: float
) -> Member:
  """A started Member of the job, once all processes have arrived."""
  me = socket.gethostname()
  if index:
    wire, zero = doorlib.arrive(job, index, begin)
    member = Member((job.count, {0: zero}), index, wire, lost)
  else:
    try:
      came = doorlib.receive(job, begin)
    except OSError as error:
      raise InputError(
          f"{VARIABLE}: process 0 cannot listen at port {job.port} "
          f"({error.strerror or error}); choose another port"
      ) from None
    wire, ours = wirelib.pair()
    wires = {i: (guest.host, guest.wire) for i, guest in came.items()}
    desk = desklib.Desk({0: (me, ours), **wires}, lost, begin)
    desk.start()
    member = Member((job.count, {0: me}), 0, wire, lost, desk)
  member.start()
  return member


def _detect(seconds: float) -> tuple[str, int, int, int, Any]:
  """(host, port, number of processes, this one, its devices), from JAX.

  JAX has no public way to ask without connecting.
  """
  from jax._src import clusters  # as in `start`
  detected: Any = clusters.ClusterEnv
  address, count, index, devices = (
      detected.auto_detect_unset_distributed_params(
          None, None, None, None, None, int(seconds)
      )
  )
  if address is None or count is None or index is None:
    raise InputError(
        f"{VARIABLE}: got 'auto', but no Cloud TPU, GKE, SLURM or Open MPI "
        "was found here; want HOST:PORT/N/I"
    )
  host, _, port = address.rpartition(":")
  return host.strip("[]"), int(port), int(count), int(index), devices


def _seconds(variable: str, default: float) -> float:
  text = os.environ.get(variable) or str(default)
  try:
    value = float(text)
  except ValueError:
    value = 0.0
  if not 0 < value < 1e6:
    raise InputError(f"{variable}: got {text!r}, want seconds above 0")
  return value
