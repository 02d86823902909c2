"""Lines of JSON over a socket: how the processes of a job talk.

Messages are few and small: which process arrived, what each runs, signs of
life, and how a process ended. Arrays never travel here.
"""

import contextlib
import ipaddress
import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

LONGEST = 1 << 24  # bytes; a longer message is not one of ours
CONNECT_SECONDS = 4.0  # for a host that is there to say yes or no
SEND_SECONDS = 5.0  # a peer that takes nothing for this long has stopped


class Wire:
  """One end of a connection. Any thread may send, one thread reads."""

  def __init__(self, sock: socket.socket):
    sock.settimeout(SEND_SECONDS)
    self._sock, self._rest = sock, b""
    self._heard = b""  # the first bytes that came
    self._later: list[dict] = []  # put back, for the next `read`
    self._lock = threading.Lock()
    self._peer = ""
    with contextlib.suppress(OSError, IndexError):
      self._peer = str(sock.getpeername()[0])

  def fileno(self) -> int:
    """For `selectors`."""
    return self._sock.fileno()

  def send(self, **message: Any) -> bool:
    """Sends a message; returns whether it could be handed over."""
    data = json.dumps(message).encode() + b"\n"
    try:
      with self._lock:
        self._sock.sendall(data)
    except OSError:
      return False
    return True

  def read(self) -> list[dict] | None:
    """Messages that have come, after waiting for one.

    Returns:
      A list, empty where no whole message came in time; None if the other
      end is gone or sends what is not a message.
    """
    try:
      data = self._sock.recv(1 << 16)
    except TimeoutError:
      return []
    except OSError:
      return None
    self._heard = self._heard or data[:40]
    *lines, self._rest = (self._rest + data).split(b"\n")
    if not data or len(self._rest) > LONGEST:
      return None
    try:
      messages = [json.loads(line) for line in lines]
    except (ValueError, RecursionError):
      return None
    if not all(isinstance(m, dict) for m in messages):
      return None
    later, self._later = self._later, []
    return later + messages

  def first(self, seconds: float) -> dict | None:
    """The first message, if one comes within so many seconds.

    What came with it is left to the next `read`.
    """
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
      self._sock.settimeout(min(left, SEND_SECONDS))
      messages = self.read()
      self._sock.settimeout(SEND_SECONDS)
      if messages is None:
        return None
      if messages:
        self._later = messages[1:]
        return messages[0]
    return None

  def said(self) -> str:
    """What the other end said first, for a message about a stranger."""
    return f"said {self._heard!r}" if self._heard else "said nothing"

  def peer(self) -> str:
    """The other end's address, "" where it has none or had gone at once."""
    return self._peer

  def close(self) -> None:
    """Closes the connection; the other end reads its end."""
    with contextlib.suppress(OSError):
      self._sock.shutdown(socket.SHUT_RDWR)
    self._sock.close()


def pair() -> tuple[Wire, Wire]:
  """Two Wires that are connected, within one process."""
  one, other = socket.socketpair()
  return Wire(one), Wire(other)


def address(host: str, port: int) -> str:
  """`host:port`, or `[host]:port` for an IPv6 address."""
  return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def own_addresses(host: str) -> list[tuple[int, tuple]]:
  """The addresses of this machine that a host's name stands for.

  Returns:
    [(family, socket address with port 0)]; empty if the name is not known
    here, is another machine's, or means the loopback here alone, as Linux
    distributions write into /etc/hosts for a machine's own name: others then
    know the machine by another address.
  """
  try:
    found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
  except OSError:
    return []
  out = []
  for family, _, _, _, where in dict.fromkeys(found):
    if _is_loopback(str(where[0])) and not (
        host == "localhost" or _is_loopback(host)
    ):
      return []
    with contextlib.suppress(OSError), socket.socket(family) as trial:
      trial.bind(where)
      out.append((family, where))
  return out


def listen(host: str, port: int) -> list[socket.socket]:
  """Listening sockets: at a host's addresses if they are this machine's.

  Where they are not (see `own_addresses`), one at all addresses.

  Raises:
    OSError: the port cannot be listened at.
  """
  own, doors = own_addresses(host), []
  try:
    for family, where in own:
      doors.append(socket.create_server(
          (where[0], port, *where[2:]), family=family, backlog=4096
      ))
      port = port or doors[0].getsockname()[1]
  except OSError:
    for door in doors:
      door.close()
    raise
  if doors:
    return doors
  if socket.has_dualstack_ipv6():
    return [socket.create_server(
        ("", port), family=socket.AF_INET6, backlog=4096, dualstack_ipv6=True
    )]
  return [socket.create_server(("", port), backlog=4096)]


def connect(
    host: str, port: int, seconds: float, pause: float = 0.1,
    unheard: Callable[[], None] = lambda: None,
) -> Wire | None:
  """A Wire to a host that may begin to listen within so many seconds, or
  None.

  `unheard` is called whenever nothing answers a try, neither yes nor no.
  """
  until = time.monotonic() + seconds
  while (left := until - time.monotonic()) > 0:
    try:
      return Wire(socket.create_connection(
          (host, port), timeout=min(left, CONNECT_SECONDS)
      ))
    except TimeoutError:
      unheard()
    except OSError:  # also a name that is not known yet
      time.sleep(pause)
  return None


def _is_loopback(text: str) -> bool:
  try:
    return ipaddress.ip_address(text.partition("%")[0]).is_loopback
  except ValueError:
    return False
