"""One process at a time in a folder: a lock that names who holds it.

The system's own lock (flock) lies on a file in the folder. It ends with the
process, however that ends. Some file systems of clusters have no locks. There
a file that only one process can create stands in. It stays behind where its
process is killed; the next process on the same host sees that and takes over.
"""

import contextlib
import dataclasses
import errno
import fcntl
import json
import os
import pathlib
import secrets
import time
from collections.abc import Iterator
from typing import BinaryIO

from accfm.base import owners
from accfm.base.errors import InputError, warn

TRIES = 100  # each fails only where another process ends at that moment


@dataclasses.dataclass(frozen=True)
class Use:
  """What a lock is for.

  Attributes:
    name: of the lock in its folder. Locks of other names are other locks.
    clash: what the holder does and what to do, for the message.
    flag: that names the folder, for the message.
  """

  name: str
  clash: str = "uses this workdir; wait for it or choose another --workdir"
  flag: str = "--workdir"


RUN = Use("run")  # a training or a study
EVALUATION = Use("evaluation")


@contextlib.contextmanager
def held(
    folder: str | os.PathLike, what: str, use: Use = RUN
) -> Iterator[None]:
  """Holds a folder for this process while it is inside, or lives.

  Args:
    folder: made if it is absent, and removed again if nothing came into it.
    what: the command, for others' messages.
    use: what the lock is for.

  Raises:
    InputError: another process holds it, or it cannot be written.
  """
  folder = pathlib.Path(folder)
  made: list[pathlib.Path] = []
  path = folder / f".{use.name}.lock"
  text = json.dumps({
      "what": what, "since": time.strftime("%Y-%m-%d %H:%M"),
      **dataclasses.asdict(owners.me()),
  })
  with contextlib.ExitStack() as stack:
    stack.callback(_remove_empty, made)
    try:
      holder = _take(path, text, made, stack)
    except OSError as error:
      raise InputError(
          f"{use.flag}: {folder} cannot be written "
          f"({error.strerror or error}); choose another {use.flag}"
      ) from error
    if holder is not None:
      raise InputError(f"{folder}: {_name(holder)} {use.clash}")
    yield


def _take(
    path: pathlib.Path, text: str, made: list[pathlib.Path],
    stack: contextlib.ExitStack,
) -> str | None:
  """Takes a lock until `stack` ends; what is written in it if it is taken."""
  for _ in range(TRIES):
    _make(path.parent, made)
    try:
      file = open(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
    except FileNotFoundError:  # the folder was removed since
      if path.parent.is_dir():
        raise
      continue
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
      with file:
        if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN):
          return file.read().decode(errors="replace")
      path.unlink(missing_ok=True)
      return _take_without_locks(path, text, error, stack)
    if _is_at(file, path):
      stack.callback(_release, file, path)
      file.truncate()
      file.write(text.encode())
      file.flush()
      return None
    file.close()  # whoever had it removed the file meanwhile
  raise OSError(errno.EBUSY, "its lock file comes and goes")


def _take_without_locks(
    path: pathlib.Path, text: str, error: OSError,
    stack: contextlib.ExitStack,
) -> str | None:
  """As `_take`, where flock gave an error."""
  warn(
      f"{path.parent}: its file system has no locks "
      f"({error.strerror or error}); going on with a lock file"
  )
  path = path.with_suffix(".owner")
  for _ in range(TRIES):
    try:
      file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
      there = _read(path)
      if there is None:
        continue
      owner = _owner(there)
      if owner is None or not owner.is_gone():
        return f"{there}\n{path}"
      _take_away(path, there)
      continue
    stack.callback(path.unlink, missing_ok=True)
    with open(file, "wb") as f:
      f.write(text.encode())
    return None
  raise OSError(errno.EBUSY, "its lock file comes and goes")


def _take_away(path: pathlib.Path, text: str) -> None:
  """Removes a lock file with a text, unless another has come in its place."""
  aside = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
  try:
    path.rename(aside)
  except FileNotFoundError:
    return
  if _read(aside) == text or path.exists():
    aside.unlink(missing_ok=True)
  else:
    aside.rename(path)


def _read(path: pathlib.Path) -> str | None:
  try:
    return path.read_text(errors="replace")
  except FileNotFoundError:
    return None


def _owner(text: str) -> owners.Owner | None:
  try:
    found = json.loads(text)
    return owners.Owner(
        str(found["host"]), int(found["pid"]), str(found["began"])
    )
  except (ValueError, KeyError, TypeError):
    return None


def _name(text: str) -> str:
  """`accfm pretrain (PID 123 on HOST, since 12:03)` of a lock's text."""
  text, _, path = text.partition("\n")
  owner = _owner(text)
  fix = f"; if it is gone, remove {path}" if path else ""
  if owner is None:  # it holds the lock and has not written yet
    return f"another process (not known{fix})"
  found = json.loads(text)
  since = str(found.get("since"))
  since = since.removeprefix(time.strftime("%Y-%m-%d "))
  return (
      f"{found.get('what')} (PID {owner.pid} on {owner.host}, since "
      f"{since}{fix})"
  )


def _is_at(file: BinaryIO, path: pathlib.Path) -> bool:
  """Whether an open file is still the one at a path."""
  try:
    return os.path.samestat(os.fstat(file.fileno()), path.stat())
  except FileNotFoundError:
    return False


def _release(file: BinaryIO, path: pathlib.Path) -> None:
  """Removes a lock file while its lock is held, then gives that up."""
  with file, contextlib.suppress(OSError):
    if _is_at(file, path):
      path.unlink()


def _make(folder: pathlib.Path, made: list[pathlib.Path]) -> None:
  """Makes a folder with its parents; adds those that it made to a list."""
  if folder.is_dir():
    return
  if folder.parent != folder:
    _make(folder.parent, made)
  with contextlib.suppress(FileExistsError):
    folder.mkdir()
    made.append(folder)
  if not folder.is_dir():
    raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))


def _remove_empty(made: list[pathlib.Path]) -> None:
  """Removes folders that nothing came into."""
  with contextlib.suppress(OSError):
    for folder in reversed(made):
      folder.rmdir()
