"""A main as several real processes: started, signalled, waited for."""

import os
import pathlib
import queue
import socket
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).parents[1]
SECONDS = 120  # no wait of a test may be longer


def free_port():
  with socket.create_server(("localhost", 0)) as s:
    return s.getsockname()[1]


class Job:
  """Processes 0, 1, ... of one job; killed at the end of a `with`."""

  def __init__(self, *command, count=2, devices=2, each=None, start=None,
               group=False, **env):
    """Args:
      *command: Python's arguments, of all processes.
      count, devices: processes, and devices of each.
      each: {process: (its further arguments)}.
      start: which processes to start, by default all.
      group: whether each begins a process group, as in a terminal.
      **env: further environment.
    """
    self.port = free_port()
    address = f"localhost:{self.port}"
    self.processes, self.lines, self._queues = {}, {}, {}
    for i in range(count) if start is None else start:
      process = self.processes[i] = subprocess.Popen(
          [sys.executable, *map(str, command), *(each or {}).get(i, ())],
          cwd=ROOT, text=True, stdout=subprocess.PIPE,
          stderr=subprocess.STDOUT, start_new_session=group,
          env={
              **os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1",
              "JAX_NUM_CPU_DEVICES": str(devices), "PYTHONUNBUFFERED": "1",
              **({"ACCFM_DISTRIBUTED": f"{address}/{count}/{i}"}
                 if count > 1 else {}), **env,
          },
      )
      self.lines[i], self._queues[i] = [], queue.Queue()
      threading.Thread(
          target=self._collect, args=(i, process.stdout), daemon=True
      ).start()

  def _collect(self, i, stream):
    for line in stream:
      self.lines[i].append(line.rstrip("\n"))
      self._queues[i].put(line)
    self._queues[i].put(None)

  def until(self, i, text):
    """Waits for a line of process i with a text in it, spaces squeezed."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
      line = self._queues[i].get(timeout=SECONDS)
      assert line is not None, f"process {i} ended:\n{self.said(i)}"
      if text in " ".join(line.split()):
        return line
    raise AssertionError(f"no {text!r} of process {i}:\n{self.said(i)}")

  def send(self, i, signal):
    self.processes[i].send_signal(signal)

  def end(self, i):
    """Process i's exit code."""
    code = self.processes[i].wait(SECONDS)
    while self._queues[i].get(timeout=SECONDS) is not None:
      pass
    return code

  def ends(self):
    """Exit codes of all."""
    return [self.end(i) for i in self.processes]

  def said(self, i):
    return "\n".join(self.lines[i])

  def errors(self, i):
    return [line for line in self.lines[i] if line.startswith("error:")]

  def __enter__(self):
    return self

  def __exit__(self, *unused):
    for process in self.processes.values():
      process.kill()
      process.wait()
      process.stdout.close()
