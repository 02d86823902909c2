"""Lines of JSON over a socket: how the processes of a job talk.

Messages are few and small: who has arrived, what each runs, signs of life
and how a process ended. Arrays never travel here.
"""

import contextlib
import json
import socket
import threading
import time

LONGEST = 1 << 24  # bytes of a message; what is longer is not one of ours
SEND_SECONDS = 5.0  # a peer that takes nothing for so long has stopped


class Wire:
  """One end of a connection. Any thread may send, one reads."""

  def __init__(self, sock):
    sock.settimeout(SEND_SECONDS)
    self._sock, self._rest = sock, b""
    self._lock = threading.Lock()

  def fileno(self):
    """For `selectors`."""
    return self._sock.fileno()

  def send(self, **message):
    """Sends a message; whether it could be handed over."""
    data = json.dumps(message).encode() + b"\n"
    try:
      with self._lock:
        self._sock.sendall(data)
    except OSError:
      return False
    return True

  def read(self):
    """Messages that have come, waiting for one; None if the other end is
    gone or says what is not a message."""
    try:
      data = self._sock.recv(1 << 16)
    except TimeoutError:
      return []
    except OSError:
      return None
    *lines, self._rest = (self._rest + data).split(b"\n")
    if not data or len(self._rest) > LONGEST:
      return None
    try:
      messages = [json.loads(line) for line in lines]
    except ValueError:
      return None
    return messages if all(isinstance(m, dict) for m in messages) else None

  def close(self):
    """Closes the connection; the other end reads its end."""
    with contextlib.suppress(OSError):
      self._sock.shutdown(socket.SHUT_RDWR)
    self._sock.close()


def pair():
  """Two Wires that are connected, within one process."""
  return tuple(map(Wire, socket.socketpair()))


def listen(port):
  """A listening socket for all addresses of this host."""
  if socket.has_dualstack_ipv6():
    return socket.create_server(
        ("", port), family=socket.AF_INET6, backlog=4096, dualstack_ipv6=True
    )
  return socket.create_server(("", port), backlog=4096)


def connect(host, port, seconds, pause=0.1):
  """A Wire to a host that may start to listen within so many seconds, or
  None."""
  until = time.monotonic() + seconds
  while time.monotonic() < until:
    try:
      return Wire(socket.create_connection((host, port), timeout=5))
    except OSError:  # also a name that is not known yet
      time.sleep(pause)
  return None
