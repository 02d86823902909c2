"""A user's mistake ends a main with one line; a bug keeps its traceback."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from accfm.base import errors
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


@pytest.mark.parametrize("number, name, want", [
    (errno.ENOSPC, None, "W: the disk is full; free some space and run the"),
    (errno.EDQUOT, "x", "x: Disk quota exceeded; free some space"),
    (errno.EFBIG, None, "W: File too large; allow larger files"),
    (errno.EACCES, "x", "x: Permission denied; choose another place"),
    (errno.EROFS, b"x\xff\n", "x\\udcff: Read-only file system; choose"),
    (errno.ENAMETOOLONG, "x", "x: File name too long; choose shorter names"),
    (errno.ENOTDIR, "x/y", "x/y: Not a directory; a part of this path is a"),
    (errno.EIO, None, "W: Input/output error; look at the disk"),
    (errno.EACCES, None, ""), (errno.ECHILD, "x", ""), (None, None, ""),
])
def test_what_the_system_refuses_is_one_line(number, name, want):
  """An error that names no file may be a bug, unless the disk is full."""
  error = OSError(number, "text", name) if number else OSError("text")
  with pytest.raises(errors.InputError if want else OSError) as got:
    with errors.of_system("W"):
      raise error
  if want:
    assert str(got.value).startswith(want) and "\n" not in str(got.value)
  else:
    assert got.value is error


def test_a_library_may_say_that_the_disk_is_full_in_its_own_words():
  with pytest.raises(errors.InputError, match="W: the disk is full"):
    with errors.of_system("W"):
      raise RuntimeError("write() failed: No space left on device; shard 3")
  with pytest.raises(RuntimeError, match="a bug"):
    with errors.of_system("W"):
      raise RuntimeError("a bug")


@pytest.mark.parametrize("show", ["", "1"])
def test_where_the_system_refused_is_shown_if_asked(show):
  done = run(
      "errors.run_main(lambda _: open('/proc/self/nothing'))",
      ACCFM_TRACEBACK=show,
  )
  assert done.returncode == 2
  assert done.stderr.splitlines()[-1] == (
      "error: /proc/self/nothing: No such file or directory; it was expected "
      "there; restore it or choose another path"
  )
  assert ("Traceback" in done.stderr) == bool(show)


def test_nobody_reads_the_error():
  read, write = os.pipe()
  os.close(read)
  done = subprocess.run(
      [sys.executable, "-c", RUN + (
          "def main(_): raise errors.InputError('x')\n"
          "errors.run_main(main)"
      )], stderr=write, check=False,
  )
  os.close(write)
  assert done.returncode == 2


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
