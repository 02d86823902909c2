"""What recordings consist of on disk, and which of them changed.

A recording is known by a hash of its files. Reading a large cohort for that
takes long, so `recordings.json`, beside the shards and in the staging folder,
keeps the hashes with a hash of the sizes and times of the files: where these
are as before, the files are not read. The time of the last change of the
inode (ctime) is one of them, which no program can set back.

Names may hold those of participants, so only hashes of them are kept, under
the salt if there is one.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import hashlib
import hmac
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from accfm.base import files
from accfm.base.errors import InputError
from accfm.data import recording_files, twins

FILE = "recordings.json"
# Files that changed this shortly before they were hashed are hashed again
# next time: a second change may leave size and time as they are.
SETTLED_S = 2.0
SECONDS_BETWEEN_LINES = 5.0


@dataclasses.dataclass(frozen=True)
class Content:
  """What some files hold; each hash is "" where there is no file.

  Attributes:
    content: hash of the files and of their names beside each other.
    bare: hash of the files whatever their names; "" if they are empty.
    stat: hash of the files' sizes and times.
    settled: whether `stat` is enough to know the files by.
  """

  content: str = ""
  bare: str = ""
  stat: str = ""
  settled: bool = False


@dataclasses.dataclass(frozen=True)
class Cohort:
  """The recordings of a folder.

  Attributes:
    found: name of each recording -> its own files.
    shared: the files that all recordings are read from, such as a table of
      participants.
    files: what `recording_files.find` found.
    salt: of the prepare config.
  """

  found: Mapping[str, Content]
  shared: Content
  files: recording_files.Files
  salt: str = ""

  @property
  def names(self) -> list[str]:
    """Names of all recordings, sorted."""
    return list(self.found)

  @property
  def contents(self) -> dict[str, str]:
    """Name -> hash of all that a recording is read from; "" without files."""
    return {n: c.content + self.shared.content for n, c in self.found.items()}

  @property
  def digest(self) -> str:
    """A hash of the names and files of all; "" if none has files."""
    contents = self.contents
    if not any(contents.values()):
      return ""
    return _hash(f"{_key(n, '')} {c}\n" for n, c in sorted(contents.items()))

  def without_copies(
      self, same_recording: str, say: Callable[[str], Any] = print
  ) -> list[str]:
    """The names, without those of copies, or InputError, as configured."""
    copies = twins.settle(
        twins.by_files({n: c.bare for n, c in self.found.items()}),
        same_recording, say,
    )
    return [name for name in self.found if name not in copies]

  def save(self, folder: str, must: bool = True) -> None:
    """Writes `recordings.json`, unless no recording has files.

    Without `must` a folder that cannot be written stays as it is.
    """
    if not self.digest:
      return
    kept = {_key(name, self.salt): c for name, c in self.found.items()}
    text = json.dumps({"shared": _plain(self.shared), "recordings": {
        key: _plain(kept[key]) for key in sorted(kept)
    }}, indent=0)
    path = os.path.join(folder, FILE)
    with contextlib.suppress(OSError, UnicodeError), open(path) as f:
      if f.read() == text:
        return
    try:
      files.write_atomic(path, text)
    except OSError:
      if must:
        raise

  def changes(self, folder: str) -> list[str]:
    """Which recordings are not as in a folder's `recordings.json`.

    Returns:
      Ends of "the recordings differ: "; none where that cannot be told.
    """
    shared, there = load(folder)
    here = {_key(name, self.salt): name for name in self.found}
    if not there:
      return []
    changed = [
        here[key] for key in here
        if key in there and there[key].content != self.found[here[key]].content
    ]
    gone = len(set(there) - set(here))
    parts = [
        ("changed", changed),
        ("added", [here[key] for key in here if key not in there]),
    ]
    lines = [f"{what}: {twins.listed(names)}" for what, names in parts if names]
    lines += [f"gone: {gone:,}"] if gone else []
    if shared.content != self.shared.content:
      names = sorted(map(os.path.basename, self.files.shared))
      lines.append(
          "changed: files that all recordings share"
          + (f", {twins.listed(names)}" if names else "")
      )
    return lines

  def check_unchanged(self) -> None:
    """Raises InputError if files changed since they were hashed."""
    for name, content in self.found.items():
      _check(name, self.files.own[name], content.stat)
    _check("shared files", self.files.shared, self.shared.stat)


def look(
    source: Any, source_dir: str, names: Sequence[str], config: Any,
    data_dir: str, folders: Iterable[str],
    say: Callable[[str], Any] = print,
) -> Cohort:
  """Finds and hashes the files of all recordings.

  Args:
    source: the source.
    source_dir: folder of the recordings, or "".
    names: as the source lists them.
    config: the prepare config.
    data_dir: root of the prepared data sets; nothing in it is a recording.
    folders: may hold a `recordings.json` of an earlier run.
    say: called with each line of progress.

  Raises:
    InputError: a name is listed twice, a file cannot be read or changes
      meanwhile, or a link leads into a circle.
  """
  twice = [n for n, k in collections.Counter(names).items() if k > 1]
  if twice:
    raise InputError(
        f"source {config.source}: lists {twins.listed(twice)} more than once, "
        "want each recording once"
    )
  names = sorted(names)
  found = recording_files.find(
      source, source_dir, names, config.source_cfg, data_dir
  )
  known_shared, known = Content(), {}
  for folder in folders:
    shared, there = load(folder)
    known_shared = shared if shared.stat else known_shared
    known |= {key: c for key, c in there.items() if c.stat}
  out: dict[str, Content] = {}
  todo = []
  for name in names:
    old = known.get(_key(name, config.salt))
    if old and old.stat == _stat(found.own[name]):
      out[name] = old
    else:
      todo.append(name)
  for name, content in zip(
      todo, _in_threads(todo, found.own, say), strict=True
  ):
    out[name] = content
  shared = known_shared
  if not shared.stat or shared.stat != _stat(found.shared):
    shared = read("shared files", found.shared)
  return Cohort({n: out[n] for n in names}, shared, found, config.salt)


def load(folder: str) -> tuple[Content, dict[str, Content]]:
  """(shared files, key -> recording) of a folder's `recordings.json`.

  A file that is absent or damaged counts as empty: it only saves time.
  """
  try:
    with open(os.path.join(folder, FILE), encoding="utf-8") as f:
      plain = json.load(f)
    return _content(plain["shared"]), {
        str(key): _content(row) for key, row in plain["recordings"].items()
    }
  except (OSError, ValueError, KeyError, TypeError, AttributeError,
          RecursionError):
    return Content(), {}


def read(name: str, paths: Sequence[str]) -> Content:
  """Hashes the files at `paths`; folders count with all that is in them.

  Raises:
    InputError: one cannot be read, or changes meanwhile; `name` tells whose.
  """
  now = time.time()
  found = recording_files.walk(paths)
  if not found:
    return Content()
  hashes = {}
  for relative, path, _ in found:
    try:
      with open(path, "rb") as f:
        hashes[relative] = hashlib.file_digest(f, "sha256").hexdigest()
    except OSError as error:
      raise InputError(
          f"{path}: cannot be read ({error.strerror}); mend it or move the "
          "recording away"
      ) from None
  stat = _stat(paths, found)
  _check(name, paths, stat)
  some = any(info.st_size for _, _, info in found)
  return Content(
      content=_hash(f"{r} {h}\n" for r, h in sorted(hashes.items())),
      bare=_hash(f"{h}\n" for h in sorted(hashes.values())) if some else "",
      stat=stat,
      settled=max(i.st_ctime for _, _, i in found) < now - SETTLED_S,
  )


def _check(name, paths, stat):
  if _stat(paths) != stat:
    raise InputError(
        f"recording {name}: its files changed while they were read; wait "
        "until they are complete and run the same command again"
    )


def _stat(paths, found=None):
  """A hash of sizes and times; "" without files."""
  found = recording_files.walk(paths) if found is None else found
  return _hash(
      f"{relative} {i.st_size} {i.st_mtime_ns} {i.st_ctime_ns}\n"
      for relative, _, i in found
  ) if found else ""


def _in_threads(names, own, say):
  """The Content of each recording, in order; hashing frees the lock."""
  pool = concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0)))
  said = time.monotonic()
  try:
    done = pool.map(lambda name: read(name, own[name]), names)
    for number, content in enumerate(done, start=1):
      if time.monotonic() - said > SECONDS_BETWEEN_LINES:
        said = time.monotonic()
        say(f"prepare: hashed {number:,}/{len(names):,} recordings")
      yield content
  finally:
    pool.shutdown(cancel_futures=True)


def _hash(lines):
  whole = hashlib.sha256()
  for line in lines:
    whole.update(os.fsencode(line))
  return whole.hexdigest()[:32]


def _key(name, salt):
  """What stands for a recording's name in a file."""
  text = os.fsencode(f"recording:{name}")
  if salt:
    return hmac.new(os.fsencode(salt), text, "sha256").hexdigest()[:32]
  return hashlib.sha256(text).hexdigest()[:32]


def _plain(content):
  return [
      content.content, content.bare, content.stat if content.settled else ""
  ]


def _content(row):
  content, bare, stat = map(str, row)
  return Content(content, bare, stat, bool(stat))

