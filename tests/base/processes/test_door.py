"""Processes of one job find each other; whoever is not of it is named."""

import contextlib
import json
import queue
import socket
import threading

import pytest

from accfm.base.errors import InputError
from accfm.base.processes import door, wire

HOST = socket.gethostname()


def free_port():
  with socket.create_server(("127.0.0.1", 0)) as s:
    return s.getsockname()[1]


def make_job(count=3, port=None, token="secret", host="127.0.0.1"):
  return door.Job(host, port or free_port(), count, token)


class Calls:
  """Calls that run at the same time, each in a thread: name -> result."""

  def __init__(self):
    self.results, self._threads = {}, []

  def start(self, name, function, *args):
    def call():
      try:
        self.results[name] = function(*args)
      except (InputError, OSError) as error:
        self.results[name] = error

    self._threads.append(threading.Thread(target=call))
    self._threads[-1].start()

  def wait(self):
    for thread in self._threads:
      thread.join(60)
      assert not thread.is_alive()
    return self.results


def close(results):
  for found in results.values():
    if isinstance(found, dict):
      for guest in found.values():
        guest.wire.close()
    elif isinstance(found, tuple):
      found[0].close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_all_arrive_and_can_talk(host):
  if host == "::1" and not wire.own_addresses("::1"):
    pytest.skip("this machine has no IPv6")
  job, calls = make_job(host=host), Calls()
  for index in (2, 1):
    calls.start(index, door.arrive, job, index, 30)
  calls.start(0, door.receive, job, 30)
  results = calls.wait()
  guests = results[0]
  assert sorted(guests) == [1, 2]
  for index, guest in guests.items():
    theirs, zero = results[index]
    assert guest.host == zero == HOST
    guest.wire.send(you=index)
    assert theirs.read() == [{"you": index}]
  close(results)
  # Free again: JAX listens there next.
  for s in wire.listen(host, job.port):
    s.close()


def refused(job, other):
  """(what process 0 of `job` gets, what process 1 of `other` gets)."""
  calls = Calls()
  calls.start(0, door.receive, job, 3)
  calls.start(1, door.arrive, other, 1, 30)
  results = calls.wait()
  return results[0], results[1]


def test_another_token_is_named_at_once(capsys):
  job = make_job(count=2)
  mine, theirs = refused(job, door.Job(job.host, job.port, 2, "another"))
  assert isinstance(theirs, InputError)
  assert str(theirs) == (
      f"process 1 of 2 (host {HOST}): process 0 at {job.address} is of "
      "another job (it was given another address or token); give all "
      "processes of a job the same address and ACCFM_TOKEN"
  )
  # It does not end the job: anybody could.
  assert "process 1 of 2 did not arrive within 3 s" in str(mine)
  assert capsys.readouterr().err == (
      f"warning: 127.0.0.1 came to {job.address} and is not of this job "
      f"(process 1 of host {HOST} has another token); ignored\n"
  )


def test_another_number_of_processes_is_told_to_both():
  job = make_job(count=2)
  mine, theirs = refused(job, door.Job(job.host, job.port, 5, job.token))
  want = (
      f"process 1 of 5 (host {HOST}) came to a job of 2 processes; give all "
      "the same number, and each its own from 0 on"
  )
  assert str(mine) == str(theirs) == want


def test_a_number_that_came_twice_is_told_to_all():
  job, calls = make_job(count=3), Calls()
  calls.start(0, door.receive, job, 30)
  for name in ("one", "two"):
    calls.start(name, door.arrive, job, 1, 30)
  for error in calls.wait().values():
    assert f"process 1 of 3 came twice, from host {HOST}" in str(error)


@pytest.mark.parametrize("spoken, said", [
    (b"GET / HTTP/1.1\r\n\r\n", "said b'GET / HTTP/1.1"),
    (b"", "said nothing"),
    (b'{"hello": "me"}\n', "said b'{\"hello\": \"me\"}"),
    (b"[1]\n", "said b'[1]"),
    (b'{"hello": 1, "count": 2, "host": "h", "nonce": 3, "proof": "x"}\n',
     "process 1 of host h has another token"),
])
def test_strangers_at_the_door_are_named_and_keep_nobody_out(
    capsys, monkeypatch, spoken, said
):
  monkeypatch.setattr(door, "HELLO_SECONDS", 0.5)
  job, calls = make_job(count=2), Calls()
  calls.start(0, door.receive, job, 30)
  stranger = wire.connect(job.host, job.port, 10)
  assert stranger is not None
  assert "nonce" in stranger.first(10)
  stranger._sock.sendall(spoken)
  while stranger.read():  # turned away
    pass
  calls.start(1, door.arrive, job, 1, 30)
  results = calls.wait()
  assert sorted(results[0]) == [1]
  (line,) = capsys.readouterr().err.splitlines()
  assert line.startswith(
      f"warning: 127.0.0.1 came to {job.address} and is not of this job ("
  ) and said in line
  close(results)
  stranger.close()


class Listener(threading.Thread):
  """Another program at the port, that says `text` to whoever comes."""

  def __init__(self, text):
    super().__init__(daemon=True)
    self._door = socket.create_server(("127.0.0.1", 0))
    self.port = self._door.getsockname()[1]
    self.heard, self._text = queue.Queue(), text

  def run(self):
    with contextlib.suppress(OSError):
      while True:
        sock, _ = self._door.accept()
        with sock:
          sock.sendall(self._text)
          self.heard.put(sock.recv(1 << 16))

  def close(self):
    self._door.shutdown(socket.SHUT_RDWR)
    self._door.close()


@pytest.mark.parametrize("text, said", [
    (b"HTTP/1.1 400 Bad Request\r\n", "said b'HTTP/1.1 400 Bad"),
    (b"\x00\x00\x06\x04", r"said b'\x00\x00\x06\x04'"),  # as JAX's own
    (b"", "said nothing"),
])
def test_another_program_at_the_port_is_named(capsys, monkeypatch, text, said):
  monkeypatch.setattr(door, "HELLO_SECONDS", 0.2)
  monkeypatch.setattr(door, "STRANGER_SECONDS", 0.5)
  listener = Listener(text)
  listener.start()
  job = make_job(count=2, port=listener.port)
  with pytest.raises(InputError) as error:
    door.arrive(job, 1, 60)
  listener.close()
  assert str(error.value).startswith(
      f"process 1 of 2 (host {HOST}): what listens at {job.address} is not "
      "process 0 of this job ("
  )
  assert said in str(error.value) and "another port" in str(error.value)
  warnings = capsys.readouterr().err.splitlines()
  assert len(warnings) == 1 and said in warnings[0]


@pytest.fixture
def lines(monkeypatch):
  """What the door says, as it says it."""
  said = queue.Queue()
  monkeypatch.setattr(door, "warn", said.put)
  return said


def patient(monkeypatch):
  """As if nobody ever ran out of patience, but lines come at once."""
  monkeypatch.setattr(door, "SOON_SECONDS", 0.05)
  monkeypatch.setattr(door, "HELLO_SECONDS", 1e6)


@pytest.mark.parametrize("spoken", [b"", b"SSH-2.0 without an end"])
def test_a_silent_program_at_the_port_is_named_while_it_is_waited_for(
    monkeypatch, lines, spoken
):
  """It may still turn out to be process 0."""
  patient(monkeypatch)
  with socket.create_server(("127.0.0.1", 0)) as foreign:
    job, calls = make_job(count=2, port=foreign.getsockname()[1]), Calls()
    calls.start(1, door.arrive, job, 1, 60)
    sock, _ = foreign.accept()
    sock.sendall(spoken)
    line = lines.get(timeout=60)
    assert f"what listens at {job.address} is not process 0" in line
    assert "said" in line
  sock.close()
  calls.start(0, door.receive, job, 60)
  results = calls.wait()
  assert sorted(results[0]) == [1]
  close(results)


def test_a_program_that_accepts_nobody_is_told_once(monkeypatch, lines):
  job, calls, tries = make_job(count=2), Calls(), []
  connect = socket.create_connection

  def slow(address, timeout):
    tries.append(timeout)
    if len(tries) < 4:
      raise TimeoutError("timed out")
    return connect(address, timeout)

  monkeypatch.setattr(socket, "create_connection", slow)
  calls.start(0, door.receive, job, 60)
  calls.start(1, door.arrive, job, 1, 60)
  results = calls.wait()
  assert f"nothing answers at {job.address}: a firewall" in lines.get_nowait()
  assert lines.empty() and max(tries) <= 5
  close(results)


@pytest.mark.parametrize("spoken", [b"", b"GET"])
def test_a_silent_stranger_is_named_while_it_is_waited_for(
    monkeypatch, lines, spoken
):
  patient(monkeypatch)
  job, calls = make_job(count=2), Calls()
  calls.start(0, door.receive, job, 60)
  stranger = wire.connect(job.host, job.port, 10)
  assert stranger is not None
  stranger._sock.sendall(spoken)
  line = lines.get(timeout=60)
  assert line.startswith(f"127.0.0.1 came to {job.address} and is not of this")
  calls.start(1, door.arrive, job, 1, 60)
  results = calls.wait()
  assert sorted(results[0]) == [1] and lines.empty()
  close(results)
  stranger.close()


def test_a_listener_without_the_token_learns_nothing_and_is_not_believed():
  listener = Listener(b'{"nonce": "n"}\n')
  listener.start()
  job = make_job(count=2, port=listener.port, token="the secret")
  calls = Calls()
  calls.start(1, door.arrive, job, 1, 1)
  hello = listener.heard.get(timeout=30)
  assert b"secret" not in hello and json.loads(hello)["hello"] == 1
  assert "did not answer" in str(calls.wait()[1])
  listener.close()


@pytest.mark.parametrize("message", [
    {"start": "evil"}, {"start": "evil", "proof": "x"},
    {"end": [0, "all is well"], "proof": 3},
])
def test_process_0_has_to_prove_the_token_too(message):
  listener = socket.create_server(("127.0.0.1", 0))
  job = make_job(count=2, port=listener.getsockname()[1])
  calls = Calls()
  calls.start(1, door.arrive, job, 1, 30)
  sock, _ = listener.accept()
  end = wire.Wire(sock)
  end.send(nonce="n")
  assert end.first(30)["hello"] == 1
  end.send(**message)
  error = calls.wait()[1]
  assert "is of another job (it does not know this job's token)" in str(error)
  end.close()
  listener.close()


def test_a_proof_is_good_once():
  """What one process sent does not open another door, or this one again."""
  job = make_job()
  proofs = {
      job.proof("process", "a", "b", 1, 3),
      job.proof("process", "a", "c", 1, 3),
      job.proof("process", "a", "b", 2, 3), job.proof("process 0", "b", "a"),
      make_job(token="other").proof("process", "a", "b", 1, 3),
  }
  assert len(proofs) == 5


def test_the_token_of_the_environment(monkeypatch):
  monkeypatch.delenv("ACCFM_TOKEN", raising=False)
  assert door.make_job("h", 1, 2).token == "h:1"
  monkeypatch.setenv("ACCFM_TOKEN", "x")
  assert door.make_job("h", 1, 2).token == "x"
  assert "x" not in repr(door.make_job("h", 1, 2))


# --- where it listens --------------------------------------------------------


def addresses(host):
  doors = wire.listen(host, 0)
  out = {s.getsockname()[0] for s in doors}
  assert len({s.getsockname()[1] for s in doors}) == 1
  for s in doors:
    s.close()
  return out


EVERYWHERE = {"::"} if socket.has_dualstack_ipv6() else {"0.0.0.0"}


def names(monkeypatch, **hosts):
  """What the system's names stand for."""
  def find(host, port, type):
    if host not in hosts:
      raise socket.gaierror("not known")
    return [(socket.AF_INET, type, 6, "", (where, port))
            for where in hosts[host]]

  monkeypatch.setattr(wire.socket, "getaddrinfo", find)


def test_it_listens_at_the_given_address_alone(monkeypatch):
  assert addresses("127.0.0.1") == {"127.0.0.1"}
  assert "127.0.0.1" in addresses("localhost")
  assert addresses("localhost") <= {"127.0.0.1", "::1"}
  if wire.own_addresses("::1"):
    assert addresses("::1") == {"::1"}
  names(monkeypatch, node7=["0.0.0.0"])
  assert addresses("node7") == {"0.0.0.0"}


@pytest.mark.parametrize("where", [
    [], ["203.0.113.9"], ["127.0.1.1"], ["127.0.1.1", "203.0.113.9"],
])
def test_it_listens_everywhere_where_the_address_is_not_ours(
    monkeypatch, where
):
  """Unknown, another machine's (a service in front), or /etc/hosts' word for
  the machine itself, which others know by another address."""
  names(monkeypatch, **({"node7": where} if where else {}))
  assert wire.own_addresses("node7") == []
  monkeypatch.setattr(wire, "own_addresses", lambda host: [])
  assert addresses("node7") == EVERYWHERE


@pytest.mark.parametrize("host, want", [
    ("h", "h:80"), ("10.0.0.7", "10.0.0.7:80"), ("::1", "[::1]:80"),
])
def test_addresses_as_jax_reads_them(host, want):
  assert wire.address(host, 80) == want
