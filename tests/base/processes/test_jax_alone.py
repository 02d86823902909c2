"""What JAX says by itself of processes that are missing, die or differ.

The table in docs/pods.md says what accfm adds; these hold JAX's side of it.
"""

import pathlib
import re
import signal
import subprocess
import sys

import pytest

from tests import processes

SCRIPT = pathlib.Path(__file__).with_name("jax_alone.py")


def run(what, indices=(0, 1)):
  """{index: (exit code, output)} of two processes, or of one of them.

  A process that is stopped is killed when the other has ended.
  """
  port, started = processes.free_port(), {}
  for index in indices:
    started[index] = subprocess.Popen(
        [sys.executable, SCRIPT, str(port), str(index), what], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
  out = {}
  for index, process in started.items():
    if what == "stop" and index == 1:
      process.kill()
    said, _ = process.communicate(timeout=processes.SECONDS)
    out[index] = process.returncode, said
  return out


@pytest.mark.full
@pytest.mark.parametrize("there", [0, 1])
def test_a_missing_process_is_not_named(there):
  code, said = run("missing", [there])[there]
  assert code == -signal.SIGABRT and "DEADLINE_EXCEEDED" in said
  missing = str(1 - there)
  for word in ("task", "process", "rank"):  # in whatever spelling
    assert not re.search(rf"{word}\W{{0,3}}{missing}\b", said, re.IGNORECASE)


@pytest.mark.full
@pytest.mark.parametrize("what", ["kill", "stop"])
def test_a_process_that_dies_is_named_as_one_that_stops(what):
  """By its number, after the heartbeat's time, in an abort."""
  code, said = run(what)[0]
  assert code == -signal.SIGABRT
  assert "unhealthy (stopped sending heartbeats):\n1\n" in said
  assert "Check failure stack trace" in said


@pytest.mark.full
def test_values_that_differ_are_shown_and_no_process_is_named():
  for code, said in run("differ").values():
    assert code == 1
    assert "AssertionError: the learning rate differs. Expected: [0. 1." in said
