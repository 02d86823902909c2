"""A main as several processes: start, agreement, signs of life, the end.

`ACCFM_DISTRIBUTED` says how a process finds the others:

  unset or ""    one process
  auto           Cloud TPU, GKE, SLURM, Open MPI: as jax detects them
  HOST:PORT/N/I  process I of N; process 0 runs on HOST and PORT is free there

Before jax is told, all sign in at a desk that process 0 keeps at that very
address, and they stay connected to it: `jax.distributed` aborts without
naming anybody where a process is missing or dies, and its key-value store can
be reached only when all are there. So a mismatch cannot deadlock, and whoever
is missing, dies, is cut off or stands still is named by all others:

  ACCFM_START_SECONDS  300  for all to arrive, and to be ready to start
  ACCFM_LOST_SECONDS    60  without a sign of life, then a process is lost
  config.stall_seconds 300  without getting on (see `heartbeat`)

Exit codes: 2 bad input, here or in another process, processes that differ
(all say in what) or that did not arrive; 75 a process was lost (one that is
killed: at once); 76 one stood still; 143 after SIGTERM, all having saved the
same step; 1 a bug. After 75, 76 and 143 the same command resumes. jax's own
abort (134, its message says which process) comes where ours cannot.
"""

import os
import re
import selectors
import socket
import sys
import threading
import time
import traceback

from accfm.base.errors import InputError
from accfm.base.processes import desk as desklib
from accfm.base.processes import wire as wirelib

VARIABLE = "ACCFM_DISTRIBUTED"
START_SECONDS, LOST_SECONDS = 300.0, 60.0
INTERRUPTED = 130  # exit code after Ctrl-C
FINISHED = 1 << 60  # a mark beyond all others

_member = None  # this process among several; None if it is alone


def start():
  """Joins the job that the environment names; before jax is used.

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
  member = _join(host, port, count, index, begin, lost)
  import jax  # here: mains without it, such as prepare, start sooner
  # On a CPU, collectives between processes go through Gloo.
  jax.config.update("jax_cpu_collectives_implementation", "gloo")
  jax.distributed.initialize(
      f"{host}:{port}", count, index, local_devices, "deactivate",
      initialization_timeout=int(begin) + 30,
      # The desk is quicker; jax's own abort comes where it fails.
      heartbeat_timeout_seconds=int(4 * lost) + 60,
      shutdown_timeout_seconds=int(4 * lost) + 60,
  )
  _member = member


def parse(text):
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


def alone():
  """Whether this main runs as one process."""
  return _member is None


def refuse(main):
  """Raises InputError for a main that runs as one process only."""
  if os.environ.get(VARIABLE, ""):
    raise InputError(
        f"{VARIABLE}: got {os.environ[VARIABLE]!r} for {main}, which runs as "
        "one process; unset it (pretrain, distill and supervise know it)"
    )


def agree(facts):
  """Returns when all processes have come here with the same facts.

  Args:
    facts: {"config/lr": 0.1, ...}, plain values.

  Raises:
    InputError: they differ; in all processes, naming the odd ones.
  """
  if _member is not None:
    _member.agree(facts)


def mark(doing, limit=0.0):
  """Says that this process got on: what it does now, and for how long it may.

  Args:
    doing: e.g. "reading the batch of step 7".
    limit: seconds until it counts as standing still; 0 for ever.
  """
  if _member is not None:
    _member.mark(doing, limit)


def guarded(function, last=False):
  """`function`, whose errors end the whole job with a message.

  Args:
    function: any; its InputErrors are left to the caller in a job of one.
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
    except KeyboardInterrupt:
      if _member is not None:
        _member.leave(INTERRUPTED, "interrupted", False)
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


def finish():
  """Leaves a job that is done; returns when all processes are done."""
  global _member
  if _member is not None:
    _member.finish()
    _member = None


class Member(threading.Thread):
  """This process at the desk: says what it does, hears how the job ends."""

  def __init__(self, names, index, wire, lost_seconds, desk=None):
    super().__init__(name="member", daemon=True)
    self._names, self._index = names, index
    self._wire, self._lost, self._desk = wire, lost_seconds, desk
    self._mark = [0, "starting", 0.0]
    self._agreed = None
    self._answer = threading.Event()
    self._trouble = threading.Event()  # an error of our own, or its cause
    self._leaving = threading.Lock()  # whoever has it ends this process
    self._finishing = False

  def run(self):
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

  def mark(self, doing, limit):
    """As the function `mark`."""
    self._mark = [self._mark[0] + 1, doing, limit]

  def agree(self, facts):
    """As the function `agree`."""
    self._wire.send(facts=facts)
    self._answer.wait()
    if self._agreed:
      raise InputError(self._agreed)

  def leave(self, code, text, perhaps_theirs, details=""):
    """Ends this process with its own error and tells the others.

    Args:
      code: exit code.
      text: one line.
      perhaps_theirs: whether another process's end may be the reason; then
        theirs is told if it is heard of within seconds.
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

  def finish(self):
    """As the function `finish`."""
    self._mark = [FINISHED, "finishing", 0.0]
    self._finishing = True
    import jax  # as in `start`
    jax.distributed.shutdown()
    self._wire.send(bye=1)

  def _end(self, code, text, patience=0.0):
    """Ends this process for a reason that lies in another one."""
    if patience:  # our own main thread may come to the same end
      self._trouble.wait(patience)
    self._leaving.acquire()
    print(f"error: {text}", file=sys.stderr, flush=True)
    self._exit(code)

  def _exit(self, code):
    """The main thread may sit in a collective that never ends: no clean-up.

    Process 0 goes last, for the others need its desk.
    """
    if self._desk is not None:
      self._desk.wait_for_others(2 * desklib.GRACE)
    os._exit(code)

  def _zero(self):
    return desklib.name([0], *self._names)


def _join(host, port, count, index, begin, lost):
  """A started Member; what is wrong is said to all that came."""
  me = socket.gethostname()
  if index:
    wire, zero = _arrive(host, port, count, index, begin)
    member = Member((count, {0: zero}), index, wire, lost)
  else:
    try:
      came, wrong = desklib.sign_in(port, count, begin)
    except OSError as error:
      raise InputError(
          f"{VARIABLE}: process 0 cannot listen at port {port} "
          f"({error.strerror or error}); choose another port"
      ) from None
    for _, wire in came.values():
      wire.send(**({"end": [2, wrong]} if wrong else {"start": me}))
    if wrong:
      raise InputError(wrong)
    wire, ours = wirelib.pair()
    desk = desklib.Desk({0: (me, ours), **came}, lost, begin)
    desk.start()
    member = Member((count, {0: me}), 0, wire, lost, desk)
  member.start()
  return member


def _arrive(host, port, count, index, seconds):
  """(Wire to the desk, process 0's host) once all have come."""
  me = socket.gethostname()
  until = time.monotonic() + seconds
  while (left := until - time.monotonic()) > 0:
    wire = wirelib.connect(host, port, left)
    if wire is None:
      break
    wire.send(hello=index, count=count, host=me)
    messages = []
    # The desk waits for the last to come so long from when it was opened.
    while messages == [] and time.monotonic() < until + seconds:
      messages = wire.read()
    for message in messages or ():
      if "end" in message:
        raise InputError(message["end"][1])
      if "start" in message:
        return wire, message["start"]
    wire.close()
    time.sleep(0.2)  # an earlier job's process 0, not gone yet
  raise InputError(
      f"process {index} of {count} (host {me}): process 0 did not answer at "
      f"{host}:{port} for {seconds:g} s; look at what started it, and at the "
      "network to it"
  )


def _detect(seconds):
  """Address, number of processes, this one and its devices, from jax.

  jax has no public way to ask without connecting.
  """
  from jax._src import clusters  # as in `start`
  address, count, index, devices = (
      clusters.ClusterEnv.auto_detect_unset_distributed_params(
          None, None, None, None, None, int(seconds)
      )
  )
  if address is None or count is None or index is None:
    raise InputError(
        f"{VARIABLE}: got 'auto', but no Cloud TPU, GKE, SLURM or Open MPI "
        "was found here; want HOST:PORT/N/I"
    )
  host, _, port = address.rpartition(":")
  return host, int(port), int(count), int(index), devices


def _seconds(variable, default):
  text = os.environ.get(variable) or str(default)
  try:
    value = float(text)
  except ValueError:
    value = 0.0
  if not 0 < value < 1e6:
    raise InputError(f"{variable}: got {text!r}, want seconds above 0")
  return value
