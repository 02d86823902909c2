"""Native readers of device files, kept at arm's length.

actfast decodes AX3, AX6, GENEActiv and ActiGraph files in Rust. A damaged file
must not take a whole folder with it, so it runs in a process of its own, with
a bound on time and memory. A process that hangs or dies is replaced.
"""

import atexit
import contextlib
import importlib.util
import json
import os
import pathlib
import selectors
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from accfm.base import extras
from accfm.base.errors import InputError

TIMEOUT_S = 60.0  # of one reading; slices take well under a second
MEMORY = 3 << 30  # bytes of address space, most of it Python's and NumPy's
WORKER = pathlib.Path(__file__).with_name("native_worker.py")


class Reader:
  """Asks a worker process to read files; starts one when it needs it."""

  def __init__(self, timeout_s: float = TIMEOUT_S, memory: int = MEMORY,
               worker: str | os.PathLike = WORKER):
    self._timeout_s, self._memory = timeout_s, memory
    self._worker = os.fspath(worker)
    self._process: subprocess.Popen | None = None
    self._lock = threading.Lock()

  def read(
      self, path: str | os.PathLike, group: str, names: Sequence[str],
      where: str,
  ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays of a file, and what it says of itself.

    Args:
      path: of the file.
      group: of time series, as actfast names it.
      names: of the wanted arrays; those that are not there are left out.
      where: what the file is called in errors.

    Raises:
      InputError: it cannot be read, takes too long or too much memory.
    """
    with self._lock, tempfile.TemporaryDirectory(
        prefix="accfm-", ignore_cleanup_errors=True) as folder:
      answer = self._ask({
          "path": os.fspath(path), "out": folder, "group": group,
          "names": list(names),
      }, where)
      if not answer["ok"]:
        raise InputError(f"{where}: cannot be read: {answer['error']}")
      arrays = {
          name: np.load(os.path.join(folder, f"{name}.npy"),
                        allow_pickle=False)
          for name in answer["arrays"] if name in names
      }
      return arrays, {**answer["metadata"], "format": answer["format"]}

  def close(self) -> None:
    """Ends the worker, if there is one."""
    if self._process is not None:
      self._process.kill()
      self._process.wait()
      for pipe in (self._process.stdin, self._process.stdout):
        with contextlib.suppress(OSError):
          pipe and pipe.close()
      self._process = None

  def _ask(self, question, where):
    process = self._started()
    assert process.stdin is not None and process.stdout is not None
    line = ""
    with contextlib.suppress(OSError):  # it died: no answer
      process.stdin.write(json.dumps(question) + "\n")
      process.stdin.flush()
      with selectors.DefaultSelector() as ready:
        ready.register(process.stdout, selectors.EVENT_READ)
        if not ready.select(self._timeout_s):
          self.close()
          raise InputError(
              f"{where}: its reader did not end within {self._timeout_s:g} s "
              "and was stopped; the file is damaged"
          )
        line = process.stdout.readline()
    if not line:
      code = process.wait()
      self.close()
      raise InputError(
          f"{where}: its reader died (exit {code}); the file is damaged, or "
          f"needs more than {self._memory / 2**30:.1f} GiB"
      )
    return json.loads(line)

  def _started(self):
    if self._process is None or self._process.poll() is not None:
      self.close()
      with extras.explained("a device's file"):
        if importlib.util.find_spec("actfast") is None:
          raise ModuleNotFoundError(name="actfast")
      self._process = subprocess.Popen(
          [sys.executable, "-P", self._worker, str(self._memory)],
          stdin=subprocess.PIPE, stdout=subprocess.PIPE,
          stderr=subprocess.DEVNULL, text=True, start_new_session=True,
      )
    return self._process


READER = Reader()
atexit.register(READER.close)
