"""Which process made a file: its host, its PID and when it began.

A PID alone says little: a later process may have it. So an owner also names
the moment at which its process began, where the system tells that (Linux).
"""

import dataclasses
import os
import pathlib
import socket


@dataclasses.dataclass(frozen=True)
class Owner:
  """A process of some host.

  Attributes:
    host: name of the machine.
    pid: of the process.
    began: when it began, in the system's own ticks; "" where not known.
  """

  host: str
  pid: int
  began: str = ""

  def is_gone(self) -> bool:
    """Whether the process has ended for certain: never of another host."""
    if self.host != socket.gethostname() or self.pid < 1:
      return False
    try:
      os.kill(self.pid, 0)  # sends nothing
    except ProcessLookupError:
      return True
    except OSError:  # it lives, under another user
      pass
    now = _began(self.pid)
    return bool(self.began and now) and self.began != now


def me() -> Owner:
  """This process."""
  pid = os.getpid()
  return Owner(socket.gethostname(), pid, _began(pid))


def _began(pid: int) -> str:
  try:
    text = pathlib.Path(f"/proc/{pid}/stat").read_text()
  except (OSError, ValueError):
    return ""
  # The name in brackets may hold anything; the 22nd field counts from it.
  return text.rpartition(")")[2].split()[19]
