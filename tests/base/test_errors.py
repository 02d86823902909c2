"""A user's mistake ends a main with one line; a bug keeps its traceback."""

import signal
import subprocess
import sys

import pytest

from accfm.base.errors import InputError

RUN = "from accfm.base import errors, faults\n"


def run(code, **env):
  return subprocess.run(
      [sys.executable, "-c", RUN + code],
      capture_output=True, text=True, env={"PATH": "", **env}, check=False,
  )


def test_input_error_is_one_line_and_code_2():
  done = run(
      "def main(_): raise errors.InputError('acc: got 2, want 3; add one')\n"
      "errors.run_main(main)"
  )
  assert done.returncode == 2
  assert done.stderr == "error: acc: got 2, want 3; add one\n"


def test_other_errors_keep_their_traceback():
  done = run(
      "def main(_): raise ValueError('a bug')\nerrors.run_main(main)"
  )
  assert done.returncode == 1
  assert "Traceback" in done.stderr and "a bug" in done.stderr


def test_a_good_main_ends_with_0():
  done = run("errors.run_main(lambda _: print('done'))")
  assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


@pytest.mark.parametrize("fault, survives", [
    ("after_step:7", False), ("after_step:8", True),
    ("before_save:7", True), ("", True),
])
def test_a_fault_point_kills_at_its_own_name_and_index(fault, survives):
  done = run(
      "faults.point('after_step', 7); print('alive')", ACCFM_FAULT=fault
  )
  assert done.returncode == (0 if survives else -signal.SIGKILL)
  assert done.stdout == ("alive\n" if survives else "")


def test_a_message_is_one_line_whatever_it_quotes():
  quoted = "a\nb\r\x1b[31m\u2028\u202e\ud800\0 é"
  said = str(InputError(f"got {quoted}, want text"))
  assert said == (
      "got a\\nb\\r\\x1b[31m\\u2028\\u202e\\ud800\\x00 é, want text"
  )
  for filler in ("9", "\0", "\U000e0001"):
    said = str(InputError("begins " + filler * 50_000 + ", want an end"))
    assert said.startswith("begins ") and said.endswith(", want an end")
    assert len(said) <= 1000 and said.isprintable() and " ... " in said
  assert str(InputError("x" * 1000)) == "x" * 1000
