"""A folder is one process's at a time, and the message names the holder."""

import errno
import fcntl
import json
import os
import re
import socket
import subprocess
import sys

import pytest

from accfm.base import locks, owners
from accfm.base.errors import InputError

HOLD = """
import sys
from accfm.base import locks
with locks.held(sys.argv[1], "accfm pretrain"):
  print("held", flush=True)
  sys.stdin.read()
"""


def holder(folder):
  """A process that holds a folder until its stdin closes."""
  process = subprocess.Popen(
      [sys.executable, "-c", HOLD, str(folder)], text=True,
      stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
  )
  line = process.stdout.readline()
  assert line == "held\n", line + process.stdout.read()
  return process


def gone():
  """An Owner of this host whose process has ended."""
  process = subprocess.run(
      [sys.executable, "-c", "import os; print(os.getpid())"], text=True,
      capture_output=True, check=True,
  )
  return owners.Owner(socket.gethostname(), int(process.stdout))


@pytest.fixture(params=[None, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL])
def no_locks(request, monkeypatch):
  """The error of flock; None where it works."""
  def flock(*unused):
    raise OSError(request.param, os.strerror(request.param))

  if request.param:
    monkeypatch.setattr(fcntl, "flock", flock)
  return request.param


def test_a_second_one_is_refused_until_the_first_is_done(
    no_locks, tmp_path, capsys
):
  folder = tmp_path / "a" / "b"
  with locks.held(folder, "accfm pretrain"):
    with pytest.raises(InputError) as error:
      with locks.held(folder, "accfm study"):
        pass
    with locks.held(folder, "accfm evaluate", locks.EVALUATION):
      assert len(os.listdir(folder)) == 2
    (folder / "result").write_text("")
  assert re.match(
      rf"{folder}: accfm pretrain \(PID {os.getpid()} on "
      rf"{socket.gethostname()}, since \d\d:\d\d.*\) uses this workdir; wait "
      "for it or choose another --workdir", str(error.value),
  )
  assert "\n" not in str(error.value)
  assert os.listdir(folder) == ["result"]
  with locks.held(folder, "accfm pretrain"):
    pass
  said = capsys.readouterr().err
  assert ("has no locks" in said) == bool(no_locks)


def test_a_killed_holder_holds_nothing(tmp_path):
  process = holder(tmp_path)
  with pytest.raises(InputError, match=f"PID {process.pid} on"):
    with locks.held(tmp_path, "accfm pretrain"):
      pass
  process.kill()
  process.wait()
  process.stdout.close()
  process.stdin.close()
  assert os.listdir(tmp_path)  # its file is still there
  with locks.held(tmp_path, "accfm pretrain"):
    pass
  assert not os.listdir(tmp_path)


@pytest.mark.parametrize("owner, free", [
    (lambda: gone(), True),
    (lambda: owners.Owner(owners.me().host, os.getpid(), "1"), True),
    (lambda: owners.Owner("another-host", gone().pid), False),
    (lambda: owners.Owner(owners.me().host, 1), False),
    (lambda: None, False),
])
def test_who_left_a_lock_file_without_locks(
    tmp_path, monkeypatch, owner, free
):
  """It is stale where its process was of this host and is gone."""
  def flock(*unused):
    raise OSError(errno.ENOSYS, "Function not implemented")

  monkeypatch.setattr(fcntl, "flock", flock)
  owner, path = owner(), tmp_path / ".run.owner"
  path.write_text("" if owner is None else json.dumps(
      {"what": "accfm pretrain", "since": "2020-01-01 10:00", **vars(owner)}
  ))
  if free:
    with locks.held(tmp_path, "accfm pretrain"):
      assert json.loads(path.read_text())["pid"] == os.getpid()
    assert not os.listdir(tmp_path)
    return
  before = path.read_text()
  with pytest.raises(InputError, match=f"if it is gone, remove {path}"):
    with locks.held(tmp_path, "accfm pretrain"):
      pass
  assert path.read_text() == before


def test_only_what_it_made_and_left_empty_is_removed(tmp_path):
  (tmp_path / "mine").mkdir()
  with locks.held(tmp_path / "mine" / "a" / "b", "accfm pretrain"):
    pass
  assert os.listdir(tmp_path / "mine") == []
  with pytest.raises(KeyError), locks.held(tmp_path / "mine", "accfm study"):
    raise KeyError
  assert os.listdir(tmp_path) == ["mine"]


@pytest.mark.parametrize("folder, why", [
    ("/proc/accfm/x", "No such file or directory"),
    ("file/x", "Not a directory"), ("file", "Not a directory"),
    ("n" * 300, "File name too long"),
])
def test_a_folder_that_cannot_be_is_one_line(tmp_path, folder, why):
  (tmp_path / "file").write_text("")
  use = locks.Use("x", flag="--data_dir")
  with pytest.raises(InputError) as error:
    with locks.held(tmp_path / folder, "accfm prepare", use):
      pass
  text = str(error.value)
  assert text.startswith("--data_dir: ") and f"({why})" in text
  assert "\n" not in text and text.endswith("choose another --data_dir")


def test_a_read_only_folder_is_one_line(tmp_path, monkeypatch):
  def refuse(*unused):
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))

  monkeypatch.setattr(os, "open", refuse)
  with pytest.raises(InputError, match="written .Read-only file system.; ch"):
    with locks.held(tmp_path, "accfm evaluate"):
      pass
