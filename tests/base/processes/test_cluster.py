"""How several processes find each other, agree, and are judged."""

import socket
import threading

import pytest
from jax._src import clusters

from accfm.base.errors import InputError
from accfm.base.processes import cluster, desk, wire


@pytest.mark.parametrize("text, want", [
    ("localhost:8476/4/1", ("localhost", 8476, 4, 1)),
    ("[::1]:80/1/0", ("::1", 80, 1, 0)),
])
def test_the_variable(text, want):
  assert cluster.parse(text) == want


@pytest.mark.parametrize("text", [
    "yes", "host/4/1", "host:port/4/1", "host:80/4/4", "host:80/0/0",
    "host:80/4", "host:80/-1/0", "host:99999/2/0", "host:0/2/0",
    "host:80/4/1/2", " host:80/4/1",
])
def test_a_variable_that_cannot_be_read(monkeypatch, text):
  monkeypatch.setenv("ACCFM_DISTRIBUTED", text)
  with pytest.raises(InputError, match="ACCFM_DISTRIBUTED: got .* want auto, "):
    cluster.start()
  assert cluster.alone()


def test_nothing_to_detect(monkeypatch):
  monkeypatch.setattr(
      clusters.ClusterEnv, "auto_detect_unset_distributed_params",
      lambda *unused: (None, None, None, None),
  )
  monkeypatch.setenv("ACCFM_DISTRIBUTED", "auto")
  with pytest.raises(InputError, match="no Cloud TPU, GKE, SLURM or Open MPI"):
    cluster.start()


def test_one_process_is_alone(monkeypatch):
  monkeypatch.setenv("ACCFM_DISTRIBUTED", "localhost:1/1/0")
  cluster.start()
  assert cluster.alone()
  cluster.agree({"config/lr": 1})
  cluster.mark("waiting")
  cluster.finish()
  with pytest.raises(InputError, match="for evaluate, which runs as one"):
    cluster.refuse("evaluate")


def test_seconds_that_cannot_be_read(monkeypatch):
  monkeypatch.setenv("ACCFM_DISTRIBUTED", "localhost:1/2/0")
  monkeypatch.setenv("ACCFM_LOST_SECONDS", "soon")
  with pytest.raises(InputError, match="ACCFM_LOST_SECONDS: got 'soon'"):
    cluster.start()


def test_a_port_in_use(monkeypatch):
  with socket.create_server(("127.0.0.1", 0)) as door:
    port = door.getsockname()[1]
    monkeypatch.setenv("ACCFM_DISTRIBUTED", f"127.0.0.1:{port}/2/0")
    with pytest.raises(InputError, match=f"cannot listen at port {port}"):
      cluster.start()


def named(indices):
  return desk.name(indices, 4, dict(enumerate("abcd")))


def test_processes_that_agree():
  facts = {i: {"config/lr": 0.1, "data/x": None} for i in range(4)}
  assert desk.compare(facts, named) == ""


def test_the_odd_one_is_named():
  facts = {i: {"config/lr": 0.2, "code/version": "1"} for i in range(4)}
  facts[0] = {"config/lr": 0.1, "code/version": "1"}
  assert desk.compare(facts, named) == (
      "process 0 of 4 (host a): config differs in lr: 0.1 v. 0.2 of the others"
  )


def test_of_two_the_first_is_right_and_several_are_told():
  facts = {0: {"config/a": 1, "config/b": 2}, 1: {"config/a": 3}}
  assert desk.compare(facts, named) == (
      "process 1 of 4 (host b): config differs in a: 3 v. 1 of the others; "
      "config differs in b: absent v. 2 of the others"
  )
  facts = {i: {"data/x": i // 2} for i in range(4)}
  assert desk.compare(facts, named) == (
      "processes 2, 3 of 4 (hosts c, d): data differs in x: 1 v. 0 of the "
      "others"
  )


def test_a_long_difference_is_cut():
  facts = {
      i: {f"config/f{n}": "x" * 99 * i for n in range(9)} for i in range(2)
  }
  line = desk.compare(facts, named)
  assert line.count("differs") == desk.FIELDS and line.endswith("and 4 more")
  assert len(line) < 1000


@pytest.fixture
def two(monkeypatch):
  """(a desk that does not run, what its two processes were told)."""
  ends = [wire.pair() for _ in range(2)]
  made = desk.Desk({i: (f"host{i}", e[0]) for i, e in enumerate(ends)}, 10, 20)
  for peer in made._peers.values():
    peer.heard = peer.moved = 0.0
  yield made, [e[1] for e in ends]
  made._selector.close()
  for pair in ends:
    for end in pair:
      end.close()


def ends(wires):
  """The verdict that each was told, or None."""
  found = []
  for w in wires:
    w._sock.settimeout(0.01)
    told = [m["end"] for m in w.read() or [] if "end" in m]
    found.append(tuple(told[0][:2]) if told else None)
  return found


def test_silence_is_judged(two):
  made, wires = two
  made._peers[0].heard = 5.0
  made._look(9.0)
  assert ends(wires) == [None, None]
  made._look(11.0)
  want = (75, "process 1 of 2 (host host1) gave no sign of life for 10 s "
              "(stopped, or cut off), last while starting")
  assert ends(wires) == [want, want]
  made._look(99.0)  # said once
  assert ends(wires) == [None, None]


@pytest.mark.parametrize("marks, limits, now, who", [
    ((3, 3), (5, 5), 4.0, ()),
    ((3, 3), (5, 5), 6.0, (0, 1)),
    ((4, 3), (5, 5), 6.0, (1,)),
    ((3, 4), (5, 5), 6.0, (0,)),
    ((4, 3), (5, 8), 6.0, ()),  # the last one saves: that may take longer
    ((3, 3), (5, 8), 6.0, ()),
    ((3, 4), (0, 5), 6.0, ()),  # no limit
    ((3, cluster.FINISHED), (5, 0), 6.0, (0,)),
])
def test_standing_still_is_judged(two, marks, limits, now, who):
  made, wires = two
  for i in range(2):
    peer = made._peers[i]
    peer.heard, peer.mark, peer.limit = now, marks[i], limits[i]
    peer.doing = f"computing step {marks[i]}"
  made._look(now)
  told = ends(wires)
  if not who:
    assert told == [None, None]
    return
  code, text = told[0]
  assert told == [(76, text)] * 2
  names = desk.name(list(who), 2, {0: "host0", 1: "host1"})
  assert text.startswith(f"{names} did not get on for 5 s while computing")
  assert ("the others wait" in text) == (len(who) == 1)


def test_who_is_silent_is_to_blame_not_who_is_behind(two):
  made, wires = two
  for i, (heard, moved, mark) in enumerate([(9.0, 1.0, 3), (4.5, 4.5, 4)]):
    peer = made._peers[i]
    peer.heard, peer.moved, peer.mark, peer.limit = heard, moved, mark, 5
  made._look(9.0)
  assert ends(wires) == [None, None]
  made._peers[0].heard = 9.6
  made._look(9.6)
  assert ends(wires)[0] == (
      75, "process 1 of 2 (host host1) gave no sign of life for 5 s (stopped, "
      "or cut off), last while starting"
  )


def test_whoever_is_late_to_start_is_judged(two):
  made, wires = two
  made._hear(made._peers[0], {"facts": {"config/lr": 1}})
  start = made._first_facts
  for peer in made._peers.values():
    peer.heard = start + 21
  made._look(start + 19)
  assert ends(wires) == [None, None]
  made._look(start + 21)
  assert ends(wires)[0][1].startswith("process 1 of 2 (host host1) was not ")


def test_messages_over_a_wire():
  a, b = wire.pair()
  text = "x" * 100_000
  sent = []

  def send():
    sent.append(a.send(mark=[1, "ü", 2.0]) and a.send(facts=text))

  thread = threading.Thread(target=send)
  thread.start()
  got = []
  while len(got) < 2:
    got += b.read()
  thread.join()
  assert got == [{"mark": [1, "ü", 2.0]}, {"facts": text}] and sent == [True]
  a._sock.sendall(b"GET / HTTP/1.1\r\n")
  assert b.read() is None  # not one of ours
  a.close()
  assert b.read() is None
  b.close()


def test_what_comes_with_a_first_message_is_kept():
  a, b = wire.pair()
  a._sock.sendall(b'{"start": 1}\n{"end": 2}\n{"al')
  assert b.first(10) == {"start": 1}
  a._sock.sendall(b'ive": 3}\n')
  assert b.read() == [{"end": 2}, {"alive": 3}]
  assert b.first(0.01) is None
  for end in (a, b):
    end.close()


def test_nobody_answers():
  assert wire.connect("localhost", 1, 0.01, pause=0.001) is None
