"""The commands of a checkout as processes: started, signalled, waited for."""

import dataclasses
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence

INSIDE = pathlib.Path(__file__).parent / "inside"
SAYS = "chaos: sent "  # as in inside/sitecustomize.py
SECONDS = 240.0  # no command may take longer
OWN = ("ACCFM_", "JAX_", "XLA_", "CHAOS_", "PYTHON")


@dataclasses.dataclass(frozen=True)
class Outcome:
  """How a command ended.

  Attributes:
    command: its words, without Python.
    code: exit code; minus the signal that ended it.
    out: lines of stdout.
    err: lines of stderr.
    sent: name of the signal that it was sent, or "".
    sent_at: how many lines of stdout it had said then.
    hung: whether it had to be killed because it took too long.
  """

  command: tuple[str, ...]
  code: int
  out: tuple[str, ...]
  err: tuple[str, ...]
  sent: str = ""
  sent_at: int = 0
  hung: bool = False

  @property
  def said(self) -> str:
    """All lines, those of stdout first."""
    return "\n".join((*self.out, *self.err))


class Process:
  """A running command."""

  def __init__(
      self, command: Sequence[str], words: Sequence[str],
      environment: Mapping[str, str], cwd: pathlib.Path,
      at_line: tuple[int, str, float] | None = None, sent: str = "",
  ):
    """Starts it.

    Args:
      command: with Python and what wraps it.
      words: of the command, for reports.
      environment: all of it.
      cwd: the folder that it runs in.
      at_line: (lines, signal, seconds): after so many lines of stdout and
        these seconds it is sent the signal.
      sent: the signal that the environment has it send itself.
    """
    self._words, self._sent, self._at_line = tuple(words), sent, at_line
    self._sent_at = 0
    self._out: list[str] = []
    self._err: list[str] = []
    self._process = subprocess.Popen(
        command, cwd=cwd, env=dict(environment), text=True, errors="replace",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, start_new_session=True,
    )
    self._readers = [
        threading.Thread(target=self._read, args=args, daemon=True)
        for args in ((self._process.stdout, self._out, True),
                     (self._process.stderr, self._err, False))
    ]
    for reader in self._readers:
      reader.start()

  def _read(self, stream, lines, is_out):
    with stream:
      self._read_lines(stream, lines, is_out)

  def _read_lines(self, stream, lines, is_out):
    for line in stream:
      line = line.rstrip("\n")
      if SAYS in line:
        self._sent_at = len(self._out)
        continue
      if not line and is_out:
        continue
      lines.append(line)
      if is_out and self._at_line and len(lines) == self._at_line[0]:
        _, name, delay = self._at_line
        time.sleep(delay)
        if self._process.poll() is None:
          self._sent, self._sent_at = name, len(lines)
          self._process.send_signal(getattr(signal, name))

  def until_stopped(self, seconds: float = SECONDS) -> bool:
    """Waits for SIGSTOP or the end; returns whether it has stopped."""
    flags = os.WSTOPPED | os.WEXITED | os.WNOWAIT | os.WNOHANG
    until = time.monotonic() + seconds
    while time.monotonic() < until:
      found = os.waitid(os.P_PID, self._process.pid, flags)
      if found is not None:
        return found.si_code == os.CLD_STOPPED
      time.sleep(0.02)
    return False

  def go_on(self) -> None:
    """Continues a stopped process."""
    self._process.send_signal(signal.SIGCONT)

  def kill(self) -> None:
    """Kills it and what it started, if it still runs."""
    if self._process.poll() is None:
      os.killpg(self._process.pid, signal.SIGKILL)

  def end(self, seconds: float = SECONDS) -> Outcome:
    """Waits for the end; a command that takes too long is killed."""
    hung = False
    try:
      code = self._process.wait(seconds)
    except subprocess.TimeoutExpired:
      hung = True
      self.kill()
      code = self._process.wait()
    for reader in self._readers:
      reader.join(10)  # a worker that outlives the command holds the pipe
    return Outcome(
        self._words, code, tuple(self._out), tuple(self._err), self._sent,
        self._sent_at, hung,
    )


@dataclasses.dataclass(frozen=True)
class Commands:
  """How commands of one checkout are started.

  Attributes:
    tree: the checkout.
    scratch: a folder for the compilation cache and temporary files.
    plant: name of a fault to put into accfm, or "".
  """

  tree: pathlib.Path
  scratch: pathlib.Path
  plant: str = ""
  _started: list[Process] = dataclasses.field(default_factory=list)
  _over: threading.Event = dataclasses.field(default_factory=threading.Event)

  def environment(
      self, devices: int = 1, fault: str = "", at: str = "",
      fills_cache: bool = False, **more: str,
  ) -> dict[str, str]:
    """The environment of a command.

    Only commands that nobody kills fill the compilation cache: a kill may
    leave half an entry, from which others would suffer.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith(OWN)}
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join((str(INSIDE), str(self.tree))),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
        "TMPDIR": str(self.scratch / "tmp"),
        "JAX_PLATFORMS": "cpu",
        "JAX_NUM_CPU_DEVICES": str(devices),
        "JAX_COMPILATION_CACHE_DIR": str(self.scratch / "jit"),
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS":
            "0" if fills_cache else "1000000",
        "ACCFM_FAULT": fault,
        "CHAOS_AT": at,
        "CHAOS_PLANT": self.plant,
        **more,
    }

  def start(
      self, words: Sequence[str], cwd: pathlib.Path, *,
      wrap: Sequence[str] = (), at_line: tuple[int, str, float] | None = None,
      **environment,
  ) -> Process:
    """Starts `python -m accfm.WORDS`; see `Process` and `environment`."""
    if self.over:
      raise RuntimeError("chaos is over")
    words = [str(word) for word in words]
    fault, at = environment.get("fault", ""), environment.get("at", "")
    sent = "SIGKILL" if fault else at.split(":")[1] if at else ""
    process = Process(
        [*wrap, sys.executable, "-m", f"accfm.{words[0]}", *words[1:]], words,
        self.environment(**environment), cwd, at_line, sent,
    )
    self._started.append(process)
    return process

  @property
  def over(self) -> bool:
    """Whether `kill_all` was called."""
    return self._over.is_set()

  def kill_all(self) -> None:
    """Kills the commands that still run; none is started any more."""
    self._over.set()
    for process in self._started:
      process.kill()

  def run(self, words: Sequence[str], cwd: pathlib.Path, **how) -> Outcome:
    """Runs `python -m accfm.WORDS` to its end; arguments as `start`."""
    return self.start(words, cwd, **how).end()

  def run_job(
      self, words: Sequence[str], cwd: pathlib.Path, processes: int, **how
  ) -> list[Outcome]:
    """The same as several processes of one job."""
    with socket.create_server(("localhost", 0)) as server:
      port = server.getsockname()[1]
    started = [
        self.start(
            words, cwd,
            ACCFM_DISTRIBUTED=f"localhost:{port}/{processes}/{i}", **how,
        ) for i in range(processes)
    ]
    return [process.end() for process in started]
